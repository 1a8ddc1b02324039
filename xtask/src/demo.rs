//! `cargo xtask demo`: builds what the demo runs, then becomes the demo.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::failure::Failure;
use crate::flags::DemoFlags;
use crate::{dist, envoy, run, wasm};

/// The demo's package and program.
const DEMO: &str = "demo";

pub(crate) fn run(flags: &DemoFlags) -> Result<(), Failure> {
    let envoy = envoy::ensure()?;
    let module = wasm::build(wasm::Variant::Plain)?;
    let built = dist::unoptimized(Some(DEMO))?;
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
