//! The check `modules`: real proxies fetch the module, with the registry up and down.

use crate::failure::Failure;
use crate::flags::Istio;
use crate::programs::{self, Set};
use crate::{dist, e2e, images, run};

/// The application: a header route, in the mesh and through the gateway.
const APP: &str = "docs/tutorials/mesh-and-gateway/app.yaml";

pub(super) fn run() -> Result<(), Failure> {
    dist::all(None)?;
    let images = images::built()?;
    let registry = programs::folder(Set::Registry)?;
    let mut command = e2e::whole("modules", Istio::Istio)?;
    command.env(
        "PATH",
        e2e::path_with(&[Set::Kubectl, Set::KubectlArgoRollouts])?,
    );
    command.arg("--images").arg(images);
    command.arg("--images-folder").arg(dist::folder());
    command.args(["--images-tag", env!("CARGO_PKG_VERSION")]);
    command.arg("--registry").arg(registry);
    command.arg("--app").arg(run::root().join(APP));
    run::run(
        &mut command,
        "read the agent's log, `target/e2e/latest/proxy-gateway.log`",
    )
}
