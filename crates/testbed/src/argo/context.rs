//! A Rollout and its ReplicaSets in their roles, and what the reconciliation has decided about pauses so far
//! (argo-rollouts v1.10.1 `rollout/context.go`, `rollout/pause.go`).

use argo_rollouts::types::{PauseCondition, Rollout, RolloutStatus};

use super::observe::{Observed, ReplicaSet};
use super::steps::is_fully_promoted;

/// The only reason for which the stand-in pauses (`PauseReasonCanaryPauseStep`).
const PAUSE_STEP: &str = "CanaryPauseStep";

/// The ReplicaSets in their roles.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) observed: &'a Observed,
    pub(super) rollout: &'a Rollout,
    /// The one of the pod template as it is now.
    pub(super) new: &'a ReplicaSet,
    /// The one that `status.stableRS` names; may be the new one.
    pub(super) stable: Option<&'a ReplicaSet>,
    pub(super) pause: Pause,
}

/// `pauseContext`: what becomes of pauses and of an abort.
#[derive(Clone, Copy, Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a decision of its own, as in the code that this follows"
)]
pub(super) struct Pause {
    pub(super) add: bool,
    pub(super) remove: bool,
    pub(super) clear: bool,
    pub(super) remove_abort: bool,
}

impl<'a> Context<'a> {
    /// None if there is no ReplicaSet of the pod template yet.
    pub(super) fn new(observed: &'a Observed) -> Option<Self> {
        let rollout = &observed.rollout;
        let by_hash = |hash: &str| observed.sets.iter().find(|set| set.hash == hash);
        let new = by_hash(&observed.template_hash())?;
        let stable = Some(rollout.status.stable_rs.as_str())
            .filter(|hash| !hash.is_empty())
            .and_then(by_hash);
        let pause = Pause {
            remove_abort: is_fully_promoted(rollout) && rollout.status.abort,
            ..Pause::default()
        };
        Some(Self {
            observed,
            rollout,
            new,
            stable,
            pause,
        })
    }

    /// The ReplicaSets that are neither new nor stable, oldest first.
    pub(super) fn others(&self) -> impl Iterator<Item = &'a ReplicaSet> {
        let (new, stable) = (
            self.new.name.as_str(),
            self.stable.map(|set| set.name.as_str()),
        );
        let sets = self.observed.sets.iter();
        sets.filter(move |set| set.name != new && Some(set.name.as_str()) != stable)
    }

    /// The stable ReplicaSet where it isn't the new one (`CheckStableRSExists`).
    pub(super) fn other_stable(&self) -> Option<&'a ReplicaSet> {
        self.stable.filter(|stable| stable.name != self.new.name)
    }

    /// A sum over all ReplicaSets.
    pub(super) fn sum(&self, field: impl Fn(&ReplicaSet) -> i32) -> i32 {
        self.observed.sets.iter().map(field).sum()
    }

    /// `IsAborted`.
    pub(super) fn is_aborted(&self) -> bool {
        self.rollout.status.abort && !self.pause.remove_abort
    }

    /// `PodTemplateOrStepsChanged`: an update begins.
    pub(super) fn has_changed(&self) -> bool {
        let status = &self.rollout.status;
        status.current_step_hash.is_empty()
            || status.current_step_hash != self.observed.step_hash()
            || !status.current_pod_hash.is_empty() && status.current_pod_hash != self.new.hash
    }
}

/// The condition of a pause that the current step has asked for.
pub(super) fn pause_condition(status: &RolloutStatus) -> Option<&PauseCondition> {
    let mut conditions = status.pause_conditions.iter();
    conditions.find(|condition| condition.reason == PAUSE_STEP)
}

impl Pause {
    /// `CalculatePauseStatus`: writes abort and pause into a status. Without a pause the status stays as it is.
    pub(super) fn write(self, observed: &Observed, status: &mut RolloutStatus) {
        let before = &observed.rollout.status;
        status.abort = before.abort && !self.remove_abort;
        status.aborted_at = None;
        if status.abort {
            status.aborted_at = before.aborted_at.or_else(|| Some(observed.time()));
            return;
        }
        if self.clear {
            return;
        }
        let kept = before.pause_conditions.iter();
        let mut conditions: Vec<PauseCondition> = kept
            .filter(|condition| !(self.remove && condition.reason == PAUSE_STEP))
            .cloned()
            .collect();
        let mut paused = before.controller_pause;
        if self.add && pause_condition(before).is_none() {
            conditions.push(PauseCondition {
                reason: PAUSE_STEP.to_owned(),
                start_time: Some(observed.time()),
            });
            paused = true;
        }
        if !conditions.is_empty() {
            status.controller_pause = paused;
            status.pause_conditions = conditions;
        }
    }
}
