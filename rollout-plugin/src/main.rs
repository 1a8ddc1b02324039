//! The binary `serin`: started by the Argo Rollouts controller it is the plugin `serin/istio`; its commands are for people
//! and for init containers.

mod command;

use std::process::ExitCode;

use argo_rollouts::go_plugin::{exit_code, hclog};
use argo_rollouts::{HANDSHAKE, serve};
use clap::Parser;
use rollout_plugin::router::IstioRouter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::command::Command;

/// Serin, a traffic-router plugin for Argo Rollouts on Istio.
///
/// The Argo Rollouts controller starts this program without a command. It reaches the API server as
/// kubectl does: by KUBECONFIG, or by the service account of the pod it runs in.
#[derive(Parser)]
#[command(
    name = "serin",
    version,
    after_help = EXAMPLE,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct Arguments {
    /// How much to log; the lines appear in the controller's log.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLE: &str = "\
Example, in the ConfigMap argo-rollouts-config of the controller's namespace:

  trafficRouterPlugins: |-
    - name: serin/istio
      location: file:///plugins/serin
      args: [--log-level=debug]";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(command) => command.run(),
        None if HANDSHAKE.is_offered() => plugin(arguments.log_level),
        None => {
            eprintln!(
                "serin is a plugin of the Argo Rollouts controller, which starts it; without a command it does nothing \
                 when run by hand (serin --help)"
            );
            ExitCode::FAILURE
        }
    }
}

/// Answers the controller until it ends the connection.
#[tokio::main(worker_threads = 2)]
async fn plugin(log_level: LevelFilter) -> ExitCode {
    tracing_subscriber::registry()
        .with(log_level)
        .with(hclog::stderr())
        .init();
    exit_code(serve(IstioRouter::new()).await)
}
