//! The real stack: brings up a cluster without containers in the namespaces it was started in, runs scenarios on it
//! under load, and judges what the load saw; or the API server alone, and a program beside it.
//!
//! `cargo xtask` starts it, in a network and a process namespace of its own; everything it starts dies with it.

mod account;
mod controller_pod;
mod error;
mod flags;
mod image;
mod keys;
mod kubelet;
mod modules;
mod network;
mod permissions;
mod pod_metrics;
mod processes;
mod program;
mod proxy;
mod run;
mod stack;
mod under_test;
mod with_api_server;
mod with_stack;

use std::process::ExitCode;

use clap::Parser;

use crate::flags::Command;

/// What was asked for; false if it ran and failed.
async fn obey(command: &Command) -> Result<bool, error::Error> {
    match command {
        Command::Scenarios(flags) => run::run(flags).await,
        Command::Stack(flags) => with_stack::run(flags).await,
        Command::Modules(flags) => modules::run(flags).await,
        Command::ApiServer(flags) => with_api_server::run(flags).await,
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = Command::parse();
    let interrupted = async {
        // Without the signal there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let outcome = tokio::select! {
        outcome = obey(&command) => outcome,
        () = interrupted => Err(error::Error::Interrupted),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!(
                "error: {}\n next: {}",
                go_plugin::Chain(&failure),
                failure.next()
            );
            ExitCode::FAILURE
        }
    }
}
