//! One reconciliation of one Rollout, in two pure stages around the plugin's calls.
//!
//! Follows argo-rollouts v1.10.1 `rollout/controller.go` (`newRolloutContext`, `reconcile`), `rollout/sync.go`
//! (`createDesiredReplicaSet`, `syncReplicaSetRevision`, `isScalingEvent`) and `rollout/canary.go` (`rolloutCanary`,
//! `reconcileCanaryPause`). Where the real controller writes the Rollout in the middle and goes on, this one ends and
//! begins again with what it has written; there are no calls before that point.

use std::time::Duration;

use argo_rollouts::types::TrafficWeights;
use serde_json::json;

use super::change::Change;
use super::conditions;
use super::context::{Context, pause_condition};
use super::observe::{DESIRED_REPLICAS, HASH, Observed, REVISION, REVISION_HISTORY};
use super::scaling::{scale, sooner, until};
use super::status::{Sync, Weights, patch_conditions, sync, sync_replicas};
use super::steps::{current_step, max_weight, pause_seconds, replicas, steps};
use super::traffic::{Route, route};
use super::{services, validate};
use crate::apiserver::object::owned_by;
use crate::workloads::write::Write;

/// How long until a weight that isn't verified is looked at again (`GetRolloutVerifyRetryInterval`).
const VERIFY_RETRY: Duration = Duration::from_secs(10);

/// The first stage: what comes before the plugin's calls.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Prepared {
    pub(super) changes: Vec<Change>,
    /// The calls; without them the reconciliation has ended.
    pub(super) route: Option<Route>,
    pub(super) again_after: Option<Duration>,
}

/// The second stage: what comes after them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Finished {
    pub(super) changes: Vec<Change>,
    pub(super) again_after: Option<Duration>,
    /// The weight that is still to be verified at the end of the update: an error, to be retried.
    pub(super) unverified: Option<i32>,
}

/// What came of `VerifyWeight`: the error is the plugin's, in the controller's words.
pub(super) type Verdict = Result<Option<bool>, String>;

/// Decides on everything up to the plugin's calls.
pub(super) fn prepare(observed: &Observed) -> Prepared {
    if observed.rollout.metadata.deletion_timestamp.is_some() {
        return Prepared::default();
    }
    if let Err(why) = validate::check(observed) {
        let patch = validate::refuse(observed, &why);
        return Prepared {
            changes: patch
                .map(|patch| Change::rollout(&observed.key, patch))
                .into_iter()
                .collect(),
            again_after: Some(Duration::from_secs(20)),
            route: None,
        };
    }
    let Some(mut context) = Context::new(observed) else {
        return ended(create_set(observed));
    };
    let first = first_changes(&context);
    if !first.is_empty() {
        return ended(first);
    }
    if is_scaling(&context) {
        let scaling = scale(&context);
        let synced = sync_replicas(&mut context);
        return Prepared {
            changes: [scaling.changes, synced.changes].concat(),
            route: None,
            again_after: sooner(scaling.again_after, synced.again_after),
        };
    }
    if context.has_changed() {
        let synced = sync(&mut context, &carried(observed));
        return Prepared {
            changes: synced.changes,
            route: None,
            again_after: synced.again_after,
        };
    }
    let mut changes = forget_history(&context);
    changes.extend(services::reconcile(&context));
    Prepared {
        changes,
        route: Some(route(&context)),
        again_after: None,
    }
}

/// Decides on the rest. `verdict` is the answer to `VerifyWeight`, where the calls had one.
pub(super) fn finish(observed: &Observed, route: &Route, verdict: &Verdict) -> Finished {
    let Some(mut context) = Context::new(observed) else {
        return Finished::default();
    };
    let mut finished = Finished::default();
    let weights = match &route.weights {
        None => carried(observed),
        Some(set) => finished.settle(observed, set, verdict),
    };
    if finished.unverified.is_some() {
        return finished;
    }
    let scaling = scale(&context);
    finished.changes.extend(scaling.changes);
    finished.again_after = sooner(finished.again_after, scaling.again_after);
    if !scaling.scaled {
        finished.again_after = sooner(finished.again_after, pause(&mut context));
    }
    let Sync {
        changes,
        again_after,
    } = sync(&mut context, &weights);
    finished.changes.extend(changes);
    finished.again_after = sooner(finished.again_after, again_after);
    finished
}

impl Finished {
    /// The part of `reconcileTrafficRouting` after `SetWeight`.
    fn settle(&mut self, observed: &Observed, set: &TrafficWeights, verdict: &Verdict) -> Weights {
        let rollout = &observed.rollout;
        let before = rollout.status.canary.weights.as_ref();
        let modified = before.is_none_or(|before| {
            before.canary != set.canary
                || before.stable != set.stable
                || before.additional != set.additional
        });
        let weight = set.canary.weight;
        if modified {
            let details = match before.map(|before| before.canary.weight) {
                None => format!("to {weight}"),
                Some(old) if old != weight => format!("from {old} to {weight}"),
                Some(_) => String::new(),
            };
            let message = format!("Traffic weight updated {details}");
            self.changes
                .push(Change::normal("TrafficWeightUpdated", message));
        }
        let verified = match verdict {
            Ok(verified) => *verified,
            Err(error) => {
                let message = format!("Failed to verify weight: {error}");
                self.changes
                    .push(Change::warning("WeightVerifyError", message));
                Some(false)
            }
        };
        if verdict.is_ok() && verified == Some(false) {
            self.again_after = Some(VERIFY_RETRY);
            if weight == max_weight(rollout) {
                self.unverified = Some(weight);
            }
        }
        let current = TrafficWeights {
            verified,
            ..set.clone()
        };
        Weights {
            current: Some(current),
            modified,
        }
    }
}

fn ended(changes: Vec<Change>) -> Prepared {
    Prepared {
        changes,
        ..Prepared::default()
    }
}

/// The weights as they were.
fn carried(observed: &Observed) -> Weights {
    Weights {
        current: observed.rollout.status.canary.weights.clone(),
        modified: false,
    }
}

/// `createDesiredReplicaSet`.
fn create_set(observed: &Observed) -> Vec<Change> {
    let rollout = &observed.rollout;
    let hash = observed.template_hash();
    let name = format!("{}-{hash}", observed.key.name);
    let revision = 1 + observed
        .sets
        .iter()
        .map(|set| set.revision)
        .max()
        .unwrap_or(0);
    let mut template = observed
        .object
        .pointer("/spec/template")
        .cloned()
        .unwrap_or_default();
    json_patch::merge(
        &mut template,
        &json!({"metadata": {"labels": {HASH: hash}}}),
    );
    let mut selector = observed
        .object
        .pointer("/spec/selector")
        .cloned()
        .unwrap_or_default();
    json_patch::merge(&mut selector, &json!({"matchLabels": {HASH: hash}}));
    let set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": observed.key.namespace,
            "labels": template.pointer("/metadata/labels"),
            "annotations": {
                REVISION: revision.to_string(),
                DESIRED_REPLICAS: replicas(rollout).to_string(),
            },
            "ownerReferences": owned_by("argoproj.io/v1alpha1", "Rollout", &observed.object),
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": rollout.spec.min_ready_seconds,
            "selector": selector,
            "template": template,
        },
    });
    let mut status = rollout.status.clone();
    let message = format!("Created new replica set \"{name}\"");
    let reason = "NewReplicaSetCreated";
    let now = observed.time();
    let condition = conditions::condition(now, conditions::PROGRESSING, "True", reason, &message);
    conditions::set(&mut status, condition);
    // Unlike a patch of conditions alone this leaves phase and generation: they come with the next reconciliation.
    let mut patch = json!({
        "metadata": {"annotations": {REVISION: revision.to_string()}},
        "status": {"conditions": status.conditions},
    });
    if rollout.spec.replicas.is_none() {
        json_patch::merge(&mut patch, &json!({"spec": {"replicas": 1}}));
    }
    vec![
        Change::Write(Write::Create(set)),
        Change::rollout(&observed.key, patch),
        Change::normal(
            "RolloutUpdated",
            format!("Rollout updated to revision {revision}"),
        ),
        Change::normal(
            reason,
            format!("Created ReplicaSet {name} (revision {revision})"),
        ),
    ]
}

/// What has to be in order before a reconciliation goes on: the number of replicas, the conditions after a user's pause
/// or retry, the revision.
fn first_changes(context: &Context<'_>) -> Vec<Change> {
    let observed = context.observed;
    let (key, rollout) = (&observed.key, context.rollout);
    if rollout.spec.replicas.is_none() {
        return vec![Change::rollout(key, json!({"spec": {"replicas": 1}}))];
    }
    let paused = conditions::paused(rollout, observed.time());
    if !paused.is_empty() {
        let mut status = rollout.status.clone();
        for condition in paused {
            conditions::set(&mut status, condition);
        }
        let patch = patch_conditions(rollout, status);
        return patch
            .map(|patch| Change::rollout(key, patch))
            .into_iter()
            .collect();
    }
    let older = observed
        .sets
        .iter()
        .filter(|set| set.name != context.new.name);
    let revision = 1 + older.map(|set| set.revision).max().unwrap_or(0);
    let new = context.new;
    if new.revision < revision {
        let mut annotations = json!({REVISION: revision.to_string()});
        if new.revision > 0 {
            let old = new.revision.to_string();
            let history = match new.revision_history.as_str() {
                "" => old,
                history => format!("{history},{old}"),
            };
            json_patch::merge(&mut annotations, &json!({REVISION_HISTORY: history}));
        }
        let patch = json!({"metadata": {"annotations": annotations}});
        return vec![Change::set(key, &new.name, patch)];
    }
    if observed.revision() != new.revision {
        let revision = new.revision.to_string();
        let message = format!("Rollout updated to revision {revision}");
        let patch = json!({"metadata": {"annotations": {REVISION: revision}}});
        return vec![
            Change::rollout(key, patch),
            Change::normal("RolloutUpdated", message),
        ];
    }
    if conditions::get(&rollout.status, conditions::PROGRESSING).is_none() {
        let mut status = rollout.status.clone();
        let message = format!("Found new replica set \"{}\"", new.name);
        let (kind, reason) = (conditions::PROGRESSING, "FoundNewReplicaSet");
        let condition = conditions::condition(observed.time(), kind, "True", reason, &message);
        conditions::set(&mut status, condition);
        let patch = json!({"status": {"conditions": status.conditions}});
        return vec![Change::rollout(key, patch)];
    }
    Vec::new()
}

/// `isScalingEvent`: the user has changed the number of replicas.
fn is_scaling(context: &Context<'_>) -> bool {
    let desired = replicas(context.rollout);
    [Some(context.new), context.stable]
        .into_iter()
        .flatten()
        .filter(|set| set.replicas > 0)
        .any(|set| set.desired.is_some_and(|before| before != desired))
}

/// `reconcileRevisionHistoryLimit`.
fn forget_history(context: &Context<'_>) -> Vec<Change> {
    let limit = context.rollout.spec.revision_history_limit.unwrap_or(10);
    let limit = usize::try_from(limit).unwrap_or_default();
    let excess = context.others().count().saturating_sub(limit);
    let key = &context.observed.key;
    context
        .others()
        .take(excess)
        .filter(|set| set.replicas == 0 && set.actual == 0 && set.settled)
        .map(|set| {
            Change::Write(Write::Delete {
                at: key.sibling("replicasets", &set.name),
                uid: set.uid.clone(),
            })
        })
        .collect()
}

/// `reconcileCanaryPause`: begins a pause, or says when it ends.
fn pause(context: &mut Context<'_>) -> Option<Duration> {
    let rollout = context.rollout;
    if rollout.spec.paused || rollout.status.promote_full || steps(rollout).is_empty() {
        return None;
    }
    let pause = current_step(rollout)?.pause.as_ref()?;
    let Some(condition) = pause_condition(&rollout.status) else {
        context.pause.add = !rollout.status.controller_pause;
        return None;
    };
    let mut end = condition.start_time?;
    end.unix_seconds = end.unix_seconds.saturating_add(pause_seconds(pause)?);
    until(context.observed.now, end)
}
