//! Held against Go: streams that Go's encoding/gob wrote are read and written again, and Go reads
//! the result back and compares it with the values that it generated.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers fail by panicking, like the test"
)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use go_gob::{Decoder, Encoder, Progress, split_message};

/// Values to compare, spread over the program's table of types.
const VALUES: usize = 23_000;

/// Builds the Go program; `None`, with the reason printed, where there is no Go.
fn go_program() -> Option<PathBuf> {
    if Command::new("go").arg("version").output().is_err() {
        println!("skipped: no Go toolchain in PATH");
        return None;
    }
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/go");
    let program =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("gob-{}", std::process::id()));
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .env("GOTOOLCHAIN", "local")
        .status()
        .unwrap();
    assert!(built.success(), "go build");
    Some(program)
}

fn rewrite(stream: &[u8]) -> (usize, Vec<u8>) {
    let (mut decoder, mut encoder) = (Decoder::default(), Encoder::default());
    let (mut rest, mut out, mut values) = (stream, Vec::new(), 0);
    while let Some((message, after)) = split_message(rest).unwrap() {
        rest = after;
        if decoder.push(message).unwrap() == Progress::Ready {
            let found = decoder.value().unwrap();
            let value = found.to_value().unwrap();
            let ignored: serde::de::IgnoredAny = found.deserialize().unwrap();
            let _ = ignored;
            encoder
                .encode_onto(&mut out, decoder.types(), found.type_id(), &value)
                .unwrap();
            values += 1;
        }
    }
    assert!(rest.is_empty());
    (values, out)
}

#[test]
fn go_reads_back_what_was_read_and_written_again() {
    let Some(program) = go_program() else { return };
    for seed in ["1", "20260306"] {
        let count = VALUES.to_string();
        let written = Command::new(&program)
            .args(["write", seed, &count])
            .output()
            .unwrap();
        assert!(written.status.success());
        let (values, stream) = rewrite(&written.stdout);
        assert_eq!(values, VALUES);

        let mut check = Command::new(&program)
            .args(["check", seed, &count])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        check.stdin.take().unwrap().write_all(&stream).unwrap();
        let checked = check.wait_with_output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&checked.stdout).trim(),
            format!("equal: {VALUES}"),
            "{}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }
    std::fs::remove_file(program).unwrap();
}
