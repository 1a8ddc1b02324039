//! Checks what a platform team installs, on the real API server that it finds by KUBECONFIG: the manifests, the chart,
//! and the commands of the documents.
//!
//! `cargo xtask e2e` runs it beside the API server, with the programs that it calls on the PATH.

mod documents;
mod error;
mod files;
mod manifests;
mod tool;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// What a platform team installs, checked.
#[derive(Debug, clap::Parser)]
enum Command {
    /// Renders every overlay and applies it to the API server.
    Manifests(ManifestFlags),
    /// Runs the command blocks of documents.
    Documents(DocumentFlags),
}

/// What `documents` takes.
#[derive(Debug, clap::Args)]
struct DocumentFlags {
    /// The checkout, whose folders the reader has.
    #[arg(long)]
    checkout: PathBuf,
    /// NAME==VALUE: what a line that sets NAME sets it to, in place of what a reader writes there.
    #[arg(long)]
    substitute: Vec<String>,
    /// Commands before each document: what a reader has defined already.
    #[arg(long)]
    prelude: Option<String>,
    /// Ends each document behind the section whose heading begins so.
    #[arg(long)]
    through: Option<String>,
    /// The documents.
    #[arg(required = true)]
    documents: Vec<PathBuf>,
}

/// What `manifests` takes.
#[derive(Debug, clap::Args)]
struct ManifestFlags {
    /// The checkout, with the folders `manifests` and `charts`.
    #[arg(long)]
    checkout: PathBuf,
    /// The folder with Argo Rollouts' own manifests.
    #[arg(long)]
    argo_rollouts: PathBuf,
    /// With Istio's and Helm's programs, and the chart.
    #[arg(long)]
    tools: bool,
    /// The API server has TrafficExtensions.
    #[arg(long)]
    traffic_extensions: bool,
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Manifests(flags) => manifests::check(&flags),
        Command::Documents(flags) => documents::run(&flags),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
