//! The API server alone: etcd, kube-apiserver, and the custom resources of Istio and Argo Rollouts.

use std::path::{Path, PathBuf};

use go_plugin::Chain;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use scenarios::{Cluster, read_yaml};
use serde_json::{Value, json};

use super::{START_LIMIT, check, plans, until, write};
use crate::error::Error;
use crate::flags::Programs;
use crate::program::Program;

pub(crate) const API_SERVER: &str = "https://127.0.0.1:6443";

/// Users of the API server: token, name, groups. The controller has its service account's token instead.
const TOKENS: &str = "admin,admin,admin,\"system:masters\"\n";

/// Where the API server puts the certificate that it makes for itself, and its CA's behind it.
const CERTIFICATES: &str = "certificates/apiserver.crt";
/// How a certificate begins in PEM.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// A running API server that knows the custom resources.
pub(crate) struct ApiServer {
    /// It, as an administrator.
    pub(crate) cluster: Cluster,
    /// The administrator's kubeconfig.
    pub(crate) admin: PathBuf,
    /// What it runs on; ends when dropped.
    pub(crate) programs: Vec<Program>,
}

impl ApiServer {
    /// Starts it with an empty store and makes the custom resources; `folder` takes logs, data and kubeconfigs.
    ///
    /// # Errors
    /// A program that can't be started or has ended, and whatever was waited for in vain.
    pub(crate) async fn start(flags: &Programs, folder: &Path) -> Result<Self, Error> {
        write(&folder.join("tokens.csv"), TOKENS)?;
        let admin = kubeconfig(folder, "admin")?;
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
        let cluster = Cluster::new(client);
        define(flags, &cluster, &mut programs).await?;
        Ok(Self {
            cluster,
            admin,
            programs,
        })
    }
}

/// The CA of the API server whose working folder this is, in PEM.
pub(super) fn ca(folder: &Path) -> Result<String, Error> {
    let path = folder.join(CERTIFICATES);
    let chain = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    match chain.rfind(BEGIN).and_then(|at| chain.get(at..)) {
        Some(last) => Ok(last.to_owned()),
        None => Err(Error::Certificate { path }),
    }
}

/// Makes the custom resources and waits until they can be used.
async fn define(
    flags: &Programs,
    cluster: &Cluster,
    programs: &mut [Program],
) -> Result<(), Error> {
    let mut definitions = yaml_folder(&flags.argo_rollouts.join("manifests/crds"), "-crd.yaml")?;
    definitions.extend(istio_definitions(&flags.istio)?);
    establish(&definitions, cluster, programs).await
}

/// The custom resources of the Istio in that folder, in place of those of another version.
pub(super) async fn define_istio(
    istio: &Path,
    cluster: &Cluster,
    programs: &mut [Program],
) -> Result<(), Error> {
    establish(&istio_definitions(istio)?, cluster, programs).await
}

fn istio_definitions(istio: &Path) -> Result<Vec<Value>, Error> {
    Ok(read_yaml(
        &istio.join("manifests/charts/base/files/crd-all.gen.yaml"),
    )?)
}

async fn establish(
    definitions: &[Value],
    cluster: &Cluster,
    programs: &mut [Program],
) -> Result<(), Error> {
    for definition in definitions {
        cluster.apply(definition, None).await?;
    }
    until(
        "the custom resources",
        START_LIMIT,
        || check(programs),
        async || {
            let established = established(definitions, cluster)
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
    Ok(())
}

/// How many of `definitions` can be used.
async fn established(definitions: &[Value], cluster: &Cluster) -> Result<usize, Error> {
    let live = cluster.list(scenarios::CRD, None).await?;
    let name = |definition: &Value| definition.pointer("/metadata/name").cloned();
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
    let is_meant = |one: &&Value| definitions.iter().any(|other| name(other) == name(one));
    Ok(live.iter().filter(is_meant).filter(is_established).count())
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
