//! Debian's packages that a test can do without: installed where that needs nobody's leave.

use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::run;

/// Installs `packages` as root on Debian; `false` where this machine or user is another. `next` is what to do when it fails.
pub(crate) fn install(packages: &[&str], next: &str) -> Result<bool, Failure> {
    if !rustix::process::geteuid().is_root() || !is_there("apt-get") {
        return Ok(false);
    }
    let names = packages.join(" and ");
    run::step(&format!("installing {names} (apt-get)"), || {
        run::run(apt().args(["-qq", "update"]), next)?;
        let mut install = apt();
        install.args(["-qq", "--yes", "--no-install-recommends", "install"]);
        run::run(install.args(packages), next)
    })?;
    Ok(true)
}

/// True if `program` is on the PATH.
pub(crate) fn is_there(program: &'static str) -> bool {
    run::need(program, &["--version"], "", "").is_ok()
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.stdout(Stdio::null());
    apt
}
