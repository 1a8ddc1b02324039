//! `cargo xtask dist`: what is shipped, under `target/dist`, with SHA-256 sums.

pub(crate) mod notices;
mod sbom;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::flags::DistFlags;
use crate::images;
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

/// The project's own licence, in the folder.
pub(crate) const LICENCE: &str = "LICENSE";

/// Builds plugins and modules, and with `--all` what a release has beside them; then writes their sums.
pub(crate) fn run(flags: &DistFlags) -> Result<(), Failure> {
    if flags.all {
        all(flags.source.as_deref())
    } else {
        sums(&programs()?)
    }
}

/// Everything that a release has.
pub(crate) fn all(source: Option<&str>) -> Result<(), Failure> {
    let mut files = programs()?;
    files.extend(notices::write()?);
    let licence = place(LICENCE)?;
    replace(&run::root().join(LICENCE), &licence)?;
    files.push(licence);
    files.extend(sbom::write()?);
    files.extend(images::write(source)?);
    sums(&files)
}

fn programs() -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for machine in Machine::ALL {
        files.push(plugin::build(machine)?);
    }
    for variant in Variant::ALL {
        files.push(wasm::build(variant)?);
    }
    Ok(files)
}

/// Writes the sums of `files`, and prints them with the sizes.
fn sums(files: &[PathBuf]) -> Result<(), Failure> {
    let sums = place(SUMS)?;
    let mut lines = String::new();
    for file in files {
        let sum = sum(file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let size = fs::metadata(file)
            .map_err(Failure::file("look at", file))?
            .len();
        lines.extend([&sum, "  ", &*name, "\n"]);
        eprintln!("    {sum}  {name}  {size} bytes");
    }
    fs::write(&sums, lines).map_err(Failure::file("write", &sums))
}

/// Lower-case digits of the SHA-256 sum of the file at `path`.
pub(crate) fn sum(path: &Path) -> Result<String, Failure> {
    let content = fs::read(path).map_err(Failure::file("read", path))?;
    Ok(hex(&Sha256::digest(&content)))
}

/// The lines of the sums in `folder`.
pub(crate) fn listed(folder: &Path) -> Result<Vec<String>, Failure> {
    let path = folder.join(SUMS);
    let text = fs::read_to_string(&path).map_err(|_| Failure::NoDist { path })?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// An error unless each of `names` is in the folder, and is what [`sums`] has seen.
pub(crate) fn check(names: &[&str]) -> Result<(), Failure> {
    let listed = listed(&folder())?;
    for &name in names {
        let path = folder().join(name);
        let line = sum(&path).map(|sum| format!("{sum}  {name}"));
        if !line.is_ok_and(|line| listed.contains(&line)) {
            return Err(Failure::NoDist { path });
        }
    }
    Ok(())
}

/// Where it all is.
pub(crate) fn folder() -> PathBuf {
    run::target().join("dist")
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
    let folder = folder();
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
