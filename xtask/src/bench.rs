//! `cargo xtask bench`: figures, each from one run beside what they are held against. Prints Markdown on stdout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::flags::{Bench, BenchFilterFlags, BenchPluginFlags, BenchSyncFlags, Router};
use crate::plugin::{self, Machine};
use crate::programs::{self, INSTALL_GO};
use crate::{e2e, envoy, run, wasm};

/// The folder of the Go programs, and those that are built: package and file name.
const SOURCE: &str = "tests/argo-host";
const HOST: &str = "bench-plugins";
const BUILT_IN: &str = "builtin-plugin";

/// The package and program that measures the filter.
const FILTER_BENCH: &str = "filter-bench";

/// The scenario that syncs.
const SYNCS: &str = "gitops-sync";

/// A run's working folder is this and its process id.
const RUN: &str = "run-";

pub(crate) fn run(what: &Bench) -> Result<(), Failure> {
    match what {
        Bench::Plugin(flags) => plugins(flags),
        Bench::Filter(flags) => filter(flags),
        Bench::Sync(flags) => sync(flags),
    }
}

/// The scenario `gitops-sync` at a rate that shows 100 ms, with the plugin and with Argo's own support on one stack.
fn sync(flags: &BenchSyncFlags) -> Result<(), Failure> {
    let mut command = e2e::scenarios(Router::Serin)?;
    command.args(["--rate", &flags.rate.to_string(), "--beside-built-in"]);
    command.arg(SYNCS);
    e2e::become_it(command)
}

/// The plugin beside a Go plugin that wraps Argo's own reconciler, on one API server.
fn plugins(flags: &BenchPluginFlags) -> Result<(), Failure> {
    let mut command = e2e::harness("api-server")?;
    let serin = plugin::build(Machine::here()?)?;
    let folder = run::target().join("bench");
    fs::create_dir_all(&folder).map_err(Failure::file("create", &folder))?;
    let (host, built_in) = run::step("building the Go plugin and the host", || {
        Ok((go_program(HOST, &folder)?, go_program(BUILT_IN, &folder)?))
    })?;
    command.arg("--").arg(host);
    command.arg("-serin").arg(serin);
    command.arg("-builtin").arg(built_in);
    command.args(["-versions", &plugin_versions()?]);
    let mut said = "cargo xtask bench plugin".to_owned();
    if flags.quick {
        command.arg("-quick");
        said.push_str(" --quick");
    }
    command.args(["-command", &said]);
    command.arg("-samples").arg(folder.join("plugin.json"));
    // Plugins make their sockets in here.
    command.env("TMPDIR", working_folder(&folder)?);
    e2e::become_it(command)
}

/// The filter in an Envoy, beside no filter, Lua and native routes. In a process namespace of its own, so that no Envoy
/// outlives the run.
fn filter(flags: &BenchFilterFlags) -> Result<(), Failure> {
    let envoy = envoy::ensure()?;
    let module = wasm::build(wasm::Variant::Plain)?;
    let mut command = e2e::alone(FILTER_BENCH, &[])?;
    command.arg("--envoy").arg(envoy);
    command.arg("--module").arg(module);
    let mut said = "cargo xtask bench filter".to_owned();
    for (flag, given) in [
        ("--quick", flags.quick),
        ("--requests-only", flags.requests_only),
    ] {
        if given {
            command.arg(flag);
            said.push(' ');
            said.push_str(flag);
        }
    }
    for other in &flags.beside {
        command.arg("--beside").arg(other);
    }
    command.args(["--command", &said]);
    let versions = format!("serin at {}, Envoy {}", commit()?, envoy::VERSION);
    command.args(["--versions", &versions]);
    let folder = run::target().join("bench");
    fs::create_dir_all(&folder).map_err(Failure::file("create", &folder))?;
    command.env("TMPDIR", working_folder(&folder)?);
    e2e::become_it(command)
}

/// Builds one program of `tests/argo-host` as it would be shipped.
fn go_program(name: &str, folder: &Path) -> Result<PathBuf, Failure> {
    let program = folder.join(name);
    let mut command = programs::go();
    command
        .current_dir(run::root().join(SOURCE))
        .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(&program)
        .arg(format!("./{name}"));
    run::run_slow(&mut command, &format!("go build of {name}"), INSTALL_GO)?;
    Ok(program)
}

/// A folder for this run alone. Those of runs that were killed go.
fn working_folder(folder: &Path) -> Result<PathBuf, Failure> {
    let listed = fs::read_dir(folder).map_err(Failure::file("read", folder))?;
    for item in listed.filter_map(Result::ok) {
        let name = item.file_name();
        let run = name.to_str().and_then(|name| name.strip_prefix(RUN));
        if run.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // Another run may be clearing up as well.
            let _ = fs::remove_dir_all(item.path());
        }
    }
    let own = folder.join(format!("{RUN}{}", std::process::id()));
    fs::create_dir_all(&own).map_err(Failure::file("create", &own))?;
    Ok(own)
}

/// What is measured, by version; the host adds what it is built with.
fn plugin_versions() -> Result<String, Failure> {
    let path = run::root().join("tests/real-stack/programs/kubernetes/go.mod");
    let modules = fs::read_to_string(&path).map_err(Failure::file("read", &path))?;
    let kubernetes = required(&modules, "k8s.io/kubernetes").unwrap_or("of an unknown version");
    Ok(format!("serin at {}, Kubernetes {kubernetes}", commit()?))
}

/// The checkout's commit.
fn commit() -> Result<String, Failure> {
    run::read(
        Command::new("git")
            .current_dir(run::root())
            .args(["describe", "--always", "--dirty"]),
        "run it in a git checkout",
    )
}

/// The version of `module` that this go.mod requires.
fn required<'m>(go_mod: &'m str, module: &str) -> Option<&'m str> {
    go_mod.lines().find_map(|line| {
        let mut words = line
            .split_whitespace()
            .skip_while(|word| *word == "require");
        (words.next()? == module).then(|| words.next())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_of_that_module() {
        let go_mod = "module a\n\nrequire (\n\tk8s.io/api v0.1.0\n\tk8s.io/kubernetes v1.36.3 // indirect\n)\n";
        assert_eq!(required(go_mod, "k8s.io/kubernetes"), Some("v1.36.3"));
        assert_eq!(required("require k8s.io/a v1\n", "k8s.io/a"), Some("v1"));
        assert_eq!(required(go_mod, "k8s.io/none"), None);
    }

    #[test]
    fn folders_of_ended_runs_go() {
        let folder = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        // No process has this id: the kernel's greatest is 2^22.
        let ended = folder.join("run-4194305");
        fs::create_dir_all(&ended).unwrap();
        let own = working_folder(&folder).unwrap();
        let left = (own.is_dir(), ended.exists());
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(left, (true, false));
    }
}
