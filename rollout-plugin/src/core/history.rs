//! Which header and mirror steps of the current canary have run.
//!
//! The step index alone doesn't say: a rollback within the `rollbackWindow` and `promote --skip-all-steps` set it behind the
//! last step at once, and `promote` skips the current one, such as a header step whose call keeps failing. So it is noted at
//! which steps the Rollout has been, and which calls have failed, for as long as the process lives. (No call has to come:
//! the controller, argo-rollouts v1.10.1 `completedCurrentCanaryStep`, takes a header step for done also where it has made
//! none, since the stable version lacked pods.) Of what was before that, the index is evidence while it is inside the list: a canary that is there has
//! gone through the steps before it, unless somebody skipped one while no plugin ran. Behind the list, the policy is.

use std::collections::BTreeSet;

use argo_rollouts::{CanaryStep, Rollout};

use crate::core::rules::steps_of;

/// What is known of one canary's steps. The default knows nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepHistory {
    /// The canary's pod hash.
    canary: String,
    steps: Vec<CanaryStep>,
    /// Where the canary was first seen.
    from: usize,
    /// Where it was last seen.
    at: usize,
    /// The steps that have been the current one, or that a call has brought, but for those whose last call has failed.
    ran: BTreeSet<usize>,
    /// The steps of which a call has succeeded.
    brought: BTreeSet<usize>,
    /// The steps of which calls have failed, and none has succeeded.
    failed: BTreeSet<usize>,
    /// False where the policy may be another canary's.
    trusts_policy: bool,
}

impl StepHistory {
    /// Takes in a version of the Rollout. Another canary, other steps, and an index that goes back (a retry) begin anew.
    ///
    /// Of other steps none has run. The controller sets the index to 0 then, in another write than the user's, so that the
    /// new list may come with the old index first.
    pub fn see(&mut self, rollout: &Rollout) {
        let index = index_of(rollout);
        let is_same = self.canary == rollout.status.current_pod_hash;
        let is_edited = is_same && !self.is_of(rollout);
        if !self.is_of(rollout) || index < self.at {
            *self = Self {
                canary: rollout.status.current_pod_hash.clone(),
                steps: steps_of(rollout).to_vec(),
                from: if is_edited { 0 } else { index },
                failed: BTreeSet::from_iter(is_edited.then_some(index)),
                trusts_policy: self.canary.is_empty(),
                ..Self::default()
            };
        }
        self.at = index;
        if !self.failed.contains(&index) {
            self.ran.insert(index);
        }
    }

    /// Notes that a call for the Rollout's current step has ended.
    pub fn bring(&mut self, rollout: &Rollout, succeeded: bool) {
        if !self.is_of(rollout) {
            return;
        }
        let index = index_of(rollout);
        if succeeded {
            self.brought.insert(index);
            self.ran.insert(index);
            self.failed.remove(&index);
        } else if !self.brought.contains(&index) {
            self.failed.insert(index);
            self.ran.remove(&index);
        }
    }

    /// True if the step at `index`, which is not behind the current one, has run. `is_in_policy`: the policy is as the
    /// step leaves it.
    pub(crate) fn has_run(&self, rollout: &Rollout, index: usize, is_in_policy: bool) -> bool {
        let from = if self.is_of(rollout) {
            self.from
        } else {
            index_of(rollout)
        };
        if self.is_of(rollout) && index >= from {
            return self.ran.contains(&index);
        }
        let trusts_policy = self.trusts_policy || !self.is_of(rollout);
        (trusts_policy && is_in_policy) || from < steps_of(rollout).len()
    }

    fn is_of(&self, rollout: &Rollout) -> bool {
        self.canary == rollout.status.current_pod_hash && self.steps == steps_of(rollout)
    }
}

/// The index of the Rollout's current step; as many as there are steps, or more, behind the last.
pub(crate) fn index_of(rollout: &Rollout) -> usize {
    let index = rollout.status.current_step_index;
    index.map_or(0, |index| usize::try_from(index).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::fixtures::rollout;

    fn at(canary: &str, index: i32, count: usize) -> Rollout {
        rollout(json!({
            "spec": {"strategy": {"canary": {"steps": vec![json!({"pause": {}}); count]}}},
            "status": {"currentPodHash": canary, "currentStepIndex": index},
        }))
    }

    /// Which of the first steps have run, without and with a rule in the policy.
    fn ran(history: &StepHistory, rollout: &Rollout, count: usize) -> (Vec<usize>, Vec<usize>) {
        let of = |is_in_policy| {
            let steps = 0..count;
            steps
                .filter(|index| history.has_run(rollout, *index, is_in_policy))
                .collect()
        };
        (of(false), of(true))
    }

    #[test]
    fn what_calls_have_brought_has_run_and_what_was_skipped_has_not() {
        let mut history = StepHistory::default();
        history.see(&at("c2", 0, 5));
        history.bring(&at("c2", 0, 5), true);
        history.see(&at("c2", 2, 5));
        assert_eq!(ran(&history, &at("c2", 2, 5), 3), (vec![0, 2], vec![0, 2]));
        // Its call fails, and it is skipped.
        history.see(&at("c2", 3, 5));
        history.bring(&at("c2", 3, 5), false);
        history.see(&at("c2", 3, 5));
        history.see(&at("c2", 5, 5));
        assert_eq!(ran(&history, &at("c2", 5, 5), 5), (vec![0, 2], vec![0, 2]));
        // A retry.
        history.see(&at("c2", 0, 5));
        assert_eq!(ran(&history, &at("c2", 0, 5), 1), (vec![0], vec![0]));
        history.see(&at("c2", 2, 5));
        assert_eq!(ran(&history, &at("c2", 2, 5), 3), (vec![0, 2], vec![0, 2]));
    }

    #[test]
    fn a_canary_that_is_seen_late_has_gone_through_its_steps_unless_it_is_behind_them() {
        let mut history = StepHistory::default();
        let (inside, behind, beyond) = (at("c2", 2, 4), at("c2", 4, 4), at("c2", 9, 4));
        assert_eq!(ran(&history, &inside, 2), (vec![0, 1], vec![0, 1]));
        assert_eq!(ran(&history, &behind, 2), (vec![], vec![0, 1]));
        history.see(&inside);
        assert_eq!(ran(&history, &inside, 3), (vec![0, 1, 2], vec![0, 1, 2]));
        history.see(&behind);
        assert_eq!(ran(&history, &behind, 4), (vec![0, 1, 2], vec![0, 1, 2]));
        // A rollback within the window, with what the canary before it has left in the policy.
        history.see(&at("c0", 4, 4));
        assert_eq!(ran(&history, &at("c0", 4, 4), 2), (vec![], vec![]));
        // After a restart, and an index that no list has.
        let mut history = StepHistory::default();
        history.see(&behind);
        assert_eq!(ran(&history, &behind, 2), (vec![], vec![0, 1]));
        history.see(&beyond);
        assert_eq!(ran(&history, &beyond, 2), (vec![], vec![0, 1]));
    }

    #[test]
    fn other_steps_begin_anew() {
        let mut history = StepHistory::default();
        history.see(&at("c2", 1, 4));
        history.bring(&at("c2", 1, 4), true);
        // The list before the index.
        history.see(&at("c2", 1, 3));
        assert_eq!(ran(&history, &at("c2", 1, 3), 2), (vec![], vec![]));
        history.see(&at("c2", 0, 3));
        history.see(&at("c2", 2, 3));
        assert_eq!(ran(&history, &at("c2", 2, 3), 2), (vec![0], vec![0]));
    }
}
