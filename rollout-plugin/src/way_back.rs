//! Carries out a call on the way back to one version, whatever objects and configuration have become
//! ([`is_way_back`](crate::core::plan::is_way_back)).
//!
//! The controller stops a reconcile at the first call that fails. RemoveManagedRoutes and UpdateHash come before the
//! SetWeight that takes traffic off the canary, so they don't fail here: SetWeight says what is left.

use std::collections::BTreeSet;

use argo_rollouts::Rollout;
use argo_rollouts::go_plugin::Chain;
use tracing::warn;

use crate::cluster::Cluster;
use crate::core::capacity::stable_waits_for;
use crate::core::error::CoreError;
use crate::core::plan::{Call, Plan, Weights, had_traffic, way_back};
use crate::core::routing::Routing;
use crate::core::rules::is_between;
use crate::entry::Entry;
use crate::object::{Kind, ObjectId};
use crate::observe::{Unread, observe_readable};
use crate::router::CallError;
use crate::settle::{MAX_TRIES, Setbacks};

/// Brings the Rollout back by `routing`, and by the configurations before it in which the canary may have got traffic.
///
/// # Errors
/// What is left, where SetWeight is the call. A configuration that can't be used, where no other is known and it names no
/// VirtualService.
pub(crate) async fn go_back(
    cluster: &Cluster,
    entry: &Entry,
    rollout: &Rollout,
    routing: Result<Routing, CoreError>,
    call: Call<'_>,
) -> Result<(), CallError> {
    let mut problems = Vec::new();
    let last = match routing {
        Ok(routing) => routing,
        Err(fault) => match entry.state().last_usable(rollout) {
            Some(routing) => {
                problems.push(Chain(&fault).to_string());
                routing
            }
            None => return Err(fault.into()),
        },
    };
    let earlier = entry.state().earlier_routings(rollout);
    for mut routing in earlier {
        let is_left = |id: &ObjectId| !last.virtual_services.iter().any(|one| one.id == *id);
        routing.lanes = last.lanes;
        let call = match call {
            // What the configuration has left gets no weight any more, also where the canary keeps some for a while.
            Call::SetWeight(weights) => {
                if weights.canary > 0 {
                    routing.virtual_services.retain(|one| is_left(&one.id));
                }
                Call::SetWeight(Weights::default())
            }
            Call::UpdateHash(_) if routing.destination_rule == last.destination_rule => continue,
            other => other,
        };
        // What the user has taken out of the configuration may be gone or changed.
        let left = by_one(cluster, entry, rollout, &routing, call).await;
        problems.extend(left.refused);
    }
    let left = by_one(cluster, entry, rollout, &last, call).await;
    problems.extend(left.found.into_iter().chain(left.refused));
    report(entry, rollout, &last, call, problems)
}

/// What one configuration's objects have not let through.
#[derive(Default)]
struct Left {
    /// Objects that are not as they must be.
    found: Vec<String>,
    /// Reads and writes that the API server has refused.
    refused: Vec<String>,
}

async fn by_one(
    cluster: &Cluster,
    entry: &Entry,
    rollout: &Rollout,
    routing: &Routing,
    call: Call<'_>,
) -> Left {
    let mut refused = BTreeSet::new();
    let mut errors = Vec::new();
    let mut relisted = false;
    let mut setbacks = Setbacks::default();
    for _ in 0..MAX_TRIES {
        let (mut observed, _, unread) =
            observe_readable(&cluster.cache, routing, call, false).await;
        if holds_unread(rollout, routing, call, &unread) {
            let unread = unread.iter().map(|unread| Chain(&unread.error).to_string());
            return Left {
                found: Vec::new(),
                refused: unread.chain(errors).collect(),
            };
        }
        observed.history = entry.state().steps_of_call(rollout, None);
        if !relisted && stable_waits_for(rollout, routing, &observed).is_some() {
            // The controller's own watch may have seen the pods a moment before this one.
            relisted = true;
            let namespace = &routing.rollout.namespace;
            match cluster.cache.relist(Kind::ReplicaSet, namespace).await {
                Ok(()) => continue,
                Err(error) => errors.push(Chain(&error).to_string()),
            }
        }
        let Plan { writes, problems } = way_back(rollout, routing, &observed, call, &refused);
        let Some(first) = writes.first() else {
            let found = problems
                .iter()
                .filter(|problem| !is_unread(problem, &unread));
            let unread = unread.iter().map(|unread| Chain(&unread.error).to_string());
            return Left {
                found: found.map(|problem| Chain(problem).to_string()).collect(),
                refused: unread.chain(errors).collect(),
            };
        };
        entry.state().changes_policy(routing, &observed, &writes);
        let written = match cluster.carry_out(first).await {
            Ok(written) => setbacks.take(&routing.rollout, first, written).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            errors.push(Chain(&error).to_string());
            refused.insert(first.target().clone());
        }
    }
    let overtaken = CallError::Overtaken {
        namespace: routing.rollout.namespace.clone(),
        name: routing.rollout.name.clone(),
    };
    errors.push(overtaken.to_string());
    Left {
        found: Vec::new(),
        refused: errors,
    }
}

/// True for the SetWeight of a promotion while the DestinationRule can't be read: the stable subset may still select the
/// old version.
fn holds_unread(rollout: &Rollout, routing: &Routing, call: Call<'_>, unread: &[Unread]) -> bool {
    let Some(rule) = &routing.destination_rule else {
        return false;
    };
    let is_its = |one: &Unread| one.kind == rule.id.kind && one.namespace == rule.id.namespace;
    matches!(call, Call::SetWeight(_)) && !is_between(rollout) && unread.iter().any(is_its)
}

/// True for an object that counts as missing only because it could not be read.
fn is_unread(problem: &CoreError, unread: &[Unread]) -> bool {
    let CoreError::Missing { object, .. } = problem else {
        return false;
    };
    let is_its = |one: &Unread| one.kind == object.kind && one.namespace == object.namespace;
    unread.iter().any(is_its)
}

/// Keeps what is left for the SetWeight that follows, or says it there.
fn report(
    entry: &Entry,
    rollout: &Rollout,
    routing: &Routing,
    call: Call<'_>,
    problems: Vec<String>,
) -> Result<(), CallError> {
    let mut state = entry.state();
    match call {
        Call::RemoveManagedRoutes | Call::SetRoute(_) => {
            // SetWeight removes policy and lane routes too, and finds what keeps them. It may not come for a while.
            if state.unremoved != problems {
                for problem in &problems {
                    warn!(rollout = %routing.rollout, problem, "policy or lane routes not removed");
                }
                state.unremoved = problems;
            }
            Ok(())
        }
        Call::UpdateHash(_) => {
            state.deferred = problems;
            Ok(())
        }
        Call::SetWeight(_) | Call::Keep(_) => {
            let mut all = std::mem::take(&mut state.deferred);
            all.extend(problems);
            let mut seen = BTreeSet::new();
            all.retain(|problem| seen.insert(problem.clone()));
            if all.is_empty() {
                return Ok(());
            }
            if had_traffic(rollout) {
                all.push(format!(
                    "everything else of rollout {} is back at one version",
                    routing.rollout
                ));
            }
            Err(CallError::NotAllBack { problems: all })
        }
    }
}
