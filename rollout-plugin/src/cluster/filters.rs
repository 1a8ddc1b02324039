//! The filter objects of a cluster, wherever they are and whoever names them.

use argo_rollouts::go_plugin::Chain;
use kube::api::ListParams;
use tracing::debug;

use crate::cluster::cache::{answered, api};
use crate::cluster::decode::{Body, Specified};
use crate::cluster::error::Cause;
use crate::cluster::{ALL_NAMESPACES, Cluster, ClusterError};
use crate::config::FilterKind;
use crate::object::Object;

impl Cluster {
    /// All objects of both kinds, other filters' among them, past the cache. A kind that can't be listed counts as having
    /// none: it may not be installed, and the plugin may be allowed to see some namespaces only.
    pub(crate) async fn filter_objects(&self) -> Vec<Object> {
        let mut found = Vec::new();
        for kind in FilterKind::ALL.map(FilterKind::kind) {
            let api = api::<Specified>(self.clients.of(kind), kind, ALL_NAMESPACES);
            match answered(api.list(&ListParams::default())).await {
                Ok(list) => found.extend(list.into_iter().map(|one| one.object(kind))),
                Err(error) => {
                    let error = ClusterError::of_read(kind, ALL_NAMESPACES, Cause::from(error));
                    debug!(error = %Chain(&error), "not searched for filter objects");
                }
            }
        }
        found
    }
}
