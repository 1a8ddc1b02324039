//! `cargo xtask e2e`: builds or finds all that the real stack needs, then becomes the harness (`tests/real-stack`) in a
//! network and a process namespace of its own, so that nothing survives the run and two runs don't meet.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::failure::Failure;
use crate::flags::{DifferentialFlags, E2eFlags, Router};
use crate::plugin::{self, Machine};
use crate::run::{self, cargo};
use crate::{differential, envoy, foreign, programs, wasm};

/// The harness's package and program.
const HARNESS: &str = "real-stack";
/// Where the programs for namespaces come from.
const INSTALL: &str = "install the system's packages util-linux and iproute2";

pub(crate) fn run(flags: &E2eFlags) -> Result<(), Failure> {
    // A run of named scenarios is for these alone.
    if flags.scenarios.is_empty() && flags.traffic_router == Router::Serin && !flags.build_only {
        differential::run(&DifferentialFlags {
            sequences: differential::IN_E2E,
            seed: 1,
            from: 0,
        })?;
        foreign::check()?;
    }
    let mut command = scenarios(flags.traffic_router)?;
    command.args(["--jobs", &flags.jobs.to_string()]);
    command.args(&flags.scenarios);
    if flags.build_only {
        eprintln!(
            "everything is built; the stack would start with:\n    {}",
            run::line(&command)
        );
        return Ok(());
    }
    // Whoever kills xtask ends the run: the stack's first process dies with this one, and all others with it.
    if rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
        eprintln!("    the stack will not notice if cargo is killed");
    }
    Err(Failure::Start {
        command: run::line(&command),
        source: command.exec(),
    })
}

/// The harness with all that scenarios need, up to the names of those to run.
pub(crate) fn scenarios(router: Router) -> Result<Command, Failure> {
    let envoy = envoy::ensure()?;
    let module = wasm::build(wasm::Variant::Plain)?;
    let cookies = wasm::build(wasm::Variant::Cookies)?;
    let plugin = plugin::build(Machine::here()?)?;
    let root = run::root();
    let mut command = harness("scenarios")?;
    let mut path = |flag: &str, path: &Path| {
        command.arg(flag).arg(path);
    };
    path("--envoy", &envoy);
    path("--plugin", &plugin);
    path("--module", &module);
    path("--cookies-module", &cookies);
    path("--manifests", &root.join("manifests"));
    path("--scenarios", &root.join("tests/e2e"));
    command.args(["--traffic-router", router.word()]);
    Ok(command)
}

/// The harness in namespaces of its own, built, with the real stack's programs and up to `subcommand`'s other arguments.
pub(crate) fn harness(subcommand: &str) -> Result<Command, Failure> {
    run::need("ip", &["-V"], "to set up the stack's network", INSTALL)?;
    let programs = programs::ensure()?;
    let mut command = alone(HARNESS, &["--net"])?;
    command.arg(subcommand);
    for (name, folder) in &programs {
        command.arg(format!("--{name}")).arg(folder);
    }
    command.arg("--logs").arg(run::target().join("e2e"));
    Ok(command)
}

/// The program `package`, built with the harness's profile, in a process namespace of its own, and in those that `also` names
/// as `unshare` does.
pub(crate) fn alone(package: &str, also: &[&str]) -> Result<Command, Failure> {
    run::need(
        "unshare",
        &["--version"],
        "to give what is started namespaces of its own",
        INSTALL,
    )?;
    run::step(&format!("building {package}"), || {
        run::run(
            cargo().args(["build", "--profile", "harness", "--package", package]),
            "mend what the compiler names above",
        )
    })?;
    let mut command = isolated();
    command.args(also);
    command.arg(run::target().join("harness").join(package));
    Ok(command)
}

/// `unshare`, with namespaces for processes and mounts; a user without root's rights gets a user namespace too.
fn isolated() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--mount-proc", "--fork", "--kill-child"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
}
