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
mod guard;
mod headless;
mod run;
mod server;
mod shop;
mod story;
mod terminal;
mod traffic;
mod users;
mod view;
mod yaml;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use argo_rollouts::go_plugin::Chain;
use clap::Parser;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::board::Board;
use crate::error::Error;
use crate::flags::Flags;
use crate::guard::Guard;

fn main() -> ExitCode {
    if let Some(code) = guard::duty() {
        return code;
    }
    let flags = Flags::parse();
    let (board, began) = (Arc::new(Board::default()), Instant::now());
    match start(&flags, &board) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Error::Interrupted) => {
            terminal::note(&format!(
                "\n{}",
                terminal::totals(board.counts(), began.elapsed())
            ));
            terminal::note("stopped; everything that was started has ended with it");
            ExitCode::from(130)
        }
        Err(failure) => {
            terminal::note(&format!(
                "error: {}\n next: {}",
                Chain(&failure),
                failure.next()
            ));
            ExitCode::FAILURE
        }
    }
}

/// Runs the demo until it has ended or is told to; then nothing of it is left.
fn start(flags: &Flags, board: &Arc<Board>) -> Result<bool, Error> {
    let folder = tempfile::Builder::new()
        .prefix("serin-demo-")
        .tempdir()
        .map_err(Error::Folder)?;
    let guard = Guard::start(folder.path()).map_err(Error::Guard)?;
    let runtime = Runtime::new().map_err(Error::Runtime)?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run::run(flags, board, folder.path()) => outcome,
            outcome = interrupted() => outcome,
        }
    });
    // Tasks end with the runtime, and with them the processes. Nobody writes to the folder when it goes, after that.
    drop(runtime);
    drop(folder);
    drop(guard);
    outcome
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
