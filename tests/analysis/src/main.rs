//! Analysis on the real stack: the Argo controller judges canaries by a real Prometheus, with the templates of
//! `manifests/analysis`, and the queries of the dashboard and the alerts run on the same.
//!
//! `cargo xtask e2e --long analysis` starts it beside the stack (`tests/real-stack/src/with_stack.rs` says what it finds in its
//! environment), with `prometheus`, `promtool` and `kubectl` on its PATH.

mod board;
mod canary;
mod judge;
mod manifests;
mod prometheus;
mod promtool;
mod story;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use kube::Client;
use scenarios::Cluster;

use crate::canary::Canary;
use crate::prometheus::Prometheus;
use crate::story::Story;

/// What a check fails with; nobody looks into it but who reads the output.
type Failure = Box<dyn Error + Send + Sync>;

/// What the stack says of itself.
struct Surroundings {
    kubeconfig: String,
    sidecar: SocketAddr,
    gateway: SocketAddr,
    sidecar_metrics: SocketAddr,
    gateway_metrics: SocketAddr,
    controller_metrics: SocketAddr,
    /// Logs and working files.
    folder: PathBuf,
}

impl Surroundings {
    fn read() -> Result<Self, Failure> {
        let text = |name: &str| std::env::var(name).map_err(|error| format!("${name}: {error}"));
        let address = |name: &str| -> Result<SocketAddr, Failure> { Ok(text(name)?.parse()?) };
        let folder = PathBuf::from(text("SERIN_LOGS")?).join("analysis");
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            kubeconfig: text("KUBECONFIG")?,
            sidecar: address("SERIN_SIDECAR")?,
            gateway: address("SERIN_GATEWAY")?,
            sidecar_metrics: address("SERIN_SIDECAR_METRICS")?,
            gateway_metrics: address("SERIN_GATEWAY_METRICS")?,
            controller_metrics: address("SERIN_CONTROLLER_METRICS")?,
            folder,
        })
    }
}

async fn run() -> Result<(), Failure> {
    let here = Arc::new(Surroundings::read()?);
    promtool::check(&here).await?;
    manifests::check_dashboard().await?;
    manifests::apply_templates().await?;
    let prometheus = Prometheus::start(&here.folder).await?;
    let cluster = Cluster::new(Client::try_default().await?);
    cluster.discover().await?;
    let cluster = Arc::new(cluster);

    // All at once: each waits for the controller most of the time.
    let mut stories = tokio::task::JoinSet::new();
    for story in Story::ALL {
        let canary = Canary::new(story, Arc::clone(&here), Arc::clone(&cluster));
        stories.spawn(canary.play());
    }
    let mut good = None;
    while let Some(played) = stories.join_next().await {
        let played = played??;
        println!("\n{}", played.report);
        if played.story == Story::Good {
            good = Some(played);
        }
    }
    let good = good.ok_or("the good canary has not been played")?;
    board::check(&prometheus, &good).await?;
    // Its load goes on until here, so that the queries have something to show.
    good.stop().await;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", go_plugin::Chain(&*failure));
            ExitCode::FAILURE
        }
    }
}
