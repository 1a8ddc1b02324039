//! What the harness is told: where everything is that it runs. `cargo xtask` fills it in.

use std::ffi::OsString;
use std::path::PathBuf;

use scenarios::{Filter, Module};

use crate::modules::Images;

/// Runs on a real control plane.
#[derive(Debug, clap::Parser)]
pub(crate) enum Command {
    /// Runs scenarios on the whole of it and on real Envoys.
    Scenarios(Box<Flags>),
    /// Runs a program beside the whole of it, and ends with its exit code.
    Stack(Box<WithStackFlags>),
    /// Fetches the filter's module into real proxies, in each way there is, and without a registry.
    Modules(Box<ModulesFlags>),
    /// Runs a program beside the API server alone, and ends with its exit code.
    ApiServer(ApiServerFlags),
}

/// Where the control plane's programs are.
#[derive(Debug, clap::Args)]
pub(crate) struct Programs {
    /// Folder with `etcd`.
    #[arg(long)]
    pub(crate) etcd: PathBuf,
    /// Folder with `kube-apiserver` and `kube-controller-manager`.
    #[arg(long)]
    pub(crate) kubernetes: PathBuf,
    /// Folder with `pilot-discovery` and Istio's CRDs.
    #[arg(long)]
    pub(crate) istio: PathBuf,
    /// Folder with `rollouts-controller`, and Argo's CRDs, roles and end-to-end fixtures.
    #[arg(long)]
    pub(crate) argo_rollouts: PathBuf,
    /// Writes down what the controller's service account asks for, and looks whether the roles are exact.
    #[arg(long)]
    pub(crate) audit: bool,
    /// Where logs go: one folder per run.
    #[arg(long)]
    pub(crate) logs: PathBuf,
}

/// What `api-server` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct ApiServerFlags {
    #[command(flatten)]
    pub(crate) programs: Programs,
    /// The program and its arguments. It finds the API server by KUBECONFIG, as an administrator.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// What the whole stack is made of.
#[derive(Debug, clap::Args)]
pub(crate) struct StackFlags {
    #[command(flatten)]
    pub(crate) programs: Programs,
    /// The Envoy program.
    #[arg(long)]
    pub(crate) envoy: PathBuf,
    /// Folder with `pilot-agent` and the template of Envoy's bootstrap.
    #[arg(long)]
    pub(crate) istio_agent: PathBuf,
    /// The plugin that the Argo controller loads.
    #[arg(long)]
    pub(crate) plugin: PathBuf,
    /// The module that the WasmPlugin names.
    #[arg(long)]
    pub(crate) module: PathBuf,
    /// The module for scenarios whose gateway issues cookies.
    #[arg(long)]
    pub(crate) cookies_module: PathBuf,
    /// Folder with the `pilot-discovery` and the CRDs that a step may upgrade to.
    #[arg(long)]
    pub(crate) next_istio: Option<PathBuf>,
    /// The kind of the object that puts the filter into the proxies.
    #[arg(long, value_enum, default_value_t = FilterKind::WasmPlugin)]
    pub(crate) filter: FilterKind,
    /// Folder with the manifests that users apply.
    #[arg(long)]
    pub(crate) manifests: PathBuf,
    /// Argo Rollouts as its own manifests install it, with its Deployment, and without Serin.
    #[arg(long)]
    pub(crate) without_serin: bool,
    /// Who moves the traffic.
    #[arg(long, value_enum, default_value_t = Router::Serin)]
    pub(crate) traffic_router: Router,
}

impl StackFlags {
    /// What a WasmPlugin has for a module.
    pub(crate) fn url(&self, module: Module) -> String {
        let file = match module {
            Module::Plain => &self.module,
            Module::Cookies => &self.cookies_module,
        };
        format!("file://{}", file.display())
    }
}

/// What `stack` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct WithStackFlags {
    #[command(flatten)]
    pub(crate) stack: StackFlags,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// What `modules` takes. kubectl and its plugin for Argo Rollouts have to be on the PATH.
#[derive(Debug, clap::Args)]
pub(crate) struct ModulesFlags {
    #[command(flatten)]
    pub(crate) stack: StackFlags,
    #[command(flatten)]
    pub(crate) images: Images,
    /// Folder with `registry`.
    #[arg(long)]
    pub(crate) registry: PathBuf,
    /// The manifests of `docs/tutorials/mesh-and-gateway`.
    #[arg(long)]
    pub(crate) app: PathBuf,
}

/// What `scenarios` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) stack: StackFlags,
    /// Folder with one folder per scenario.
    #[arg(long)]
    pub(crate) scenarios: PathBuf,
    /// Requests per second that each scenario sends on each way, in place of what its streams say.
    #[arg(long)]
    pub(crate) rate: Option<u32>,
    /// Runs each scenario a second time, with Argo's own Istio support, and prints the figures of its syncs as Markdown.
    #[arg(long)]
    pub(crate) beside_built_in: bool,
    /// How many scenarios run at once.
    #[arg(long, default_value_t = 6)]
    pub(crate) jobs: usize,
    /// Scenarios to run; all of them if none is named.
    pub(crate) names: Vec<String>,
}

/// A filter object's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FilterKind {
    /// Of every version of Istio.
    WasmPlugin,
    /// Of Istio 1.30 and later.
    TrafficExtension,
}

impl FilterKind {
    /// As the scenarios call it.
    pub(crate) fn filter(self) -> Filter {
        match self {
            Self::WasmPlugin => Filter::WasmPlugin,
            Self::TrafficExtension => Filter::TrafficExtension,
        }
    }

    /// What users apply.
    pub(crate) fn manifest(self) -> &'static str {
        match self {
            Self::WasmPlugin => "base/wasmplugin.yaml",
            Self::TrafficExtension => "components/traffic-extension/trafficextension.yaml",
        }
    }
}

/// The traffic router under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Router {
    /// This repository's plugin, as the scenarios are written.
    Serin,
    /// Argo's own Istio support: the plugin's block is moved back to `istio:`.
    BuiltIn,
}
