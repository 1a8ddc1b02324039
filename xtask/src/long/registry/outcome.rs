//! What a program of the check has to end in, and what files have to be.

use std::path::Path;
use std::process::{Command, Output};

use crate::failure::Failure;
use crate::{dist, run};

const NEXT: &str = "run it again alone: `cargo xtask e2e --long registry`";

/// What `command` printed; an error if it failed.
pub(super) fn succeed(command: &mut Command) -> Result<String, Failure> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(wrong(&run::line(command), said.trim(), "success"))
}

/// An error unless `command` failed and said so.
pub(super) fn refuse(command: &mut Command, expected: &str) -> Result<(), Failure> {
    let output = output(command)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(1) && said.contains(expected) {
        return Ok(());
    }
    Err(wrong(
        &run::line(command),
        &format!("{}, {}", output.status, said.trim()),
        &format!("an error with {expected:?}"),
    ))
}

fn output(command: &mut Command) -> Result<Output, Failure> {
    command.output().map_err(|source| Failure::Start {
        command: run::line(command),
        source,
    })
}

pub(super) fn same(what: &str, found: &Path, expected: &Path) -> Result<(), Failure> {
    let (found, expected) = (dist::sum(found)?, dist::sum(expected)?);
    expect(what, &found, &expected)
}

pub(super) fn expect(what: &str, found: &str, expected: &str) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    Err(wrong(what, found, expected))
}

pub(super) fn wrong(what: &str, found: &str, expected: &str) -> Failure {
    Failure::Wrong {
        what: what.to_owned(),
        found: found.to_owned(),
        expected: expected.to_owned(),
        next: NEXT,
    }
}
