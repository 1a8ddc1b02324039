//! The shipped plugin of the other kind of machine, under QEMU: its handshake, and the calls of some canaries.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::failure::Failure;
use crate::flags::DifferentialFlags;
use crate::plugin::{self, Machine};
use crate::{debian, differential, run};

/// Debian's package of QEMU's user emulation.
const PACKAGE: &str = "qemu-user";
/// Which calls it answers: those of a few generated canaries, without the table of cases.
const SEQUENCES: DifferentialFlags = DifferentialFlags {
    sequences: 2,
    seed: 1,
    from: 1,
};

/// Builds it and holds its calls against the built-in's; says why where there is no emulator to be had.
pub(crate) fn check() -> Result<(), Failure> {
    let machine = Machine::here()?.other();
    let Some(emulator) = emulator(machine) else {
        return Ok(());
    };
    let program = plugin::build(machine)?;
    // The Argo controller starts a file, without arguments of ours.
    let script = run::target().join(format!("{}-emulated", machine.file()));
    let text = format!(
        "#!/bin/sh\nexec {emulator} '{}' \"$@\"\n",
        program.display()
    );
    fs::write(&script, text).map_err(Failure::file("write", &script))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
        .map_err(Failure::file("make executable", &script))?;
    differential::of(
        &script,
        &SEQUENCES,
        &format!("calling {} under QEMU", machine.file()),
    )
}

/// QEMU's program for `machine`; says why there is none.
pub(crate) fn emulator(machine: Machine) -> Option<&'static str> {
    let (program, fixed) = match machine {
        Machine::Amd64 => ("qemu-x86_64", "qemu-x86_64-static"),
        Machine::Arm64 => ("qemu-aarch64", "qemu-aarch64-static"),
    };
    let found = || {
        [program, fixed]
            .into_iter()
            .find(|name| debian::is_there(name))
    };
    if let Some(found) = found() {
        return Some(found);
    }
    let next = format!("install the system's package {PACKAGE}, or let this check be skipped");
    let why = match debian::install(&[PACKAGE], &next) {
        Ok(true) => None,
        Ok(false) => Some(next),
        Err(failure) => Some(failure.to_string()),
    };
    let found = found();
    if found.is_none() {
        let why = why.unwrap_or_else(|| format!("the package {PACKAGE} doesn't have it"));
        eprintln!("    no {program}, so {} is not run: {why}", machine.file());
    }
    found
}
