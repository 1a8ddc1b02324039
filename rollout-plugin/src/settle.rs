//! Settles a call on the cluster: observes, asks the core, carries out the first write, until none is left.

use std::time::Duration;

use argo_rollouts::Rollout;
use tracing::debug;

use crate::cluster::{Cluster, ClusterError, Written};
use crate::core::error::CoreError;
use crate::core::plan::{Call, Observed, Versions, Write, writes};
use crate::core::routing::{RolloutKey, Routing};
use crate::core::rules::has_canary;
use crate::entry::Entry;
use crate::object::Kind;
use crate::observe::observe;
use crate::router::CallError;

/// How many writes and lost races one call may take. A call needs at most four writes; the rest is for other
/// writers, and a call that still finds the objects changed reports it and is called again.
pub(crate) const MAX_TRIES: u32 = 40;

/// How many writes without an answer are tried again: a connection may break at any time, but an API server that never
/// answers must not hold up an abort that waits for this call to end.
const MAX_UNANSWERED: u32 = 1;

/// The wait after a setback, times their number so far.
const PAUSE: Duration = Duration::from_millis(5);

/// Writes until nothing is left to write.
pub(crate) async fn settle(
    cluster: &Cluster,
    entry: &Entry,
    rollout: &Rollout,
    routing: &Routing,
    call: Call<'_>,
) -> Result<(), CallError> {
    let (mut relisted, mut rehearsed) = (false, false);
    let mut setbacks = Setbacks::default();
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
        let written = cluster.carry_out(first).await?;
        setbacks.take(&routing.rollout, written).await?;
    }
    Err(CallError::Overtaken {
        namespace: routing.rollout.namespace.clone(),
        name: routing.rollout.name.clone(),
    })
}

/// The writes of one call, or of one repair, that have not come through.
#[derive(Debug, Default)]
pub(crate) struct Setbacks {
    races: u32,
    unanswered: u32,
}

impl Setbacks {
    /// Takes in how a write has ended, and waits where another try is to come. True if it has come through.
    ///
    /// # Errors
    /// That of a write that the API server has not answered, once it has been tried again.
    pub(crate) async fn take(
        &mut self,
        rollout: &RolloutKey,
        written: Written,
    ) -> Result<bool, ClusterError> {
        match written {
            Written::Done => return Ok(true),
            Written::Overtaken => {
                self.races += 1;
                debug!(%rollout, races = self.races, "overtaken by another writer");
            }
            Written::Unanswered(error) if self.unanswered >= MAX_UNANSWERED => return Err(error),
            Written::Unanswered(_) => self.unanswered += 1,
        }
        tokio::time::sleep(PAUSE * (self.races + self.unanswered)).await;
        Ok(false)
    }
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
