//! The whole embedded cluster: API server, workloads, controller with the real plugin, and a mesh of two real Envoys.
//!
//! Everything is in this process but the Envoys and the plugin, which end when it is dropped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use serde_json::Value;

use crate::apiserver::{ApiServer, ObjectRef, StartError, Store};
use crate::argo::plugin::{LogSink, Plan, PluginError};
use crate::argo::{CallObserver, Controller};
use crate::echo::Observer;
use crate::mesh::{Mesh, MeshError, Via};
use crate::workloads::{Manners, Workloads};

/// The programs that are not embedded.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Envoy.
    pub envoy: PathBuf,
    /// The plugin that the controller calls.
    pub plugin: PathBuf,
}

/// Who is told of what happens inside.
#[derive(Clone)]
pub struct Observers {
    /// Of every request that a pod gets.
    pub requests: Observer,
    /// Of every call of the plugin.
    pub calls: CallObserver,
    /// Of every line that the plugin logs.
    pub log: LogSink,
}

/// A running cluster.
pub struct Embedded {
    // Dropped in this order: nobody writes to what is gone.
    controller: Mutex<Option<Controller>>,
    mesh: Mesh,
    _workloads: Workloads,
    server: ApiServer,
    plan: Plan,
    observers: Observers,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The API server has no port.
    #[error(transparent)]
    ApiServer(#[from] StartError),
    /// An Envoy didn't start, or has ended.
    #[error("the embedded mesh doesn't work")]
    Mesh(#[from] MeshError),
    /// The plugin didn't start.
    #[error("the plugin {} didn't start", program.display())]
    Plugin {
        /// Its file.
        program: PathBuf,
        /// Why.
        #[source]
        source: PluginError,
    },
    /// A Rollout takes too long.
    #[error("Rollout {rollout} is not healthy after {} s: {status}", limit.as_secs())]
    NotHealthy {
        /// Namespace and name.
        rollout: String,
        /// How long it was waited for.
        limit: Duration,
        /// Its status, as JSON.
        status: String,
    },
    /// The plugin's way to the API server could not be written down.
    #[error("cannot write {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: std::io::Error,
    },
}

impl Embedded {
    /// Starts everything, with files under `folder`, which stays the caller's.
    pub async fn start(
        programs: &Programs,
        folder: &Path,
        manners: Manners,
        observers: Observers,
    ) -> Result<Self, EmbeddedError> {
        let server = ApiServer::start().await?;
        let kubeconfig = folder.join("kubeconfig");
        std::fs::write(&kubeconfig, server.kubeconfig()).map_err(|source| {
            EmbeddedError::Kubeconfig {
                path: kubeconfig.clone(),
                source,
            }
        })?;
        let workloads = Workloads::start(server.store(), manners, observers.requests.clone());
        let mesh = Mesh::start(server.store(), &programs.envoy, folder).await?;
        let plan = Plan {
            program: programs.plugin.clone(),
            arguments: Vec::new(),
            environment: vec![
                ("KUBECONFIG".to_owned(), kubeconfig.display().to_string()),
                // A plugin that is killed leaves its socket there.
                ("TMPDIR".to_owned(), folder.display().to_string()),
            ],
        };
        let cluster = Self {
            controller: Mutex::new(None),
            mesh,
            _workloads: workloads,
            server,
            plan,
            observers,
        };
        cluster.start_controller().await?;
        Ok(cluster)
    }

    /// The API server: its objects, its faults, what was asked of it.
    pub fn api(&self) -> &ApiServer {
        &self.server
    }

    /// The objects.
    pub fn store(&self) -> &Store {
        self.server.store()
    }

    /// The proxies.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Where a client sends requests that go this way.
    pub fn target(&self, via: Via) -> SocketAddr {
        self.mesh.target(via)
    }

    /// The plugin's process, and how often it has been started by this controller.
    pub async fn plugin(&self) -> (Option<u32>, u64) {
        let controller = self.controller.lock().await;
        controller.as_ref().map_or((None, 0), |controller| {
            (controller.plugin_process(), controller.plugin_starts())
        })
    }

    /// Waits until the Rollout at `at` is healthy and both proxies know of everything.
    pub async fn ready(&self, at: &ObjectRef, limit: Duration) -> Result<(), EmbeddedError> {
        let began = Instant::now();
        loop {
            let rollout = self.store().get(at).unwrap_or_default();
            let status = rollout.get("status").unwrap_or(&Value::Null);
            if status.get("phase").and_then(Value::as_str) == Some("Healthy") {
                break;
            }
            if began.elapsed() > limit {
                return Err(EmbeddedError::NotHealthy {
                    rollout: format!("{}/{}", at.namespace, at.name),
                    limit,
                    status: status.to_string(),
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(self.mesh.settled().await?)
    }

    /// Ends the controller and its plugin without warning, and starts both again after `pause`.
    pub async fn kill_controller(&self, pause: Duration) -> Result<(), EmbeddedError> {
        let controller = self.controller.lock().await.take();
        if let Some(controller) = controller {
            controller.kill().await;
        }
        tokio::time::sleep(pause).await;
        self.start_controller().await
    }

    async fn start_controller(&self) -> Result<(), EmbeddedError> {
        let (log, calls) = (self.observers.log.clone(), self.observers.calls.clone());
        let controller = Controller::start(self.store(), self.plan.clone(), log, calls);
        let controller = controller.await.map_err(|source| EmbeddedError::Plugin {
            program: self.plan.program.clone(),
            source,
        })?;
        *self.controller.lock().await = Some(controller);
        Ok(())
    }
}
