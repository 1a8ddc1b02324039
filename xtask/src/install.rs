//! What a platform team installs, on the real API server: `tests/install` with the programs that it calls.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::e2e;
use crate::failure::Failure;
use crate::flags::Istio;
use crate::programs::{self, Set};
use crate::run;
use crate::wasm;

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

/// The documents whose commands are run in order, each on what the one before has left.
const DOCUMENTS: &[&str] = &["docs/install.md"];

/// Follows the documents on the whole stack, from an Argo Rollouts without Serin on.
pub(crate) fn documents() -> Result<(), Failure> {
    let module = wasm::build(wasm::Variant::Plain)?;
    let mut program = Command::new(program()?);
    program.arg("documents").arg("--checkout").arg(run::root());
    // What differs from what a reader has: no registry, and no load balancer before the gateway.
    let substitutions = [
        format!("FILTER==file://{}", module.display()),
        "GATEWAY==127.0.0.1:8888".to_owned(),
    ];
    for substitution in substitutions {
        program.arg("--substitute").arg(substitution);
    }
    program.args(DOCUMENTS.iter().map(|document| run::root().join(document)));
    let tools = [Set::Kubectl, Set::KubectlArgoRollouts];
    let mut command = e2e::before_install(&tools, &program)?;
    run::step("following the documents", || {
        run::run(
            &mut command,
            "run the block that is named in `cargo xtask stack`, or mend the document",
        )
    })
}

/// Requests as the tutorials send them, from a pod of the mesh and through the gateway: here both are on loopback.
pub(crate) const WAYS: &str = r#"
mesh() { curl -sS -w '\n' --connect-to "::$SERIN_SIDECAR" "$@"; }
edge() { curl -sS -w '\n' --connect-to "::$SERIN_GATEWAY" "$@"; }
"#;

/// What follows every tutorial on the cluster of KUBECONFIG; `ways` defines how requests are sent.
pub(crate) fn pages(ways: &str) -> Result<Command, Failure> {
    let folder = run::root().join("docs/tutorials");
    let mut pages: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(Failure::file("read", &folder))?
        .filter_map(|item| item.ok().map(|item| item.path().join("README.md")))
        .filter(|page| page.is_file())
        .collect();
    pages.sort();
    let mut program = Command::new(program()?);
    program.arg("documents").arg("--checkout").arg(run::root());
    program.arg("--prelude").arg(ways).args(pages);
    Ok(program)
}

/// Follows every tutorial on the whole stack, with Serin installed.
pub(crate) fn tutorials() -> Result<(), Failure> {
    let program = pages(WAYS)?;
    let tools = [Set::Kubectl, Set::KubectlArgoRollouts];
    let mut command = e2e::beside(Istio::Istio, &tools, &program)?;
    run::step("following the tutorials", || {
        run::run(
            &mut command,
            "run the block that is named in `cargo xtask stack`, or mend the page",
        )
    })
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
pub(crate) fn program() -> Result<PathBuf, Failure> {
    e2e::built(PACKAGE)
}
