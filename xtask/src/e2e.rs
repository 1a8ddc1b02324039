//! `cargo xtask e2e`: builds or finds all that the real stack needs, then becomes the harness (`tests/real-stack`) in a
//! network and a process namespace of its own, so that nothing survives the run and two runs don't meet.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::failure::Failure;
use crate::flags::{DifferentialFlags, E2eFlags, Istio, Router};
use crate::plugin::{self, Machine};
use crate::programs::{CONTROL_PLANE, Set};
use crate::run::{self, cargo};
use crate::{differential, envoy, foreign, install, long, programs, wasm};

/// The harness's package and program.
const HARNESS: &str = "real-stack";
/// Where the programs for namespaces come from.
const INSTALL: &str = "install the system's packages util-linux and iproute2";

pub(crate) fn run(flags: &E2eFlags) -> Result<(), Failure> {
    if flags.long {
        return long::run(&flags.scenarios);
    }
    // A run of named scenarios is for these alone.
    if flags.scenarios.is_empty() && flags.traffic_router == Router::Serin && !flags.build_only {
        differential::run(&DifferentialFlags {
            sequences: differential::IN_E2E,
            seed: 1,
            from: 0,
        })?;
        foreign::check()?;
        install::manifests()?;
        install::documents()?;
    }
    let mut command = scenarios(flags.traffic_router)?;
    command.args(["--jobs", &flags.jobs.to_string()]);
    // What a few scenarios leave unused says nothing.
    if flags.scenarios.is_empty() && flags.traffic_router == Router::Serin {
        command.arg("--audit");
    }
    command.args(&flags.scenarios);
    if flags.build_only {
        eprintln!(
            "everything is built; the stack would start with:\n    {}",
            run::line(&command)
        );
        return Ok(());
    }
    become_it(command)
}

/// Becomes the harness, or another program that measures or tests.
pub(crate) fn become_it(mut command: Command) -> Result<(), Failure> {
    // If xtask is killed, the run ends: its first process dies with this one, and all others with it.
    if rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
        eprintln!("    the run will not notice if cargo is killed");
    }
    Err(Failure::Start {
        command: run::line(&command),
        source: command.exec(),
    })
}

/// The harness with all that scenarios need, up to the names of those to run.
pub(crate) fn scenarios(router: Router) -> Result<Command, Failure> {
    let mut command = whole("scenarios", Istio::Istio)?;
    command
        .arg("--scenarios")
        .arg(run::root().join("tests/e2e"));
    command.args(["--traffic-router", router.word()]);
    Ok(command)
}

/// Scenarios of `folder` on that Istio, run to their end, with what `more` adds to the harness's flags.
pub(crate) fn run_scenarios(
    istio: Istio,
    folder: &str,
    names: &[&str],
    more: impl FnOnce(&mut Command),
) -> Result<(), Failure> {
    let mut command = whole("scenarios", istio)?;
    command.arg("--scenarios").arg(run::root().join(folder));
    more(&mut command);
    command.args(names);
    run::run(
        &mut command,
        "read what the scenario saw above, then the programs' logs in target/e2e/latest",
    )
}

/// The harness with the whole stack and a program beside it, which `command` is: it has the folders of `tools` first on
/// its PATH, and the stack's places in its environment (`tests/real-stack/src/with_stack.rs` lists them).
pub(crate) fn beside(istio: Istio, tools: &[Set], program: &Command) -> Result<Command, Failure> {
    on_stack(&[], istio, tools, program)
}

/// The same with an Argo Rollouts as its own manifests install it, and without Serin.
pub(crate) fn before_install(tools: &[Set], program: &Command) -> Result<Command, Failure> {
    on_stack(&["--without-serin"], Istio::Istio, tools, program)
}

fn on_stack(
    flags: &[&str],
    istio: Istio,
    tools: &[Set],
    program: &Command,
) -> Result<Command, Failure> {
    let mut command = whole("stack", istio)?;
    command.args(flags);
    command.env("PATH", path_with(tools)?);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.arg("--").arg(program.get_program());
    command.args(program.get_args());
    Ok(command)
}

/// PATH, with the folders of these programs before it.
pub(crate) fn path_with(tools: &[Set]) -> Result<std::ffi::OsString, Failure> {
    let folders = programs::ensure(tools)?;
    let own = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.into_values().chain(std::env::split_paths(&own));
    std::env::join_paths(all).map_err(|error| Failure::Path {
        fault: error.to_string(),
    })
}

/// The harness with all that the whole stack needs.
pub(crate) fn whole(subcommand: &str, istio: Istio) -> Result<Command, Failure> {
    let envoy = envoy::ensure()?;
    let module = wasm::build(wasm::Variant::Plain)?;
    let cookies = wasm::build(wasm::Variant::Cookies)?;
    let plugin = plugin::build(Machine::here()?)?;
    let agent = programs::folder(istio.agent())?;
    let mut command = harness_with(subcommand, istio.discovery())?;
    let mut path = |flag: &str, path: &Path| {
        command.arg(flag).arg(path);
    };
    path("--envoy", &envoy);
    path("--plugin", &plugin);
    path("--module", &module);
    path("--cookies-module", &cookies);
    path("--manifests", &run::root().join("manifests"));
    path("--istio-agent", &agent);
    Ok(command)
}

/// The harness in namespaces of its own, built, with the control plane's programs and up to `subcommand`'s other arguments.
pub(crate) fn harness(subcommand: &str) -> Result<Command, Failure> {
    harness_with(subcommand, Set::Istio)
}

/// The same with the custom resources and the istiod of this set.
pub(crate) fn harness_with(subcommand: &str, istio: Set) -> Result<Command, Failure> {
    run::need("ip", &["-V"], "to set up the stack's network", INSTALL)?;
    let sets = CONTROL_PLANE.map(|set| if set == Set::Istio { istio } else { set });
    let programs = programs::ensure(&sets)?;
    let mut command = alone(HARNESS, &["--net"])?;
    command.arg(subcommand);
    for (set, folder) in &programs {
        let flag = match set {
            Set::Etcd => "--etcd",
            Set::ArgoRollouts => "--argo-rollouts",
            Set::Kubernetes => "--kubernetes",
            _ => "--istio",
        };
        command.arg(flag).arg(folder);
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
    let program = built(package)?;
    let mut command = isolated();
    command.args(also).arg(program);
    Ok(command)
}

/// Builds the program `package` with the harness's profile, and returns where it is.
pub(crate) fn built(package: &str) -> Result<PathBuf, Failure> {
    run::step(&format!("building {package}"), || {
        run::run(
            cargo().args(["build", "--profile", "harness", "--package", package]),
            "mend what the compiler names above",
        )
    })?;
    Ok(run::target().join("harness").join(package))
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
