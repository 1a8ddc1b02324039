//! What a platform team installs, on the real API server: `tests/install` with the programs that it calls.

use std::path::PathBuf;
use std::process::Command;

use crate::e2e;
use crate::failure::Failure;
use crate::programs::{self, Set};
use crate::run::{self, cargo};

/// The package and its program.
const PACKAGE: &str = "install";

/// Every overlay, with kubectl alone.
pub(crate) fn manifests() -> Result<(), Failure> {
    check(Set::Istio, &[Set::Kubectl], &[])
}

/// Every overlay and the chart, with Istio's and Helm's programs, on the custom resources of both versions of Istio.
pub(crate) fn manifests_and_chart() -> Result<(), Failure> {
    let tools = |istio| [Set::Kubectl, Set::Helm, istio];
    check(Set::Istio, &tools(Set::Istioctl), &["--tools"])?;
    check(
        Set::IstioNext,
        &tools(Set::IstioNextctl),
        &["--tools", "--traffic-extensions"],
    )
}

fn check(istio: Set, tools: &[Set], also: &[&str]) -> Result<(), Failure> {
    let program = program()?;
    let argo_rollouts = programs::folder(Set::ArgoRollouts)?;
    let mut command = e2e::harness_with("api-server", istio)?;
    command.env("PATH", e2e::path_with(tools)?);
    command.arg("--").arg(program).arg("manifests");
    command.arg("--checkout").arg(run::root());
    command.arg("--argo-rollouts").arg(argo_rollouts);
    command.args(also);
    run::step("applying the manifests to the API server", || {
        run::run(
            &mut command,
            "render the overlay that is named: `kubectl kustomize manifests/overlays/NAME`",
        )
    })
}

/// Builds the program and returns where it is.
fn program() -> Result<PathBuf, Failure> {
    let mut build: Command = cargo();
    build.args(["build", "--profile", "harness", "--package", PACKAGE]);
    run::step(&format!("building {PACKAGE}"), || {
        run::run(&mut build, "mend what the compiler names above")
    })?;
    Ok(run::target().join("harness").join(PACKAGE))
}
