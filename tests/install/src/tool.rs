//! Programs that are called: what they print, and what they say where they fail.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::error::Error;

/// Runs `program` to its end and returns what it has printed. `input` is what it reads.
pub(crate) fn run(program: &str, arguments: &[&str], input: Option<&str>) -> Result<String, Error> {
    let output = output(program, arguments, input)?;
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::Program {
        command: line(program, arguments),
        status: output.status,
        output: both(&output),
    })
}

/// Runs `program`, which has to fail, and returns what it has printed.
pub(crate) fn refused(
    program: &str,
    arguments: &[&str],
    input: Option<&str>,
    expected: &str,
) -> Result<String, Error> {
    let output = output(program, arguments, input)?;
    let said = both(&output);
    if !output.status.success() {
        return Ok(said);
    }
    Err(Error::Succeeded {
        command: line(program, arguments),
        expected: expected.to_owned(),
        output: said,
    })
}

fn output(program: &str, arguments: &[&str], input: Option<&str>) -> Result<Output, Error> {
    let start = |source| Error::Start {
        command: line(program, arguments),
        source,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        // A program that ends before it has read all says why itself.
        let _ = pipe.write_all(input.as_bytes());
    }
    child.wait_with_output().map_err(start)
}

fn line(program: &str, arguments: &[&str]) -> String {
    std::iter::once(&program)
        .chain(arguments)
        .copied()
        .collect::<Vec<_>>()
        .join(" ")
}

fn both(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
