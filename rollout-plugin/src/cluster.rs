//! The thin shell around the API server: reads from a watch cache, guarded writes.

mod cache;
mod client;
mod connect;
mod decode;
mod error;
mod event;
mod filters;
mod lease;
mod rollouts;
mod token;
mod write;

use kube::Client;

use crate::object::Kind;

pub use cache::{ALL_NAMESPACES, Cache};
pub(crate) use cache::{Change, Origin, Scope};
pub use connect::{ConnectError, connect, connect_with};
pub use error::{Cause, ClusterError};
pub(crate) use lease::{Leadership, instance_of};
pub(crate) use rollouts::{Found, RolloutEvent, Rollouts, reduced};
pub use write::Written;

/// How the API servers are reached. With a single cluster both are the same.
#[derive(Clone)]
pub struct Clients {
    /// Where the controller runs: Rollouts, ReplicaSets, Services, leases, events.
    pub home: Client,
    /// Istio's primary cluster: VirtualServices, DestinationRules, WasmPlugins, TrafficExtensions.
    pub istio: Client,
    /// The controller's own namespace, where its lease and the primary cluster's secret are.
    pub namespace: String,
}

impl Clients {
    pub(crate) fn of(&self, kind: Kind) -> &Client {
        match kind {
            Kind::VirtualService
            | Kind::DestinationRule
            | Kind::WasmPlugin
            | Kind::TrafficExtension => &self.istio,
            Kind::ReplicaSet | Kind::Service => &self.home,
        }
    }
}

/// The cluster: what the core needs to observe, and how its writes get there.
pub struct Cluster {
    pub(crate) cache: Cache,
    pub(crate) clients: Clients,
}

impl Cluster {
    /// Reads and writes through `client`. Nothing is requested until something is asked for.
    pub fn new(client: Client) -> Self {
        Self::on(Clients {
            home: client.clone(),
            istio: client,
            namespace: connect::ARGO_NAMESPACE.to_owned(),
        })
    }

    /// The same with Istio's objects somewhere else.
    pub fn on(clients: Clients) -> Self {
        Self {
            cache: Cache::new(clients.clone()),
            clients,
        }
    }
}
