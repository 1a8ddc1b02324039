//! The analysis templates (`manifests/analysis`): what the controller's own providers make of every answer.

use std::process::Command;

use crate::failure::Failure;
use crate::run;

/// Judges the templates with a Go test on Argo's packages.
pub(crate) fn templates() -> Result<(), Failure> {
    let mut go = Command::new("go");
    // Go's cache of test results doesn't see files outside of the module, which the templates are.
    go.current_dir(run::root().join("tests/argo-host"))
        .env("GOTOOLCHAIN", "local")
        .args(["test", "-count=1", "./analysis"]);
    run::step(
        "judging the analysis templates with the controller's providers",
        || {
            run::run_slow(
                &mut go,
                "go test of the analysis templates",
                "mend the templates in manifests/analysis, or what tests/argo-host/analysis expects of them",
            )
        },
    )
}
