//! The grammar of `cargo xtask`.

use std::path::PathBuf;

use crate::programs::Set;

/// The repository's own commands.
///
/// Example: cargo xtask demo
#[derive(clap::Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Xtask {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant per command.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// A canary on a page, without a cluster: builds plugin, module and demo, installs Envoy if missing, and serves the page on localhost.
    #[command(after_help = "Example: cargo xtask demo --headless")]
    Demo(DemoFlags),
    /// Every test but the real stack: builds the modules, installs Envoy and the wasm target if missing, runs cargo test.
    #[command(after_help = "Example: cargo xtask test -- --package traffic-policy")]
    Test(TestFlags),
    /// Formatting, clippy for all targets and for the module, and the house rules.
    #[command(after_help = "Example: cargo xtask lint")]
    Lint,
    /// Builds what is shipped: the plugin as static binaries for x86_64 and aarch64, the modules, and their SHA-256 sums under
    /// target/dist. Installs the targets, cargo-zigbuild and Zig if missing; with --all also cargo-about and cargo-cyclonedx.
    #[command(
        after_help = "Example: cargo xtask dist && (cd target/dist && sha256sum --check SHA256SUMS)"
    )]
    Dist(DistFlags),
    /// Pushes the images of target/dist to a registry, and prints each as a manifest pins it: name, tag and digest. The
    /// credentials are those of `docker login` (config.json in $DOCKER_CONFIG or ~/.docker).
    #[command(after_help = "\
Examples:
  cargo xtask dist --all && cargo xtask push registry.example.com/team
  cargo xtask push --plain-http --tag 0.1.0-rc.1 localhost:5000")]
    Push(PushFlags),
    /// Builds the filter's modules, without and with issued cookies, prunes their exports and prints their sizes.
    #[command(after_help = "Example: cargo xtask wasm")]
    Wasm,
    /// The real stack: Kubernetes' API server, istiod, the Argo Rollouts controller and Envoy, with steady load on every scenario.
    #[command(
        after_help = "Examples: cargo xtask e2e subset-canary abort\n          cargo xtask e2e --long"
    )]
    E2e(E2eFlags),
    /// A cluster in a container engine (kind) with Istio, Argo Rollouts and Serin as docs/install.md installs them; then every
    /// tutorial on it. With --kubeconfig the tutorials alone, on a cluster that has all of that.
    #[command(after_help = "Example: cargo xtask kind")]
    Kind(KindFlags),
    /// A program, or your shell, beside the whole real stack: KUBECONFIG and the proxies' addresses are in its environment, kubectl,
    /// istioctl and kubectl-argo-rollouts on its PATH. The stack ends with it.
    #[command(after_help = "Example: cargo xtask stack -- kubectl get pods --all-namespaces")]
    Stack(StackFlags),
    /// The plugin against Argo's own Istio reconciler: the same objects and calls for both, on Kubernetes' API server.
    #[command(after_help = "Example: cargo xtask differential --sequences 5000")]
    Differential(DifferentialFlags),
    /// Figures, each measured in one run beside what it is held against; prints a Markdown table.
    #[command(subcommand)]
    Bench(Bench),
}

/// What `cargo xtask dist` takes.
#[derive(clap::Args)]
pub(crate) struct DistFlags {
    /// Everything that a release has: container images, licences of what is linked, and a CycloneDX bill of materials for each
    /// artifact too.
    #[arg(long)]
    pub(crate) all: bool,
    /// The address of the sources, for the images' annotations.
    #[arg(long, value_name = "URL", requires = "all")]
    pub(crate) source: Option<String>,
}

/// What `cargo xtask push` takes.
#[derive(clap::Args)]
pub(crate) struct PushFlags {
    /// A registry, or a folder in one: registry.example.com/team.
    pub(crate) registry: String,
    /// The tag; absent, the version. `latest` is refused.
    #[arg(long, value_name = "VERSION")]
    pub(crate) tag: Option<String>,
    /// Speak http: for a registry on this machine.
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Accept any certificate. One of your own is accepted without it if SSL_CERT_FILE names it.
    #[arg(long, conflicts_with = "plain_http")]
    pub(crate) insecure: bool,
    /// Push a tag that names another image there. Who has pinned its digest may lose the image.
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// What `cargo xtask bench` measures.
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// The plugin beside a Go plugin that wraps Argo's own reconciler, on one Kubernetes API server: calls, 100 Rollouts at
    /// once, start-up, memory. Takes about five minutes once everything is built.
    #[command(after_help = "Example: cargo xtask bench plugin --quick > table.md")]
    Plugin(BenchPluginFlags),
    /// The filter in an Envoy, beside no filter, Lua and native routes: CPU time per request, changes of the policy, memory,
    /// the module's size. Takes about ten minutes once everything is built.
    #[command(after_help = "Example: cargo xtask bench filter --quick > table.md")]
    Filter(BenchFilterFlags),
    /// Syncs in mid-canary on the real stack: what a GitOps tool that applies the user's objects 20 times does to requests,
    /// with the plugin and with Argo's own Istio support. Takes about four minutes once everything is built.
    #[command(after_help = "Example: cargo xtask bench sync > table.md")]
    Sync(BenchSyncFlags),
}

/// What `cargo xtask bench sync` takes.
#[derive(clap::Args)]
pub(crate) struct BenchSyncFlags {
    /// Requests per second, through a sidecar and as many through the gateway.
    #[arg(long, default_value_t = 1000)]
    pub(crate) rate: u32,
}

/// What `cargo xtask bench plugin` takes.
#[derive(clap::Args)]
pub(crate) struct BenchPluginFlags {
    /// A short form, of about a minute: enough to see that it runs, too little for figures.
    #[arg(long)]
    pub(crate) quick: bool,
}

/// What `cargo xtask bench filter` takes.
#[derive(clap::Args)]
pub(crate) struct BenchFilterFlags {
    /// A short form, of about a minute: enough to see that it runs, too little for figures.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only CPU time per request, which takes about three minutes.
    #[arg(long)]
    pub(crate) requests_only: bool,
    /// Another build of the module, measured per request beside this one; its file's name is its name in the table.
    #[arg(long, value_name = "MODULE")]
    pub(crate) beside: Vec<PathBuf>,
}

/// What `cargo xtask demo` takes.
#[derive(clap::Args)]
pub(crate) struct DemoFlags {
    /// Without a page: runs the story to its end, checks it, prints a summary; exits with 0 or 1.
    #[arg(long)]
    pub(crate) headless: bool,
    /// The page's port on localhost. Without it, 7400 or, if that is taken, a free one.
    #[arg(long)]
    pub(crate) port: Option<u16>,
}

/// What `cargo xtask test` takes.
#[derive(clap::Args)]
pub(crate) struct TestFlags {
    /// The way back with 200,000 generated cases in place of 10,000; takes half an hour more.
    #[arg(long)]
    pub(crate) long: bool,
    /// Passed on to cargo test in place of --workspace.
    #[arg(last = true)]
    pub(crate) cargo: Vec<String>,
}

/// What `cargo xtask e2e` takes.
#[derive(clap::Args)]
pub(crate) struct E2eFlags {
    /// Scenarios to run, by the name of their folder in tests/e2e; all of them if none is named. With --long, checks.
    pub(crate) scenarios: Vec<String>,
    /// The checks that take long to build or to run in place of the scenarios: other versions, registries, GitOps tools,
    /// dashboards. Lists them with their names as it begins.
    #[arg(long, conflicts_with_all = ["traffic_router", "build_only"])]
    pub(crate) long: bool,
    /// Who moves the traffic.
    #[arg(long, value_enum, default_value_t = Router::Serin)]
    pub(crate) traffic_router: Router,
    /// How many scenarios run at once.
    #[arg(long, default_value_t = 6)]
    pub(crate) jobs: usize,
    /// Only builds what the stack needs, and says where it is.
    #[arg(long)]
    pub(crate) build_only: bool,
}

/// What `cargo xtask kind` takes.
#[derive(clap::Args)]
pub(crate) struct KindFlags {
    /// The cluster's name.
    #[arg(long, default_value = "serin")]
    pub(crate) name: String,
    /// Another cluster, in place of a new one.
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// What `cargo xtask stack` takes.
#[derive(clap::Args)]
pub(crate) struct StackFlags {
    /// The istiod that runs: `istio` is 1.29.1, `istio-next` the newest that is tried.
    #[arg(long, value_enum, default_value_t = Istio::Istio)]
    pub(crate) istio: Istio,
    /// Further programs on the PATH.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) with: Vec<Set>,
    /// The program and its arguments; without it, $SHELL.
    #[arg(last = true)]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// Which istiod and which agents a stack has.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Istio {
    /// 1.29.1.
    Istio,
    /// The newest that is tried.
    IstioNext,
}

impl Istio {
    /// Its control plane.
    pub(crate) fn discovery(self) -> Set {
        match self {
            Self::Istio => Set::Istio,
            Self::IstioNext => Set::IstioNext,
        }
    }

    /// Its proxies' agent.
    pub(crate) fn agent(self) -> Set {
        match self {
            Self::Istio => Set::IstioAgent,
            Self::IstioNext => Set::IstioNextAgent,
        }
    }

    /// Its command line.
    pub(crate) fn istioctl(self) -> Set {
        match self {
            Self::Istio => Set::Istioctl,
            Self::IstioNext => Set::IstioNextctl,
        }
    }
}

/// What `cargo xtask differential` takes.
#[derive(clap::Args)]
pub(crate) struct DifferentialFlags {
    /// How many sequences of calls are generated.
    #[arg(long, default_value_t = crate::differential::IN_E2E)]
    pub(crate) sequences: u32,
    /// What they are generated from.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Index of the first one; above 0 the table of cases is left out.
    #[arg(long, default_value_t = 0)]
    pub(crate) from: u32,
}

/// The traffic router under test.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Router {
    /// This repository's plugin.
    Serin,
    /// Argo's own Istio support, for comparison.
    BuiltIn,
}

impl Router {
    /// The word that both command lines use.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Serin => "serin",
            Self::BuiltIn => "built-in",
        }
    }
}
