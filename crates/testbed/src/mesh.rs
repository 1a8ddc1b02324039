//! Stands in for istiod: turns VirtualServices, DestinationRules, Gateways, Services, Pods and WasmPlugins into the files
//! that two real Envoys read, a client's sidecar and a gateway.
//!
//! `translate` is pure: objects in, one proxy's configuration out. `follow` watches the store and hands each Envoy
//! (`front`) what has changed, so that no request fails on the way. What can't be translated is said by
//! [`Mesh::problems`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::apiserver::Store;
use crate::envoy::{Envoy, EnvoyError};

mod admin;
mod files;
mod follow;
mod front;
mod model;
mod translate;

pub use front::ApplyError;

use follow::State;
use front::Front;
use translate::Proxy;

/// Which way requests go in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Via {
    /// From a client in the mesh, through its sidecar. The client is alone in the namespace `client`.
    Sidecar,
    /// From outside, through the gateway: port 80 of all Gateways that select `istio: ingressgateway`.
    Gateway,
}

impl Via {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sidecar, Self::Gateway];

    /// The word for files and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::Gateway => "gateway",
        }
    }
}

/// Two Envoys that follow a store. Dropping it ends both.
#[derive(Debug)]
pub struct Mesh {
    store: Store,
    sidecar: Running,
    gateway: Running,
    state: watch::Receiver<State>,
    following: JoinHandle<()>,
}

#[derive(Debug)]
struct Running {
    envoy: Arc<Envoy>,
    target: SocketAddr,
    probe: SocketAddr,
}

/// Why there is no mesh, or why it isn't what the store says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// An Envoy didn't start.
    #[error("the {} doesn't start", via.word())]
    Start {
        /// Which.
        via: Via,
        /// Why.
        #[source]
        source: EnvoyError,
    },
    /// An Envoy didn't take its configuration, or is gone.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The task that follows the store has ended, as it does with its runtime.
    #[error("the embedded mesh follows its store no longer")]
    Ended,
}

impl Mesh {
    /// Starts both Envoys (`program`), with their files under `folder` (the caller's), and keeps them up to date with
    /// `store`. What is in the store now is live on return, unless [`settled`](Self::settled) says otherwise.
    pub async fn start(store: &Store, program: &Path, folder: &Path) -> Result<Self, MeshError> {
        // Nothing that is written from here on goes unseen.
        let changes = store.subscribe();
        let (sidecar, gateway) = tokio::try_join!(
            Running::start(Via::Sidecar, program, folder),
            Running::start(Via::Gateway, program, folder),
        )?;
        let fronts = [
            sidecar.front(Via::Sidecar, folder),
            gateway.front(Via::Gateway, folder),
        ];
        let (sender, mut state) = watch::channel(State::default());
        let following = tokio::spawn(follow::follow(store.clone(), changes, fronts, sender));
        // An error here is the task's end, which `settled` reports.
        let _ = state.wait_for(|state| state.revision > 0).await;
        Ok(Self {
            store: store.clone(),
            sidecar,
            gateway,
            state,
            following,
        })
    }

    /// Where a client sends its requests.
    pub fn target(&self, via: Via) -> SocketAddr {
        self.running(via).target
    }

    /// Problems of the current translation, one line each, empty when everything is translated.
    pub fn problems(&self) -> Vec<String> {
        self.state.borrow().problems.clone()
    }

    /// Waits until everything that was in the store at the call is live in both Envoys: each request that is sent later
    /// sees it, save the next one on a connection that was open while a WasmPlugin came or went.
    ///
    /// Fails if an Envoy refuses it, takes too long or is gone.
    pub async fn settled(&self) -> Result<(), MeshError> {
        let revision = self.store.revision();
        let mut state = self.state.clone();
        let failure = match state.wait_for(|state| state.revision >= revision).await {
            Ok(state) => state.failure.clone(),
            Err(_) => return Err(MeshError::Ended),
        };
        for via in Via::ALL {
            let running = self.running(via);
            if admin::get(running.probe, "/").await.is_err() {
                let log = running.envoy.log_end();
                return Err(ApplyError::Gone { via, log }.into());
            }
        }
        failure.map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// The Envoy itself, for its statistics and log.
    pub fn envoy(&self, via: Via) -> &Envoy {
        &self.running(via).envoy
    }

    fn running(&self, via: Via) -> &Running {
        match via {
            Via::Sidecar => &self.sidecar,
            Via::Gateway => &self.gateway,
        }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Running {
    async fn start(via: Via, program: &Path, folder: &Path) -> Result<Self, MeshError> {
        let failed = |source| MeshError::Start { via, source };
        let folder = own_folder(via, folder);
        let file = |source| {
            failed(EnvoyError::File {
                path: folder.clone(),
                source,
            })
        };
        tokio::fs::create_dir_all(&folder).await.map_err(file)?;
        front::write_empty(via, &folder).await?;
        let bootstrap = files::bootstrap(&Proxy::of(via), &folder);
        let program = program.to_path_buf();
        let started = tokio::task::spawn_blocking({
            let folder = folder.clone();
            move || {
                let envoy = Envoy::start(&program, &folder, bootstrap, 1)?;
                let target = envoy.listener(files::LISTENER)?;
                let probe = envoy.listener(files::PROBE)?;
                Ok((envoy, target, probe))
            }
        });
        let (envoy, target, probe) = started
            .await
            .map_err(|_| MeshError::Ended)?
            .map_err(failed)?;
        Ok(Self {
            envoy: Arc::new(envoy),
            target,
            probe,
        })
    }

    fn front(&self, via: Via, folder: &Path) -> Front {
        Front::new(via, own_folder(via, folder), &self.envoy, self.probe)
    }
}

/// The folder of one Envoy. Absolute, since Envoy watches what is in it.
fn own_folder(via: Via, folder: &Path) -> PathBuf {
    let folder = folder.join(via.word());
    std::path::absolute(&folder).unwrap_or(folder)
}
