//! The scenarios on the embedded cluster: the same tables as on the real stack, in seconds. Real are the plugin's
//! process, the filter, and both Envoys.
//!
//! Run by `cargo xtask test`, which builds the plugin and the module and fetches Envoy.

// Helpers of a test count as shipped code to clippy.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scenarios::{Cluster, Copies, Error, Pace, Scenario, Shared, Stack, Via};
use serde_json::json;
use testbed::embedded::{Embedded, Observers, Programs};
use testbed::workloads::Manners;

/// Half the load leaves two cores time for an unoptimized build.
const PACE: Pace = Pace {
    rate: 0.5,
    minimum_rate: 0,
    seconds: 0.5,
    settle: Duration::from_secs(1),
    late: Duration::from_secs(2),
};

struct UnderTest(Embedded);

impl Stack for UnderTest {
    fn target(&self, via: Via) -> SocketAddr {
        self.0.target(via)
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
    let mut scenarios = scenarios::read_all(&checkout.join("tests/e2e"), &[]).unwrap();
    scenarios.retain(wanted);
    assert!(!scenarios.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let shared = start(&checkout, folder.path()).await;
    let outturns = scenarios::run_all(&shared, &scenarios, scenarios.len()).await;
    scenarios::summary(&outturns, began.elapsed());
    assert_eq!(outturns.len(), scenarios.len());
    assert!(
        outturns.iter().all(scenarios::passed),
        "see the problems above"
    );
    let problems = shared.stack.0.mesh().problems();
    assert_eq!(
        problems, [""; 0],
        "what the embedded mesh doesn't translate"
    );
}

/// A cluster with the filter.
async fn start(checkout: &Path, folder: &Path) -> Shared<UnderTest> {
    let copies = Arc::new(Copies::default());
    let programs = Programs {
        envoy: file("SERIN_ENVOY"),
        plugin: file("SERIN_PLUGIN"),
    };
    let observers = Observers {
        requests: copies.observer(),
        calls: Arc::new(|_| {}),
        log: Arc::new(|_| {}),
    };
    let embedded = Embedded::start(&programs, folder, Manners::default(), observers)
        .await
        .unwrap();
    let config = kube::Config::new(embedded.api().url().parse().unwrap());
    let cluster = Cluster::new(kube::Client::try_from(config).unwrap());
    cluster.discover().await.unwrap();
    for mut object in scenarios::read_yaml(&checkout.join("manifests/wasmplugin.yaml")).unwrap() {
        let module = file("SERIN_FILTER_WASM");
        object["spec"]["url"] = json!(format!("file://{}", module.display()));
        cluster.apply(&object, None).await.unwrap();
    }
    Shared {
        cluster: Arc::new(cluster),
        stack: UnderTest(embedded),
        copies,
        pace: PACE,
        folder: folder.to_path_buf(),
    }
}
