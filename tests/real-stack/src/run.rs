//! One run: the stack, the scenarios on it, the report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::stream;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::api::Cluster;
use crate::drive::{Outturn, Shared, drive};
use crate::error::Error;
use crate::flags::Flags;
use crate::kubelet::{self, Manners};
use crate::proxy::{self, Via};
use crate::recorder::Copies;
use crate::scenario::{self, Scenario};
use crate::stack::{self, Stack};
use crate::{network, probe, report};

/// Runs whose logs are kept.
const KEPT_RUNS: usize = 5;
/// How long the proxies may take to get their first configuration.
const PROXY_LIMIT: Duration = Duration::from_mins(1);
const POD: crate::api::Kind = ("v1", "Pod");

/// Runs the scenarios; true if all of them passed.
pub(crate) async fn run(flags: &Flags) -> Result<bool, Error> {
    let began = Instant::now();
    let scenarios = scenario::read_all(&flags.scenarios, &flags.names)?;
    let folder = log_folder(&flags.logs)?;
    eprintln!("logs: {}", folder.display());
    network::up().await?;
    let mut stack = Stack::start(flags, &folder).await?;
    let copies = Arc::new(Copies::default());
    let pods = kubelet::run(
        stack.cluster.client(),
        Manners::default(),
        copies.observer(),
    );
    let pods = tokio::spawn(pods);
    start_proxies(flags, &folder, &mut stack).await?;
    eprintln!("the stack is up ({:.1} s)", began.elapsed().as_secs_f64());

    let shared = Shared {
        cluster: Arc::clone(&stack.cluster),
        stack: Mutex::new(stack),
        copies,
        router: flags.traffic_router,
        folder: folder.clone(),
    };
    let outturns = tokio::select! {
        outturns = all(&shared, &scenarios, flags.jobs.max(1)) => outturns,
        Err(error) = watch(&shared) => return Err(error),
    };
    let passed = outturns
        .iter()
        .all(|outturn| outturn.verdict.problems.is_empty());
    if !passed {
        for via in Via::ALL {
            proxy::dump(via, &folder).await;
        }
    }
    pods.abort();
    report::summary(&outturns, began.elapsed());
    Ok(passed)
}

/// Several at once, then one by one those that would disturb others.
async fn all(shared: &Shared, scenarios: &[Scenario], jobs: usize) -> Vec<Outturn> {
    let (alone, together): (Vec<_>, Vec<_>) =
        scenarios.iter().partition(|scenario| scenario.table.alone);
    let one = async |scenario: &Scenario| {
        eprintln!("==> {}: {}", scenario.name, scenario.table.title);
        let outturn = drive(shared, scenario).await;
        report::scenario(&outturn);
        outturn
    };
    let mut outturns: Vec<Outturn> = stream::iter(together)
        .map(&one)
        .buffer_unordered(jobs)
        .collect()
        .await;
    for scenario in alone {
        outturns.push(one(scenario).await);
    }
    outturns.sort_by(|left, right| left.name.cmp(&right.name));
    outturns
}

/// Ends only with an error: a program has ended.
async fn watch(shared: &Shared) -> Result<std::convert::Infallible, Error> {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        shared.stack.lock().await.check()?;
    }
}

async fn start_proxies(flags: &Flags, folder: &Path, stack: &mut Stack) -> Result<(), Error> {
    for (via, namespace, name) in [
        (Via::Sidecar, proxy::CLIENT_NAMESPACE, "client"),
        (Via::Gateway, "istio-system", "gateway"),
    ] {
        let cluster = Arc::clone(&stack.cluster);
        let mut address = String::new();
        stack::until(
            "the proxies' pods",
            PROXY_LIMIT,
            || stack.check(),
            async || {
                address = pod_address(&cluster, namespace, name).await?;
                Ok(())
            },
        )
        .await?;
        stack.add(proxy::start(flags, folder, via, &address)?);
    }
    stack::until(
        "the proxies' first configuration",
        PROXY_LIMIT,
        || stack.check(),
        async || {
            for via in Via::ALL {
                if !probe::ready(via.admin(), "/ready").await {
                    return Err(format!("the {} is not ready", via.word()));
                }
            }
            Ok(())
        },
    )
    .await
}

async fn pod_address(cluster: &Cluster, namespace: &str, name: &str) -> Result<String, String> {
    let pod = cluster
        .get(POD, namespace, name)
        .await
        .map_err(|error| crate::error::chain(&error))?;
    let address = pod.pointer("/status/podIP").and_then(Value::as_str);
    address
        .map(str::to_owned)
        .ok_or_else(|| format!("{name} has no address"))
}

/// A new folder for this run, and `latest` pointing to it; the oldest runs' folders go.
fn log_folder(logs: &Path) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(logs).map_err(Error::file("create", logs))?;
    let mut runs: Vec<PathBuf> = std::fs::read_dir(logs)
        .map_err(Error::file("read", logs))?
        .filter_map(|item| item.ok().map(|item| item.path()))
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect();
    runs.sort();
    for old in runs.iter().rev().skip(KEPT_RUNS) {
        // Another run may be clearing up as well.
        let _ = std::fs::remove_dir_all(old);
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // The process id is the same in every namespace; nanoseconds tell runs apart.
    let name = format!("{}-{:09}", now.as_secs(), now.subsec_nanos());
    let folder = logs.join(&name);
    std::fs::create_dir(&folder).map_err(Error::file("create", &folder))?;
    let latest = logs.join("latest");
    // A convenience: two runs that begin at once may take it from each other.
    let _ = std::fs::remove_file(&latest);
    let _ = std::os::unix::fs::symlink(&name, &latest);
    Ok(folder)
}
