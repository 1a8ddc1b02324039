//! How the plugin finds its API servers: its own as kubectl does, and Istio's primary cluster by the secret that the
//! controller reads too.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tracing::{info, warn};

use crate::cluster::Clients;
use crate::cluster::cache::answered;
use crate::cluster::client::client;
use crate::cluster::error::{Cause, status_code};

/// Where the controller takes itself to be if nothing tells (argo-rollouts v1.10.1 `defaults.Namespace`).
pub(super) const ARGO_NAMESPACE: &str = "argo-rollouts";

/// Marks the secret that holds the primary cluster's kubeconfig
/// (argo-rollouts v1.10.1 `istioutil.PrimaryClusterSecretLabel`).
const PRIMARY_CLUSTER: &str = "istio.argoproj.io/primary-cluster=true";

/// Why there is no cluster to talk to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The kubeconfig or the pod's service account can't be used.
    #[error("no Kubernetes configuration: neither inside a cluster nor by KUBECONFIG")]
    NoConfiguration(#[source] Box<InferConfigError>),
    /// There is a configuration, but no client can be made of it.
    #[error("the Kubernetes configuration can't be used")]
    NoClient(#[source] Cause),
    /// Whether Istio's objects are elsewhere can't be told.
    #[error("can't list the secrets of namespace {namespace} with label {PRIMARY_CLUSTER}")]
    Secrets {
        /// The controller's.
        namespace: String,
        /// The API server's answer.
        #[source]
        source: Cause,
    },
    /// The primary cluster's secret holds nothing.
    #[error(
        "secret {secret} (label {PRIMARY_CLUSTER}): found no data, expected one key with a kubeconfig"
    )]
    Empty {
        /// Namespace and name.
        secret: String,
    },
    /// The primary cluster's kubeconfig is none.
    #[error("secret {secret} (label {PRIMARY_CLUSTER}): data[{key:?}] is not a usable kubeconfig")]
    Kubeconfig {
        /// Namespace and name.
        secret: String,
        /// The key in its data.
        key: String,
        /// What is wrong.
        #[source]
        source: Box<KubeconfigError>,
    },
}

/// Connects as `kubectl` would: by KUBECONFIG, or by the service account of the pod this runs in.
///
/// # Errors
/// [`ConnectError`]
pub async fn connect() -> Result<Clients, ConnectError> {
    let config = Config::infer()
        .await
        .map_err(|error| ConnectError::NoConfiguration(Box::new(error)))?;
    // The order of argo-rollouts v1.10.1 `defaults.Namespace`; a kubeconfig without a namespace says `default`.
    let namespace = match std::env::var("POD_NAMESPACE") {
        Ok(namespace) => namespace,
        Err(_) if config.default_namespace != "default" => config.default_namespace.clone(),
        Err(_) => ARGO_NAMESPACE.to_owned(),
    };
    connect_with(config, namespace).await
}

/// Connects to the API server of `config`, and to Istio's primary cluster if a secret in `namespace`, the controller's,
/// names one.
///
/// # Errors
/// [`ConnectError`]
pub async fn connect_with(config: Config, namespace: String) -> Result<Clients, ConnectError> {
    let unusable = |error: kube::Error| ConnectError::NoClient(error.into());
    let home = client(config).map_err(unusable)?;
    let istio = match primary_cluster(&home, &namespace).await? {
        Some(config) => client(config).map_err(unusable)?,
        None => home.clone(),
    };
    Ok(Clients {
        home,
        istio,
        namespace,
    })
}

/// The first such secret's first entry, as argo-rollouts v1.10.1 `istioutil.GetPrimaryClusterDynamicClient` takes it;
/// that one goes on without a word where the entry is unusable.
async fn primary_cluster(home: &Client, namespace: &str) -> Result<Option<Config>, ConnectError> {
    let secrets: Api<Secret> = Api::namespaced(home.clone(), namespace);
    let params = ListParams::default().labels(PRIMARY_CLUSTER).limit(1);
    let found = match answered(secrets.list(&params)).await {
        Ok(found) => found,
        Err(error) if status_code(&error) == Some(403) => {
            warn!(
                namespace,
                "no permission to list secrets: Istio's objects are taken to be in this cluster (manifests/base/rbac.yaml)"
            );
            return Ok(None);
        }
        Err(error) => {
            return Err(ConnectError::Secrets {
                namespace: namespace.to_owned(),
                source: error.into(),
            });
        }
    };
    let Some(secret) = found.items.into_iter().next() else {
        return Ok(None);
    };
    let name = secret.metadata.name.unwrap_or_default();
    let at = format!("{namespace}/{name}");
    let Some((key, bytes)) = secret.data.unwrap_or_default().into_iter().next() else {
        return Err(ConnectError::Empty { secret: at });
    };
    let unusable = |source: KubeconfigError| ConnectError::Kubeconfig {
        secret: at.clone(),
        key: key.clone(),
        source: Box::new(source),
    };
    let text = String::from_utf8_lossy(&bytes.0);
    let kubeconfig = Kubeconfig::from_yaml(&text).map_err(unusable)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(unusable)?;
    info!(secret = at, key, server = %config.cluster_url, "Istio's objects are in the primary cluster");
    Ok(Some(config))
}
