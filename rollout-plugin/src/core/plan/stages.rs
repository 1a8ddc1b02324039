//! The policy on its way through one call: before the weights move, and after.
//!
//! A user who is told apart follows the policy, everybody else the weights. So the policy's share moves first, and no
//! user is ever routed by chance: the policy stands from a canary's first call on, at a share of 0 too, and goes when
//! the weights alone lead everybody to where it did.

use std::collections::BTreeSet;
use std::sync::Arc;

use argo_rollouts::Rollout;
use serde_json::Value;
use traffic_policy::config::Sticky;

use crate::core::capacity::reaches_canary;
use crate::core::error::CoreError;
use crate::core::plan::{Aim, Observed, Versions, present, unusable_filters};
use crate::core::policy::{self, Policies};
use crate::core::routing::Routing;
use crate::core::rules::{Ran, ends, is_between, rules_in_force};
use crate::core::virtual_service::{self, SideWeights};

/// What the policy has to be, in each filter object in their order. No entries: it has to be nowhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Stages {
    /// Before the weights move.
    before: Vec<Option<Arc<Value>>>,
    /// After that.
    after: Vec<Option<Arc<Value>>>,
    /// The managed routes that are in force.
    pub(super) rules: BTreeSet<String>,
}

impl Stages {
    pub(super) fn of(
        rollout: &Rollout,
        routing: &Routing,
        observed: &Observed,
        aim: &Aim<'_>,
    ) -> Result<Self, CoreError> {
        if ends(rollout) {
            return Ok(Self::of_end(rollout, routing, observed, aim));
        }
        let current = &*rollout.status.current_pod_hash;
        // Where the subset is to stay at another version, no rule may send anything to it.
        let rules = if routing.may_need_policy() && aim.canary.is_none_or(|hash| hash == current) {
            let reached = reaches_canary(rollout, routing, observed);
            let ran = Ran {
                history: &observed.history,
                policy: &Policies::live(routing, observed).rule_names(),
            };
            rules_in_force(rollout, routing, reached, ran, aim.step)?
        } else {
            Vec::new()
        };
        let names = rules.iter().map(|rule| rule.name.clone()).collect();
        let sticky = sticky(rollout, routing, observed, aim);
        let policy = policy::desired_policy(rules, sticky, routing, observed)?;
        let everywhere = vec![policy.map(Arc::new); routing.filters.len()];
        Ok(Self {
            before: everywhere.clone(),
            after: everywhere,
            rules: names,
        })
    }

    /// The policies before the weights move.
    pub(super) fn before(&self) -> Policies<'_> {
        Policies::wanted(&self.before)
    }

    /// The policies after that.
    pub(super) fn after(&self) -> Policies<'_> {
        Policies::wanted(&self.after)
    }

    /// True if there is a policy while the weights move.
    pub(super) fn has_policy(&self) -> bool {
        self.before.iter().any(Option::is_some)
    }

    /// Leaves out the filter objects that need a policy and can't have one, and says why.
    pub(super) fn without_unusable(
        &mut self,
        routing: &Routing,
        observed: &Observed,
    ) -> Vec<CoreError> {
        let needs = |place: usize| matches!(self.before.get(place), Some(Some(_)));
        let (places, problems): (Vec<usize>, Vec<CoreError>) =
            unusable_filters(routing, observed, needs).unzip();
        for place in places {
            for stage in [&mut self.before, &mut self.after] {
                if let Some(policy) = stage.get_mut(place) {
                    *policy = None;
                }
            }
        }
        if !problems.is_empty() && !self.has_policy() {
            *self = Self::default();
        }
        problems
    }

    /// On the way back to one version. It is made of what stands, so that nothing that has become of the objects holds
    /// it up.
    pub(super) fn of_end(
        rollout: &Rollout,
        routing: &Routing,
        observed: &Observed,
        aim: &Aim<'_>,
    ) -> Self {
        let live = Policies::live(routing, observed);
        let standing = standing(routing, &live);
        if standing.iter().all(Option::is_none) {
            return Self::default();
        }
        let weight = aim.weights.as_ref().map(|weights| weights.split.canary);
        let share = |sticky: &Sticky| match weight {
            Some(0) if leads_to_stable(routing, observed) => sticky.of,
            Some(weight) => weight,
            None => sticky.canary,
        };
        let is_over = match weight {
            Some(weight) => weight == 0,
            None => is_over(rollout, routing, observed, &standing),
        };
        let before = shared(&standing, share);
        Self {
            after: if is_over { Vec::new() } else { before.clone() },
            before,
            rules: BTreeSet::new(),
        }
    }
}

/// What is left of the policy when the managed routes are removed, which comes before the weights are moved:
/// stickiness, until they are. `None`: nothing.
pub(super) fn left_by_removal(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
) -> Option<Vec<Option<Arc<Value>>>> {
    let live = Policies::live(routing, observed);
    let standing = standing(routing, &live);
    if standing.iter().all(Option::is_none) || is_over(rollout, routing, observed, &standing) {
        return None;
    }
    let has_pods = Versions::of(&observed.replica_sets).has_pods(&rollout.status.current_pod_hash);
    let stays = has_pods || !is_between(rollout);
    Some(shared(
        &standing,
        |sticky| {
            if stays { sticky.canary } else { 0 }
        },
    ))
}

/// A policy that tells users apart, and how.
type Standing<'a> = Option<(&'a Value, Sticky)>;

/// The policies that tell users apart now, where one shall, in the order of the filter objects.
fn standing<'a>(routing: &Routing, live: &Policies<'a>) -> Vec<Standing<'a>> {
    let of = |place| {
        routing.sticky.as_ref()?;
        let policy = live.at(place)?;
        Some((policy, policy::sticky_of(Some(policy))?))
    };
    (0..routing.filters.len()).map(of).collect()
}

/// These policies with another share for the canary, and without rules.
fn shared(standing: &[Standing<'_>], share: impl Fn(&Sticky) -> u32) -> Vec<Option<Arc<Value>>> {
    let of = |one: &Standing<'_>| {
        let (policy, sticky) = one.as_ref()?;
        Some(Arc::new(policy::with_share(policy, share(sticky))))
    };
    standing.iter().map(of).collect()
}

/// Who is to see the canary. A new share and salt come with the weights; without any, those that stand go on.
fn sticky(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    aim: &Aim<'_>,
) -> Option<Sticky> {
    let config = routing.sticky.as_ref()?;
    let current = &*rollout.status.current_pod_hash;
    let canary = aim.canary.unwrap_or(current);
    let weight = aim.weights.as_ref().map(|weights| weights.split.canary);
    let (share, salt) = match (weight, Policies::live(routing, observed).sticky()) {
        (Some(weight), _) if canary == current => (weight, None),
        (_, Some(standing)) => (standing.canary, Some(standing.salt)),
        (_, None) if canary == current => (live_weight(routing, observed), None),
        (_, None) => return None,
    };
    let has_pods = Versions::of(&observed.replica_sets).has_pods(canary);
    Some(Sticky {
        keys: config.keys.clone(),
        salt: salt
            .or_else(|| config.salt.clone())
            .unwrap_or_else(|| current.to_owned()),
        canary: if has_pods { share } else { 0 },
        of: routing.max_weight,
    })
}

/// True once the weights alone lead everybody to where the policy does, so that it can go: on an abort with nobody at
/// the canary any more, and after a promotion with everybody on one side. Where they can't be told, the VirtualService
/// is not as the lanes need it, and an abort doesn't wait for it.
///
/// With ping-pong Services the sides have swapped by then (argo-rollouts v1.10.1 `GetStableAndCanaryServices`).
fn is_over(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    standing: &[Standing<'_>],
) -> bool {
    let is_promoted = !is_between(rollout);
    if !is_promoted && !rollout.status.abort {
        return false;
    }
    let Some(weights) = live_weights(routing, observed) else {
        return true;
    };
    let all = |is_so: fn(&SideWeights) -> bool| weights.iter().all(is_so);
    let told = |is_so: fn(&Sticky) -> bool| {
        let mut stickies = standing.iter().flatten();
        stickies.all(|(_, sticky)| is_so(sticky))
    };
    (told(|sticky| sticky.canary == 0) && all(|weights| weights.canary == 0))
        || (is_promoted
            && told(|sticky| sticky.canary >= sticky.of)
            && all(|weights| weights.canary == 0 || weights.stable == 0))
}

/// True if the lane that was the canary's leads to what is the stable version now: ping-pong Services have swapped
/// sides, and lane routes follow only when the policy is gone.
fn leads_to_stable(routing: &Routing, observed: &Observed) -> bool {
    present(routing, observed)
        .any(|(_, object)| virtual_service::canary_lane_leads_to_stable(object, routing))
}

/// The managed HTTP routes' weights; `None` where there are none, or none that can be moved.
fn live_weights(routing: &Routing, observed: &Observed) -> Option<Vec<SideWeights>> {
    let mut all = Vec::new();
    for (reference, object) in present(routing, observed) {
        all.extend(virtual_service::live_weights(object, reference, routing)?);
    }
    Some(all).filter(|all| !all.is_empty())
}

/// The canary's, where no call has said any.
fn live_weight(routing: &Routing, observed: &Observed) -> u32 {
    let weights = live_weights(routing, observed).unwrap_or_default();
    let weight = weights.first().map_or(0, |weights| weights.canary);
    u32::try_from(weight).map_or(routing.max_weight, |weight| weight.min(routing.max_weight))
}
