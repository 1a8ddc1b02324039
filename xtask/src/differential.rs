//! `cargo xtask differential`: the plugin against Argo's own Istio reconciler, call by call, on the real API server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dist;
use crate::e2e::harness;
use crate::failure::Failure;
use crate::flags::DifferentialFlags;
use crate::programs::INSTALL_GO;
use crate::run;

/// The Go program's name, and its package in `tests/argo-host`.
const PROGRAM: &str = "differential";
/// How many sequences the whole of `cargo xtask e2e` runs.
pub(crate) const IN_E2E: u32 = 300;
/// How many `cargo xtask test` runs, on the embedded API server.
pub(crate) const IN_TEST: u32 = 60;

pub(crate) fn run(flags: &DifferentialFlags) -> Result<(), Failure> {
    let plugin = dist::unoptimized(None)?.join(dist::PLUGIN);
    of(&plugin, flags, "calling the plugin and the built-in")
}

/// The same with the plugin in this file; `what` is what its line says.
pub(crate) fn of(plugin: &Path, flags: &DifferentialFlags, what: &str) -> Result<(), Failure> {
    let program = program()?;
    let mut command = harness("api-server")?;
    command.arg("--").arg(&program);
    arguments(&mut command, plugin, flags.sequences);
    command.args(["-seed", &flags.seed.to_string()]);
    command.args(["-from", &flags.from.to_string()]);
    run::step(what, || {
        run::run(
            &mut command,
            "run the first sequence that failed alone: `cargo xtask differential --seed S --from K --sequences 1`",
        )
    })
}

/// The same on the embedded API server.
pub(crate) fn embedded(plugin: &Path) -> Result<(), Failure> {
    let program = program()?;
    let mut server = run::cargo();
    server.args(["build", "--package", "testbed", "--example", "apiserver"]);
    run::step("building the embedded API server", || {
        run::run(&mut server, "mend what the compiler names above")
    })?;
    let mut command = Command::new(run::target().join("debug/examples/apiserver"));
    command.arg("--").arg(&program);
    arguments(&mut command, plugin, IN_TEST);
    run::step(
        "calling the plugin and the built-in, on the embedded API server",
        || {
            run::run(
                &mut command,
                "see on the real one: `cargo xtask differential`",
            )
        },
    )
}

fn arguments(command: &mut Command, plugin: &Path, sequences: u32) {
    command.arg("-plugin").arg(plugin);
    command
        .arg("-doc")
        .arg(run::root().join("docs/differences.md"));
    command.args(["-sequences", &sequences.to_string()]);
}

/// Builds the Go program and returns where it is.
fn program() -> Result<PathBuf, Failure> {
    run::need(
        "go",
        &["version"],
        "to build the program that calls Argo's own reconciler",
        INSTALL_GO,
    )?;
    let built = run::target().join(PROGRAM);
    let mut go = Command::new("go");
    go.current_dir(run::root().join("tests/argo-host"))
        .env("GOTOOLCHAIN", "local")
        .args(["build", "-o"])
        .arg(&built)
        .arg(format!("./{PROGRAM}"));
    run::step("building the differential test", || {
        run::run_slow(
            &mut go,
            "go build of Argo's Istio reconciler",
            "check that the Go module proxy (`go env GOPROXY`) can be reached",
        )
    })?;
    Ok(built)
}
