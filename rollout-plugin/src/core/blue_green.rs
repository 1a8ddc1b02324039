//! What a Rollout has left in the objects when its strategy becomes blue-green.
//!
//! The controller (argo-rollouts v1.10.1 `rolloutBlueGreen`) calls no traffic router then. It brings both versions to their
//! full number of pods, points the active Service at the new one, makes that one the stable version
//! (`shouldFullPromote`), and scales the other down after `scaleDownDelaySeconds`. Weights and pod hashes of a canary are
//! nobody's any more: 80 to 20 would stay, and 80 % would meet a subset without pods in the end.

use argo_rollouts::Rollout;

use crate::core::error::CoreError;
use crate::core::plan::{Call, Observed, PodHashes, Versions, Weights, Write, present, writes};
use crate::core::routing::Routing;
use crate::core::virtual_service;
use crate::object::{Object, POD_TEMPLATE_HASH};

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// Nothing, until the controller goes on.
    Wait,
    /// These writes, the first of them first.
    Write(Vec<Write>),
    /// Nothing any more: the objects are the user's.
    Over,
}

/// A Rollout that has become blue-green, and the routing that it had as a canary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlueGreen<'a> {
    /// As it is now.
    pub(crate) rollout: &'a Rollout,
    /// Of [`routing_of`].
    pub(crate) routing: &'a Routing,
    /// The pod hashes of the canary's two versions.
    pub(crate) former: &'a [String],
    /// The stable and the canary Service, where the split was between hosts.
    pub(crate) services: [Option<&'a Object>; 2],
}

/// What of a canary's routing counts on: policy and lane routes have gone already.
pub(crate) fn routing_of(canary: &Routing) -> Routing {
    Routing {
        sticky: None,
        managed_routes: Vec::new(),
        routes: std::collections::BTreeMap::new(),
        ..canary.clone()
    }
}

impl BlueGreen<'_> {
    /// All traffic goes to one version as soon as the controller has chosen it. Once that version's pods are the only ones,
    /// the subsets lose their pod hashes, as the next version would never get into them.
    ///
    /// # Errors
    /// As [`writes`].
    pub(crate) fn next(&self, observed: &Observed) -> Result<Next, CoreError> {
        let versions = Versions::of(&observed.replica_sets);
        let Some(chosen) = self.chosen(&versions) else {
            return Ok(Next::Wait);
        };
        let plan = |call| writes(self.rollout, self.routing, observed, call);
        let others = self.former.iter().map(String::as_str);
        let mut others = others.chain([&*self.rollout.status.current_pod_hash]);
        let is_only_one = !others.any(|hash| hash != chosen && versions.has_pods(hash));
        let hash = if is_only_one { "" } else { chosen };
        let subsets = plan(Call::UpdateHash(PodHashes {
            canary: hash,
            stable: hash,
            additional: &[],
        }))?;
        let has_subsets = self.routing.destination_rule.is_some();
        let weight = if has_subsets {
            Some(0)
        } else {
            self.weight_of(chosen)
        };
        let Some(canary) = weight else {
            return Ok(Next::Wait);
        };
        let weights = plan(Call::SetWeight(Weights {
            canary,
            additional: &[],
        }))?;
        let pending: Vec<Write> = subsets.into_iter().chain(weights).collect();
        Ok(match (pending.is_empty(), is_only_one) {
            (false, _) => Next::Write(pending),
            (true, true) => Next::Over,
            (true, false) => Next::Wait,
        })
    }

    /// The largest weight that the canary has in a managed HTTP route.
    pub(crate) fn canary_weight(&self, observed: &Observed) -> u64 {
        let objects = present(self.routing, observed);
        let weights = objects.filter_map(|(reference, object)| {
            virtual_service::live_weights(object, reference, self.routing)
        });
        let canary = weights.flatten().map(|weights| weights.canary);
        canary.max().unwrap_or_default()
    }

    /// The version that all traffic is to go to: the stable one, once the controller has promoted it, has given the other
    /// up, or has no pods of the other any more.
    fn chosen(&self, versions: &Versions<'_>) -> Option<&str> {
        let status = &self.rollout.status;
        let (stable, current) = (&*status.stable_rs, &*status.current_pod_hash);
        let is_chosen = status.abort || current == stable || !versions.has_pods(current);
        (is_chosen && versions.has_pods(stable)).then_some(stable)
    }

    /// The canary's weight that leads all to `hash`, by the Services that select it; `None` where none of the two does.
    /// A Service without a hash, as the user wrote it, selects it too.
    fn weight_of(&self, hash: &str) -> Option<i32> {
        let selects = |service: Option<&Object>| {
            let selector = service?.spec.get("selector")?.get(POD_TEMPLATE_HASH);
            Some(selector.is_none_or(|selected| selected == hash))
        };
        let [stable, canary] = self.services.map(|service| selects(service) == Some(true));
        match (stable, canary) {
            (true, _) => Some(0),
            (false, true) => i32::try_from(self.routing.max_weight).ok(),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests;
