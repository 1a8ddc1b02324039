//! What Envoy's memory does: over many changes of a large policy, and for each worker.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use testbed::envoy::Envoy;

use crate::discovery::Discovery;
use crate::error::Failure;
use crate::load::{Connection, Request};
use crate::policy::{self, By, HOST};
use crate::process::Process;
use crate::progress::Progress;
use crate::proxy::{self, CANARY, STABLE};
use crate::statistics::median;

const LISTENER: &str = "filter";
/// How long one change may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often is looked whether it is in force.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LANES: [&str; 2] = [CANARY, STABLE];
/// Workers of the Envoys whose difference is the cost of one.
const WORKERS: (u32, u32) = (1, 5);

/// Envoy's resident memory while a policy changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// Of one configuration.
    pub(crate) bytes: usize,
    /// Medians in MiB: of the second tenth of the changes, and of the last one.
    pub(crate) early: f64,
    pub(crate) late: f64,
    pub(crate) highest: f64,
}

/// Changes a policy of `rules` rules `changes` times, each when the one before it is in force.
pub(crate) fn course(
    envoy: &Path,
    module: &Path,
    rules: u32,
    changes: usize,
) -> Result<Course, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file("a temporary folder"))?;
    let configurations = LANES.map(|lane| policy::beta_and_users(lane, rules));
    let [first, second] = &configurations;
    let mut discovery = Discovery::begin(folder.path(), module, first)?;
    let filter = proxy::discovered(discovery.path());
    let listeners = [proxy::listener(LISTENER, Some(filter), 0)];
    let envoy = proxy::start(envoy, folder.path(), &listeners, 1)?;
    let process = Process::new(envoy.process());
    let host = format!("host: {HOST}");
    let request = Request::new("/", &[&host, "x-beta: 1"], CANARY);
    let mut connection = Connection::open(LISTENER, envoy.listener(LISTENER)?)?;
    let mut resident = Vec::with_capacity(changes);
    let mut progress = Progress::of("memory over changes of a large policy", changes);
    for (configuration, lane) in [(second, 1), (first, 0)].into_iter().cycle().take(changes) {
        progress.ended(resident.len());
        discovery.publish(configuration)?;
        let began = Instant::now();
        loop {
            connection.send(&request)?;
            if connection.answer(&LANES)? == lane {
                break;
            }
            if began.elapsed() > PATIENCE {
                return Err(late(&envoy));
            }
            thread::sleep(LOOK_EVERY);
        }
        resident.push(mebibytes(process.resident()?));
    }
    let tenth = changes / 10;
    let part = |from: usize| median(resident.iter().skip(from).take(tenth).copied()).value;
    Ok(Course {
        bytes: first.len(),
        early: part(tenth),
        late: part(changes - tenth),
        highest: resident.iter().copied().fold(0.0, f64::max),
    })
}

fn late(envoy: &Envoy) -> Failure {
    Failure::Late {
        what: "a change in force",
        seconds: PATIENCE.as_secs(),
        log: envoy.log_end(),
    }
}

/// MiB of resident memory that each worker takes with `rules` rules beyond one with an empty policy, and that one.
pub(crate) fn per_worker(envoy: &Path, module: &Path, rules: u32) -> Result<(f64, f64), Failure> {
    let worker = |configuration: &str| {
        let few = at_rest(envoy, module, configuration, WORKERS.0)?;
        let many = at_rest(envoy, module, configuration, WORKERS.1)?;
        Ok::<_, Failure>((many - few) / f64::from(WORKERS.1 - WORKERS.0))
    };
    let empty = worker("{}")?;
    let full = worker(&policy::users(By::Exact, rules))?;
    Ok((full - empty, empty))
}

/// Resident memory in MiB of an Envoy that has just started.
fn at_rest(envoy: &Path, module: &Path, configuration: &str, workers: u32) -> Result<f64, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file("a temporary folder"))?;
    let filter = proxy::module(module, "", configuration);
    let listeners = [proxy::listener(LISTENER, Some(filter), 0)];
    let envoy = proxy::start(envoy, folder.path(), &listeners, workers)?;
    // Workers are configured one by one after Envoy says that it is ready.
    thread::sleep(Duration::from_secs(1));
    Ok(mebibytes(Process::new(envoy.process()).resident()?))
}

fn mebibytes(kibibytes: u32) -> f64 {
    f64::from(kibibytes) / 1024.0
}
