//! Brings up the control plane: etcd, the API server, the controller manager, istiod, and the Argo Rollouts controller
//! with the plugin registered, each as its documentation says and as `manifests/` tells users to.

pub(crate) mod api_server;
mod plans;
mod restart;
mod upgrade;

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scenarios::{Cluster, Module, read_yaml};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::account::Account;
use crate::controller_pod::Images;
use crate::error::Error;
use crate::flags::{Router, StackFlags};
use crate::program::Program;
use crate::stack::api_server::ApiServer;
use crate::{image, kubelet, proxy};

/// Where istiod serves xDS in plain text.
pub(crate) const XDS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 15010);
const ISTIOD_READY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Where the Argo controller serves its metrics.
pub(crate) const CONTROLLER_METRICS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 18090);

/// The Argo controller's namespace, in which it looks for its configuration.
pub(crate) const ARGO_NAMESPACE: &str = "argo-rollouts";
/// The mesh's root namespace.
const MESH_NAMESPACE: &str = "istio-system";

/// A limit on every start: far above what any of them takes on two cores.
const START_LIMIT: Duration = Duration::from_secs(90);

/// The running control plane.
pub(crate) struct Stack {
    /// Its API, as an administrator.
    pub(crate) cluster: Arc<Cluster>,
    /// Everything that has to run until the end.
    programs: Vec<Program>,
    /// Replaced by a scenario.
    istiod: Program,
    /// Killed and started again by a scenario; none where a pod of its Deployment is it.
    controller: Option<Program>,
    /// Logs and working files.
    folder: PathBuf,
    /// What the controller and the plugin show to the API server.
    account: Arc<Mutex<Account>>,
    /// The administrator's kubeconfig.
    admin: PathBuf,
}

impl Stack {
    /// Starts everything but the proxies; `folder` takes logs and working files.
    pub(crate) async fn start(flags: &StackFlags, folder: &Path) -> Result<Self, Error> {
        let ApiServer {
            cluster,
            admin,
            mut programs,
        } = ApiServer::start(&flags.programs, folder).await?;
        programs.push(Program::start(
            plans::controller_manager(flags, folder, &admin),
            folder,
        )?);
        prepare(flags, &cluster).await?;
        let plan = plans::istiod(&flags.programs.istio, folder, &admin)?;
        let mut istiod = Program::start(plan, folder)?;
        upgrade::ready(&mut istiod, &mut programs).await?;
        let ca = api_server::ca(folder)?;
        let account = Account::new(cluster.client(), folder, ca).await?;
        let controller = if flags.without_serin {
            None
        } else {
            let plan = plans::controller(flags, folder, account.volume())?;
            Some(Program::start(plan, folder)?)
        };
        Ok(Self {
            cluster: Arc::new(cluster),
            programs,
            istiod,
            controller,
            folder: folder.to_path_buf(),
            account: Arc::new(Mutex::new(account)),
            admin,
        })
    }

    /// Adds a program that has to run until the end.
    pub(crate) fn add(&mut self, program: Program) {
        self.programs.push(program);
    }

    /// The administrator's kubeconfig.
    pub(crate) fn admin(&self) -> &OsStr {
        self.admin.as_os_str()
    }

    /// The controller's service account.
    pub(crate) fn account(&self) -> Arc<Mutex<Account>> {
        Arc::clone(&self.account)
    }

    /// What pods of the controller's Deployment are made of, where they are the controller.
    pub(crate) async fn images(&self, flags: &StackFlags, folder: &Path) -> Option<Images> {
        flags.without_serin.then_some(())?;
        Some(Images {
            controller: flags.programs.argo_rollouts.join("rollouts-controller"),
            plugin: flags.plugin.clone(),
            account: self.account.lock().await.volume().to_path_buf(),
            folder: folder.to_path_buf(),
        })
    }

    /// An error with the log's end if a program has ended.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        check(&mut self.programs)?;
        self.istiod.check()?;
        self.controller.iter_mut().try_for_each(Program::check)
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

/// Namespaces, the node, the controller's roles, and Serin's own manifests.
async fn prepare(flags: &StackFlags, cluster: &Cluster) -> Result<(), Error> {
    let named = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    for object in [
        named("Node", kubelet::NODE),
        named("Namespace", MESH_NAMESPACE),
        named("Namespace", ARGO_NAMESPACE),
        named("Namespace", proxy::CLIENT_NAMESPACE),
    ] {
        cluster.apply(&object, None).await?;
    }
    let argo = flags.programs.argo_rollouts.join("manifests");
    let mut files = vec![
        argo.join("role/argo-rollouts-clusterrole.yaml"),
        argo.join("base/argo-rollouts-sa.yaml"),
        argo.join("cluster-install/argo-rollouts-clusterrolebinding.yaml"),
    ];
    if flags.without_serin {
        let own = [
            "base/argo-rollouts-config.yaml",
            "base/argo-rollouts-deployment.yaml",
        ];
        files.extend(own.map(|file| argo.join(file)));
    } else if flags.traffic_router == Router::Serin {
        let ours = [
            "base/rbac.yaml",
            "components/plugin-file/config.yaml",
            flags.filter.manifest(),
        ];
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
fn local(object: &mut Value, flags: &StackFlags) {
    flags
        .filter
        .filter()
        .load(object, &flags.url(Module::Plain));
    if let Some(plugins) = object.pointer_mut("/data/trafficRouterPlugins") {
        let location = image::location(&flags.plugin);
        *plugins = json!(json!([{"name": "serin/istio", "location": location}]).to_string());
    }
}

fn write(path: &Path, content: &str) -> Result<(), Error> {
    std::fs::write(path, content).map_err(Error::file("write", path))
}
