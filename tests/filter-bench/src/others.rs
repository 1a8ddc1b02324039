//! The report's parts beside CPU time per request: the module, changes of the policy, steps, memory.

use std::path::Path;
use std::time::Duration;

use crate::error::Failure;
use crate::module::Module;
use crate::progress::Progress;
use crate::report::{Report, figure, spread};
use crate::step::Step;
use crate::{change, memory, requests, step};

/// How much of each is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extents {
    pub(crate) requests: requests::Extent,
    /// Changes of a policy under load.
    pub(crate) changes: u32,
    /// Steps of one of many Rollouts.
    pub(crate) steps: u32,
    /// Changes of a large policy.
    pub(crate) course: usize,
}

/// Rules of the largest policy that the filter takes.
const MANY: u32 = 10_000;
/// The mesh that a step is reckoned for.
const PROXIES: u32 = 1_000;
const ROLLOUTS: u32 = 100;
const NAMESPACES: u32 = 10;

/// Measures them and adds their tables and goals.
pub(crate) fn add(
    report: &mut Report,
    envoy: &Path,
    module: &Path,
    extents: &Extents,
) -> Result<(), Failure> {
    size(report, &Module::read(module)?);
    changes(report, envoy, module, extents)?;
    steps(report, envoy, module, extents)?;
    course(report, envoy, module, extents)
}

fn size(report: &mut Report, module: &Module) {
    report.head(&["module", ""]);
    report.row(&["size, bytes".to_owned(), module.bytes.to_string()]);
    report.row(&["exports".to_owned(), module.exports.join(", ")]);
    let kilobytes = f64::from(module.bytes) / 1e3;
    report.goal("size of the module", kilobytes, 250.0, " KB");
}

fn changes(
    report: &mut Report,
    envoy: &Path,
    module: &Path,
    extents: &Extents,
) -> Result<(), Failure> {
    report.head(&[
        "a policy changes under load",
        ">ready, ms",
        ">the slowest, ms",
        ">p99.9 without, ms",
        ">p99.9 during, ms",
        ">during / without",
        ">requests",
        ">failed",
    ]);
    let changes = usize::try_from(extents.changes).unwrap_or(usize::MAX);
    for (rules, name, ready_within) in [(1, "1 rule", 20.0), (MANY, "10,000 rules", 150.0)] {
        let window = Duration::from_secs_f64(ready_within / 1e3);
        let extent = change::Extent {
            rules,
            changes: extents.changes,
            every: window * 4 + Duration::from_millis(200),
            window,
        };
        Progress::of(format_args!("{name} changes under load"), changes);
        let noticed = change::measure(envoy, module, extent)?;
        let ratio = noticed.during / noticed.quiet;
        report.row(&[
            name.to_owned(),
            spread(noticed.ready),
            figure(noticed.slowest),
            figure(noticed.quiet),
            figure(noticed.during),
            figure(ratio),
            noticed.sent.to_string(),
            noticed.failed.to_string(),
        ]);
        let failed = u32::try_from(noticed.failed).map_or(f64::INFINITY, f64::from);
        let asked = format!("a change, {name}");
        report.goal(&format!("{asked}: failed requests"), failed, 0.0, "");
        report.goal(&format!("{asked}: p99.9 of that without"), ratio, 2.0, " x");
        let ready = noticed.ready.value;
        report.goal(&format!("{asked}: ready"), ready, ready_within, " ms");
    }
    Ok(())
}

fn steps(
    report: &mut Report,
    envoy: &Path,
    module: &Path,
    extents: &Extents,
) -> Result<(), Failure> {
    report.head(&[
        "one sticky step of one of 100 Rollouts",
        ">bytes per proxy",
        ">CPU time per proxy, ms",
        ">proxies that get it",
        ">bytes in all, MB",
        ">CPU time in all, s",
    ]);
    let mut row = |name: &str, step: Step, proxies: u32| {
        let bytes = u32::try_from(step.bytes).map_or(f64::INFINITY, f64::from);
        report.row(&[
            name.to_owned(),
            step.bytes.to_string(),
            figure(step.cpu),
            proxies.to_string(),
            figure(bytes * f64::from(proxies) / 1e6),
            figure(step.cpu * f64::from(proxies) / 1e3),
        ]);
    };
    let every = Duration::from_millis(100);
    let rounds = usize::try_from(extents.steps).unwrap_or(usize::MAX);
    let measure = |rollouts| {
        Progress::of(format_args!("steps of {rollouts} Rollouts"), rounds);
        step::measure(envoy, module, rollouts, extents.steps, every)
    };
    let name = "one WasmPlugin for the mesh";
    row(name, measure(ROLLOUTS)?, PROXIES);
    let name = format!("one for each of {NAMESPACES} namespaces");
    let shard = measure(ROLLOUTS / NAMESPACES)?;
    row(&name, shard, PROXIES / NAMESPACES);
    Ok(())
}

fn course(
    report: &mut Report,
    envoy: &Path,
    module: &Path,
    extents: &Extents,
) -> Result<(), Failure> {
    report.head(&["resident memory of Envoy", ">MiB"]);
    let course = memory::course(envoy, module, MANY, extents.course)?;
    let changes = extents.course;
    let name = format!("a policy of {} bytes, {changes} changes", course.bytes);
    let parts = [
        ("second tenth", course.early),
        ("last tenth", course.late),
        ("highest", course.highest),
    ];
    for (part, mebibytes) in parts {
        report.row(&[format!("{name}: {part}"), figure(mebibytes)]);
    }
    let grown = (course.late / course.early - 1.0) * 100.0;
    let asked = format!("growth of memory over {changes} changes");
    report.goal(&asked, grown, 5.0, " %");
    let (more, empty) = memory::per_worker(envoy, module, MANY)?;
    let name = "each worker";
    report.row(&[format!("{name}, no policy"), figure(empty)]);
    report.row(&[format!("{name}, 10,000 rules: beyond that"), figure(more)]);
    report.goal("memory per worker, 10,000 rules", more, 16.0, " MiB");
    Ok(())
}
