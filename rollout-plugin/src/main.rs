//! The binary `serin`.

fn main() {}
