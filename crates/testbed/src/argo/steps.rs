//! Where a Rollout stands in its steps, and how many pods and how much weight that asks for.
//!
//! Follows argo-rollouts v1.10.1 `utils/replicaset/canary.go` for canaries with traffic routing and without
//! `dynamicStableScale`; the functions carry the names of those they follow.

use argo_rollouts::types::{
    CanaryStep, CanaryStrategy, IntOrString, Rollout, RolloutPause, SetCanaryScale,
};

use super::observe::ReplicaSet;

/// The steps; none for a Rollout without them.
pub(super) fn steps(rollout: &Rollout) -> &[CanaryStep] {
    rollout
        .canary()
        .map(|canary| canary.steps.as_slice())
        .unwrap_or_default()
}

/// `weightutil.MaxTrafficWeight`.
pub(super) fn max_weight(rollout: &Rollout) -> i32 {
    let routing = rollout.traffic_routing();
    routing
        .and_then(|routing| routing.max_traffic_weight)
        .unwrap_or(100)
}

/// `defaults.GetReplicasOrDefault`.
pub(super) fn replicas(rollout: &Rollout) -> i32 {
    rollout.spec.replicas.unwrap_or(1)
}

/// `IsFullyPromoted`.
pub(super) fn is_fully_promoted(rollout: &Rollout) -> bool {
    rollout.status.stable_rs == rollout.status.current_pod_hash
}

/// The index of the current step, the number of steps after the last one; none without steps.
pub(super) fn step_index(rollout: &Rollout) -> Option<usize> {
    (!steps(rollout).is_empty()).then(|| {
        let index = rollout.status.current_step_index.unwrap_or_default();
        usize::try_from(index).unwrap_or_default()
    })
}

/// `GetCurrentCanaryStep`: none after the last step and without steps.
pub(super) fn current_step(rollout: &Rollout) -> Option<&CanaryStep> {
    steps(rollout).get(step_index(rollout)?)
}

/// The steps from the current one back to the first; empty where there is no current step.
fn steps_back(rollout: &Rollout) -> impl Iterator<Item = &CanaryStep> {
    let taken = step_index(rollout).and_then(|index| steps(rollout).get(..=index));
    taken.unwrap_or_default().iter().rev()
}

/// `GetCurrentSetWeight`.
pub(super) fn current_set_weight(rollout: &Rollout) -> i32 {
    if rollout.status.abort {
        return 0;
    }
    if current_step(rollout).is_none() {
        return max_weight(rollout);
    }
    steps_back(rollout)
        .find_map(|step| step.set_weight)
        .unwrap_or(0)
}

/// The weight of the last `setWeight` before the current step; 0 if there is none. It stands while the canary isn't
/// ready for more (`reconcileTrafficRouting`).
pub(super) fn previous_set_weight(rollout: &Rollout) -> i32 {
    let before = step_index(rollout).and_then(|index| steps(rollout).get(..index));
    before
        .unwrap_or_default()
        .iter()
        .rev()
        .find_map(|step| step.set_weight)
        .unwrap_or(0)
}

/// `UseSetCanaryScale`.
fn set_canary_scale(rollout: &Rollout) -> Option<&SetCanaryScale> {
    if rollout.status.abort && abort_delay(rollout).is_some() {
        return None;
    }
    steps_back(rollout)
        .find_map(|step| step.set_canary_scale.as_ref())
        .filter(|scale| !scale.match_traffic_weight)
}

/// How many pods the canary is to have (`CalculateReplicaCountsForTrafficRoutedCanary`, `GetCanaryReplicasOrWeight`).
/// The stable one always has all of `spec.replicas`.
pub(super) fn canary_replicas(rollout: &Rollout) -> i32 {
    let status = &rollout.status;
    if status.promote_full || status.stable_rs.is_empty() || is_fully_promoted(rollout) {
        return weighted(rollout, max_weight(rollout));
    }
    match set_canary_scale(rollout) {
        Some(SetCanaryScale {
            replicas: Some(replicas),
            ..
        }) => *replicas,
        Some(SetCanaryScale {
            weight: Some(weight),
            ..
        }) => weighted(rollout, *weight),
        _ => weighted(rollout, current_set_weight(rollout)),
    }
}

/// `trafficWeightToReplicas` and `CheckMinPodsPerReplicaSet`.
fn weighted(rollout: &Rollout, weight: i32) -> i32 {
    let (all, max) = (replicas(rollout), max_weight(rollout).max(1));
    let exact = i64::from(all) * i64::from(weight);
    let count = exact
        .max(0)
        .unsigned_abs()
        .div_ceil(u64::from(max.unsigned_abs()));
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let least = canary(rollout, |canary| canary.min_pods_per_replica_set);
    match least {
        Some(least) if count > 0 => count.max(least.min(all)),
        _ => count,
    }
}

/// `ReplicaProgressThresholdMet`.
pub(super) fn has_progressed(rollout: &Rollout, set: &ReplicaSet, desired: i32) -> bool {
    let threshold = rollout
        .canary()
        .and_then(|canary| canary.replica_progress_threshold.as_ref())
        .filter(|threshold| threshold.value >= 0);
    let Some(threshold) = threshold else {
        return desired == set.replicas && desired == set.available;
    };
    if threshold.kind == "Percentage" {
        let (available, value) = (i64::from(set.available), i64::from(threshold.value));
        return desired == 0 || available * 100 >= i64::from(desired) * value;
    }
    set.available >= threshold.value
}

/// `AtDesiredReplicaCountsForCanary`.
pub(super) fn at_desired_counts(
    rollout: &Rollout,
    new: &ReplicaSet,
    stable: Option<&ReplicaSet>,
) -> bool {
    let all = replicas(rollout);
    has_progressed(rollout, new, canary_replicas(rollout))
        && stable.is_some_and(|stable| stable.replicas == all && stable.actual == all)
}

/// `GetScaleDownDelaySecondsOrDefault`, in seconds.
pub(super) fn scale_down_delay(rollout: &Rollout) -> i64 {
    canary(rollout, |canary| canary.scale_down_delay_seconds).map_or(30, i64::from)
}

/// `GetAbortScaleDownDelaySecondsOrDefault`, in seconds; none means that the canary stays.
pub(super) fn abort_delay(rollout: &Rollout) -> Option<i64> {
    let delay = canary(rollout, |canary| canary.abort_scale_down_delay_seconds).unwrap_or(30);
    (delay != 0).then_some(i64::from(delay))
}

/// `MaxUnavailable`. The defaults of `maxSurge` and `maxUnavailable` are no percentages, so that Argo reads 0 for
/// both unless the user sets both.
pub(super) fn max_unavailable(rollout: &Rollout) -> i32 {
    let all = replicas(rollout);
    let resolved = |field: fn(&CanaryStrategy) -> &Option<IntOrString>, up: bool| {
        let value = field(rollout.canary()?).as_ref()?;
        match value {
            IntOrString::Int(count) => Some(*count),
            IntOrString::String(text) => {
                let percent: i32 = text.strip_suffix('%')?.parse().ok()?;
                let exact = all.checked_mul(percent)?;
                Some(if up { (exact + 99) / 100 } else { exact / 100 })
            }
        }
    };
    let surge = resolved(|canary| &canary.max_surge, true);
    let unavailable = resolved(|canary| &canary.max_unavailable, false);
    match (surge, unavailable) {
        (Some(0), Some(0)) => all.min(1),
        (Some(_), Some(unavailable)) => unavailable.min(all),
        _ => 0,
    }
}

/// Seconds of a pause (`RolloutPause.DurationSeconds`): none if it has no end, negative if it can't be read.
pub(super) fn pause_seconds(pause: &RolloutPause) -> Option<i64> {
    match pause.duration.as_ref()? {
        IntOrString::Int(seconds) => Some(i64::from(*seconds)),
        IntOrString::String(text) => Some(
            text.parse::<i32>()
                .map(i64::from)
                .ok()
                .or_else(|| go_duration(text))
                .unwrap_or(-1),
        ),
    }
}

/// Whole seconds of Go's `time.ParseDuration`, for durations that aren't negative.
fn go_duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut nanoseconds = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at_checked(digits)?;
        let end = unit
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(unit.len());
        let (unit, next) = unit.split_at_checked(end)?;
        let scale = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanoseconds += number.parse::<f64>().ok()? * scale;
        rest = next;
    }
    if text.is_empty() || nanoseconds > 9e18 {
        return None;
    }
    let duration = std::time::Duration::from_secs_f64(nanoseconds / 1e9);
    i64::try_from(duration.as_secs()).ok()
}

/// `CanaryStepString`.
pub(super) fn describe(step: &CanaryStep) -> String {
    if let Some(weight) = step.set_weight {
        return format!("setWeight: {weight}");
    }
    if let Some(pause) = &step.pause {
        return match &pause.duration {
            None => "pause".to_owned(),
            Some(IntOrString::Int(seconds)) => format!("pause: {seconds}"),
            Some(IntOrString::String(text)) => format!("pause: {text}"),
        };
    }
    if let Some(scale) = &step.set_canary_scale {
        return match scale {
            SetCanaryScale {
                weight: Some(weight),
                ..
            } => format!("setCanaryScale{{weight: {weight}}}"),
            SetCanaryScale {
                match_traffic_weight: true,
                ..
            } => "setCanaryScale{matchTrafficWeight: true}".to_owned(),
            SetCanaryScale { replicas, .. } => {
                let replicas = replicas.unwrap_or_default();
                format!("setCanaryScale{{replicas: {replicas}}}")
            }
        };
    }
    if let Some(route) = &step.set_header_route {
        return format!("setHeaderRoute: {}", route.name);
    }
    if let Some(route) = &step.set_mirror_route {
        return format!("setMirrorRoute: {}", route.name);
    }
    "invalid".to_owned()
}

fn canary<T>(rollout: &Rollout, field: impl FnOnce(&CanaryStrategy) -> Option<T>) -> Option<T> {
    rollout.canary().and_then(field)
}

#[cfg(test)]
mod tests;
