//! Chromium and its driver, which the page's test drives. The test does without where they can't be had.

use std::process::Command;

use crate::run;

/// Debian's packages.
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];
const DRIVER: &str = "chromedriver";

/// Installs them where that needs nobody's leave: as root, on Debian. Anything else is for the test to say.
pub(crate) fn ensure() {
    let there = |program| run::need(program, &["--version"], "", "").is_ok();
    if there(DRIVER) || !rustix::process::geteuid().is_root() || !there("apt-get") {
        return;
    }
    let names = PACKAGES.join(" and ");
    let installed = run::step(&format!("installing {names} (apt-get)"), || {
        let next = "install them by hand, or let the page's test be skipped";
        run::run(apt().args(["-qq", "update"]), next)?;
        let mut install = apt();
        install.args(["-qq", "--yes", "--no-install-recommends", "install"]);
        run::run(install.args(PACKAGES), next)
    });
    if let Err(failure) = installed {
        eprintln!("    no browser, so the page's test is skipped: {failure}");
    }
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.stdout(std::process::Stdio::null());
    apt
}
