//! What the filter costs an Envoy: one run on one machine, everything beside what it is held against. Run by
//! `cargo xtask bench filter`, which builds what it takes.

mod change;
mod costs;
mod discovery;
mod error;
mod flags;
mod load;
mod memory;
mod module;
mod others;
mod policy;
mod process;
mod progress;
mod proxy;
mod report;
mod requests;
mod statistics;
mod step;

use std::error::Error;
use std::fs;
use std::process::ExitCode;

use clap::Parser;

use crate::error::Failure;
use crate::flags::Flags;
use crate::others::Extents;
use crate::report::Report;

/// Enough for figures.
const FULL: Extents = Extents {
    requests: requests::Extent {
        rounds: 201,
        turn: 30,
        warm_up: 500,
    },
    changes: 60,
    steps: 40,
    course: 1_000,
};
/// Enough to see that it runs.
const QUICK: Extents = Extents {
    requests: requests::Extent {
        rounds: 11,
        turn: 30,
        warm_up: 100,
    },
    changes: 6,
    steps: 6,
    course: 20,
};

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprint!("filter-bench: {failure}");
            let mut source = failure.source();
            while let Some(cause) = source {
                eprint!(": {cause}");
                source = cause.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<String, Failure> {
    let began = std::time::Instant::now();
    let before = load_average()?;
    let mut report = Report::default();
    let extents = if flags.quick { QUICK } else { FULL };
    let costs = requests::measure(&flags.envoy, &flags.module, &flags.beside, extents.requests)?;
    costs::add(&mut report, &costs, &flags.beside);
    if !flags.requests_only {
        others::add(&mut report, &flags.envoy, &flags.module, &extents)?;
    }
    let after = load_average()?;
    let took = began.elapsed().as_secs();
    Ok(format!(
        "`{}`, {}, {} cores ({}); load average before {before}, after {after}; took {}m{:02}s.\n{}",
        flags.command,
        flags.versions,
        std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        cpu()?,
        took / 60,
        took % 60,
        report.finish(),
    ))
}

/// The kernel's three figures.
fn load_average() -> Result<String, Failure> {
    let path = "/proc/loadavg";
    let text = fs::read_to_string(path).map_err(Failure::file(path))?;
    let figures: Vec<&str> = text.split(' ').take(3).collect();
    Ok(figures.join(" "))
}

/// What the processor calls itself.
fn cpu() -> Result<String, Failure> {
    let path = "/proc/cpuinfo";
    let text = fs::read_to_string(path).map_err(Failure::file(path))?;
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(": "));
    Ok(name.map_or("unknown", |(_, name)| name).to_owned())
}
