//! What a user is told of a canary that goes on all the same, once for each version of the Rollout: in the log and as a
//! warning event.

use std::sync::Arc;

use argo_rollouts::Rollout;
use tracing::warn;

use crate::cluster::Cluster;
use crate::core::plan::Observed;
use crate::core::routing::RolloutKey;
use crate::core::warnings::{Warning, filters_that_meet};
use crate::entry::Entry;
use crate::object::Object;

/// Says it, unless that has been said of this version already.
pub(crate) fn warn_once(
    cluster: &Arc<Cluster>,
    entry: &Entry,
    rollout: &Rollout,
    warning: Warning,
) {
    let Warning { reason, message } = warning;
    let version = &rollout.status.current_pod_hash;
    if !entry.state().warned.is_new(version, &message) {
        return;
    }
    warn!(rollout = %RolloutKey::of(rollout), reason, "{message}");
    // The log has it already, and the call does not wait for it.
    let (cluster, rollout) = (Arc::clone(cluster), rollout.clone());
    tokio::spawn(async move {
        cluster.warn(&rollout, reason, &message).await;
    });
}

/// Looks for other filter objects that select the same proxies, once for each version and each list of the Rollout's own. The
/// call does not wait for it.
pub(crate) fn warn_of_filters(
    cluster: &Arc<Cluster>,
    entry: &Arc<Entry>,
    rollout: &Rollout,
    observed: &Observed,
) {
    let own: Vec<Arc<Object>> = observed.filters.iter().flatten().cloned().collect();
    let names: Vec<String> = own.iter().map(|object| object.id.to_string()).collect();
    let version = &rollout.status.current_pod_hash;
    if own.is_empty() || !entry.state().met.is_new(version, &names.join(" ")) {
        return;
    }
    let (cluster, entry) = (Arc::clone(cluster), Arc::clone(entry));
    let rollout = rollout.clone();
    tokio::spawn(async move {
        let all = cluster.filter_objects().await;
        for warning in filters_that_meet(&own, &all) {
            warn_once(&cluster, &entry, &rollout, warning);
        }
    });
}
