//! `cargo xtask dist`: what is shipped, under `target/dist`, with SHA-256 sums.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::plugin::{self, Machine};
use crate::programs::hex;
use crate::run::{self, cargo};
use crate::wasm::{self, Variant};

/// The target that Envoy's Wasm runtimes load.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// The name of the plugin's binary target.
pub(crate) const PLUGIN: &str = "serin";
/// `sha256sum --check` reads it.
const SUMS: &str = "SHA256SUMS";

/// Builds plugins and modules, then writes their sums.
pub(crate) fn run() -> Result<(), Failure> {
    let mut files = Vec::new();
    for machine in Machine::ALL {
        files.push(plugin::build(machine)?);
    }
    for variant in [Variant::Plain, Variant::Cookies] {
        files.push(wasm::build(variant)?);
    }
    let sums = place(SUMS)?;
    let mut lines = String::new();
    for file in &files {
        let content = fs::read(file).map_err(Failure::file("read", file))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let sum = hex(&Sha256::digest(&content));
        lines.extend([&sum, "  ", &*name, "\n"]);
        eprintln!("    {sum}  {name}  {} bytes", content.len());
    }
    fs::write(&sums, lines).map_err(Failure::file("write", &sums))
}

/// Builds the plugin, and the binary of the package `also`, as `cargo test` builds everything: for this machine's C library,
/// and in a third of the time that the shipped build takes. Returns the folder they are in.
pub(crate) fn unoptimized(also: Option<&str>) -> Result<PathBuf, Failure> {
    let mut build = cargo();
    build.args(["build", "--package", "rollout-plugin", "--bin", PLUGIN]);
    if let Some(package) = also {
        build.args(["--package", package, "--bin", package]);
    }
    let what = also.map_or(String::new(), |package| format!(" and the {package}"));
    run::step(&format!("building the plugin{what}"), || {
        run::run(&mut build, "mend what the compiler names above")
    })?;
    Ok(run::target().join("debug"))
}

/// Adds a target's standard library to the toolchain; rustup may be told not to install by itself.
pub(crate) fn add_target(target: &str) -> Result<(), Failure> {
    let next =
        "install rustup (https://rustup.rs), or the target with the system's package of Rust";
    run::need("rustup", &["--version"], "to add a target", next)?;
    let listed = run::read(
        Command::new("rustup")
            .current_dir(run::root())
            .args(["target", "list", "--installed"]),
        next,
    )?;
    if listed.lines().any(|installed| installed == target) {
        return Ok(());
    }
    run::step(&format!("adding the target {target}"), || {
        run::run(
            Command::new("rustup")
                .current_dir(run::root())
                .args(["target", "add", target]),
            "check that rustup can reach its server (RUSTUP_DIST_SERVER names another)",
        )
    })
}

/// Where the file `name` goes in `target/dist`. Sums that are there are taken away: a new file makes them untrue, and
/// only `dist` writes new ones.
pub(crate) fn place(name: &str) -> Result<PathBuf, Failure> {
    let folder = run::target().join("dist");
    fs::create_dir_all(&folder).map_err(Failure::file("create", &folder))?;
    let sums = folder.join(SUMS);
    match fs::remove_file(&sums) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Failure::file("remove", &sums)(error));
        }
        _ => {}
    }
    Ok(folder.join(name))
}

/// Puts a copy of `from` at `to` in one move, so that a program running from `to` isn't written over.
pub(crate) fn replace(from: &Path, to: &Path) -> Result<(), Failure> {
    if !from.is_file() {
        return Err(Failure::NotBuilt {
            path: from.to_path_buf(),
        });
    }
    let beside = to.with_extension(format!("new-{}", std::process::id()));
    fs::copy(from, &beside).map_err(Failure::file("write", &beside))?;
    fs::rename(&beside, to).map_err(Failure::file("move into place", to))
}
