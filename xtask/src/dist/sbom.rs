//! The bills of materials: one CycloneDX file for each artifact, by cargo-cyclonedx.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::plugin::Machine;
use crate::tools::Tool;
use crate::wasm::Variant;
use crate::{checkout, dist, reproducible, run};

const CYCLONEDX: Tool = Tool {
    name: "cargo-cyclonedx",
    version: "0.5.9",
    features: "",
};
const SPECIFICATION: &str = "1.5";

/// Writes them and returns where they are.
///
/// The tool writes a file beside each manifest of the workspace, so it gets a copy of the checkout.
pub(crate) fn write() -> Result<Vec<PathBuf>, Failure> {
    let copy = run::target().join("sbom");
    clear(&copy)?;
    run::step("writing the bills of materials", || {
        checkout::copy(&copy)?;
        let mut written = Vec::new();
        for machine in Machine::ALL {
            let (package, target) = ("rollout-plugin", machine.target());
            written.push(of(&copy, package, &target, "", machine.file())?);
        }
        for variant in Variant::ALL {
            let (package, target) = ("envoy-filter", dist::WASM_TARGET);
            let name = variant.file().trim_end_matches(".wasm");
            written.push(of(&copy, package, target, variant.features(), name)?);
        }
        Ok(written)
    })
    .and_then(|written| {
        clear(&copy)?;
        Ok(written)
    })
}

/// Of one artifact, which `name` is the file of.
fn of(
    copy: &Path,
    package: &str,
    target: &str,
    features: &str,
    name: &str,
) -> Result<PathBuf, Failure> {
    let to = dist::place(&format!("{name}.cdx.json"))?;
    let mut tool = CYCLONEDX.ensure()?;
    tool.current_dir(copy)
        .args([
            "cyclonedx",
            "--quiet",
            "--format",
            "json",
            "--all",
            "--no-build-deps",
        ])
        .args(["--spec-version", SPECIFICATION, "--target", target])
        .args(["--features", features, "--override-filename", name])
        .arg("--manifest-path")
        .arg(copy.join(package).join("Cargo.toml"))
        // Without it the file has the time of day and a random number.
        .env(
            "SOURCE_DATE_EPOCH",
            reproducible::made()?.unwrap_or_default().to_string(),
        );
    run::run(&mut tool, "read what cargo-cyclonedx says above")?;
    let made = copy.join(package).join(format!("{name}.json"));
    let text = fs::read_to_string(&made).map_err(Failure::file("read", &made))?;
    // Crates of the checkout are named by their folder.
    let text = text.replace(&copy.display().to_string(), "/serin");
    fs::write(&to, text).map_err(Failure::file("write", &to))?;
    Ok(to)
}

fn clear(folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Failure::file("remove", folder))?;
    }
    Ok(())
}
