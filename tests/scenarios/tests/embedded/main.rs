//! The scenarios on the embedded cluster: the same tables as on the real stack, in seconds. Real are the plugin's
//! process, the filter, and both Envoys.
//!
//! Run by `cargo xtask test`, which builds the plugin and the module and fetches Envoy. `SERIN_SCENARIOS` may name those
//! to run, separated by commas.

// Helpers of a test count as shipped code to clippy.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod calls;
mod invariants;

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use scenarios::{Cluster, Copies, Error, Module, Pace, Scenario, Shared, Stack, Via};
use serde_json::json;
use testbed::argo::plugin::LogSink;
use testbed::embedded::{Embedded, Observers, Programs};
use testbed::workloads::Manners;

use crate::calls::Calls;
use crate::invariants::Violations;

/// Half the load leaves two cores time for an unoptimized build.
const PACE: Pace = Pace {
    rate: 0.5,
    minimum_rate: 0,
    seconds: 0.5,
    settle: Duration::from_secs(1),
    late: Duration::from_secs(2),
    patience: 10,
};

/// Pods serve for longer than a starved proxy takes to hear of their end.
const MANNERS: Manners = Manners {
    ready_after: Duration::from_millis(200),
    serves_on: Duration::from_secs(10),
};

/// Scenarios at once; more would take their load from each other.
const AT_ONCE: usize = 6;

struct UnderTest(Embedded);

impl Stack for UnderTest {
    fn target(&self, via: Via) -> SocketAddr {
        self.0.target(via)
    }

    fn module(&self, module: Module) -> Option<String> {
        let file = file(match module {
            Module::Plain => "SERIN_FILTER_WASM",
            Module::Cookies => "SERIN_FILTER_COOKIES_WASM",
        });
        Some(format!("file://{}", file.display()))
    }

    async fn settled(&self) -> Result<bool, Error> {
        let settled = self.0.mesh().settled().await;
        settled
            .map(|()| true)
            .map_err(|error| Error::Stack(Box::new(error)))
    }

    async fn kill_controller(&self, pause: Duration) -> Result<(), Error> {
        let killed = self.0.kill_controller(pause).await;
        killed.map_err(|error| Error::Stack(Box::new(error)))
    }
}

/// A file that `cargo xtask test` names.
fn file(variable: &str) -> PathBuf {
    let named = std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run `cargo xtask test`"));
    PathBuf::from(named)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_passes() {
    run(|scenario| !scenario.is_alone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_need_a_cluster_for_themselves_pass() {
    run(Scenario::is_alone).await;
}

async fn run(wanted: impl Fn(&Scenario) -> bool) {
    let began = Instant::now();
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut scenarios = scenarios::read_all(&checkout.join("tests/e2e"), None, &[]).unwrap();
    if let Ok(names) = std::env::var("SERIN_SCENARIOS") {
        scenarios.retain(|scenario| names.split(',').any(|name| name == scenario.name()));
        if !scenarios.iter().any(&wanted) {
            return println!("SERIN_SCENARIOS names none of these");
        }
    }
    scenarios.retain(|scenario| match scenario.real_only() {
        Some(why) if wanted(scenario) => {
            println!("{} is skipped here: {why}", scenario.name());
            false
        }
        _ => wanted(scenario),
    });
    assert!(!scenarios.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let calls = Arc::new(Calls::default());
    let shared = start(&checkout, folder.path(), &calls).await;
    let violations = Violations::default();
    let store = shared.stack.0.store().clone();
    let watch = tokio::spawn(invariants::watch(store, Arc::clone(&violations)));
    let outturns = scenarios::run_all(&shared, &scenarios, AT_ONCE).await;
    watch.abort();
    scenarios::summary(&outturns, began.elapsed());
    assert_eq!(outturns.len(), scenarios.len());
    let passed = outturns.iter().all(scenarios::passed);
    if !passed {
        println!("logs: {}", folder.keep().display());
    }
    assert!(passed, "see the problems above");
    assert_eq!(*violations.lock().unwrap(), [].into(), "invariants");
    assert_eq!(calls.violations(), [""; 0], "calls");
    let problems = shared.stack.0.mesh().problems();
    assert_eq!(
        problems, [""; 0],
        "what the embedded mesh doesn't translate"
    );
}

/// What the plugin and the controller say, as a file beside the Envoys' logs.
fn log(folder: &Path) -> LogSink {
    let file = Mutex::new(File::create(folder.join("plugin.log")).unwrap());
    Arc::new(move |line| writeln!(file.lock().unwrap(), "{line}").unwrap())
}

/// A cluster with the filter.
async fn start(checkout: &Path, folder: &Path, calls: &Arc<Calls>) -> Shared<UnderTest> {
    let copies = Arc::new(Copies::default());
    let programs = Programs {
        envoy: file("SERIN_ENVOY"),
        plugin: file("SERIN_PLUGIN"),
    };
    let observers = Observers {
        requests: copies.observer(),
        calls: calls.observer(),
        log: log(folder),
    };
    let embedded = Embedded::start(&programs, folder, MANNERS, observers)
        .await
        .unwrap();
    calls.on(embedded.store());
    let config = kube::Config::new(embedded.api().url().parse().unwrap());
    let embedded = UnderTest(embedded);
    let cluster = Cluster::new(kube::Client::try_from(config).unwrap());
    cluster.discover().await.unwrap();
    for mut object in
        scenarios::read_yaml(&checkout.join("manifests/base/wasmplugin.yaml")).unwrap()
    {
        object["spec"]["url"] = json!(embedded.module(Module::Plain));
        cluster.apply(&object, None).await.unwrap();
    }
    Shared {
        cluster: Arc::new(cluster),
        stack: embedded,
        copies,
        pace: PACE,
        folder: folder.to_path_buf(),
    }
}
