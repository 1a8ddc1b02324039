//! `cargo xtask kind`: a cluster in a container engine, with everything as the documents install it, and the tutorials on it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::failure::Failure;
use crate::flags::{KindFlags, PushFlags};
use crate::install::{self, WAYS};
use crate::programs::{self, Set};
use crate::{dist, e2e, images, run};

/// The registry beside the cluster: its container's name, which is its host's name in there, and its port here.
const REGISTRY: &str = "serin-registry";
const REGISTRY_HERE: &str = "127.0.0.1:5001";
/// Istio as its project publishes it; `istioctl` is built here and has no version of its own.
const ISTIO: &str = "1.29.1";
/// The Argo controller's image.
const ARGO_ROLLOUTS: &str = "quay.io/argoproj/argo-rollouts:v1.10.1";
/// The pod that sends requests, as docs/tutorials/README.md makes it.
const CLIENT: &str = "
kubectl create namespace client --dry-run=client -o yaml | kubectl apply -f -
kubectl label namespace client istio-injection=enabled --overwrite
kubectl -n client create deployment curl --image curlimages/curl:8.11.1 --dry-run=client -o yaml -- sleep infinity | kubectl apply -f -
kubectl -n client rollout status deployment curl --timeout 3m
";
/// How it sends them.
const WAYS_IN: &str = r#"
mesh() { kubectl -n client exec deploy/curl -c curl -- curl -sS -w '\n' "$@"; }
edge() { curl -sS -w '\n' --connect-to ::127.0.0.1:8080 "$@"; }
"#;
/// Where the tutorials find the gateway.
const FORWARD: [&str; 6] = [
    "-n",
    "istio-system",
    "port-forward",
    "service/istio-ingressgateway",
    "8080:80",
    "--address=127.0.0.1",
];
const ENGINE: &str = "install Docker (https://docs.docker.com/engine/install), or run the scenarios without one: `cargo xtask e2e`";
const NEXT: &str = "look at the cluster: `kubectl --kubeconfig target/kind/kubeconfig get pods -A`";

/// Ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // If it has ended by itself there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run(flags: &KindFlags) -> Result<(), Failure> {
    if let Some(kubeconfig) = &flags.kubeconfig {
        return tutorials(kubeconfig);
    }
    run::need("docker", &["version"], "to make a cluster", ENGINE)?;
    run::read(Command::new("docker").arg("version"), ENGINE)?;
    dist::all(None)?;
    let kubeconfig = cluster(&flags.name)?;
    let pins = registry(&flags.name)?;
    istio(&kubeconfig)?;
    argo_rollouts(&kubeconfig)?;
    serin(&kubeconfig, &pins)?;
    tutorials(&kubeconfig)?;
    println!(
        "the cluster is there: export KUBECONFIG={}\nto remove it: kind delete cluster --name {} && docker rm -f {REGISTRY}",
        kubeconfig.display(),
        flags.name,
    );
    Ok(())
}

/// Makes the cluster; its nodes ask the registry by http.
fn cluster(name: &str) -> Result<PathBuf, Failure> {
    let folder = run::target().join("kind");
    std::fs::create_dir_all(&folder).map_err(Failure::file("create", &folder))?;
    let config = folder.join("cluster.yaml");
    let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\ncontainerdConfigPatches:\n- |-\n  [plugins.\"io.containerd.cri.v1.images\".registry]\n    config_path = \"/etc/containerd/certs.d\"\n";
    std::fs::write(&config, text).map_err(Failure::file("write", &config))?;
    let kubeconfig = folder.join("kubeconfig");
    let mut create = tool("kind", &kubeconfig)?;
    create.args([
        "create", "cluster", "--name", name, "--wait", "3m", "--config",
    ]);
    create.arg(&config);
    run::step("making the cluster", || {
        run::run(
            &mut create,
            "check that the container engine runs: `docker version`",
        )
    })?;
    Ok(kubeconfig)
}

/// Starts a registry in the cluster's network, tells the nodes, and pushes the images; returns their pins.
fn registry(name: &str) -> Result<Vec<String>, Failure> {
    let script = format!(
        "docker inspect {REGISTRY} >/dev/null 2>&1 || docker run -d --restart=always -p {REGISTRY_HERE}:5000 --name {REGISTRY} registry:3\n\
         docker network connect kind {REGISTRY} 2>/dev/null || true\n\
         node={name}-control-plane\n\
         docker exec $node mkdir -p /etc/containerd/certs.d/{REGISTRY}:5000\n\
         printf '[host.\"http://{REGISTRY}:5000\"]\\n' | docker exec -i $node cp /dev/stdin /etc/containerd/certs.d/{REGISTRY}:5000/hosts.toml"
    );
    run::step("starting a registry beside it", || {
        run::run(
            Command::new("sh").args(["-ec", &script]),
            "remove a registry of an earlier run: `docker rm -f serin-registry`",
        )
    })?;
    let flags = PushFlags {
        registry: format!("{REGISTRY_HERE}/serin"),
        tag: None,
        plain_http: true,
        insecure: false,
        overwrite: true,
    };
    let pins = images::pushed(&flags, None)?;
    Ok(pins.lines().map(str::to_owned).collect())
}

fn istio(kubeconfig: &Path) -> Result<(), Failure> {
    let mut install = tool("istioctl", kubeconfig)?;
    install.args(["install", "-y", "--set", "hub=docker.io/istio"]);
    let wasm =
        format!("meshConfig.defaultConfig.proxyMetadata.WASM_INSECURE_REGISTRIES={REGISTRY}:5000");
    let tags = ["rollout", "lane", "rule"];
    install.arg("--set").arg(format!("tag={ISTIO}"));
    install.arg("--set").arg(wasm);
    for (index, tag) in tags.iter().enumerate() {
        let tag = format!("meshConfig.defaultConfig.extraStatTags[{index}]={tag}");
        install.arg("--set").arg(tag);
    }
    run::step("installing Istio", || run::run(&mut install, NEXT))
}

fn argo_rollouts(kubeconfig: &Path) -> Result<(), Failure> {
    let manifests = programs::folder(Set::ArgoRollouts)?.join("manifests/cluster-install");
    let script = format!(
        "kubectl create namespace argo-rollouts --dry-run=client -o yaml | kubectl apply -f -\n\
         kubectl apply --server-side -n argo-rollouts -k '{}'\n\
         kubectl -n argo-rollouts set image deployment/argo-rollouts argo-rollouts={ARGO_ROLLOUTS}\n\
         kubectl -n argo-rollouts rollout status deployment argo-rollouts --timeout 3m",
        manifests.display()
    );
    let mut install = tool("sh", kubeconfig)?;
    install.args(["-ec", &script]);
    run::step("installing Argo Rollouts", || run::run(&mut install, NEXT))
}

/// Follows docs/install.md up to its first canary, with the images that were pushed.
fn serin(kubeconfig: &Path, pins: &[String]) -> Result<(), Failure> {
    let digest = |image: &str| {
        let named = format!("/{image}:");
        let pin = pins.iter().find(|pin| pin.contains(&named));
        let digest = pin.and_then(|pin| pin.split_once('@'));
        digest.map_or_else(String::new, |(_, digest)| digest.to_owned())
    };
    let mut follow = Command::new(install::program()?);
    follow.arg("documents").arg("--checkout").arg(run::root());
    for substitution in [
        format!("VERSION=={}", env!("CARGO_PKG_VERSION")),
        format!("REGISTRY=={REGISTRY}:5000/serin"),
        format!("PLUGIN_DIGEST=={}", digest("serin-plugin")),
        format!("FILTER_DIGEST=={}", digest("serin-filter")),
    ] {
        follow.arg("--substitute").arg(substitution);
    }
    follow.args(["--through", "3. The plugin"]);
    follow.arg(run::root().join("docs/install.md"));
    on(&mut follow, kubeconfig)?;
    run::step("following docs/install.md", || run::run(&mut follow, NEXT))
}

/// Follows every tutorial. On `cargo xtask stack` requests go where its environment says, else through kubectl.
fn tutorials(kubeconfig: &Path) -> Result<(), Failure> {
    let local = std::env::var_os("SERIN_SIDECAR").is_some();
    let mut follow = install::pages(if local { WAYS } else { WAYS_IN })?;
    on(&mut follow, kubeconfig)?;
    let mut forwarded = None;
    if !local {
        let mut client = tool("sh", kubeconfig)?;
        client.args(["-ec", CLIENT]);
        run::step("starting a client", || run::run(&mut client, NEXT))?;
        let mut forward = tool("kubectl", kubeconfig)?;
        forward.args(FORWARD).stdout(Stdio::null());
        let child = forward.spawn().map_err(|source| Failure::Start {
            command: run::line(&forward),
            source,
        })?;
        forwarded = Some(Running(child));
        std::thread::sleep(Duration::from_secs(2));
    }
    let outcome = run::step("following the tutorials", || run::run(&mut follow, NEXT));
    drop(forwarded);
    outcome
}

/// One of the programs that are built here, or one that calls them, for this cluster.
fn tool(program: &str, kubeconfig: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(program);
    on(&mut command, kubeconfig)?;
    Ok(command)
}

fn on(command: &mut Command, kubeconfig: &Path) -> Result<(), Failure> {
    let tools = [
        Set::Kind,
        Set::Kubectl,
        Set::KubectlArgoRollouts,
        Set::Istioctl,
    ];
    command.env("PATH", e2e::path_with(&tools)?);
    command.env("KUBECONFIG", kubeconfig);
    Ok(())
}
