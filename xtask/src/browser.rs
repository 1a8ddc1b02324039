//! Chromium and its driver, which the page's test drives. The test does without where they can't be had.

use crate::debian;

/// Debian's packages.
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];
const DRIVER: &str = "chromedriver";

/// Installs them where that needs nobody's leave. Anything else is for the test to say.
pub(crate) fn ensure() {
    if debian::is_there(DRIVER) {
        return;
    }
    let next = "install them by hand, or let the page's test be skipped";
    if let Err(failure) = debian::install(&PACKAGES, next) {
        eprintln!("    no browser, so the page's test is skipped: {failure}");
    }
}
