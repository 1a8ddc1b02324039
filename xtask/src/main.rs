//! The repository's own commands: this file only dispatches; the grammar is in `flags.rs`, one file per command.

mod analysis;
mod bench;
mod browser;
mod cache;
mod checkout;
mod debian;
mod demo;
mod differential;
mod dist;
mod e2e;
mod envoy;
mod failure;
mod flags;
mod foreign;
mod gitops;
mod images;
mod install;
mod istio_next;
mod kind;
mod lint;
mod long;
mod pip;
mod plugin;
mod programs;
mod reproducible;
mod run;
mod stack;
mod test;
mod tidy;
mod tools;
mod wasm;
mod zig;

use std::process::ExitCode;

use clap::Parser;

use crate::failure::Failure;
use crate::flags::{Command, Xtask};

fn main() -> ExitCode {
    let outcome = match Xtask::parse().command {
        Command::Demo(flags) => demo::run(&flags),
        Command::Test(flags) => test::run(&flags),
        Command::Lint => lint::run(),
        Command::Dist(flags) => dist::run(&flags),
        Command::Push(flags) => images::push(&flags),
        Command::Wasm => wasm::run(),
        Command::E2e(flags) => e2e::run(&flags),
        Command::Kind(flags) => kind::run(&flags),
        Command::Stack(flags) => stack::run(&flags),
        Command::Bench(what) => bench::run(&what),
        Command::Differential(flags) => differential::run(&flags),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Prints the whole chain once, and the one thing to do next.
fn report(failure: &Failure) {
    let mut line = format!("error: {failure}");
    let mut source = std::error::Error::source(failure);
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    eprintln!("{line}\n next: {}", failure.next());
}
