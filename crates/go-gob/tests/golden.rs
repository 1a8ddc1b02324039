//! Bytes from Go, kept in `testdata` (`tests/go`: `gob write 1 46`), so that this needs no Go.

use go_gob::{Decoder, Encoder, Progress, TypeId, Types, Value, split_message};

/// The example worked out at the end of Go's `encoding/gob` `doc.go`: `Point{22, 33}`.
const POINT: &[u8] = &[
    0x1f, 0xff, 0x81, 0x03, 0x01, 0x01, 0x05, 0x50, 0x6f, 0x69, 0x6e, 0x74, 0x01, 0xff, 0x82, 0x00,
    0x01, 0x02, 0x01, 0x01, 0x58, 0x01, 0x04, 0x00, 0x01, 0x01, 0x59, 0x01, 0x04, 0x00, 0x00, 0x00,
    0x07, 0xff, 0x82, 0x01, 0x2c, 0x01, 0x42, 0x00,
];

#[test]
fn the_documented_example_is_written_byte_by_byte() {
    let mut types = Types::default();
    // Go's documentation numbers its type 65.
    types.structure("", &[]).unwrap();
    let point = types
        .structure("Point", &[("X", TypeId::INT), ("Y", TypeId::INT)])
        .unwrap();
    let value = Value::Struct(vec![(0, Value::Int(22)), (1, Value::Int(33))]);
    let stream = Encoder::default().encode(&types, point, &value).unwrap();
    assert_eq!(stream, POINT);
}

#[test]
fn the_documented_example_is_read() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    struct Point {
        x: i8,
        y: u64,
    }
    let mut decoder = Decoder::default();
    let (definition, rest) = split_message(POINT).unwrap().unwrap();
    let (value, rest) = split_message(rest).unwrap().unwrap();
    assert!(rest.is_empty());
    assert_eq!(decoder.push(definition).unwrap(), Progress::NeedMore);
    assert!(decoder.value().is_err());
    assert_eq!(decoder.push(value).unwrap(), Progress::Ready);
    let point: Point = decoder.value().unwrap().deserialize().unwrap();
    assert_eq!(point, Point { x: 22, y: 33 });
}

#[test]
fn values_of_all_types_survive_being_written_again() {
    let read = |stream: &[u8], mut each: Box<dyn FnMut(&Decoder) + '_>| {
        let mut decoder = Decoder::default();
        let mut rest = stream;
        while let Some((message, after)) = split_message(rest).unwrap() {
            rest = after;
            if decoder.push(message).unwrap() == Progress::Ready {
                each(&decoder);
            }
        }
        assert!(rest.is_empty());
    };
    let (mut values, mut stream, mut out) = (Vec::new(), Vec::new(), Encoder::default());
    read(
        include_bytes!("../testdata/values.gob"),
        Box::new(|decoder| {
            let found = decoder.value().unwrap();
            let value = found.to_value().unwrap();
            out.encode_onto(&mut stream, decoder.types(), found.type_id(), &value)
                .unwrap();
            values.push(value);
        }),
    );
    assert_eq!(values.len(), 46);
    let mut again = Vec::new();
    read(
        &stream,
        Box::new(|decoder| again.push(decoder.value().unwrap().to_value().unwrap())),
    );
    assert_eq!(again, values);
}
