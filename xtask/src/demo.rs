//! `cargo xtask demo`: builds what the demo runs, then becomes the demo.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::failure::Failure;
use crate::flags::DemoFlags;
use crate::run::{self, cargo};
use crate::{dist, envoy, wasm};

/// The demo's package and program.
const DEMO: &str = "demo";
/// One build of both shares their dependencies; what is shipped is built with more effort (`dist`).
const PROFILE: &str = "harness";

pub(crate) fn run(flags: &DemoFlags) -> Result<(), Failure> {
    let envoy = envoy::ensure()?;
    let module = wasm::module()?;
    run::step("building the plugin and the demo", || {
        run::run(
            cargo()
                .args(["build", "--profile", PROFILE])
                .args(["--package", "rollout-plugin", "--bin", dist::PLUGIN])
                .args(["--package", DEMO, "--bin", DEMO]),
            "mend what the compiler names above",
        )
    })?;
    let built = run::target().join(PROFILE);
    let mut command = Command::new(built.join(DEMO));
    command.arg("--envoy").arg(envoy);
    command.arg("--plugin").arg(built.join(dist::PLUGIN));
    command.arg("--module").arg(module);
    if flags.headless {
        command.arg("--headless");
    }
    if let Some(port) = flags.port {
        command.arg("--port").arg(port.to_string());
    }
    // In its place: Ctrl-C and signals reach the demo itself.
    Err(Failure::Start {
        command: run::line(&command),
        source: command.exec(),
    })
}
