//! What gob values read as in serde's terms.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers fail by panicking, like the test"
)]

use std::collections::BTreeMap;

use go_gob::{Decoder, Definition, DeserializeError, Encoder, Interface, TypeId, Types, Value};
use go_gob::{Progress, split_message};
use serde::Deserialize;
use serde::de::DeserializeOwned;

fn through<T: DeserializeOwned>(
    types: &Types,
    id: TypeId,
    value: &Value,
) -> Result<T, DeserializeError> {
    let stream = Encoder::default().encode(types, id, value).unwrap();
    let mut decoder = Decoder::default();
    let mut rest = &stream[..];
    loop {
        let (message, after) = split_message(rest).unwrap().unwrap();
        rest = after;
        if decoder.push(message).unwrap() == Progress::Ready {
            return decoder.value().unwrap().deserialize();
        }
    }
}

fn plain<T: DeserializeOwned>(id: TypeId, value: &Value) -> Result<T, DeserializeError> {
    through(&Types::default(), id, value)
}

#[test]
fn numbers_fit_or_say_that_they_do_not() {
    assert_eq!(plain(TypeId::INT, &Value::Int(-128)), Ok(-128_i8));
    assert_eq!(plain(TypeId::INT, &Value::Int(255)), Ok(255_u8));
    assert_eq!(plain(TypeId::UINT, &Value::Uint(u64::MAX)), Ok(u64::MAX));
    assert_eq!(plain(TypeId::FLOAT, &Value::Float(0.5)), Ok(0.5_f32));
    let complex = Value::Complex(1.5, -2.0);
    assert_eq!(plain(TypeId::COMPLEX, &complex), Ok((1.5, -2.0)));
    let error = plain::<u8>(TypeId::INT, &Value::Int(256)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid value: integer `256`, expected u8"
    );
}

#[test]
fn strings_are_utf8_and_bytes_are_anything() {
    #[derive(Debug, PartialEq, Deserialize)]
    enum Phase {
        Healthy,
        Paused,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Name(String);

    let paused = Value::string("Paused");
    assert_eq!(plain(TypeId::STRING, &paused), Ok(Phase::Paused));
    assert_eq!(plain(TypeId::STRING, &paused), Ok(Name("Paused".into())));
    let error = plain::<Phase>(TypeId::STRING, &Value::string("Ill")).unwrap_err();
    assert!(error.to_string().contains("`Healthy`"), "{error}");
    let error = plain::<String>(TypeId::STRING, &Value::String(vec![0xff])).unwrap_err();
    assert_eq!(error.to_string(), "a string that is not UTF-8");
}

#[test]
fn an_interface_reads_as_what_it_holds_and_nil_as_none() {
    let held = |value| {
        Value::Interface(Some(Box::new(Interface {
            name: b"int".to_vec(),
            id: TypeId::INT,
            value: Value::Int(value),
        })))
    };
    let nil = Value::Interface(None);
    assert_eq!(plain(TypeId::INTERFACE, &held(7)), Ok(7_i64));
    assert_eq!(plain(TypeId::INTERFACE, &held(7)), Ok(Some(7_i64)));
    assert_eq!(plain(TypeId::INTERFACE, &nil), Ok(None::<i64>));
    assert!(plain::<i64>(TypeId::INTERFACE, &nil).is_err());

    let mut types = Types::default();
    let list = types
        .add(Definition::Slice {
            element: TypeId::INTERFACE,
        })
        .unwrap();
    let mixed = Value::List(vec![held(1), nil, held(0)]);
    assert_eq!(
        through(&types, list, &mixed),
        Ok(vec![Some(1_i64), None, Some(0)])
    );
}

#[test]
fn missing_fields_are_default_and_unknown_ones_are_passed_over() {
    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Pod {
        name: String,
        labels: BTreeMap<String, String>,
        weight: Option<i32>,
        next: Option<Box<Pod>>,
    }
    // The second field of a Pod is a Pod, which only a peer's numbers can say; so by hand:
    // type Pod (64) struct { Name string; Next *Pod; Ports map[string][]int (65, 66); Weight *int }
    let stream = [
        &[
            0x7f, 3, 1, 1, 3, b'P', b'o', b'd', 1, 0xff, 0x80, 0, 1, 4, //
            1, 4, b'N', b'a', b'm', b'e', 1, 12, 0, //
            1, 4, b'N', b'e', b'x', b't', 1, 0xff, 0x80, 0, //
            1, 5, b'P', b'o', b'r', b't', b's', 1, 0xff, 0x82, 0, //
            1, 6, b'W', b'e', b'i', b'g', b'h', b't', 1, 4, 0, 0, 0,
        ][..],
        &[
            0xff, 0x81, 4, 1, 2, 0xff, 0x82, 0, 1, 12, 1, 0xff, 0x84, 0, 0,
        ],
        &[0xff, 0x83, 2, 1, 2, 0xff, 0x84, 0, 1, 4, 0, 0],
        &[
            0xff, 0x80, 1, 1, b'a', 1, 1, 1, b'b', 3, 14, 0, //
            1, 1, 1, b'p', 2, 4, 6, 0,
        ],
    ];
    let mut decoder = Decoder::default();
    for message in stream {
        decoder.push(message).unwrap();
    }
    let pod: Pod = decoder.value().unwrap().deserialize().unwrap();
    let inner = Pod {
        name: "b".into(),
        weight: Some(7),
        ..Pod::default()
    };
    let outer = Pod {
        name: "a".into(),
        next: Some(Box::new(inner)),
        ..Pod::default()
    };
    assert_eq!(pod, outer);
}

#[test]
fn an_error_says_where() {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Outer {
        #[allow(dead_code, reason = "never read: this can't succeed")]
        steps: Vec<BTreeMap<String, i8>>,
    }
    let mut types = Types::default();
    let step = types.structure("Step", &[("Weight", TypeId::INT)]).unwrap();
    let steps = types.add(Definition::Slice { element: step }).unwrap();
    let outer = types.structure("Outer", &[("Steps", steps)]).unwrap();
    let step = |weight| Value::Struct(vec![(0, Value::Int(weight))]);
    let value = Value::Struct(vec![(0, Value::List(vec![step(1), step(1000)]))]);
    let error = through::<Outer>(&types, outer, &value).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Steps[1].Weight: invalid value: integer `1000`, expected i8"
    );
}

#[test]
fn a_value_that_is_not_of_its_type_is_not_written() {
    let mut types = Types::default();
    let pair = types
        .structure("Pair", &[("A", TypeId::INT), ("B", TypeId::INT)])
        .unwrap();
    let mut encoder = Encoder::default();
    for value in [
        Value::Int(1),
        Value::Struct(vec![(2, Value::Int(1))]),
        Value::Struct(vec![(1, Value::Int(1)), (0, Value::Int(1))]),
        Value::Struct(vec![(0, Value::Uint(1))]),
    ] {
        let mut out = Vec::new();
        assert!(encoder.encode_onto(&mut out, &types, pair, &value).is_err());
        assert_eq!(out, b"");
    }
    // And the type is still to be defined.
    let value = Value::Struct(Vec::new());
    let first = encoder.encode(&types, pair, &value).unwrap();
    let second = encoder.encode(&types, pair, &value).unwrap();
    assert!(first.len() > second.len());
}
