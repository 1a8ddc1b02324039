//! Brings up the control plane: etcd, the API server, the controller manager, istiod, and the Argo Rollouts controller
//! with the plugin registered, each as its documentation says and as `manifests/` tells users to.

mod plans;
mod restart;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use go_plugin::Chain;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use scenarios::{Cluster, read_yaml};
use serde_json::{Value, json};
use testbed::probe;

use crate::error::Error;
use crate::flags::{Flags, Router};
use crate::program::Program;
use crate::{kubelet, proxy};

/// Where istiod serves xDS in plain text.
pub(crate) const XDS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 15010);
const ISTIOD_READY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const API_SERVER: &str = "https://127.0.0.1:6443";

/// The Argo controller's namespace, in which it looks for its configuration.
const ARGO_NAMESPACE: &str = "argo-rollouts";
/// The mesh's root namespace.
const MESH_NAMESPACE: &str = "istio-system";

/// A limit on every start: far above what any of them takes on two cores.
const START_LIMIT: Duration = Duration::from_secs(90);

/// Users of the API server: token, name, groups. The controller has the name of its service account, so that the
/// bindings which users apply are the ones that hold here.
const TOKENS: &str = "admin,admin,admin,\"system:masters\"\n\
    argo,system:serviceaccount:argo-rollouts:argo-rollouts,argo,\"system:serviceaccounts,system:serviceaccounts:argo-rollouts\"\n";

/// The running control plane.
pub(crate) struct Stack {
    /// Its API, as an administrator.
    pub(crate) cluster: Arc<Cluster>,
    /// Everything that has to run until the end.
    programs: Vec<Program>,
    /// Killed and started again by a scenario.
    controller: Program,
}

impl Stack {
    /// Starts everything but the proxies; `folder` takes logs and working files.
    pub(crate) async fn start(flags: &Flags, folder: &Path) -> Result<Self, Error> {
        write(&folder.join("tokens.csv"), TOKENS)?;
        let admin = kubeconfig(folder, "admin")?;
        let argo = kubeconfig(folder, "argo")?;
        let mut programs = vec![Program::start(plans::etcd(flags, folder), folder)?];
        programs.push(Program::start(plans::api_server(flags, folder)?, folder)?);
        let client = client(&admin).await?;
        until(
            "the API server",
            START_LIMIT,
            || check(&mut programs),
            async || match client.request_text(request("/readyz")).await {
                Ok(_) => Ok(()),
                Err(error) => Err(Chain(&error).to_string()),
            },
        )
        .await?;
        programs.push(Program::start(
            plans::controller_manager(flags, folder, &admin),
            folder,
        )?);

        let cluster = Cluster::new(client);
        prepare(flags, &cluster, &mut programs).await?;
        programs.push(Program::start(
            plans::istiod(flags, folder, &admin)?,
            folder,
        )?);
        until(
            "istiod",
            START_LIMIT,
            || check(&mut programs),
            async || {
                let answer = probe::get(ISTIOD_READY, "/ready").await;
                answer.map(drop).map_err(|error| error.to_string())
            },
        )
        .await?;
        let controller = Program::start(plans::controller(flags, folder, &argo)?, folder)?;
        Ok(Self {
            cluster: Arc::new(cluster),
            programs,
            controller,
        })
    }

    /// Adds a program that has to run until the end.
    pub(crate) fn add(&mut self, program: Program) {
        self.programs.push(program);
    }

    /// An error with the log's end if a program has ended.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        check(&mut self.programs)?;
        self.controller.check()
    }
}

fn check(programs: &mut [Program]) -> Result<(), Error> {
    programs.iter_mut().try_for_each(Program::check)
}

/// Waits until `attempt` succeeds, while `check` finds everything running.
pub(crate) async fn until(
    what: &str,
    limit: Duration,
    mut check: impl FnMut() -> Result<(), Error>,
    mut attempt: impl AsyncFnMut() -> Result<(), String>,
) -> Result<(), Error> {
    let began = Instant::now();
    loop {
        check()?;
        match attempt().await {
            Ok(()) => return Ok(()),
            Err(seen) if began.elapsed() > limit => {
                return Err(Error::Waited {
                    what: what.to_owned(),
                    limit,
                    seen,
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// CRDs, namespaces, the node, the controller's roles, and Serin's own manifests.
async fn prepare(flags: &Flags, cluster: &Cluster, programs: &mut [Program]) -> Result<(), Error> {
    let mut definitions = yaml_folder(&flags.argo_rollouts.join("manifests/crds"), "-crd.yaml")?;
    definitions.extend(read_yaml(
        &flags
            .istio
            .join("manifests/charts/base/files/crd-all.gen.yaml"),
    )?);
    for definition in &definitions {
        cluster.apply(definition, None).await?;
    }
    until(
        "the custom resources",
        START_LIMIT,
        || check(programs),
        async || {
            let established = established(cluster)
                .await
                .map_err(|error| Chain(&error).to_string())?;
            if established >= definitions.len() {
                return Ok(());
            }
            Err(format!(
                "{established} of {} established",
                definitions.len()
            ))
        },
    )
    .await?;
    cluster.discover().await?;

    let named = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    for object in [
        named("Node", kubelet::NODE),
        named("Namespace", MESH_NAMESPACE),
        named("Namespace", ARGO_NAMESPACE),
        named("Namespace", proxy::CLIENT_NAMESPACE),
    ] {
        cluster.apply(&object, None).await?;
    }
    let argo = flags.argo_rollouts.join("manifests");
    let mut files = vec![
        argo.join("role/argo-rollouts-clusterrole.yaml"),
        argo.join("base/argo-rollouts-sa.yaml"),
        argo.join("cluster-install/argo-rollouts-clusterrolebinding.yaml"),
    ];
    if flags.traffic_router == Router::Serin {
        let ours = ["rbac.yaml", "argo-rollouts-config.yaml", "wasmplugin.yaml"];
        files.extend(ours.map(|file| flags.manifests.join(file)));
    }
    for file in files {
        for mut object in read_yaml(&file)? {
            local(&mut object, flags);
            cluster.apply(&object, Some(ARGO_NAMESPACE)).await?;
        }
    }
    for object in proxy::objects() {
        cluster.apply(&object, None).await?;
    }
    Ok(())
}

/// Puts what was built here in the place of what a user downloads.
fn local(object: &mut Value, flags: &Flags) {
    if let Some(url) = object.pointer_mut("/spec/url") {
        *url = json!(format!("file://{}", flags.module.display()));
        if let Some(spec) = object.pointer_mut("/spec").and_then(Value::as_object_mut) {
            spec.remove("sha256");
        }
    }
    if let Some(plugins) = object.pointer_mut("/data/trafficRouterPlugins") {
        let location = format!("file://{}", flags.plugin.display());
        *plugins = json!(json!([{"name": "serin/istio", "location": location}]).to_string());
    }
}

async fn established(cluster: &Cluster) -> Result<usize, Error> {
    let definitions = cluster.list(scenarios::CRD, None).await?;
    let is_established = |definition: &&Value| {
        definition
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .is_some_and(|conditions| {
                conditions
                    .iter()
                    .any(|one| one["type"] == "Established" && one["status"] == "True")
            })
    };
    Ok(definitions.iter().filter(is_established).count())
}

fn yaml_folder(folder: &Path, ending: &str) -> Result<Vec<Value>, Error> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(Error::file("read", folder))?
        .filter_map(|item| item.ok().map(|item| item.path()))
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    let mut documents = Vec::new();
    for file in files {
        documents.extend(read_yaml(&file)?);
    }
    Ok(documents)
}

/// Writes the kubeconfig of a user of [`TOKENS`].
fn kubeconfig(folder: &Path, user: &str) -> Result<PathBuf, Error> {
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "e2e", "cluster": {"server": API_SERVER, "insecure-skip-tls-verify": true}}],
        "users": [{"name": user, "user": {"token": user}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": user}}],
        "current-context": "e2e",
    });
    let path = folder.join(format!("kubeconfig-{user}"));
    write(&path, &content.to_string())?;
    Ok(path)
}

async fn client(kubeconfig: &Path) -> Result<Client, Error> {
    let failed = |source: kube::Error| Error::Connect {
        source: Box::new(source),
    };
    let kubeconfig = Kubeconfig::read_from(kubeconfig)
        .map_err(|source| failed(kube::Error::InferKubeconfig(source)))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|source| failed(kube::Error::InferKubeconfig(source)))?;
    Client::try_from(config).map_err(failed)
}

fn request(path: &str) -> http::Request<Vec<u8>> {
    let mut request = http::Request::new(Vec::new());
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    request
}

fn write(path: &Path, content: &str) -> Result<(), Error> {
    std::fs::write(path, content).map_err(Error::file("write", path))
}
