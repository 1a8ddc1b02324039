//! Programs out of crates, which releases need: built once per machine and version, with the versions of their own lock file.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;
use crate::{cache, run};

/// A program of crates.io.
pub(crate) struct Tool {
    /// The crate, and its program.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Features beside the default ones.
    pub(crate) features: &'static str,
}

impl Tool {
    /// Installs it into the cache if it isn't there, and returns it without arguments, in the root of the checkout.
    pub(crate) fn ensure(&self) -> Result<Command, Failure> {
        let Self {
            name,
            version,
            features,
        } = self;
        let folder = cache::entry(&format!("{name}-{version}"), |folder| {
            let target = folder.join("target");
            let mut install = run::cargo();
            install
                .args(["install", "--quiet", name, "--version"])
                .arg(format!("={version}"))
                .args(["--features", features])
                .arg("--root")
                .arg(folder)
                .env("CARGO_TARGET_DIR", &target);
            run::step(
                &format!("building {name} {version} (once per machine)"),
                || {
                    run::run_slow(
                        &mut install,
                        &format!("cargo install of {name}"),
                        "check that crates.io can be reached",
                    )
                },
            )?;
            fs::remove_dir_all(&target).map_err(Failure::file("remove", &target))
        })?;
        let program: PathBuf = folder.join("bin").join(name);
        if !program.is_file() {
            return Err(Failure::NotBuilt { path: program });
        }
        let mut command = Command::new(program);
        command.current_dir(run::root());
        Ok(command)
    }
}
