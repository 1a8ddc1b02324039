//! What the plugin is asked for in one reconciliation, in order.
//!
//! Follows `reconcileTrafficRouting` of argo-rollouts v1.10.1 `rollout/trafficrouting.go`. Without experiments there are
//! never additional destinations.

use argo_rollouts::types::{Rollout, TrafficWeights, WeightDestination};
use serde_json::Value;

use super::change::Change;
use super::context::Context;
use super::observe::ReplicaSet;
use super::services;
use super::steps::{
    at_desired_counts, current_set_weight, current_step, has_progressed, is_fully_promoted,
    max_weight, previous_set_weight, replicas, step_index, steps,
};

/// One call, without the Rollout that each carries.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RouterCall {
    RemoveManagedRoutes,
    /// The step as written.
    SetHeaderRoute(Value),
    /// The step as written.
    SetMirrorRoute(Value),
    UpdateHash {
        canary: String,
        stable: String,
    },
    SetWeight(i32),
    VerifyWeight(i32),
}

/// One reconciliation's part of the traffic router.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Route {
    /// Comes before the calls.
    pub(super) changes: Vec<Change>,
    /// Each is made once the one before has succeeded. `VerifyWeight` is the last.
    pub(super) calls: Vec<RouterCall>,
    /// What the calls amount to; none if they end before the weights, as the stable pods can't take what would be
    /// theirs.
    pub(super) weights: Option<TrafficWeights>,
}

/// Decides on the calls.
pub(super) fn route(context: &Context<'_>) -> Route {
    let rollout = context.rollout;
    let mut route = Route {
        changes: Vec::new(),
        calls: Vec::new(),
        weights: None,
    };
    let removes = is_fully_promoted(rollout)
        || context.is_aborted()
        || context.new.available == 0
        || rollout.status.promote_full;
    if !is_fully_promoted(rollout) && context.is_aborted() {
        route.changes = services::abort(context);
    }
    if removes {
        route.calls.push(RouterCall::RemoveManagedRoutes);
    }
    let desired = desired_weight(context);
    let rest = max_weight(rollout) - desired;
    let Some(stable) = context
        .stable
        .filter(|stable| is_available_for(rollout, stable, rest))
    else {
        return route;
    };
    route.calls.extend(step_call(context));
    let weighted = rollout.status.canary.weights.as_ref();
    if context.new.available == 0 && weighted.is_some_and(|weights| weights.canary.weight > 0) {
        // The old weight must not meet the new hash.
        route.calls.push(RouterCall::SetWeight(desired));
    }
    route.calls.extend([
        RouterCall::UpdateHash {
            canary: context.new.hash.clone(),
            stable: stable.hash.clone(),
        },
        RouterCall::SetWeight(desired),
        RouterCall::VerifyWeight(desired),
    ]);
    route.weights = Some(weights(rollout, context.new, stable, desired));
    route
}

fn desired_weight(context: &Context<'_>) -> i32 {
    let rollout = context.rollout;
    if is_fully_promoted(rollout) || context.is_aborted() || context.new.available == 0 {
        return 0;
    }
    if rollout.status.promote_full {
        let weights = rollout.status.canary.weights.as_ref();
        return weights.map_or(0, |weights| weights.canary.weight);
    }
    match step_index(rollout) {
        None => 0,
        Some(_) if !at_desired_counts(rollout, context.new, context.stable) => {
            previous_set_weight(rollout)
        }
        Some(index) if index != steps(rollout).len() => current_set_weight(rollout),
        Some(_) => max_weight(rollout),
    }
}

/// `checkReplicasAvailable`: whether the stable pods can take a weight.
fn is_available_for(rollout: &Rollout, stable: &ReplicaSet, weight: i32) -> bool {
    let exact = i64::from(weight) * i64::from(replicas(rollout));
    let desired = i32::try_from(exact / i64::from(max_weight(rollout).max(1))).unwrap_or(i32::MAX);
    stable.available >= desired || has_progressed(rollout, stable, desired)
}

/// The current step's own call. The first revision has none, though its step may be one.
fn step_call(context: &Context<'_>) -> Option<RouterCall> {
    let step = current_step(context.rollout)?;
    let index = step_index(context.rollout)?;
    if context.observed.revision() <= 1 {
        return None;
    }
    let written = |field: &str| {
        let pointer = format!("/spec/strategy/canary/steps/{index}/{field}");
        context.observed.object.pointer(&pointer).cloned()
    };
    if step.set_header_route.is_some() {
        return written("setHeaderRoute").map(RouterCall::SetHeaderRoute);
    }
    step.set_mirror_route.as_ref()?;
    written("setMirrorRoute").map(RouterCall::SetMirrorRoute)
}

/// `calculateWeightStatus`.
fn weights(
    rollout: &Rollout,
    new: &ReplicaSet,
    stable: &ReplicaSet,
    desired: i32,
) -> TrafficWeights {
    let destination = |weight, set: &ReplicaSet, service: Option<&String>| WeightDestination {
        weight,
        pod_template_hash: set.hash.clone(),
        service_name: service.cloned().unwrap_or_default(),
    };
    let canary = rollout.canary();
    TrafficWeights {
        canary: destination(desired, new, canary.map(|canary| &canary.canary_service)),
        stable: destination(
            max_weight(rollout) - desired,
            stable,
            canary.map(|canary| &canary.stable_service),
        ),
        ..TrafficWeights::default()
    }
}
