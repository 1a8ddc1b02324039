//! One run: the stack, the scenarios on it, the report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use scenarios::{Cluster, Copies, Pace, Scenario, Shared, Via};
use serde_json::Value;
use testbed::probe;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::flags::{Flags, Router, StackFlags};
use crate::kubelet::{self, Manners};
use crate::stack::{self, Stack};
use crate::under_test::UnderTest;
use crate::{network, permissions, proxy};

/// Runs whose logs are kept.
const KEPT_RUNS: usize = 5;
/// How long the proxies may take to get their first configuration.
const PROXY_LIMIT: Duration = Duration::from_mins(1);
const POD: scenarios::Kind = ("v1", "Pod");
/// istiod waits 100 ms for more changes before it pushes (`PILOT_DEBOUNCE_AFTER`) and starts again at each change, then
/// pushes to both proxies.
const PACE: Pace = Pace {
    rate: 1.0,
    minimum_rate: scenarios::RATE,
    seconds: 1.0,
    settle: Duration::from_secs(1),
    late: Duration::from_secs(2),
    patience: 1,
};

/// Runs the scenarios; true if all of them passed.
pub(crate) async fn run(flags: &Flags) -> Result<bool, Error> {
    let began = Instant::now();
    let fixtures = flags.stack.programs.argo_rollouts.join("test/e2e");
    let mut scenarios = scenarios::read_all(&flags.scenarios, Some(&fixtures), &flags.names)?;
    // Without the plugin there is nowhere to move to.
    scenarios.retain(|scenario| flags.stack.traffic_router == Router::Serin || !scenario.moves());
    if flags.beside_built_in {
        let again = scenarios::read_all(&flags.scenarios, Some(&fixtures), &flags.names)?;
        scenarios.extend(again.into_iter().map(Scenario::into_built_in));
    }
    let copies = Arc::new(Copies::default());
    let Whole {
        stack,
        pods,
        folder,
    } = start(&flags.stack, began, &copies).await?;

    let shared = Shared {
        cluster: Arc::clone(&stack.cluster),
        stack: UnderTest {
            stack: Mutex::new(stack),
            flags: &flags.stack,
        },
        copies,
        pace: pace(flags.rate, &scenarios),
        folder: folder.clone(),
    };
    let outturns = tokio::select! {
        outturns = scenarios::run_all(&shared, &scenarios, flags.jobs) => outturns,
        Err(error) = watch(&shared.stack) => return Err(error),
    };
    let (own, built_in): (Vec<_>, Vec<_>) = outturns.iter().partition(|outturn| {
        let name = outturn.name();
        flags.names.is_empty() || flags.names.iter().any(|own| own == name)
    });
    let passed = own.iter().all(|outturn| scenarios::passed(outturn));
    if !passed {
        for via in Via::ALL {
            proxy::dump(via, &folder).await;
        }
    }
    pods.abort();
    scenarios::summary(&outturns, began.elapsed());
    let are_exact =
        !flags.stack.programs.audit || permissions::are_exact(&folder, &flags.stack.manifests)?;
    for (own, built_in) in own.iter().zip(&built_in) {
        println!("\n{}", scenarios::figures(own, built_in));
    }
    Ok(passed && are_exact)
}

/// A stack with its pods and proxies.
pub(crate) struct Whole {
    /// The control plane and the proxies.
    pub(crate) stack: Stack,
    /// What stands in for kubelets.
    pub(crate) pods: JoinHandle<()>,
    /// Logs and working files.
    pub(crate) folder: PathBuf,
}

/// Brings the whole stack up, and says how long it took since `began`.
pub(crate) async fn start(
    flags: &StackFlags,
    began: Instant,
    copies: &Arc<Copies>,
) -> Result<Whole, Error> {
    let folder = log_folder(&flags.programs.logs)?;
    eprintln!("logs: {}", folder.display());
    network::up().await?;
    let mut stack = Stack::start(flags, &folder).await?;
    let pods = kubelet::run(
        stack.cluster.client(),
        Manners::default(),
        copies.observer(),
        stack.images(flags, &folder).await,
    );
    let pods = tokio::spawn(pods);
    start_proxies(flags, &folder, &mut stack).await?;
    eprintln!("the stack is up ({:.1} s)", began.elapsed().as_secs_f64());
    Ok(Whole {
        stack,
        pods,
        folder,
    })
}

/// The usual pace, or one at which each way has `rate` requests a second.
fn pace(rate: Option<u32>, scenarios: &[Scenario]) -> Pace {
    let own = scenarios.first().map_or(scenarios::RATE, Scenario::rate);
    match rate {
        None => PACE,
        Some(rate) => Pace {
            rate: f64::from(rate) / f64::from(own),
            // What each stream sends is a whole number.
            minimum_rate: rate - rate / 20,
            ..PACE
        },
    }
}

/// Ends only with an error: a program has ended.
async fn watch(under_test: &UnderTest<'_>) -> Result<std::convert::Infallible, Error> {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        under_test.stack.lock().await.check()?;
    }
}

async fn start_proxies(flags: &StackFlags, folder: &Path, stack: &mut Stack) -> Result<(), Error> {
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
                if probe::get(proxy::admin(via), "/ready").await.is_err() {
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
        .map_err(|error| go_plugin::Chain(&error).to_string())?;
    let address = pod.pointer("/status/podIP").and_then(Value::as_str);
    address
        .map(str::to_owned)
        .ok_or_else(|| format!("{name} has no address"))
}

/// A new folder for this run, and `latest` pointing to it; the oldest runs' folders go.
pub(crate) fn log_folder(logs: &Path) -> Result<PathBuf, Error> {
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
