//! Scenarios on the newest Istio that is tried, and the upgrade to it in mid-canary.

use crate::e2e::run_scenarios;
use crate::failure::Failure;
use crate::flags::Istio;
use crate::programs::{self, Set};

/// Every kind of lane and of decision, drift, and what is left behind.
const SCENARIOS: &[&str] = &[
    "drift",
    "header-routes",
    "host-canary",
    "mirror-route",
    "rollouts-leave",
    "several-hops",
    "sticky-abort",
    "sticky-ramp",
];

/// With a WasmPlugin, which istiod translates, then with a TrafficExtension.
pub(crate) fn scenarios() -> Result<(), Failure> {
    for filter in ["wasm-plugin", "traffic-extension"] {
        run_scenarios(Istio::IstioNext, "tests/e2e", SCENARIOS, |command| {
            command.args(["--filter", filter]);
        })?;
    }
    Ok(())
}

/// From Istio 1.29.1 to the newest, under load.
pub(crate) fn upgrade() -> Result<(), Failure> {
    let next = programs::folder(Set::IstioNext)?;
    run_scenarios(
        Istio::Istio,
        "tests/e2e-long",
        &["istio-upgrade"],
        |command| {
            command.arg("--next-istio").arg(next);
        },
    )
}
