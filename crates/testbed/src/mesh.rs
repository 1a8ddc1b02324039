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
use tokio_util::task::AbortOnDropHandle;

use crate::apiserver::Store;
use crate::envoy::{Envoy, EnvoyError};
use crate::probe;

mod admin;
mod error;
#[cfg(test)]
mod fake;
mod files;
mod follow;
mod front;
mod model;
mod translate;

pub use error::ApplyError;
pub use follow::Debounce;

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
    // Dropped first: it would miss the Envoys.
    _following: AbortOnDropHandle<()>,
    store: Store,
    sidecar: Running,
    gateway: Running,
    state: watch::Receiver<State>,
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
        Self::start_with(store, program, folder, Debounce::QUICK).await
    }

    /// The same, where changes are gathered for longer or shorter than [`Debounce::QUICK`].
    pub async fn start_with(
        store: &Store,
        program: &Path,
        folder: &Path,
        debounce: Debounce,
    ) -> Result<Self, MeshError> {
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
        let following = follow::follow(store.clone(), changes, fronts, debounce, sender);
        let following = AbortOnDropHandle::new(tokio::spawn(following));
        // An error here is the task's end, which `settled` reports.
        let _ = state.wait_for(|state| state.revision > 0).await;
        Ok(Self {
            _following: following,
            store: store.clone(),
            sidecar,
            gateway,
            state,
        })
    }

    /// Where a client sends its requests.
    pub fn target(&self, via: Via) -> SocketAddr {
        self.running(via).target
    }

    /// What could not be translated and what an Envoy has refused or not taken, one line each, at any time since the
    /// start: what is mended by now is still here. 100 at most; empty when all went well.
    pub fn problems(&self) -> Vec<String> {
        self.state.borrow().problems.iter().cloned().collect()
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
            let answer = admin::insist(|| probe::get(running.probe, "/"));
            if answer.await.is_err() {
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
        let folder = own_folder(via, folder);
        Front::new(
            via,
            folder,
            Arc::downgrade(&self.envoy),
            self.envoy.admin_address(),
            self.probe,
        )
    }
}

/// The folder of one Envoy. Absolute, since Envoy watches what is in it.
fn own_folder(via: Via, folder: &Path) -> PathBuf {
    let folder = folder.join(via.word());
    std::path::absolute(&folder).unwrap_or(folder)
}
