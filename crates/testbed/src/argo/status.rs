//! The Rollout's new status, and the patch that makes it so.
//!
//! Follows argo-rollouts v1.10.1 `rollout/canary.go` (`syncRolloutStatusCanary`) and `rollout/sync.go`
//! (`persistRolloutStatus`). As there, the patch has only what differs from the status that was read, so that what a
//! user writes meanwhile stays.

use std::time::Duration;

use argo_rollouts::types::{RolloutStatus, TrafficWeights};
use serde_json::{Map, Value, json};

use super::change::Change;
use super::conditions;
use super::context::{Context, pause_condition};
use super::scaling::until;
use super::steps::{
    at_desired_counts, current_step, describe, has_progressed, pause_seconds, replicas, step_index,
    steps,
};

/// What comes of it.
#[derive(Debug, Default)]
pub(super) struct Sync {
    pub(super) changes: Vec<Change>,
    /// When the progress deadline has to be looked at.
    pub(super) again_after: Option<Duration>,
}

/// Where the traffic stands after the plugin's calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Weights {
    /// As they go into the status.
    pub(super) current: Option<TrafficWeights>,
    /// False if they are those of the status but for `verified`. The real controller then compares a pointer to the
    /// weights with itself, so that a change of `verified` alone is acted upon and never written.
    pub(super) modified: bool,
}

/// The status at the end of a reconciliation.
pub(super) fn sync(context: &mut Context<'_>, weights: &Weights) -> Sync {
    let before = &context.rollout.status;
    let count = i32::try_from(steps(context.rollout).len()).unwrap_or(i32::MAX);
    let mut status = base(context, weights.current.clone());
    let mut events = Vec::new();
    if context.has_changed() {
        let rolls_back = before.stable_rs == context.new.hash;
        context.pause.clear = true;
        context.pause.remove_abort = true;
        status.promote_full = false;
        status.current_step_index = (count > 0).then_some(if rolls_back { count } else { 0 });
        if rolls_back && count > 0 {
            let message = "Rollback to stable ReplicaSets".to_owned();
            events.push(Change::normal("SkipSteps", message));
        }
        return persist(context, status, weights, events);
    }
    let mut index =
        step_index(context.rollout).map(|index| i32::try_from(index).unwrap_or(i32::MAX));
    if before.promote_full {
        context.pause.clear = true;
        context.pause.remove_abort = true;
        index = index.map(|_| count);
    }
    if let Some(reason) = full_promotion(context) {
        events.extend(promote(context, &mut status, count, &reason));
        return persist(context, status, weights, events);
    }
    if context.is_aborted() {
        let promoted = status.stable_rs == status.current_pod_hash;
        status.current_step_index = (count > 0).then_some(if promoted { count } else { 0 });
        return persist(context, status, weights, events);
    }
    if let Some(step) = current_step(context.rollout)
        && has_completed_step(context, weights)
    {
        index = index.map(|index| index + 1);
        events.push(Change::normal(
            "RolloutStepCompleted",
            format!(
                "Rollout step {}/{count} completed ({})",
                index.unwrap_or_default(),
                describe(step)
            ),
        ));
        context.pause.remove = true;
    }
    status.current_step_index = index;
    persist(context, status, weights, events)
}

/// The status where only numbers of pods have changed (`syncReplicasOnly`).
pub(super) fn sync_replicas(context: &mut Context<'_>) -> Sync {
    let mut status = context.rollout.status.clone();
    status.available_replicas = context.sum(|set| set.available);
    status.hpa_replicas = context.sum(|set| set.actual);
    let weights = Weights {
        current: status.canary.weights.clone(),
        modified: false,
    };
    persist(context, status, &weights, Vec::new())
}

/// The patch for conditions alone (`patchCondition`).
pub(super) fn patch_conditions(
    rollout: &argo_rollouts::types::Rollout,
    status: RolloutStatus,
) -> Option<Value> {
    let mut status = status;
    status.observed_generation = rollout.metadata.generation.to_string();
    let (phase, message) = conditions::phase(rollout, &status);
    phase.clone_into(&mut status.phase);
    status.message = message;
    difference(&render(&rollout.status), &render(&status)).map(|status| json!({"status": status}))
}

/// `calculateBaseStatus`.
fn base(context: &Context<'_>, weights: Option<TrafficWeights>) -> RolloutStatus {
    let before = &context.rollout.status;
    let mut status = RolloutStatus {
        current_pod_hash: context.new.hash.clone(),
        current_step_hash: context.observed.step_hash(),
        stable_rs: before.stable_rs.clone(),
        replicas: context.sum(|set| set.actual),
        updated_replicas: context.new.actual,
        ready_replicas: context.sum(|set| set.ready),
        available_replicas: context.sum(|set| set.available),
        hpa_replicas: context.sum(|set| set.actual),
        collision_count: before.collision_count,
        restarted_at: before.restarted_at,
        promote_full: before.promote_full,
        selector: selector(context),
        conditions: before.conditions.clone(),
        ..RolloutStatus::default()
    };
    conditions::remove(&mut status, conditions::INVALID_SPEC);
    status.canary.weights = weights;
    status
}

/// `FormatLabelSelector`, for `matchLabels`.
fn selector(context: &Context<'_>) -> String {
    let selector = context.rollout.spec.selector.iter();
    let labels = selector.flat_map(|selector| &selector.match_labels);
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.join(",")
}

/// `shouldFullPromote`: why the new ReplicaSet becomes the stable one.
fn full_promotion(context: &Context<'_>) -> Option<String> {
    let rollout = context.rollout;
    if context.stable.is_none() {
        return Some("Initial deploy".to_owned());
    }
    let all = replicas(rollout);
    let ready = context.new.available >= all || has_progressed(rollout, context.new, all);
    if context.is_aborted() || !ready {
        return None;
    }
    if rollout.status.promote_full {
        return Some("Full promotion requested".to_owned());
    }
    if rollout.status.stable_rs == context.new.hash {
        return Some("Fast rollback".to_owned());
    }
    let count = steps(rollout).len();
    let completed = step_index(rollout).is_none_or(|index| index == count);
    completed.then(|| format!("Completed all {count} canary steps"))
}

/// `promoteStable`.
fn promote(
    context: &mut Context<'_>,
    status: &mut RolloutStatus,
    count: i32,
    reason: &str,
) -> Option<Change> {
    context.pause.clear = true;
    context.pause.remove_abort = true;
    status.promote_full = false;
    status.current_step_index = (count > 0).then_some(count);
    if status.stable_rs == status.current_pod_hash {
        return None;
    }
    status.stable_rs.clone_from(&status.current_pod_hash);
    let message = format!(
        "Rollout completed update to revision {} ({}): {reason}",
        context.observed.revision(),
        status.current_pod_hash
    );
    Some(Change::normal("RolloutCompleted", message))
}

/// `completedCurrentCanaryStep`.
fn has_completed_step(context: &Context<'_>, weights: &Weights) -> bool {
    let rollout = context.rollout;
    let Some(step) = current_step(rollout).filter(|_| !rollout.spec.paused) else {
        return false;
    };
    if let Some(pause) = &step.pause {
        return match (pause_condition(&rollout.status), pause_seconds(pause)) {
            (None, _) => rollout.status.controller_pause,
            (Some(_), None) => false,
            (Some(condition), Some(seconds)) => {
                let end = condition.start_time.map(|mut start| {
                    start.unix_seconds = start.unix_seconds.saturating_add(seconds);
                    start
                });
                end.is_none_or(|end| until(context.observed.now, end).is_none())
            }
        };
    }
    let at_counts = || at_desired_counts(rollout, context.new, context.stable);
    if step.set_canary_scale.is_some() {
        return at_counts();
    }
    if step.set_weight.is_some() {
        let verified = weights
            .current
            .as_ref()
            .and_then(|weights| weights.verified);
        return at_counts() && verified != Some(false);
    }
    step.set_header_route.is_some() || step.set_mirror_route.is_some()
}

/// `persistRolloutStatus` and `sendStateChangeEvents`.
fn persist(
    context: &Context<'_>,
    mut status: RolloutStatus,
    weights: &Weights,
    mut events: Vec<Change>,
) -> Sync {
    let rollout = context.rollout;
    status.observed_generation = rollout.metadata.generation.to_string();
    context.pause.write(context.observed, &mut status);
    events.extend(conditions::calculate(context, &mut status));
    let (phase, message) = conditions::phase(rollout, &status);
    phase.clone_into(&mut status.phase);
    status.message = message;
    let mut before = rollout.status.clone();
    if !weights.modified {
        before.canary.weights.clone_from(&status.canary.weights);
    }
    let Some(patch) = difference(&render(&before), &render(&status)) else {
        return Sync {
            changes: events,
            again_after: conditions::stuck_after(context, &status),
        };
    };
    let key = &context.observed.key;
    let mut changes = vec![Change::rollout(key, json!({"status": patch}))];
    changes.extend(events);
    let paused = status.pause_conditions.first();
    match (before.pause_conditions.is_empty(), paused) {
        (true, Some(pause)) => changes.push(Change::normal(
            "RolloutPaused",
            format!("Rollout is paused ({})", pause.reason),
        )),
        (false, None) if status.aborted_at.is_none() => {
            changes.push(Change::normal(
                "RolloutResumed",
                "Rollout is resumed".to_owned(),
            ));
        }
        _ => {}
    }
    Sync {
        changes,
        again_after: None,
    }
}

/// The status as the controller writes it: fields without a value are left out (Go's `omitempty`).
fn render(status: &RolloutStatus) -> Value {
    let whole = serde_json::to_value(status).unwrap_or_default();
    let mut rendered = Map::new();
    for (name, value) in whole.as_object().into_iter().flatten() {
        // Zero behind a pointer is a value.
        let pointer = name == "currentStepIndex" || name == "collisionCount";
        if name == "canary" {
            if let Some(weights) = &status.canary.weights {
                rendered.insert(name.clone(), json!({"weights": render_weights(weights)}));
            }
        } else if !value.is_null() && (pointer || !is_zero(value)) {
            rendered.insert(name.clone(), value.clone());
        }
    }
    Value::Object(rendered)
}

fn render_weights(weights: &TrafficWeights) -> Value {
    let mut whole = serde_json::to_value(weights).unwrap_or_default();
    if let Some(map) = whole.as_object_mut() {
        map.retain(|_, value| !value.is_null() && *value != json!([]));
        for destination in ["canary", "stable"] {
            if let Some(map) = map.get_mut(destination).and_then(Value::as_object_mut) {
                map.retain(|_, value| *value != json!(""));
            }
        }
    }
    whole
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// The merge patch from one object to another; none if they are equal.
fn difference(from: &Value, to: &Value) -> Option<Value> {
    let (Some(old), Some(new)) = (from.as_object(), to.as_object()) else {
        return (from != to).then(|| to.clone());
    };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        let changed = match old.get(name) {
            Some(before) => difference(before, value),
            None => Some(value.clone()),
        };
        if let Some(changed) = changed {
            patch.insert(name.clone(), changed);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}
