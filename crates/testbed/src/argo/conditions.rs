//! The conditions of a Rollout, and the phase that a user sees.
//!
//! Follows argo-rollouts v1.10.1 `utils/conditions/conditions.go`, `rollout/sync.go` (`checkPausedConditions`,
//! `calculateRolloutConditions`) and `utils/rollout/rolloututil.go` (`CalculateRolloutPhase`).

use std::time::Duration;

use argo_rollouts::types::{Rollout, RolloutCondition, RolloutStatus, Time};

use super::change::Change;
use super::context::Context;
use super::scaling::until;
use super::steps::{current_step, replicas, steps};

pub(super) const PROGRESSING: &str = "Progressing";
pub(super) const INVALID_SPEC: &str = "InvalidSpec";
const PAUSED: &str = "Paused";
const HEALTHY: &str = "Healthy";
const AVAILABLE: &str = "Available";
const COMPLETED: &str = "Completed";

const ROLLOUT_PAUSED: &str = "RolloutPaused";
const ROLLOUT_ABORTED: &str = "RolloutAborted";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// A condition as of `now` (`NewRolloutCondition`).
pub(super) fn condition(
    now: Time,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
) -> RolloutCondition {
    RolloutCondition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        last_update_time: Some(now),
        last_transition_time: Some(now),
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

/// `GetRolloutCondition`.
pub(super) fn get<'a>(status: &'a RolloutStatus, kind: &str) -> Option<&'a RolloutCondition> {
    status.conditions.iter().find(|one| one.kind == kind)
}

/// `SetRolloutCondition`: false if one of the same status and reason is there.
pub(super) fn set(status: &mut RolloutStatus, mut condition: RolloutCondition) -> bool {
    if let Some(current) = get(status, &condition.kind)
        && current.status == condition.status
    {
        if current.reason == condition.reason {
            return false;
        }
        condition.last_transition_time = current.last_transition_time;
    }
    remove(status, &condition.kind);
    status.conditions.push(condition);
    true
}

/// `RemoveRolloutCondition`.
pub(super) fn remove(status: &mut RolloutStatus, kind: &str) {
    status.conditions.retain(|one| one.kind != kind);
}

/// `checkPausedConditions`: what has to change before anything else, since the user has paused, resumed or retried.
pub(super) fn paused(rollout: &Rollout, now: Time) -> Vec<RolloutCondition> {
    let status = &rollout.status;
    let reason = get(status, PROGRESSING).map(|one| one.reason.as_str());
    let is_paused = !status.pause_conditions.is_empty() || rollout.spec.paused;
    let was_aborted = reason == Some(ROLLOUT_ABORTED);
    let mut changed = Vec::new();
    let unknown = |reason, message| condition(now, PROGRESSING, "Unknown", reason, message);
    if is_paused != (reason == Some(ROLLOUT_PAUSED)) && !was_aborted && !is_completed(status) {
        changed.push(if is_paused {
            unknown(ROLLOUT_PAUSED, "Rollout is paused")
        } else {
            unknown("RolloutResumed", "Rollout is resumed")
        });
    }
    if was_aborted && !status.abort {
        changed.push(unknown("RolloutRetry", "Retrying Rollout after abort"));
    }
    let said = get(status, PAUSED).is_some_and(|one| one.status == "True");
    if is_paused != said && !was_aborted {
        let value = if is_paused { "True" } else { "False" };
        let message = "Rollout is paused";
        changed.push(condition(now, PAUSED, value, ROLLOUT_PAUSED, message));
    }
    changed
}

/// `calculateRolloutConditions`: brings the conditions of a new status up to date.
pub(super) fn calculate(context: &Context<'_>, status: &mut RolloutStatus) -> Vec<Change> {
    let rollout = context.rollout;
    let now = context.observed.time();
    let new = |kind, value, reason, message: &str| condition(now, kind, value, reason, message);
    let mut events = Vec::new();
    let is_paused = !status.pause_conditions.is_empty() || rollout.spec.paused;
    let mut became_unhealthy = false;
    if !is_paused && is_healthy(rollout, status) {
        set(
            status,
            new(HEALTHY, "True", "RolloutHealthy", "Rollout is healthy"),
        );
    } else if get(&rollout.status, HEALTHY).is_some() {
        let message = "Rollout is not healthy";
        became_unhealthy = set(status, new(HEALTHY, "False", "RolloutHealthy", message));
    }
    if context.is_aborted() {
        let message = format!(
            "Rollout aborted update to revision {}",
            context.observed.revision()
        );
        if set(status, new(PROGRESSING, "False", ROLLOUT_ABORTED, &message)) {
            events.push(Change::warning(ROLLOUT_ABORTED, message));
        }
    } else {
        progress(context, status, became_unhealthy);
    }
    let available = context.sum(|set| set.available) >= replicas(rollout);
    let (value, message) = if available {
        ("True", "Rollout has minimum availability")
    } else {
        ("False", "Rollout does not have minimum availability")
    };
    set(status, new(AVAILABLE, value, "AvailableReason", message));
    let value = if is_completed(status) {
        "True"
    } else {
        "False"
    };
    let reason = "RolloutCompleted";
    if set(status, new(COMPLETED, value, reason, reason)) && value == "False" {
        let message = format!(
            "Rollout not completed, started update to revision {} ({})",
            context.observed.revision(),
            status.current_pod_hash
        );
        events.push(Change::normal("RolloutNotCompleted", message));
    }
    events
}

fn progress(context: &Context<'_>, status: &mut RolloutStatus, became_unhealthy: bool) {
    let rollout = context.rollout;
    let now = context.observed.time();
    let name = &context.new.name;
    let new = |value, reason, message: &str| condition(now, PROGRESSING, value, reason, message);
    if is_healthy(rollout, status) {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        set(status, new("True", "NewReplicaSetAvailable", &message));
    } else if has_progress(rollout, status) || became_unhealthy {
        let mut condition = if is_completed(status) && became_unhealthy {
            let message = "Rollout does not have minimum availability";
            new("True", "ReplicaSetNotAvailable", message)
        } else {
            let message = format!("ReplicaSet \"{name}\" is progressing.");
            new("True", "ReplicaSetUpdated", &message)
        };
        // Progress counts anew even where the condition says the same as before.
        if let Some(current) = get(&rollout.status, PROGRESSING) {
            if current.status == "True" {
                condition.last_transition_time = current.last_transition_time;
            }
            remove(status, PROGRESSING);
        }
        set(status, condition);
    } else if waits(context) {
        // Time doesn't count.
    } else if matches!(deadline(rollout), Some(Deadline::Passed))
        || matches!(deadline(rollout), Some(Deadline::At(at)) if until(context.observed.now, at).is_none())
    {
        let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
        set(status, new("False", TIMED_OUT, &message));
    }
}

/// `isIndefiniteStep` and `isWaitingForReplicaSetScaleDown`.
fn waits(context: &Context<'_>) -> bool {
    current_step(context.rollout).is_some_and(|step| step.pause.is_some())
        || get(&context.rollout.status, PAUSED).is_some_and(|one| one.status == "True")
        || context.others().any(|set| set.deadline.is_some())
}

/// `requeueStuckRollout`: when the progress deadline has to be looked at.
pub(super) fn stuck_after(context: &Context<'_>, status: &RolloutStatus) -> Option<Duration> {
    let rollout = context.rollout;
    let is_paused = !rollout.status.pause_conditions.is_empty() || rollout.spec.paused;
    if is_healthy(rollout, status) || is_paused || rollout.status.abort || waits(context) {
        return None;
    }
    let Some(Deadline::At(at)) = deadline(rollout) else {
        return None;
    };
    until(context.observed.now, at).map(|rest| rest + Duration::from_secs(1))
}

enum Deadline {
    Passed,
    At(Time),
}

/// `RolloutTimedOut`: none where no time counts.
fn deadline(rollout: &Rollout) -> Option<Deadline> {
    let progressing = get(&rollout.status, PROGRESSING)?;
    match progressing.reason.as_str() {
        ROLLOUT_ABORTED | ROLLOUT_PAUSED => None,
        TIMED_OUT => Some(Deadline::Passed),
        _ => {
            let from = progressing.last_update_time?;
            let seconds = rollout.spec.progress_deadline_seconds.unwrap_or(600);
            Some(Deadline::At(Time {
                unix_seconds: from.unix_seconds.saturating_add(i64::from(seconds)),
                ..from
            }))
        }
    }
}

/// `RolloutCompleted`.
fn is_completed(status: &RolloutStatus) -> bool {
    !status.stable_rs.is_empty() && status.stable_rs == status.current_pod_hash
}

/// `RolloutHealthy`.
fn is_healthy(rollout: &Rollout, status: &RolloutStatus) -> bool {
    let all = replicas(rollout);
    let steps = steps(rollout).len();
    let done = status
        .current_step_index
        .is_none_or(|index| steps == 0 || usize::try_from(index) == Ok(steps));
    status.updated_replicas == all
        && status.available_replicas == all
        && status.replicas == all
        && rollout.status.observed_generation == rollout.metadata.generation.to_string()
        && done
        && is_completed(status)
}

/// `RolloutProgressing`.
fn has_progress(rollout: &Rollout, status: &RolloutStatus) -> bool {
    let before = &rollout.status;
    let moved = matches!(
        (status.current_step_index, before.current_step_index),
        (Some(now), Some(then)) if now != then
    );
    let old = |status: &RolloutStatus| status.replicas - status.updated_replicas;
    status.stable_rs != before.stable_rs
        || moved
        || status.current_step_hash != before.current_step_hash
        || status.updated_replicas != before.updated_replicas
        || old(status) < old(before)
        || status.ready_replicas > before.ready_replicas
        || status.available_replicas > before.available_replicas
}

/// `CalculateRolloutPhase`: phase and message.
pub(super) fn phase(rollout: &Rollout, status: &RolloutStatus) -> (&'static str, String) {
    for one in &status.conditions {
        if one.kind == INVALID_SPEC {
            return ("Degraded", format!("{INVALID_SPEC}: {}", one.message));
        }
        if one.reason == ROLLOUT_ABORTED || one.reason == TIMED_OUT {
            return ("Degraded", format!("{}: {}", one.reason, one.message));
        }
    }
    if rollout.spec.paused {
        return ("Paused", "manually paused".to_owned());
    }
    if let Some(pause) = status.pause_conditions.first() {
        return ("Paused", pause.reason.clone());
    }
    let waits = if status.updated_replicas < replicas(rollout) {
        "more replicas need to be updated"
    } else if status.available_replicas < status.updated_replicas {
        "updated replicas are still becoming available"
    } else if !is_completed(status) {
        "waiting for all steps to complete"
    } else {
        return ("Healthy", String::new());
    };
    ("Progressing", waits.to_owned())
}
