//! Which version may be given traffic, or more of it (`docs/guards.md`).
//!
//! The built-in reconciler (argo-rollouts v1.10.1 `istio.shouldDelayDestinationRuleUpdate`) changes neither subsets nor
//! weights while a ReplicaSet of the two versions lacks pods. That keeps traffic off a version that has just begun to
//! scale up, also where the controller asks for it: at the end of the steps (a rollback within the window) it takes the
//! last `setWeight` for the weight of before. But it also stops what takes traffic off a version. Here only what adds
//! traffic waits, and nothing on the way back.

use std::sync::Arc;

use argo_rollouts::{ReplicaProgressThreshold, Rollout};
use serde_json::Value;

use crate::core::destination_rule::hash_of;
use crate::core::error::CoreError;
use crate::core::managed_routes::{ManagedRoutes, Protocol};
use crate::core::plan::{Observed, Versions, Weights, present};
use crate::core::routing::{RolloutKey, Routing, VirtualServiceRef};
use crate::core::rules::is_between;
use crate::core::weights::{Side, Split, desired_destinations, destinations, side_of, weight_of};
use crate::object::{Object, POD_TEMPLATE_HASH};

/// What the versions of one Rollout have of the pods that they want.
#[derive(Clone, Copy, Debug)]
pub struct Capacity<'a> {
    rollout: &'a Rollout,
    sets: &'a [Arc<Object>],
}

impl<'a> Capacity<'a> {
    /// That of the Rollout's versions among these ReplicaSets.
    pub fn of(rollout: &'a Rollout, sets: &'a [Arc<Object>]) -> Self {
        Self { rollout, sets }
    }

    /// True if a ReplicaSet of that pod hash has available pods.
    pub fn has_pods(self, hash: &str) -> bool {
        Versions::of(self.sets).has_pods(hash)
    }

    /// True if the side's subset may move to that version: it has all its pods, or it has some and this is the way back,
    /// or the side was there when the controller last wrote its status.
    pub(crate) fn may_move(self, side: Side, hash: &str) -> bool {
        let status = &self.rollout.status;
        let weights = status.canary.weights.as_ref();
        let was_there = weights.is_some_and(|weights| match side {
            Side::Canary => weights.canary.weight > 0 && weights.canary.pod_template_hash == hash,
            Side::Stable => weights.stable.pod_template_hash == hash,
        });
        let is_back = match side {
            Side::Canary => hash == status.stable_rs,
            Side::Stable => status.abort,
        };
        self.has_pods(hash) && (is_back || was_there || self.is_available(hash))
    }

    /// True if the version has all the pods it wants, or as many as `replicaProgressThreshold` asks for.
    fn is_available(self, hash: &str) -> bool {
        let canary = self.rollout.canary();
        let threshold = canary.and_then(|canary| canary.replica_progress_threshold.as_ref());
        let mut wanting = self
            .sets_of(hash)
            .filter(|set| set.wanted_replicas > 0)
            .peekable();
        wanting.peek().is_some() && wanting.all(|set| set.is_available() || is_met(threshold, set))
    }

    /// True if the version may get that weight. With `dynamicStableScale` pods for that weight are enough: the stable
    /// version makes room for more only as its own weight falls.
    fn may_take(self, hash: &str, weight: u32, routing: &Routing) -> bool {
        let dynamic = self
            .rollout
            .canary()
            .is_some_and(|canary| canary.dynamic_stable_scale);
        let replicas = self.rollout.spec.replicas.unwrap_or(1);
        let (available, _) = self.pods(hash);
        self.is_available(hash)
            || (dynamic
                && i64::from(weight) * i64::from(replicas)
                    <= available.saturating_mul(i64::from(routing.max_weight)))
    }

    /// The available and the wanted pods of that version.
    fn pods(self, hash: &str) -> (i64, i64) {
        self.sets_of(hash).fold((0, 0), |(available, wanted), set| {
            (
                available + set.available_replicas,
                wanted + set.wanted_replicas,
            )
        })
    }

    fn sets_of(self, hash: &str) -> impl Iterator<Item = &'a Object> {
        let is_of = move |set: &&Object| {
            let found = set.labels.get(POD_TEMPLATE_HASH);
            found.is_some_and(|found| found == hash)
        };
        self.sets.iter().map(|set| &**set).filter(is_of)
    }

    /// The error of a call that would add traffic too soon.
    pub(crate) fn few(self, hash: &str) -> CoreError {
        let (available, wanted) = self.pods(hash);
        CoreError::FewPods {
            rollout: RolloutKey::of(self.rollout),
            hash: hash.to_owned(),
            available,
            wanted,
        }
    }
}

/// As the controller asks (argo-rollouts v1.10.1 `replicaset.ReplicaProgressThresholdMet`).
fn is_met(threshold: Option<&ReplicaProgressThreshold>, set: &Object) -> bool {
    threshold.is_some_and(|ReplicaProgressThreshold { kind, value }| {
        let value = i64::from(*value);
        let (available, wanted) = (set.available_replicas, set.wanted_replicas);
        value >= 0
            && match &**kind {
                "Percent" => available.saturating_mul(100) >= value.saturating_mul(wanted),
                _ => available >= value,
            }
    })
}

/// True if requests can be sent to the canary: it has pods, and its subset is at the current version or may move there.
pub(crate) fn reaches_canary(rollout: &Rollout, routing: &Routing, observed: &Observed) -> bool {
    let capacity = Capacity::of(rollout, &observed.replica_sets);
    let current = &*rollout.status.current_pod_hash;
    let is_there = match (&routing.destination_rule, &observed.destination_rule) {
        (Some(reference), Some(object)) => {
            hash_of(object, &reference.canary_subset) == Some(current)
                || capacity.may_move(Side::Canary, current)
        }
        _ => true,
    };
    is_there && capacity.has_pods(current)
}

/// The version that the stable subset waits to move to, if it does: it is at another one that still has pods.
pub(crate) fn stable_waits_for<'a>(
    rollout: &'a Rollout,
    routing: &Routing,
    observed: &Observed,
) -> Option<&'a str> {
    let capacity = Capacity::of(rollout, &observed.replica_sets);
    let wanted = &*rollout.status.stable_rs;
    let reference = routing.destination_rule.as_ref()?;
    let found = hash_of(
        observed.destination_rule.as_ref()?,
        &reference.stable_subset,
    )?;
    let waits = found != wanted
        && capacity.has_pods(found)
        && capacity.has_pods(wanted)
        && !capacity.may_move(Side::Stable, wanted);
    waits.then_some(wanted)
}

/// Checks a SetWeight: it may not raise the canary's weight before the canary has the pods for it, nor send to the
/// stable subset what a promotion has given to another version.
///
/// Where a Service of the Rollout's selects the canary's pods, it is the controller that waits before it switches it
/// (argo-rollouts v1.10.1 `rolloutContext.ensureSVCTargets`), and the built-in reconciler doesn't.
pub(crate) fn check_weight(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    weights: Weights<'_>,
    split: &Split<'_>,
) -> Result<(), CoreError> {
    if rollout.status.abort || !routing.waits_for_pods {
        return Ok(());
    }
    let capacity = Capacity::of(rollout, &observed.replica_sets);
    if let Some(stable) = stable_waits_for(rollout, routing, observed) {
        return Err(capacity.few(stable));
    }
    let status = &rollout.status;
    let current = &*status.current_pod_hash;
    let known = status
        .canary
        .weights
        .as_ref()
        .map(|weights| &weights.canary);
    let had = known
        .is_some_and(|known| known.pod_template_hash == current && known.weight >= weights.canary);
    // A subset without any pods is an error already.
    let is_empty = routing.destination_rule.is_some() && !capacity.has_pods(current);
    let passes = had || is_empty || capacity.may_take(current, split.canary, routing);
    if passes || !is_between(rollout) {
        return Ok(());
    }
    let raises = present(routing, observed)
        .any(|(reference, object)| raises_canary(object, reference, routing, split));
    if raises {
        Err(capacity.few(current))
    } else {
        Ok(())
    }
}

/// True if any managed route's canary would get more with that split than it has.
fn raises_canary(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
    split: &Split<'_>,
) -> bool {
    let Ok(managed) = ManagedRoutes::of(object, reference, routing) else {
        return false;
    };
    let of_canary = |destinations: &[Value]| -> u64 {
        let of_canary =
            |one: &&Value| side_of(&object.id.namespace, one, routing) == Some(Side::Canary);
        destinations.iter().filter(of_canary).map(weight_of).sum()
    };
    Protocol::ALL.into_iter().any(|protocol| {
        let routes = protocol.routes(object);
        let mut managed = managed
            .indexes(protocol)
            .iter()
            .filter_map(|index| routes.get(*index));
        managed.any(|route| {
            let moved = desired_destinations(&object.id.namespace, route, routing, split);
            moved.is_some_and(|moved| of_canary(&moved) > of_canary(destinations(route)))
        })
    })
}
