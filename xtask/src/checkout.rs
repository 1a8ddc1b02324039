//! Copies of the checkout: what git knows of it and has not been told to ignore, as it is now.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::failure::Failure;
use crate::run;

/// The files, relative to the root. Some may be deleted and not yet committed.
pub(crate) fn files() -> Result<Vec<String>, Failure> {
    let listed = run::read(
        Command::new("git").current_dir(run::root()).args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
        ]),
        "run it in a git checkout",
    )?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// Copies them to the folder `to`, with their permissions.
pub(crate) fn copy(to: &Path) -> Result<(), Failure> {
    for file in files()? {
        let (from, to) = (run::root().join(&file), to.join(&file));
        if !from.is_file() {
            continue;
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(Failure::file("create", parent))?;
        }
        fs::copy(&from, &to).map_err(Failure::file("write", &to))?;
    }
    Ok(())
}
