//! The binary `serin`: started by the Argo Rollouts controller it is the plugin `serin/istio`.

use std::process::ExitCode;

use argo_rollouts::go_plugin::{exit_code, hclog};
use argo_rollouts::{HANDSHAKE, serve};
use clap::Parser;
use rollout_plugin::router::IstioRouter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Serin, a traffic-router plugin for Argo Rollouts on Istio.
///
/// The Argo Rollouts controller starts this program; there is nothing to run by hand. It reaches the API server as
/// kubectl does: by KUBECONFIG, or by the service account of the pod it runs in.
#[derive(Parser)]
#[command(name = "serin", version, after_help = EXAMPLE)]
struct Arguments {
    /// How much to log; the lines appear in the controller's log.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
}

const EXAMPLE: &str = "\
Example, in the ConfigMap argo-rollouts-config of the controller's namespace:

  trafficRouterPlugins: |-
    - name: serin/istio
      location: file:///plugins/serin-linux-amd64
      args: [--log-level=debug]";

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !HANDSHAKE.is_offered() {
        eprintln!(
            "serin is a plugin of the Argo Rollouts controller, which starts it; run by hand it does nothing (serin --help)"
        );
        return ExitCode::FAILURE;
    }
    tracing_subscriber::registry()
        .with(arguments.log_level)
        .with(hclog::stderr())
        .init();
    exit_code(serve(IstioRouter::new()).await)
}
