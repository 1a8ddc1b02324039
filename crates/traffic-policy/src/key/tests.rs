//! Keys and their buckets.

use super::*;

/// A proxy that knows an address and can issue cookies.
struct Edge;

impl Surroundings for Edge {
    fn random(&mut self) -> u32 {
        0
    }

    fn source_address(&mut self) -> Option<&[u8]> {
        Some(b"10.1.2.3")
    }

    fn issue(&mut self, _: &str, _: &Issue) -> Option<&[u8]> {
        Some(b"new")
    }
}

fn keys(json: &str) -> Keys {
    let keys: Vec<StickyKey> = serde_json::from_str(json).unwrap();
    Keys::compile("shop/reviews", format_args!("keys"), &keys).unwrap()
}

/// The bucket that a request falls into, of many.
fn found(
    keys: &Keys,
    headers: &[(&str, &str)],
    surroundings: &mut impl Surroundings,
) -> Option<u32> {
    let request = Request::read(headers, |_, _| {});
    keys.bucket(&request, surroundings, b"salt", u32::MAX)
}

fn of(value: &str) -> u32 {
    bucket(b"salt", value.as_bytes(), u32::MAX)
}

#[test]
fn the_first_key_that_is_there_counts() {
    let keys = keys(
        r#"[{"header": "X-User"}, {"cookie": "id", "issue": {}}, {"queryParam": "u"}, {"sourceAddress": true}]"#,
    );
    for (headers, value) in [
        (
            &[("x-user", "a"), ("cookie", "id=b"), (":path", "/?u=c")][..],
            "a",
        ),
        (
            &[("x-user", ""), ("cookie", "id=b"), (":path", "/?u=c")],
            "b",
        ),
        (&[("x-user", ""), ("x-user", "a"), (":path", "/?u=c")], "c"),
        (&[("cookie", "ID=b; id="), (":path", "/?u=c")], "c"),
        (&[("cookie", "ID=b; id=\"b\"")], "b"),
        (&[(":path", "/?u=%20")], "%20"),
        (&[(":path", "/?u=&u=c")], "10.1.2.3"),
        (&[], "10.1.2.3"),
    ] {
        assert_eq!(
            found(&keys, headers, &mut Edge),
            Some(of(value)),
            "{headers:?}"
        );
    }
}

#[test]
fn a_cookie_is_issued_where_no_other_key_is_there() {
    let keys = keys(r#"[{"cookie": "id", "issue": {}}, {"header": "x-user"}]"#);
    assert_eq!(found(&keys, &[], &mut Edge), Some(of("new")));
    assert_eq!(found(&keys, &[("x-user", "a")], &mut Edge), Some(of("a")));
    assert_eq!(
        found(&keys, &[("cookie", "id=b")], &mut Edge),
        Some(of("b"))
    );
    assert_eq!(found(&keys, &[], &mut || 0), None, "behind an edge");
}

#[test]
fn nothing_is_issued_unasked() {
    let keys = keys(r#"[{"cookie": "id"}]"#);
    assert_eq!(found(&keys, &[], &mut Edge), None);
}

/// The hashes are the reference implementation's, xxHash 0.8.4.
#[test]
fn a_bucket_is_the_upper_part_of_the_hash() {
    for (salt, key, hash) in [
        ("7c9d5b", "alice", 0x18c3_3aa4_e5cf_21d2_u64),
        ("7c9d5b", "bob", 0x783c_be48_9cbd_f7b1),
        ("fixed", "", 0xf29c_febb_ac48_1866),
        ("beta-users", "10.1.2.3", 0x6c4a_6cf9_2e5f_001b),
        ("s", "é", 0x4864_195c_fedb_a5e3),
        ("s", &"k".repeat(300), 0xfcd2_60f5_b4a6_3c52),
    ] {
        let found = |of| bucket(salt.as_bytes(), key.as_bytes(), of);
        let upper = u32::try_from(hash >> 33).unwrap();
        assert_eq!(found(1 << 31), upper, "{key}");
        let percent = u32::try_from((u128::from(hash) * 100) >> 64).unwrap();
        assert_eq!(found(100), percent, "{key}");
    }
}

#[test]
fn every_length_is_hashed_whole() {
    for length in 0..600 {
        let key = "k".repeat(length);
        let whole = [b"salt\0", key.as_bytes()].concat();
        let expected = u32::try_from(xxh3_64(&whole) >> 33).unwrap();
        assert_eq!(
            bucket(b"salt", key.as_bytes(), 1 << 31),
            expected,
            "{length}"
        );
    }
}
