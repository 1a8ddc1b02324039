//! Held against `serde_json`: the same texts are taken, with the same result and the same words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use std::pin::pin;
use std::task::Poll;

use traffic_policy::config::{Policy, Trust};
use traffic_policy::{Pace, slice};

use super::*;

/// All of `work`, in slices of so many units.
fn all<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(done) = slice(work.as_mut()) {
            return done;
        }
    }
}

/// What `read` makes of the whole of `json`. An error says where it was found.
fn whole<'de, T>(
    json: &'de str,
    read: impl FnOnce(&mut Reader<'de>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut reader = Reader::new(json);
    let read = read(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| reader.placed(error, None))
}

fn read<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, Error> {
    whole(json, super::read)
}

fn policy_of(json: &str) -> Result<Policy, Error> {
    whole(json, |reader| {
        all(super::policy(reader, &Pace::slices_of(20)))
    })
}

/// The members of an object, each with the text of its value.
fn members(json: &str) -> Result<Vec<(Cow<'_, str>, &str)>, Error> {
    whole(json, |reader| {
        reader.begin(b'{', &"a map")?;
        let mut members = Vec::new();
        while reader.next_member(members.is_empty())? {
            let name = reader.name()?;
            let start = reader.start();
            let from = reader.passed().len();
            all(reader.skip(start, &Pace::slices_of(3)))?;
            members.push((name, &json[from..reader.passed().len()]));
        }
        Ok(members)
    })
}

/// What both make of a policy: the policy, or where it is wrong and what is said of it.
fn both(json: &str) -> (Result<Policy, String>, Result<Policy, String>) {
    (
        policy_of(json).map_err(|error| error.to_string()),
        serde_json::from_str(json).map_err(|error| error.to_string()),
    )
}

#[test]
fn faults_have_the_words_and_the_place_that_they_have_elsewhere() {
    for json in [
        "",
        " ",
        "{",
        r#"{"hosts""#,
        r#"{"hosts" ["#,
        r#"{"hosts": ["a" "b"]}"#,
        r#"{"hosts": ["a",]}"#,
        r#"{"hosts": ["a"],}"#,
        r#"{"hosts": ["a"]}}"#,
        "{\"hosts\":\n [\"a\n\"]}",
        r#"{"hosts": ["a\x"]}"#,
        r#"{"hosts": ["a"#,
        r#"{"hosts": ["a\"#,
        r#"{"hosts": {}}"#,
        r#"{"hosts": null}"#,
        r#"{"hosts": "a"}"#,
        r#"{"hosts": [true]}"#,
        r#"{"hosts": [é]}"#,
        r"{hosts: []}",
        r#"{"host": ["c"]}"#,
        r#"{"hosts": [], "hosts": []}"#,
        r#"{"lanes": "declraed"}"#,
        r#"{"rules": [{"lane": "canary"}]}"#,
        r#"{"rules": [{"name": "a", "lane": "canary", "percent": -1e}]}"#,
        r#"{"rules": [{"name": "a", "lane": "canary", "percent": 01}]}"#,
        r#"{"rules": [{"name": "a", "lane": "canary", "percent": 4294967296}]}"#,
        r#"{"rules": [{"name": "a", "lane": "canary", "percent": "1"}]}"#,
    ] {
        let (ours, theirs) = both(json);
        assert_eq!(ours, theirs, "{json}");
        assert!(ours.is_err(), "{json}");
    }
}

#[test]
fn a_fault_found_in_what_was_read_stands_behind_it() {
    let rule = r#"{"rules": [{"name": "a", "lane": "canary", "match": [{"path": {"exact": "a", "prefix": "b"}}]}]}"#;
    let (ours, theirs) = both(rule);
    let said =
        "found 2 of `exact`, `prefix`, `regex` and `present: true`, expected one at line 1 column ";
    // There, it stands behind what comes next.
    assert_eq!(ours.unwrap_err(), format!("{said}91"));
    assert_eq!(theirs.unwrap_err(), format!("{said}92"));
}

#[test]
fn a_number_that_is_not_whole_is_named_as_it_is_written() {
    let rule = r#"{"rules": [{"name": "a", "lane": "canary", "percent": 1.50}]}"#;
    let (ours, _) = both(rule);
    let said = "invalid type: number `1.50`, expected u32 at line 1 column 58";
    assert_eq!(ours.unwrap_err(), said);
}

#[test]
fn members_come_with_the_text_of_their_values() {
    let json = " {\"a\" : { \"b\": [1.5e3, -0, \"\\u00e9\\\"\"] } ,\"\\u0063\":null}\n";
    let found = members(json).unwrap();
    let expected = [
        (
            Cow::Borrowed("a"),
            "{ \"b\": [1.5e3, -0, \"\\u00e9\\\"\"] }",
        ),
        (Cow::Borrowed("c"), "null"),
    ];
    assert_eq!(found, expected);
    assert!(members("{}").unwrap().is_empty());
    let of = |json| members(json).unwrap_err().to_string();
    assert_eq!(
        of("[]"),
        "invalid type: sequence, expected a map at line 1 column 0"
    );
    assert_eq!(
        of(r#"{"a": 1"#),
        "EOF while parsing an object at line 1 column 7"
    );
}

#[test]
fn what_is_nested_too_deep_is_refused_and_not_recursed_into() {
    let nested = |depth: usize| format!(r#"{{"a": {}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(members(&nested(126)).is_ok());
    let error = members(&nested(100_000)).unwrap_err().to_string();
    assert!(error.starts_with("recursion limit exceeded"), "{error}");
}

#[test]
fn words_are_read() {
    assert_eq!(read::<Trust>(r#" "mesh" "#).unwrap(), Trust::Mesh);
    assert!(read::<bool>("true").unwrap());
    assert_eq!(read::<Option<u32>>("null").unwrap(), None);
    assert_eq!(read::<Option<u32>>("7").unwrap(), Some(7));
    assert_eq!(read::<String>(r#""\ud83d\ude00\t\/""#).unwrap(), "😀\t/");
    for alone in [
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\ud83d\u0041""#,
        r#""\u00g0""#,
    ] {
        assert!(read::<String>(alone).is_err(), "{alone}");
    }
}

/// Anything that a policy could be made of, right and wrong.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..300u32).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(WORDS), inner, 0..4).prop_map(|map| {
                map.into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

const WORDS: &[&str] = &[
    "hosts",
    "lanes",
    "rules",
    "name",
    "lane",
    "percent",
    "match",
    "headers",
    "path",
    "method",
    "exact",
    "prefix",
    "regex",
    "present",
    "canary",
    "mirror",
    "declared",
    "virtualServices",
    "shop/reviews",
];

/// A policy that may be right.
fn policy() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        prop::sample::select(WORDS).prop_map(str::to_owned)
    ];
    let matching = (prop::sample::select(&["exact", "prefix", "regex", "present"][..]), text.clone())
        .prop_map(|(kind, text)| serde_json::json!({kind: if kind == "present" { Value::from(true) } else { text.into() }}));
    let headers = prop::collection::btree_map(text.clone(), matching.clone(), 0..3);
    let entry = (headers, prop::option::of(matching))
        .prop_map(|(headers, path)| serde_json::json!({"headers": headers, "path": path}));
    let lane = prop::sample::select(&["canary", "stable", "mirror"][..]);
    let rule = (text.clone(), lane, prop::option::of(0..200u32), prop::collection::vec(entry, 0..3))
        .prop_map(|(name, lane, percent, entries)| serde_json::json!({"name": name, "lane": lane, "percent": percent, "match": entries}));
    let hosts = prop::collection::vec(text, 0..3);
    (hosts, prop::collection::vec(rule, 0..3))
        .prop_map(|(hosts, rules)| serde_json::json!({"hosts": hosts, "rules": rules}))
}

proptest! {
    #[test]
    fn policies_are_read_as_serde_json_reads_them(policy in policy(), pretty: bool) {
        let json = if pretty { serde_json::to_string_pretty(&policy) } else { serde_json::to_string(&policy) }.unwrap();
        let (ours, theirs) = both(&json);
        prop_assert_eq!(ours, theirs, "{}", json);
    }

    #[test]
    fn nothing_is_taken_for_a_policy_that_is_none(value in value()) {
        // There, an array may stand for a structure.
        let (ours, theirs) = both(&value.to_string());
        prop_assert!(ours.is_err() || ours == theirs, "{}", value);
    }

    #[test]
    fn members_are_those_that_serde_json_finds(value in value()) {
        let json = serde_json::to_string_pretty(&value).unwrap();
        let theirs = serde_json::from_str::<BTreeMap<String, &RawValue>>(&json).ok();
        let theirs = theirs.map(|map| map.into_iter().map(|(name, raw)| (name, raw.get().to_owned())).collect::<Vec<_>>());
        let ours = members(&json).ok();
        let ours = ours.map(|all| all.into_iter().map(|(name, raw)| (name.into_owned(), raw.to_owned())).collect::<Vec<_>>());
        prop_assert_eq!(ours, theirs, "{}", json);
    }

    #[test]
    fn any_text_is_taken_or_refused_alike(
        json in r#"[\[\]{}:,"\\a-fnrtu0-9eE.+\- é]{0,24}"#,
        cut in 0..200usize,
        policy in policy(),
    ) {
        let whole = policy.to_string();
        let end = (0..=cut.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
        for json in [json.as_str(), &whole[..end]] {
            let theirs = serde_json::from_str::<&RawValue>(json).is_ok();
            let object = format!(r#"{{"a":{json}}}"#);
            // An ignored string may hold half of a surrogate pair there.
            if !json.contains(r"\ud") {
                prop_assert_eq!(members(&object).is_ok(), theirs && serde_json::from_str::<BTreeMap<String, &RawValue>>(&object).is_ok(), "{}", json);
            }
            let _ = policy_of(json);
        }
    }
}
