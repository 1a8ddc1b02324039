//! Settles a call on the cluster: observes, asks the core, carries out the first write, until none is left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use argo_rollouts::Rollout;
use serde_json::Value;
use tracing::debug;

use crate::cluster::{Cluster, ClusterError, Written};
use crate::core::ahead::policy_to_come;
use crate::core::capacity::{reaches_canary, stable_waits_for};
use crate::core::error::CoreError;
use crate::core::plan::{Call, Observed, Write, writes};
use crate::core::policy::check_edge;
use crate::core::reach::reach;
use crate::core::routing::{RolloutKey, Routing};
use crate::core::rules::has_canary;
use crate::core::warnings::warnings;
use crate::entry::{Entry, Foreseen};
use crate::object::Kind;
use crate::observe::observe;
use crate::router::CallError;
use crate::warn::{warn_of_filters, warn_once};

/// How many writes and lost races one call may take. A call needs a handful of writes; the rest is for other
/// writers, and a call that still finds the objects changed reports it and is called again.
pub(crate) const MAX_TRIES: u32 = 40;

/// How many writes without an answer are tried again: a connection may break at any time, but an API server that never
/// answers must not hold up an abort that waits for this call to end.
const MAX_UNANSWERED: u32 = 1;

/// The wait after a setback, times their number so far.
const PAUSE: Duration = Duration::from_millis(5);

/// Writes until nothing is left to write.
pub(crate) async fn settle(
    cluster: &Arc<Cluster>,
    entry: &Arc<Entry>,
    rollout: &Rollout,
    routing: &Routing,
    call: Call<'_>,
) -> Result<(), CallError> {
    let leads_on = leads_on(rollout, call);
    if leads_on {
        entry.check_ahead(rollout, routing)?;
    }
    let (mut relisted, mut rehearsed) = (false, false);
    let mut setbacks = Setbacks::default();
    for _ in 0..MAX_TRIES {
        let (mut observed, _) = observe(&cluster.cache, routing, call).await?;
        observed.history = entry.state().steps_of_call(rollout, None);
        if leads_on {
            check_edge(routing, &observed)?;
            for warning in warnings(routing, &observed) {
                warn_once(cluster, entry, rollout, warning);
            }
            warn_of_filters(cluster, entry, rollout, &observed);
        }
        let pending = writes(rollout, routing, &observed, call);
        if !relisted && misses_pods(rollout, routing, &observed, call, &pending) {
            // The controller's own watch may have seen them a moment before this one.
            relisted = true;
            let namespace = &routing.rollout.namespace;
            cluster.cache.relist(Kind::ReplicaSet, namespace).await?;
            continue;
        }
        let pending = pending?;
        if leads_on {
            check_to_come(cluster, entry, rollout, routing, &observed, &pending).await?;
        }
        let Some(first) = pending.first() else {
            return Ok(());
        };
        entry.state().changes_policy(routing, &observed, &pending);
        let behind_others = policies_behind_others(&pending);
        if !rehearsed && !behind_others.is_empty() {
            // A policy that is refused must not leave lane routes behind that were made for it, nor the others half done.
            rehearsed = true;
            for policy in behind_others {
                cluster.rehearse(policy).await?;
            }
        }
        let written = cluster.carry_out(first).await?;
        setbacks.take(&routing.rollout, first, written).await?;
    }
    Err(CallError::Overtaken {
        namespace: routing.rollout.namespace.clone(),
        name: routing.rollout.name.clone(),
    })
}

/// Checks what the header and mirror steps to come need of the objects, whether their requests get to the canary, and that
/// the API server takes their policy: the last once for each canary, and again where the policy will be another.
async fn check_to_come(
    cluster: &Arc<Cluster>,
    entry: &Entry,
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    pending: &[Write],
) -> Result<(), CallError> {
    let Some(to_come) = policy_to_come(rollout, routing, observed)? else {
        return Ok(());
    };
    let objects = observed.virtual_services.iter().flatten();
    let foreseen = Foreseen {
        hash: rollout.status.current_pod_hash.clone(),
        versions: objects
            .map(|object| object.resource_version.clone())
            .collect(),
        policy: to_come.written.clone(),
        filters: routing.filter_ids().cloned().collect(),
    };
    let is_taken = match &entry.state().foreseen {
        Some(known) if *known == foreseen => return Ok(()),
        Some(known) => {
            (&known.hash, &known.policy, &known.filters)
                == (&foreseen.hash, &foreseen.policy, &foreseen.filters)
        }
        None => false,
    };
    let reach = reach(rollout, routing, observed);
    for warning in reach.warnings {
        warn_once(cluster, entry, rollout, warning);
    }
    if let Some(error) = reach.blocked {
        return Err(error.into());
    }
    if !is_taken {
        to_come.check(routing)?;
        // What is to be written now is rehearsed, or refused, anyway.
        for write in &to_come.writes {
            if !pending.contains(write) {
                cluster.rehearse(write).await?;
            }
        }
    }
    entry.state().foreseen = Some(foreseen);
    Ok(())
}

/// True for a call on the way to the canary, which waits for what later steps will need. A canary's first call is one,
/// and so it is told there. An abort is none, nor a call that takes weight from the canary, whose pods may be gone.
fn leads_on(rollout: &Rollout, call: Call<'_>) -> bool {
    let leads_on = match call {
        Call::SetRoute(_) => true,
        Call::SetWeight(weights) => {
            let standing = rollout.status.canary.weights.as_ref();
            standing.is_none_or(|standing| standing.canary.weight <= weights.canary)
        }
        Call::UpdateHash(_) | Call::RemoveManagedRoutes | Call::Keep(_) => false,
    };
    leads_on && has_canary(rollout)
}

/// How often the same write may succeed in one call: another writer may undo it in between, but one that goes on doing
/// so is no writer. It is the API server that doesn't store what it is given.
const MAX_REPEATS: u32 = 3;

/// How the writes of one call, or of one repair, have fared.
#[derive(Debug, Default)]
pub(crate) struct Setbacks {
    races: u32,
    unanswered: u32,
    last: Option<Write>,
    repeats: u32,
}

impl Setbacks {
    /// Takes in how `write` has ended, and waits where another try is to come. True if it has come through.
    ///
    /// # Errors
    /// That of a write that the API server has not answered, once it has been tried again; and a write that has to be
    /// repeated over and over.
    pub(crate) async fn take(
        &mut self,
        rollout: &RolloutKey,
        write: &Write,
        written: Written,
    ) -> Result<bool, ClusterError> {
        match written {
            Written::Done => {
                let is_same = self.last.as_ref().is_some_and(|last| is_same(last, write));
                self.repeats = if is_same { self.repeats + 1 } else { 0 };
                if self.repeats >= MAX_REPEATS {
                    return Err(ClusterError::Altered {
                        object: write.target().clone(),
                    });
                }
                self.last = Some(write.clone());
                return Ok(true);
            }
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

/// True if both want the same of the same object, whatever version of it they were made for.
fn is_same(one: &Write, other: &Write) -> bool {
    one.target() == other.target() && wanted(one) == wanted(other)
}

fn wanted(write: &Write) -> &Value {
    match write {
        Write::Spec { spec, .. } => spec,
        Write::Policy { patch, .. } => patch,
    }
}

/// The first change of each policy that other objects are to be changed before.
pub(crate) fn policies_behind_others(pending: &[Write]) -> Vec<&Write> {
    let mut changed = BTreeSet::new();
    let firsts = pending
        .iter()
        .enumerate()
        .filter(|(_, write)| changed.insert(write.target()));
    firsts
        .filter(|(place, write)| *place > 0 && matches!(write, Write::Policy { .. }))
        .map(|(_, write)| write)
        .collect()
}

/// True if the outcome would be another one with more pods.
fn misses_pods(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    call: Call<'_>,
    pending: &Result<Vec<Write>, CoreError>,
) -> bool {
    let needs_pods = match (pending, call) {
        (Err(CoreError::NoPods { .. } | CoreError::FewPods { .. }), _) => return true,
        (Ok(_), Call::UpdateHash(_)) => {
            return stable_waits_for(rollout, routing, observed).is_some();
        }
        (Ok(writes), Call::SetRoute(_)) => writes.is_empty() || routing.sticky.is_some(),
        (Ok(_), Call::SetWeight(weights)) => routing.sticky.is_some() && weights.canary > 0,
        _ => false,
    };
    needs_pods && has_canary(rollout) && !reaches_canary(rollout, routing, observed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::ObjectId;

    fn policy(weight: i32) -> Write {
        Write::Policy {
            object: ObjectId::new(Kind::WasmPlugin, "istio-system", "serin"),
            patch: json!({ "weight": weight }),
        }
    }

    #[tokio::test]
    async fn what_the_api_server_does_not_store_is_not_written_for_ever() {
        let rollout = RolloutKey::default();
        let mut setbacks = Setbacks::default();
        for write in [policy(1), policy(1), policy(1), policy(2), policy(1)] {
            let taken = setbacks.take(&rollout, &write, Written::Done).await;
            assert!(taken.unwrap());
        }
        for _ in 0..2 {
            let taken = setbacks.take(&rollout, &policy(1), Written::Done).await;
            assert!(taken.unwrap());
        }
        let error = setbacks.take(&rollout, &policy(1), Written::Done).await;
        assert!(matches!(error, Err(ClusterError::Altered { .. })));
    }
}
