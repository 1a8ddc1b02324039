//! The whole embedded cluster: API server, workloads, controller with the real plugin, and a mesh of two real Envoys.
//!
//! Everything is in this process but the Envoys and the plugin, which end when it is dropped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::apiserver::{ApiServer, ObjectRef, StartError, Store};
use crate::argo::plugin::{LogSink, Plan, PluginError};
use crate::argo::{CallObserver, Keeper};
use crate::echo::Observer;
use crate::mesh::{Debounce, Mesh, MeshError, Via};
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
    controller: Keeper,
    mesh: Mesh,
    _workloads: Workloads,
    server: ApiServer,
    /// The plugin's file.
    program: PathBuf,
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
        let workloads = Workloads::start(server.store(), manners, observers.requests);
        let mesh =
            Mesh::start_with(server.store(), &programs.envoy, folder, Debounce::ISTIOD).await?;
        let plan = Plan {
            program: programs.plugin.clone(),
            arguments: Vec::new(),
            environment: vec![
                ("KUBECONFIG".to_owned(), kubeconfig.display().to_string()),
                // A plugin that is killed leaves its socket there.
                ("TMPDIR".to_owned(), folder.display().to_string()),
            ],
        };
        let program = programs.plugin.clone();
        let started = Keeper::start(server.store(), plan, observers.log, observers.calls).await;
        Ok(Self {
            controller: started.map_err(|source| not_started(&program, source))?,
            mesh,
            _workloads: workloads,
            server,
            program,
        })
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
        self.controller.plugin().await
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

    /// Ends the controller and its plugin without warning, and starts both again after `pause`; see
    /// [`Keeper::restart`].
    pub async fn kill_controller(&self, pause: Duration) -> Result<(), EmbeddedError> {
        let restarted = self.controller.restart(pause).await;
        restarted.map_err(|source| not_started(&self.program, source))
    }
}

fn not_started(program: &Path, source: PluginError) -> EmbeddedError {
    EmbeddedError::Plugin {
        program: program.to_path_buf(),
        source,
    }
}
