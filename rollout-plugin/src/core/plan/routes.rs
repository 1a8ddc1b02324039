//! Weights, lanes and policy, in the order that sends no request astray: subsets; lane routes; the policy that uses
//! them; weights, after the share of those who are told apart; and lane routes go only when the observed policy has
//! stopped using them.
//!
//! On the way to the canary weights and lane routes are one write where there are no sticky users. On the way back
//! weights are a write of their own, before any lane route changes: whatever the API server may refuse of lane routes,
//! the traffic is at the stable version by then.

use argo_rollouts::{Rollout, WeightDestination};
use traffic_policy::config::Lanes;

use crate::core::declared;
use crate::core::delegate::Delegation;
use crate::core::destination_rule::{self, Hashes};
use crate::core::error::CoreError;
use crate::core::plan::back::rescued_subset;
use crate::core::plan::shares::Shares;
use crate::core::plan::stages::Stages;
use crate::core::plan::{
    Observed, Plan, Write, absent, change, check_canary_subset, policy_changes, present, subsets,
};
use crate::core::policy::Policies;
use crate::core::routing::Routing;
use crate::core::rules::{RouteStep, ends, has_canary, is_between, lanes_of_steps};
use crate::core::virtual_service::{self, Desired};

/// What [`routes`] shall bring about.
#[derive(Clone, Debug, Default)]
pub(super) struct Aim<'a> {
    /// `None` leaves the weights alone.
    pub(super) weights: Option<Shares<'a>>,
    /// The step that a call brings.
    pub(super) step: Option<RouteStep<'a>>,
    /// The canary's pod hash where the subset is to stay at it; `None` brings the canary subset to the Rollout's
    /// current version where traffic is sent there.
    pub(super) canary: Option<&'a str>,
    /// Experiments whose subsets stay though they have no weight yet.
    pub(super) additional: &'a [WeightDestination],
    /// True where all that is not weights stays as it is.
    pub(super) keeps_lanes: bool,
    /// Traffic is taken off the canary also in a VirtualService that is no longer as the Rollout needs it.
    pub(super) rescues: bool,
}

/// The writes that bring it about, and what keeps it from being whole.
pub(super) fn routes(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    aim: &Aim<'_>,
) -> Plan {
    let mut problems: Vec<CoreError> = absent(routing, observed).collect();
    let live = Policies::live(routing, observed);
    let mut stages = Stages::of(rollout, routing, observed, aim).unwrap_or_else(|problem| {
        problems.push(problem);
        Stages::of_end(rollout, routing, observed, aim)
    });
    if !ends(rollout) {
        problems.extend(stages.without_unusable(routing, observed));
    }
    let (before, after) = (stages.before(), stages.after());

    let mut collect = |part: Plan| {
        problems.extend(part.problems);
        part.writes
    };
    let mut writes = collect(subsets_first(rollout, routing, observed, aim, &stages));
    let first: Vec<Write> = policy_changes(routing, &live, &before).collect();
    let tells_apart = live.sticky().or_else(|| before.sticky()).is_some();
    // Weights alone, and lane routes once those are live.
    let alone = Aim {
        keeps_lanes: aim.weights.is_some() && ends(rollout),
        ..aim.clone()
    };
    let mut moved = virtual_services(rollout, routing, observed, &alone, &stages);
    if alone.keeps_lanes {
        // The same VirtualServices have the same problems.
        let rest = virtual_services(rollout, routing, observed, aim, &stages).writes;
        let is_moved = |write: &Write| {
            moved
                .writes
                .iter()
                .any(|one| one.target() == write.target())
        };
        let rest: Vec<Write> = rest.into_iter().filter(|write| !is_moved(write)).collect();
        moved.writes.extend(rest);
    }
    let moved = collect(moved);
    if tells_apart && !first.is_empty() {
        let still = Aim {
            weights: None,
            ..alone
        };
        // The same VirtualServices have the same problems.
        let lanes = virtual_services(rollout, routing, observed, &still, &stages).writes;
        let moved: Vec<Write> = moved
            .into_iter()
            .filter(|write| !lanes.contains(write))
            .collect();
        writes.extend(lanes.into_iter().chain(first).chain(moved));
        writes.extend(ended_experiments(routing, observed, aim, &writes));
    } else {
        writes.extend(moved);
        writes.extend(ended_experiments(routing, observed, aim, &writes));
        writes.extend(first);
    }
    writes.extend(policy_changes(routing, &before, &after));
    Plan { writes, problems }
}

/// The subsets that traffic is about to be routed to.
fn subsets_first(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    aim: &Aim<'_>,
    stages: &Stages,
) -> Plan {
    let weights = aim.weights.as_ref();
    let sends_to_canary =
        weights.is_some_and(|weights| weights.split.canary > 0) || !stages.rules.is_empty();
    let additional = weights.map_or(&[][..], |weights| weights.additional);
    let current = &*rollout.status.current_pod_hash;
    let moves = sends_to_canary && aim.canary.is_none() && current != rollout.status.stable_rs;
    let mut plan = Plan::default();
    if aim.rescues {
        plan.take(rescued_subset(rollout, routing, observed));
    }
    if moves || !additional.is_empty() {
        let hashes = Hashes {
            canary: moves.then_some(current),
            stable: None,
            additional,
        };
        plan.take(subsets(rollout, routing, observed, hashes));
    }
    if sends_to_canary && plan.writes.is_empty() {
        plan.problems
            .extend(check_canary_subset(rollout, routing, observed).err());
    }
    plan
}

/// The VirtualServices with the lane routes that are needed, and with the weights where `aim` has any.
fn virtual_services(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    aim: &Aim<'_>,
    stages: &Stages,
) -> Plan {
    let live = Policies::live(routing, observed);
    let desired_lanes = stages.before().lanes();
    // Those of the policies that go too: they go when no filter sends anything to them any more.
    let mut lanes = live.lanes();
    lanes.extend(&desired_lanes);
    // All that will be needed, so that it is told before the first step and not at the last.
    let mut needed = lanes_of_steps(rollout, routing);
    needed.extend(desired_lanes);
    // Without a canary nothing is sent to them, and an abort has to get through.
    let checked = has_canary(rollout);
    let standing_rules = live.rule_names();
    let rules = stages.rules.iter().map(String::as_str);
    let desired = Desired {
        split: aim.weights.as_ref().map(|weights| &weights.split),
        lanes,
        leftovers: rules
            .filter(|name| !standing_rules.contains(name))
            .collect(),
        live,
        roots: &observed.roots,
        // Whoever still follows the policy has come to the version that the lanes led to before the promotion.
        keeps_lanes: aim.keeps_lanes || (stages.has_policy() && !is_between(rollout)),
    };
    let mut plan = Plan::default();
    for (reference, object) in present(routing, observed) {
        if checked && virtual_service::has_http(object) {
            let delegation = Delegation::of(object, &observed.roots);
            let mut checked = delegation.check(reference, routing, &needed);
            if checked.is_ok() && routing.lanes == Lanes::Declared {
                checked = declared::check(object, reference, routing, &needed, &delegation);
            }
            plan.problems.extend(checked.err());
        }
        let spec = match virtual_service::desired_spec(object, reference, routing, &desired) {
            Ok(spec) => spec,
            Err(problem) => {
                plan.problems.push(problem);
                let rescued = aim.rescues.then(|| {
                    let rule = observed.destination_rule.as_deref();
                    virtual_service::rescued_spec(object, reference, routing, &desired, rule)
                });
                rescued.flatten()
            }
        };
        plan.writes.extend(change(object, spec));
    }
    plan
}

/// The DestinationRule without the subsets of experiments that have ended: after the routes, and not in a plan that
/// writes the same object already.
fn ended_experiments(
    routing: &Routing,
    observed: &Observed,
    aim: &Aim<'_>,
    writes: &[Write],
) -> Option<Write> {
    let additional = aim.weights.as_ref()?.additional;
    let reference = routing.destination_rule.as_ref()?;
    let object = observed.destination_rule.as_ref()?;
    let is_written =
        |write: &Write| matches!(write, Write::Spec { object, .. } if object.id == reference.id);
    if writes.iter().any(is_written) {
        return None;
    }
    let current = additional
        .iter()
        .chain(aim.additional)
        .map(|experiment| &*experiment.service_name)
        .collect();
    let spec = destination_rule::without_leftovers(object, reference, routing, &current);
    change(object, spec)
}
