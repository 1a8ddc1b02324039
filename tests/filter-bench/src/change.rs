//! Policies that change under a steady load: what requests notice of it, and how soon a change is in force.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::discovery::Discovery;
use crate::error::Failure;
use crate::load::{Connection, Request};
use crate::policy::{self, HOST};
use crate::proxy::{self, CANARY, STABLE};
use crate::statistics::{Median, median, percentile};

/// Connections, each with one request on its way, and how often each sends.
const CONNECTIONS: u32 = 16;
const EVERY: Duration = Duration::from_millis(8);
const LISTENER: &str = "discovered";

/// What is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Rules of the policy; the first one tells which configuration is in force.
    pub(crate) rules: u32,
    pub(crate) changes: u32,
    /// Between two changes.
    pub(crate) every: Duration,
    /// From a change on: how long requests count as sent during it.
    pub(crate) window: Duration,
}

/// One request.
#[derive(Debug)]
struct Sample {
    /// When it was to be sent; what holds up the one before it counts for this one too.
    due: Instant,
    done: Instant,
    /// The lane that it took, by its place in [`LANES`], if it was answered at all.
    lane: Option<usize>,
}

const LANES: [&str; 2] = [CANARY, STABLE];

/// What requests noticed.
#[derive(Debug)]
pub(crate) struct Noticed {
    pub(crate) sent: usize,
    pub(crate) failed: usize,
    /// Milliseconds from the new file to the first answer by it.
    pub(crate) ready: Median,
    /// The slowest change.
    pub(crate) slowest: f64,
    /// 99.9th percentile of milliseconds from when a request was due to its answer, just after a change and half way
    /// to the next.
    pub(crate) during: f64,
    pub(crate) quiet: f64,
}

/// Changes the lane of one rule again and again.
pub(crate) fn measure(envoy: &Path, module: &Path, extent: Extent) -> Result<Noticed, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file("a temporary folder"))?;
    let configurations = LANES.map(|lane| policy::beta_and_users(lane, extent.rules));
    let [first, _] = &configurations;
    let mut discovery = Discovery::begin(folder.path(), module, first)?;
    let filter = proxy::discovered(discovery.path());
    let listeners = [proxy::listener(LISTENER, Some(filter), 0)];
    let envoy = proxy::start(envoy, folder.path(), &listeners, 1)?;
    let address = envoy.listener(LISTENER)?;
    let host = format!("host: {HOST}");
    let request = Request::new("/", &[&host, "x-beta: 1"], CANARY);
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    let work = |worker: u32| -> Result<Vec<Sample>, Failure> {
        let mut samples = Vec::new();
        let mut due = began + EVERY * worker / CONNECTIONS;
        let mut connection = Connection::open(LISTENER, address)?;
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let sent = connection.send(&request);
            let answer = sent.and_then(|()| connection.answer(&LANES));
            let done = Instant::now();
            if answer.is_err() {
                connection = Connection::open(LISTENER, address)?;
            }
            let lane = answer.ok();
            samples.push(Sample { due, done, lane });
            due += EVERY;
        }
        Ok(samples)
    };
    let (published, samples) = thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|worker| scope.spawn(move || work(worker)))
            .collect();
        let published = changes(&mut discovery, &configurations, extent);
        stop.store(true, Ordering::Relaxed);
        let samples: Vec<_> = workers.into_iter().map(ScopedJoinHandle::join).collect();
        (published, samples)
    });
    let mut all = Vec::new();
    for worker in samples {
        match worker {
            Ok(samples) => all.extend(samples?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    Ok(judge(&published?, &all, extent))
}

/// When each change was made.
fn changes(
    discovery: &mut Discovery,
    configurations: &[String; 2],
    extent: Extent,
) -> Result<Vec<Instant>, Failure> {
    // The load gets under way before the first.
    let mut next = Instant::now() + extent.every;
    let mut published = Vec::new();
    for configuration in configurations
        .iter()
        .rev()
        .cycle()
        .zip(0..extent.changes)
        .map(|(configuration, _)| configuration)
    {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        published.push(Instant::now());
        discovery.publish(configuration)?;
        next += extent.every;
    }
    thread::sleep(next.saturating_duration_since(Instant::now()));
    Ok(published)
}

fn judge(published: &[Instant], samples: &[Sample], extent: Extent) -> Noticed {
    let ready: Vec<f64> = published
        .iter()
        .zip([1, 0].into_iter().cycle())
        .map(|(at, lane)| {
            let first = samples
                .iter()
                .filter(|sample| sample.lane == Some(lane) && sample.due >= *at)
                .map(|sample| sample.done)
                .min();
            // A change that was never in force took for ever.
            first.map_or(f64::INFINITY, |first| milliseconds(first - *at))
        })
        .collect();
    let slow = |offset: Duration| {
        let windows: Vec<_> = published
            .iter()
            .map(|at| (*at + offset)..(*at + offset + extent.window))
            .collect();
        let within = samples
            .iter()
            .filter(|sample| windows.iter().any(|window| window.contains(&sample.due)));
        percentile(
            within.map(|sample| milliseconds(sample.done.saturating_duration_since(sample.due))),
            999,
        )
    };
    Noticed {
        sent: samples.len(),
        failed: samples
            .iter()
            .filter(|sample| sample.lane.is_none())
            .count(),
        slowest: percentile(ready.iter().copied(), 1000),
        ready: median(ready),
        during: slow(Duration::ZERO),
        quiet: slow(extent.every / 2),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_judged_by_when_they_were_due() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let sample = |due, done, lane| Sample {
            due: at(due),
            done: at(done),
            lane,
        };
        let samples = [
            sample(90, 91, Some(0)),
            // Held up by the change, and still by the old configuration.
            sample(101, 130, Some(0)),
            sample(110, 132, Some(1)),
            sample(600, 602, Some(1)),
            sample(700, 701, None),
        ];
        let extent = Extent {
            rules: 1,
            changes: 1,
            every: Duration::from_secs(1),
            window: Duration::from_millis(20),
        };
        let noticed = judge(&[at(100)], &samples, extent);
        assert_eq!((noticed.sent, noticed.failed), (5, 1));
        assert!((noticed.ready.value - 32.0).abs() < 1e-6);
        assert!((noticed.during - 29.0).abs() < 1e-6);
        assert!((noticed.quiet - 2.0).abs() < 1e-6);
    }
}
