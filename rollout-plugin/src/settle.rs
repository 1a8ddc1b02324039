//! Settles a call on the cluster: observes, asks the core, carries out the first write, until none is left.

use std::time::Duration;

use argo_rollouts::Rollout;
use tracing::debug;

use crate::cluster::{Cluster, Written};
use crate::core::error::CoreError;
use crate::core::plan::{Call, Observed, Versions, Write, writes};
use crate::core::routing::Routing;
use crate::core::rules::has_canary;
use crate::entry::Entry;
use crate::object::Kind;
use crate::observe::observe;
use crate::router::CallError;

/// How many writes and lost races one call may take. A call needs at most four writes; the rest is for other
/// writers, and a call that still finds the objects changed reports it and is called again.
pub(crate) const MAX_TRIES: u32 = 40;

/// The wait after a lost race, times the number of races lost so far.
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);

/// Writes until nothing is left to write.
pub(crate) async fn settle(
    cluster: &Cluster,
    entry: &Entry,
    rollout: &Rollout,
    routing: &Routing,
    call: Call<'_>,
) -> Result<(), CallError> {
    let (mut races, mut relisted, mut rehearsed) = (0, false, false);
    for _ in 0..MAX_TRIES {
        let (observed, _) = observe(&cluster.cache, routing, call).await?;
        let pending = writes(rollout, routing, &observed, call);
        if !relisted && misses_pods(rollout, &observed, call, &pending) {
            // The controller's own watch may have seen them a moment before this one.
            relisted = true;
            let namespace = &routing.rollout.namespace;
            cluster.cache.relist(Kind::ReplicaSet, namespace).await?;
            continue;
        }
        let pending = pending?;
        let Some(first) = pending.first() else {
            return Ok(());
        };
        entry.state().changes_policy(routing, &observed, &pending);
        if !rehearsed && let Some(policy) = last_of_several(&pending) {
            // A policy that is refused must not leave lane routes behind that were made for it.
            rehearsed = true;
            cluster.rehearse(policy).await?;
        }
        match cluster.carry_out(first).await? {
            Written::Done => {}
            Written::Overtaken => {
                races += 1;
                debug!(rollout = %routing.rollout, races, "overtaken by another writer");
                pause(races).await;
            }
        }
    }
    Err(CallError::Overtaken {
        namespace: routing.rollout.namespace.clone(),
        name: routing.rollout.name.clone(),
    })
}

/// Waits after a lost race.
pub(crate) async fn pause(races: u32) {
    tokio::time::sleep(CONFLICT_PAUSE * races).await;
}

/// The policy's change, where other objects are to be changed before it.
pub(crate) fn last_of_several(pending: &[Write]) -> Option<&Write> {
    match pending {
        [_, .., last @ Write::Policy { .. }] => Some(last),
        _ => None,
    }
}

/// True if the outcome would be another one with pods of the current version.
fn misses_pods(
    rollout: &Rollout,
    observed: &Observed,
    call: Call<'_>,
    pending: &Result<Vec<Write>, CoreError>,
) -> bool {
    match pending {
        Err(CoreError::NoPods { .. }) => true,
        Ok(writes) if writes.is_empty() => {
            let current = &rollout.status.current_pod_hash;
            matches!(call, Call::SetRoute(_))
                && has_canary(rollout)
                && !Versions::of(&observed.replica_sets).has_pods(current)
        }
        _ => false,
    }
}
