//! `cargo xtask lint`: formatting, clippy natively and for the module's target, and the house rules.

use crate::failure::Failure;
use crate::run::{self, cargo};
use crate::{dist, images, tidy};

pub(crate) fn run() -> Result<(), Failure> {
    run::step("checking the format", || {
        run::run(
            cargo().args(["fmt", "--all", "--check"]),
            "run `cargo fmt --all`",
        )
    })?;
    run::step("running clippy", || {
        run::run(
            cargo().args([
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]),
            "mend what clippy names above",
        )
    })?;
    run::step("checking the images' program", || {
        let manifest = ["--manifest-path", images::MANIFEST];
        run::run(
            cargo().arg("fmt").args(manifest).arg("--check"),
            "run `cargo fmt --manifest-path crates/images/Cargo.toml`",
        )?;
        run::run(
            cargo()
                .args(["clippy", "--all-targets"])
                .args(manifest)
                .arg("--target-dir")
                .arg(run::target())
                .args(["--", "-D", "warnings"]),
            "mend what clippy names above",
        )
    })?;
    dist::add_target(dist::WASM_TARGET)?;
    for features in ["", "cookies"] {
        run::step("running clippy for a module", || {
            run::run(
                cargo()
                    .args(["clippy", "--package", "envoy-filter", "--target"])
                    .args([dist::WASM_TARGET, "--features", features])
                    .args(["--", "-D", "warnings"]),
                "mend what clippy names above",
            )
        })?;
    }
    run::step("checking the house rules", tidy::run)
}
