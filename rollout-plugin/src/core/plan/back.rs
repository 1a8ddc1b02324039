//! The way back to one version: an abort, a rollback to the stable image, the end of a promotion.
//!
//! The controller stops a reconcile at the first call that fails (argo-rollouts v1.10.1
//! `rollout.reconcileTrafficRouting`). So what is wrong with one object must not keep the others where they are: a plan
//! of the way back has the writes that are possible, and beside them the problems that are left.

use std::collections::BTreeSet;
use std::sync::Arc;

use argo_rollouts::Rollout;
use serde_json::Value;

use crate::core::capacity::{self, Capacity};
use crate::core::destination_rule;
use crate::core::error::{CoreError, Fault};
use crate::core::plan::routes::{Aim, routes};
use crate::core::plan::shares::Shares;
use crate::core::plan::{
    Call, Observed, PodHashes, Versions, Write, all_of, change, removal, subset_rule,
};
use crate::core::routing::Routing;
use crate::core::rules::is_between;
use crate::object::{ObjectId, POD_TEMPLATE_HASH};

/// What can be written, and what keeps that from being all.
#[derive(Debug, Default)]
pub struct Plan {
    /// In their order, as of [`writes`](super::writes).
    pub writes: Vec<Write>,
    /// What is not as it must be. Each names its object.
    pub problems: Vec<CoreError>,
}

impl Plan {
    /// The writes, if there is no problem.
    ///
    /// # Errors
    /// The first problem.
    pub(super) fn whole(self) -> Result<Vec<Write>, CoreError> {
        match self.problems.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(self.writes),
        }
    }

    /// Adds a write, or the reason why there is none.
    pub(super) fn take(&mut self, part: Result<Option<Write>, CoreError>) {
        match part {
            Ok(write) => self.writes.extend(write),
            Err(problem) => self.problems.push(problem),
        }
    }
}

/// True for a call that takes traffic off the canary: it must get through, whatever has become of the objects and of the
/// configuration.
///
/// RemoveManagedRoutes always is one. The other calls are while the Rollout has one version, or is aborted; SetWeight
/// also where it takes the last weight from a canary that has lost its pods. A header or mirror step is one too: the
/// controller calls it between RemoveManagedRoutes and SetWeight, aborted or not, where it is the current step
/// (argo-rollouts v1.10.1 `replicaset.GetCurrentCanaryStep`).
pub fn is_way_back(rollout: &Rollout, call: Call<'_>) -> bool {
    let is_over = !is_between(rollout) || rollout.status.abort;
    match call {
        Call::RemoveManagedRoutes => true,
        Call::UpdateHash(_) => is_over,
        Call::SetWeight(weights) => is_over || (weights.canary == 0 && last_weight(rollout) > 0),
        Call::SetRoute(_) => is_over || rollout.status.promote_full,
        Call::Keep(_) => false,
    }
}

/// The canary's weight at the end of the controller's last whole reconcile (`status.canary.weights`).
fn last_weight(rollout: &Rollout) -> i32 {
    let weights = rollout.status.canary.weights.as_ref();
    weights.map_or(0, |weights| weights.canary.weight)
}

/// True where a canary has had traffic. A Rollout that never had one, and was only written down wrongly, must not change
/// objects that it doesn't fit.
pub(crate) fn had_traffic(rollout: &Rollout) -> bool {
    rollout.status.abort || last_weight(rollout) > 0
}

/// The plan of a call of which [`is_way_back`] is true. `refused`: objects that could not be written; a policy among them
/// no longer keeps its lane routes.
pub fn way_back(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    call: Call<'_>,
    refused: &BTreeSet<ObjectId>,
) -> Plan {
    let without_policy;
    let observed = if routing.filter_ids().any(|id| refused.contains(id)) {
        let mut readable = observed.clone();
        for (id, object) in routing.filter_ids().zip(&mut readable.filters) {
            object.take_if(|_| refused.contains(id));
        }
        without_policy = readable;
        &without_policy
    } else {
        observed
    };
    let mut plan = plan_of(rollout, routing, observed, call);
    plan.writes
        .retain(|write| !refused.contains(write.target()));
    plan
}

fn plan_of(rollout: &Rollout, routing: &Routing, observed: &Observed, call: Call<'_>) -> Plan {
    match call {
        Call::UpdateHash(hashes) => subsets(rollout, routing, observed, hashes),
        Call::SetWeight(weights) => {
            let mut problems = Vec::new();
            let weights = match Shares::of(routing, weights) {
                Ok(weights) => weights,
                Err(problem) if weights.canary < 0 => {
                    return Plan {
                        problems: vec![problem],
                        ..Plan::default()
                    };
                }
                Err(problem) => {
                    problems.push(problem);
                    Shares::default()
                }
            };
            let waits = capacity::stable_waits_for(rollout, routing, observed);
            let capacity = Capacity::of(rollout, &observed.replica_sets);
            let held = waits
                .filter(|_| routing.waits_for_pods && !rollout.status.abort)
                .map(|hash| capacity.few(hash))
                .or_else(|| stable_subset_elsewhere(rollout, routing, observed));
            let aim = Aim {
                weights: held.is_none().then_some(weights),
                rescues: held.is_none() && had_traffic(rollout),
                ..Aim::default()
            };
            problems.extend(held);
            let mut plan = routes(rollout, routing, observed, &aim);
            plan.problems.splice(..0, problems);
            plan
        }
        Call::RemoveManagedRoutes | Call::SetRoute(_) | Call::Keep(_) => Plan {
            writes: removal(rollout, routing, observed),
            problems: Vec::new(),
        },
    }
}

/// The reason why the weights of a promotion are held: the stable subset still selects the old version's pods, and the
/// canary subset those of the new one. Without it users would get the old version back.
fn stable_subset_elsewhere(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
) -> Option<CoreError> {
    if is_between(rollout) {
        return None;
    }
    let (reference, object) = subset_rule(routing, observed).ok()??;
    let wanted = &*rollout.status.stable_rs;
    let found = destination_rule::hash_of(object, &reference.stable_subset)?;
    let canary = destination_rule::hash_of(object, &reference.canary_subset);
    let versions = Versions::of(&observed.replica_sets);
    if found == wanted || canary != Some(wanted) || !versions.has_pods(wanted) {
        return None;
    }
    let fault = Fault::new(
        format!(
            "spec.subsets[{:?}].labels[{POD_TEMPLATE_HASH:?}]",
            reference.stable_subset
        ),
        format!("{found:?}"),
        format!(
            "{wanted:?}; until then traffic stays at subset {:?}, which selects that version",
            reference.canary_subset
        ),
    );
    Some(fault.of(&object.id))
}

/// The subsets that exist, each at its hash.
fn subsets(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    hashes: PodHashes<'_>,
) -> Plan {
    let mut plan = Plan::default();
    let (reference, object) = match subset_rule(routing, observed) {
        Ok(Some(found)) => found,
        Ok(None) => return plan,
        Err(problem) => {
            plan.problems.push(problem);
            return plan;
        }
    };
    let capacity = Capacity::of(rollout, &observed.replica_sets);
    let (spec, problems) =
        destination_rule::possible_spec(object, reference, all_of(hashes), capacity);
    plan.writes.extend(change(object, spec));
    plan.problems.extend(problems);
    plan
}

/// The DestinationRule with a stable subset, where it has lost that: weights are about to route everything there.
pub(super) fn rescued_subset(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
) -> Result<Option<Write>, CoreError> {
    let Some((reference, object)) = subset_rule(routing, observed)? else {
        return Ok(None);
    };
    let spec: Option<Value> =
        destination_rule::with_stable_subset(object, reference, &rollout.status.stable_rs);
    Ok(change(&Arc::clone(object), spec))
}
