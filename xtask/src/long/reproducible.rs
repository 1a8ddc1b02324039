//! The check `reproducible`: a copy of the checkout in another folder, built into another one, by a cargo with another home,
//! makes the same files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::{checkout, dist, reproducible, run};

const NEXT: &str = "compare the two files, for example with `strings` or diffoscope";

/// A folder that goes at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn run() -> Result<(), Failure> {
    dist::all(None)?;
    let path = std::env::temp_dir().join(format!("serin-reproducible-{}", std::process::id()));
    fs::create_dir(&path).map_err(Failure::file("create", &path))?;
    let folder = Folder(path);
    let (copy, home, target) = (
        folder.0.join("another/checkout"),
        folder.0.join("home"),
        folder.0.join("built"),
    );
    checkout::copy(&copy)?;
    adopt(&copy)?;
    rehome(&home)?;
    let mut again = run::cargo();
    again
        .current_dir(&copy)
        .args([
            "run",
            "--quiet",
            "--package",
            "xtask",
            "--",
            "dist",
            "--all",
        ])
        .env("CARGO_HOME", &home)
        .env("CARGO_TARGET_DIR", &target)
        .env("TZ", "Asia/Kathmandu")
        .env("LC_ALL", "C");
    if let Some(made) = reproducible::made()? {
        again.env("SOURCE_DATE_EPOCH", made.to_string());
    }
    run::step("building everything again in another folder", || {
        run::run(&mut again, "read what failed above")
    })?;
    compare(&dist::folder(), &target.join("dist"))
}

/// Makes the copy a repository of its own: the commands ask git for their files.
fn adopt(copy: &Path) -> Result<(), Failure> {
    for arguments in [&["init", "--quiet"][..], &["add", "--all"]] {
        run::run(
            Command::new("git").current_dir(copy).args(arguments),
            "check that git works in the folder for temporary files",
        )?;
    }
    Ok(())
}

/// A home of cargo's with what the user's has downloaded and configured, under another path.
fn rehome(home: &Path) -> Result<(), Failure> {
    fs::create_dir(home).map_err(Failure::file("create", home))?;
    let users = reproducible::cargo_home();
    for name in ["registry", "git", "config.toml", "config"] {
        let (from, to) = (users.join(name), home.join(name));
        if from.exists() {
            symlink(&from, &to).map_err(Failure::file("link", &to))?;
        }
    }
    Ok(())
}

/// An error that names the files of the two folders that differ.
fn compare(first: &Path, second: &Path) -> Result<(), Failure> {
    let (first, second) = (dist::listed(first)?, dist::listed(second)?);
    let only = |these: &[String], others: &[String]| {
        let missing = these.iter().filter(|line| !others.contains(line));
        missing.cloned().collect::<Vec<_>>().join(", ")
    };
    if first == second && !first.is_empty() {
        eprintln!("    {} files are the same", first.len());
        return Ok(());
    }
    Err(Failure::Wrong {
        what: "the second build".to_owned(),
        found: only(&second, &first),
        expected: only(&first, &second),
        next: NEXT,
    })
}
