//! What hostile streams cost in memory, seen from the process: so one test, and alone in its file.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers fail by panicking, like the test"
)]

use go_gob::{Decoder, Definition, Encoder, Progress, TypeId, Types, Value, limits, split_message};

#[test]
fn memory_follows_what_was_sent() {
    types_that_double_at_each_level_cost_nothing();
    lists_of_wide_empty_structs_cost_what_they_hold();
}

/// Reads all values.
fn read(stream: &[u8]) -> usize {
    let mut decoder = Decoder::default();
    let (mut rest, mut values) = (stream, 0);
    while let Some((message, after)) = split_message(rest).unwrap() {
        rest = after;
        if decoder.push(message).unwrap() == Progress::Ready {
            decoder.value().unwrap().to_value().unwrap();
            values += 1;
        }
    }
    values
}

/// The greatest resident size of this process so far.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line
        .and_then(|line| line.split_whitespace().nth(1))
        .unwrap();
    kib.parse::<usize>().unwrap() * 1024
}

fn types_that_double_at_each_level_cost_nothing() {
    // type T0 struct { A, B T1 }; type T1 struct { A, B T2 }; …
    let mut types = Types::default();
    let mut last = TypeId::INT;
    for _ in 0..60 {
        last = types.structure("T", &[("A", last), ("B", last)]).unwrap();
    }
    let before = peak_bytes();
    let stream = Encoder::default()
        .encode(&types, last, &Value::Struct(Vec::new()))
        .unwrap();
    assert_eq!(read(&stream), 1);
    assert!(peak_bytes() - before < 32 << 20);
}

fn lists_of_wide_empty_structs_cost_what_they_hold() {
    let mut types = Types::default();
    let fields = vec![("F", TypeId::INT); limits::FIELDS];
    let wide = types.structure("Wide", &fields).unwrap();
    let list = types.add(Definition::Slice { element: wide }).unwrap();
    let value = Value::List(vec![Value::Struct(Vec::new()); limits::VALUES - 1]);
    let stream = Encoder::default().encode(&types, list, &value).unwrap();
    drop(value);
    let before = peak_bytes();
    assert_eq!(read(&stream), 1);
    assert!(peak_bytes() - before < 64 << 20);
}
