//! What the harness is told: where everything is that it runs. `cargo xtask e2e` fills it in.

use std::path::PathBuf;

/// Runs scenarios on a real control plane and real Envoys.
#[derive(Debug, clap::Parser)]
pub(crate) struct Flags {
    /// Folder with `etcd`.
    #[arg(long)]
    pub(crate) etcd: PathBuf,
    /// Folder with `kube-apiserver` and `kube-controller-manager`.
    #[arg(long)]
    pub(crate) kubernetes: PathBuf,
    /// Folder with `pilot-discovery` and Istio's CRDs.
    #[arg(long)]
    pub(crate) istio: PathBuf,
    /// Folder with `rollouts-controller` and Argo's CRDs and roles.
    #[arg(long)]
    pub(crate) argo_rollouts: PathBuf,
    /// The Envoy program.
    #[arg(long)]
    pub(crate) envoy: PathBuf,
    /// The plugin that the Argo controller loads.
    #[arg(long)]
    pub(crate) plugin: PathBuf,
    /// The module that the WasmPlugin names.
    #[arg(long)]
    pub(crate) module: PathBuf,
    /// Folder with the manifests that users apply.
    #[arg(long)]
    pub(crate) manifests: PathBuf,
    /// Folder with one folder per scenario.
    #[arg(long)]
    pub(crate) scenarios: PathBuf,
    /// Where logs go: one folder per run.
    #[arg(long)]
    pub(crate) logs: PathBuf,
    /// Who moves the traffic.
    #[arg(long, value_enum, default_value_t = Router::Serin)]
    pub(crate) traffic_router: Router,
    /// How many scenarios run at once.
    #[arg(long, default_value_t = 8)]
    pub(crate) jobs: usize,
    /// Scenarios to run; all of them if none is named.
    pub(crate) names: Vec<String>,
}

/// The traffic router under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Router {
    /// This repository's plugin, as the scenarios are written.
    Serin,
    /// Argo's own Istio support: the plugin's block is moved back to `istio:`.
    BuiltIn,
}
