//! Streams of a hostile peer: an error or a value, never a panic, never memory beyond the limits.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers fail by panicking, like the test"
)]

use go_gob::{Decoder, Definition, Encoder, Error, Progress, TypeId, Types, Value, limits};
use go_gob::{DeserializeError, split_message};
use proptest::prelude::*;
use serde::de::IgnoredAny;

const VALUES: &[u8] = include_bytes!("../testdata/values.gob");

/// Reads as far as it goes.
fn read(stream: &[u8]) -> Result<usize, Error> {
    let mut decoder = Decoder::default();
    let (mut rest, mut values) = (stream, 0);
    while let Some((message, after)) = split_message(rest)? {
        rest = after;
        if decoder.push(message)? == Progress::Ready {
            let found = decoder.value()?;
            // What was checked can be read, in every way.
            found.to_value()?;
            found.deserialize::<IgnoredAny>().unwrap();
            let _: Result<String, DeserializeError> = found.deserialize();
            let _: Result<Vec<String>, DeserializeError> = found.deserialize();
            values += 1;
        }
    }
    Ok(values)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn changed_bytes_give_a_value_or_an_error(
        changes in prop::collection::vec((0..VALUES.len(), any::<u8>()), 1..8),
    ) {
        let mut stream = VALUES.to_vec();
        for (at, byte) in changes {
            stream[at] = byte;
        }
        let _ = read(&stream);
    }

    #[test]
    fn changed_messages_give_a_value_or_an_error(
        skip in 0..60_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        // Whole messages are kept whole, so that what is inside them is met.
        let (mut stream, mut rest, mut at) = (Vec::new(), VALUES, 0);
        while let Some((message, after)) = split_message(rest).unwrap() {
            let start = rest.len() - after.len() - message.len();
            let mut message = message.to_vec();
            if at == skip {
                for (index, byte) in &changes {
                    *index.get_mut(&mut message) = *byte;
                }
            }
            stream.extend_from_slice(&rest[..start]);
            stream.extend_from_slice(&message);
            (rest, at) = (after, at + 1);
        }
        let _ = read(&stream);
    }

    #[test]
    fn any_bytes_give_a_value_or_an_error(stream in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&stream);
    }

    #[test]
    fn a_stream_cut_anywhere_gives_fewer_values(length in 0..VALUES.len()) {
        prop_assert!(read(&VALUES[..length]).unwrap() < 46);
    }
}

/// What the fuzz target `decode_call` found, and streams that gob decoders are known to fail on.
#[test]
fn kept_streams_do_no_harm() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../go-plugin/fuzz/regressions");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let stream = std::fs::read(entry.unwrap().path()).unwrap();
        let _ = read(&stream);
        replayed += 1;
    }
    assert!(replayed >= 2, "{replayed}");
}

/// The message that a value of type `id` takes, and nothing of its types.
fn message(id: i8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![u8::try_from(id).unwrap() * 2];
    message.extend_from_slice(body);
    message
}

#[test]
fn a_length_beyond_the_message_is_refused() {
    let mut decoder = Decoder::default();
    // A string of 2^63 bytes.
    let body = [0, 0xf8, 0x80, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        decoder.push(&message(6, &body)),
        Err(Error::LengthBeyondInput {
            offset: 2,
            length: 1 << 63,
            left: 0
        })
    );
}

#[test]
fn nesting_is_followed_to_the_limit_and_no_further() {
    let mut types = Types::default();
    let list = types
        .add(Definition::Slice {
            element: TypeId::INTERFACE,
        })
        .unwrap();
    let nested = |depth: usize| {
        // []any{[]any{…}}: each level is an interface and a list.
        let mut value = Value::List(Vec::new());
        for _ in 1..depth {
            let held = go_gob::Interface {
                name: b"[]interface {}".to_vec(),
                id: list,
                value,
            };
            value = Value::List(vec![Value::Interface(Some(Box::new(held)))]);
        }
        value
    };
    let deepest = limits::DEPTH / 2;
    for (depth, fits) in [(deepest, true), (deepest + 1, false)] {
        let stream = Encoder::default().encode(&types, list, &nested(depth));
        assert_eq!(
            stream.is_ok_and(|stream| read(&stream) == Ok(1)),
            fits,
            "{depth}"
        );
    }
}

#[test]
fn endless_nesting_is_refused_at_the_limit() {
    // type L []L
    let mut decoder = Decoder::default();
    let definition = [0x7f, 2, 1, 2, 0xff, 0x80, 0, 1, 0xff, 0x80, 0, 0];
    assert_eq!(decoder.push(&definition), Ok(Progress::NeedMore));
    let mut deep = vec![0xff, 0x80, 0];
    deep.extend(std::iter::repeat_n(1, 100_000));
    let offset = 3 + limits::DEPTH;
    assert_eq!(decoder.push(&deep), Err(Error::TooDeep { offset }));
}

#[test]
fn values_are_counted_to_the_limit_and_no_further() {
    let mut types = Types::default();
    let list = types
        .add(Definition::Slice {
            element: TypeId::BOOL,
        })
        .unwrap();
    for (length, fits) in [(limits::VALUES - 1, true), (limits::VALUES, false)] {
        let value = Value::List(vec![Value::Bool(true); length]);
        let stream = Encoder::default().encode(&types, list, &value).unwrap();
        assert_eq!(read(&stream).is_ok(), fits, "{length}");
    }
}

#[test]
fn a_struct_of_too_many_fields_is_refused() {
    let mut types = Types::default();
    let fields = vec![("", TypeId::INT); limits::FIELDS + 1];
    let wide = types.structure("Wide", &fields).unwrap();
    let stream = Encoder::default()
        .encode(&types, wide, &Value::Struct(Vec::new()))
        .unwrap();
    let error = read(&stream).unwrap_err();
    assert!(matches!(error, Error::Definition { .. }), "{error:?}");
}

#[test]
fn definitions_without_end_are_refused() {
    let mut types = Types::default();
    let fields = vec![("LongNameToFillTheDefinition", TypeId::INT); 1000];
    let structs: Vec<_> = (0..50)
        .map(|_| types.structure("S", &fields).unwrap())
        .collect();
    let all = structs.iter().map(|id| ("F", *id)).collect::<Vec<_>>();
    let all = types.structure("All", &all).unwrap();
    let stream = Encoder::default()
        .encode(&types, all, &Value::Struct(Vec::new()))
        .unwrap();
    let error = read(&stream).unwrap_err();
    assert!(matches!(error, Error::Definition { .. }), "{error:?}");
}

#[test]
fn a_type_is_defined_once_and_in_range() {
    let mut decoder = Decoder::default();
    // -64, SliceT{CommonType{Id 64}, Elem int}.
    let slice = [0x7f, 2, 1, 2, 0xff, 0x80, 0, 1, 4, 0, 0];
    assert_eq!(decoder.push(&slice), Ok(Progress::NeedMore));
    for (message, expected) in [
        (slice.to_vec(), "type 64 was defined before"),
        (
            [&[0x7d][..], &slice[1..]].concat(),
            "type 63 is outside of 64 to 65536",
        ),
        (
            [
                &[0xf8, 255, 255, 255, 255, 255, 255, 255, 255][..],
                &slice[1..],
            ]
            .concat(),
            "type 9223372036854775807 is outside of 64 to 65536",
        ),
        (vec![0x7b, 0], "an empty wire type"),
        (vec![0x7b, 9, 0], "field 8 of a wire type, which has 7"),
    ] {
        match decoder.push(&message) {
            Err(Error::Definition { source, .. }) => assert_eq!(source.to_string(), expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}
