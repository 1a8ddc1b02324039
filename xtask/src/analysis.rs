//! The analysis templates (`manifests/analysis`): what the controller's own providers make of every answer, and what the whole
//! controller makes of canaries with a real Prometheus.

use std::process::Command;

use crate::e2e;
use crate::failure::Failure;
use crate::flags::Istio;
use crate::programs::Set;
use crate::run;

/// The package and program of the check on the real stack.
const CHECK: &str = "analysis";

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

/// Has canaries judged on the real stack, and runs the queries of the dashboard and the alerts there.
pub(crate) fn check() -> Result<(), Failure> {
    let program = Command::new(e2e::built(CHECK)?);
    let mut stack = e2e::beside(Istio::Istio, &[Set::Kubectl, Set::Prometheus], &program)?;
    run::run_slow(
        &mut stack,
        "canaries judged by a real Prometheus",
        "look at what it says above, and into the newest folder of target/e2e",
    )
}
