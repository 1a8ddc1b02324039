//! How many pods each ReplicaSet is to have, and when old ones go.
//!
//! Follows argo-rollouts v1.10.1 `rollout/canary.go` (`reconcileCanaryReplicaSets`, `scaleDownOldReplicaSetsForCanary`)
//! and `rollout/replicaset.go`. As there, one ReplicaSet is scaled and the next waits for the next reconciliation.

use std::time::Duration;

use argo_rollouts::types::Time;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::change::Change;
use super::context::Context;
use super::observe::{DEADLINE, DESIRED_REPLICAS, ReplicaSet, timestamp};
use super::steps::{
    abort_delay, canary_replicas, is_fully_promoted, max_unavailable, replicas, scale_down_delay,
};

/// What comes of it.
#[derive(Debug, Default)]
pub(super) struct Scaling {
    pub(super) changes: Vec<Change>,
    /// True if some number of pods changes, which ends the reconciliation's progress.
    pub(super) scaled: bool,
    /// When a deadline is met.
    pub(super) again_after: Option<Duration>,
}

/// Scales stable, then new, then the others, up to the first that changes. Nothing while the user has paused the
/// Rollout.
pub(super) fn scale(context: &Context<'_>) -> Scaling {
    let mut scaling = Scaling::default();
    if context.rollout.spec.paused {
        return scaling;
    }
    let mut new = context.new.clone();
    let mut stable = context.other_stable().cloned();
    if !delays_on_abort(context) {
        scaling.remove_deadline(context, &mut new);
    }
    if let Some(stable) = &mut stable {
        scaling.remove_deadline(context, stable);
        scaling.set(context, stable, replicas(context.rollout));
    }
    if !scaling.scaled {
        scaling.scale_new(context, &new);
    }
    if !scaling.scaled {
        scaling.scale_others(context);
    }
    scaling
}

/// `shouldDelayScaleDownOnAbort`.
fn delays_on_abort(context: &Context<'_>) -> bool {
    context.is_aborted() && context.stable.is_some() && abort_delay(context.rollout).is_some()
}

impl Scaling {
    /// `reconcileNewReplicaSet`.
    fn scale_new(&mut self, context: &Context<'_>, new: &ReplicaSet) {
        let mut count = canary_replicas(context.rollout);
        if let Some(delay) = abort_delay(context.rollout).filter(|_| delays_on_abort(context)) {
            let Some(deadline) = new.deadline else {
                // The annotation has to be up to date, or every reconciliation is taken for a scaling.
                self.set(context, new, new.replicas);
                let stable = context.stable.map_or(0, |stable| stable.available);
                if stable >= replicas(context.rollout) {
                    self.add_deadline(context, new, delay);
                }
                return;
            };
            if self.waits_for(context, deadline) {
                self.set(context, new, new.replicas);
                return;
            }
            count = 0;
        }
        self.set(context, new, count);
    }

    /// `reconcileOtherReplicaSets`.
    fn scale_others(&mut self, context: &Context<'_>) {
        let mut others: Vec<ReplicaSet> = context
            .others()
            .filter(|set| set.replicas > 0)
            .cloned()
            .collect();
        // Pods that don't serve go first (`cleanupUnhealthyReplicas`).
        for set in &mut others {
            if set.replicas > set.available {
                self.set(context, set, set.available);
                set.replicas = set.available;
            }
        }
        let least = replicas(context.rollout) - max_unavailable(context.rollout);
        let mut spare = context.sum(|set| set.available) - least;
        others.sort_by_key(|set| std::cmp::Reverse(set.revision));
        let mut delayed = 0;
        for set in &others {
            if spare <= 0 || set.replicas == 0 || is_referenced(context, set) {
                continue;
            }
            let count = if is_fully_promoted(context.rollout) || set.deadline.is_some() {
                self.delayed_count(context, set, &mut delayed)
            } else {
                // Neither stable nor the canary: the user has changed the image in the middle of an update.
                0
            };
            if count != set.replicas {
                self.set(context, set, count);
                spare -= set.replicas - count;
            }
        }
    }

    /// `scaleDownDelayHelper`.
    fn delayed_count(&mut self, context: &Context<'_>, set: &ReplicaSet, delayed: &mut i32) -> i32 {
        let limit = context
            .rollout
            .canary()
            .and_then(|canary| canary.scale_down_delay_revision_limit)
            .unwrap_or(i32::MAX);
        if let Some(deadline) = set.deadline {
            *delayed += 1;
            let stays = *delayed <= limit && self.waits_for(context, deadline);
            return if stays { set.replicas } else { 0 };
        }
        if *delayed >= limit {
            return 0;
        }
        *delayed += 1;
        let delay = scale_down_delay(context.rollout);
        if delay > 0 {
            self.add_deadline(context, set, delay);
        }
        set.replicas
    }

    /// `scaleReplicaSetAndRecordEvent`.
    fn set(&mut self, context: &Context<'_>, set: &ReplicaSet, count: i32) {
        let desired = replicas(context.rollout);
        let stale = set.desired != Some(desired) || desired == 0 && set.deadline.is_some();
        if set.replicas == count && !stale {
            return;
        }
        let annotations = if count == 0 && !delays_on_abort(context) {
            json!({DESIRED_REPLICAS: desired.to_string(), DEADLINE: null})
        } else {
            json!({DESIRED_REPLICAS: desired.to_string()})
        };
        let patch = json!({"metadata": {"annotations": annotations}, "spec": {"replicas": count}});
        let key = &context.observed.key;
        self.changes.push(Change::set(key, &set.name, patch));
        if set.replicas != count {
            self.scaled = true;
            let direction = if set.replicas < count { "up" } else { "down" };
            self.changes.push(Change::normal(
                "ScalingReplicaSet",
                format!(
                    "Scaled {direction} ReplicaSet {} (revision {}) from {} to {count}",
                    set.name, set.revision, set.replicas
                ),
            ));
        }
    }

    /// `removeScaleDownDelay`.
    fn remove_deadline(&mut self, context: &Context<'_>, set: &mut ReplicaSet) {
        if set.deadline.take().is_some() {
            self.annotate(context, set, &Value::Null);
        }
    }

    /// `addScaleDownDelay`.
    fn add_deadline(&mut self, context: &Context<'_>, set: &ReplicaSet, seconds: i64) {
        let now = context.observed.time();
        let deadline = Time {
            unix_seconds: now.unix_seconds.saturating_add(seconds),
            nanoseconds: 0,
        };
        self.annotate(context, set, &Value::from(deadline.to_string()));
        self.waits_for(context, deadline);
    }

    fn annotate(&mut self, context: &Context<'_>, set: &ReplicaSet, deadline: &Value) {
        let patch = json!({"metadata": {"annotations": {DEADLINE: deadline}}});
        let key = &context.observed.key;
        self.changes.push(Change::set(key, &set.name, patch));
    }

    /// Whether a moment is still to come; then the reconciliation comes again.
    fn waits_for(&mut self, context: &Context<'_>, deadline: Time) -> bool {
        let rest = until(context.observed.now, deadline);
        self.again_after = sooner(self.again_after, rest);
        rest.is_some()
    }
}

/// How long until a moment; none if it has passed.
pub(super) fn until(now: Timestamp, then: Time) -> Option<Duration> {
    let rest = timestamp(then).duration_since(now);
    (rest > SignedDuration::ZERO).then(|| rest.unsigned_abs())
}

/// The shorter of two waits.
pub(super) fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// `isReplicaSetReferenced`. The real controller looks into DestinationRules for its own Istio support only.
fn is_referenced(context: &Context<'_>, set: &ReplicaSet) -> bool {
    let status = &context.rollout.status;
    let weights = status.canary.weights.iter();
    let weighted = weights.flat_map(|weights| {
        [
            weights.canary.pod_template_hash.as_str(),
            weights.stable.pod_template_hash.as_str(),
        ]
    });
    let services = super::services::named(context.rollout)
        .filter_map(|name| context.observed.services.get(name))
        .map(super::observe::Service::hash);
    [status.stable_rs.as_str(), status.current_pod_hash.as_str()]
        .into_iter()
        .chain(weighted)
        .chain(services)
        .any(|hash| hash == set.hash)
}
