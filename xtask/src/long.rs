//! `cargo xtask e2e --long`: checks on real parts that take long to build or to run. Each has a name and can be run alone.

mod modules;
mod registry;
mod reproducible;

use std::time::Instant;

use crate::failure::Failure;
use crate::{analysis, gitops, install, istio_next, run};

/// One check.
struct Check {
    /// What the command line calls it.
    name: &'static str,
    /// What it shows, in one line.
    about: &'static str,
    /// Builds or finds what it needs, then runs it.
    run: fn() -> Result<(), Failure>,
}

/// In the order in which they run.
const CHECKS: &[Check] = &[
    Check {
        name: "manifests",
        about: "every overlay and the chart on the API server, with istioctl and helm, on both versions of Istio",
        run: install::manifests_and_chart,
    },
    Check {
        name: "modules",
        about: "Istio's agent fetches the module by oci and https, and what becomes of requests without a registry",
        run: modules::run,
    },
    Check {
        name: "registry",
        about: "a registry takes the images, and Istio's fetcher and an init container get out of it what was built",
        run: registry::run,
    },
    Check {
        name: "reproducible",
        about: "a second build of everything in other folders makes the same bytes",
        run: reproducible::run,
    },
    Check {
        name: "tutorials",
        about: "the commands of every tutorial, in order, and what they print",
        run: install::tutorials,
    },
    Check {
        name: "gitops",
        about: "what Argo CD, Flux and kubectl do to a canary is what docs/gitops.md says, and users' changes go unnoticed",
        run: gitops::check,
    },
    Check {
        name: "istio-next",
        about: "scenarios on the next istiod, with a WasmPlugin and with a TrafficExtension",
        run: istio_next::scenarios,
    },
    Check {
        name: "istio-upgrade",
        about: "from Istio 1.29.1 to the next istiod in the middle of a canary, under load",
        run: istio_next::upgrade,
    },
    Check {
        name: "analysis",
        about: "canaries that the controller judges by a real Prometheus, the dashboard's queries and the alerts",
        run: analysis::check,
    },
];

/// Runs the checks of these names, or all of them, each to its end whatever the others do; then says how long each took.
pub(crate) fn run(names: &[String]) -> Result<(), Failure> {
    let chosen = choose(names)?;
    for check in &chosen {
        eprintln!("    {}: {}", check.name, check.about);
    }
    let mut failed = Vec::new();
    let mut lines = Vec::new();
    for check in chosen {
        let began = Instant::now();
        let outcome = run::step(check.name, check.run);
        let verdict = match outcome {
            Ok(()) => "passed",
            Err(failure) => {
                crate::report(&failure);
                failed.push(check.name);
                "FAILED"
            }
        };
        let took = run::seconds(began.elapsed());
        lines.push(format!("{verdict}  {}  {took}", check.name));
    }
    let passed = lines.len() - failed.len();
    println!(
        "{}\n{passed} passed, {} failed",
        lines.join("\n"),
        failed.len()
    );
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Checks { failed })
    }
}

fn choose(names: &[String]) -> Result<Vec<&'static Check>, Failure> {
    if names.is_empty() {
        return Ok(CHECKS.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            let found = CHECKS.iter().find(|check| check.name == name);
            found.ok_or_else(|| Failure::NoCheck {
                found: name.clone(),
                known: CHECKS
                    .iter()
                    .map(|check| check.name)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
        })
        .collect()
}
