//! The demo: a canary on a page, with nothing faked but the cluster.
//!
//! `cargo xtask demo` builds what it runs and starts it. The cluster is the embedded one of `testbed`; Envoy, the plugin
//! and the filter are the real ones.

mod actions;
mod autopilot;
mod board;
mod check;
mod demo;
mod error;
mod events;
mod flags;
mod headless;
mod server;
mod shop;
mod story;
mod terminal;
mod traffic;
mod users;
mod view;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::board::Board;
use crate::error::Error;
use crate::flags::Flags;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let (board, began) = (Arc::new(Board::default()), Instant::now());
    // What runs is dropped before main returns, and with it every process that was started.
    let outcome = tokio::select! {
        outcome = demo::run(&flags, &board) => outcome,
        outcome = interrupted() => outcome,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Error::Interrupted) => {
            eprintln!("\n{}", terminal::totals(board.counts(), began.elapsed()));
            eprintln!("stopped; everything that was started has ended with it");
            ExitCode::from(130)
        }
        Err(failure) => {
            eprintln!(
                "error: {}\n next: {}",
                error::chain(&failure),
                failure.next()
            );
            ExitCode::FAILURE
        }
    }
}

/// Ends with Ctrl-C, a closed terminal or a polite kill.
async fn interrupted() -> Result<bool, Error> {
    let wait = async |kind| match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        // Without the signal there is nothing to wait for.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
    Err(Error::Interrupted)
}
