//! What a Rollout leaves behind when it is deleted or moves elsewhere: its policy and its lane routes.
//!
//! Weights, destinations and pod hashes stay as they are: they are what routes the traffic, and whoever takes over
//! sets them.

use std::collections::BTreeMap;

use argo_rollouts::Rollout;
use serde_json::Value;
use traffic_policy::config::Lanes;

use crate::config::Protocol;
use crate::core::error::CoreError;
use crate::core::filter::FilterRef;
use crate::core::plan::{Call, Observed, Write, writes};
use crate::core::policy::declares_lanes;
use crate::core::routing::{RolloutKey, Routing, VirtualServiceRef};
use crate::object::{Kind, ObjectId};

/// Where a Rollout's policy and lane routes may still be, though they don't belong there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// Whose.
    pub(crate) rollout: RolloutKey,
    /// Have its policy; none where the policy is where it should be.
    pub(crate) filters: Vec<ObjectId>,
    /// Have its lane routes.
    pub(crate) virtual_services: Vec<ObjectId>,
    /// Those that the user has declared are the user's.
    pub(crate) lanes: Lanes,
}

impl Leftover {
    /// What `old` routes through and `new` doesn't; `None` for `new` is a Rollout that is gone, or off the plugin.
    pub(crate) fn between(old: &Routing, new: Option<&Routing>) -> Option<Self> {
        let left = Self {
            rollout: old.rollout.clone(),
            // A weighted canary alone needs neither a filter object nor the permission to read one.
            filters: old
                .filter_ids()
                .filter(|_| old.may_need_policy())
                .cloned()
                .collect(),
            virtual_services: old
                .virtual_services
                .iter()
                .map(|reference| reference.id.clone())
                .collect(),
            lanes: old.lanes,
        };
        match new {
            Some(new) => left.without(new),
            None => Some(left),
        }
    }

    /// What a policy that nobody owns any more has brought about.
    pub(crate) fn of_policy(
        rollout: RolloutKey,
        filter: &ObjectId,
        policy: &Value,
        new: Option<&Routing>,
    ) -> Self {
        let named = policy.get("virtualServices").and_then(Value::as_object);
        let keys = named.into_iter().flatten().map(|(key, _)| key);
        let routes_through = |id: &ObjectId| {
            new.is_some_and(|new| new.virtual_services.iter().any(|used| used.id == *id))
        };
        Self {
            rollout,
            filters: vec![filter.clone()],
            lanes: if declares_lanes(Some(policy)) {
                Lanes::Declared
            } else {
                Lanes::Managed
            },
            virtual_services: keys
                .filter_map(|key| key.split_once('/'))
                .map(|(namespace, name)| ObjectId::new(Kind::VirtualService, namespace, name))
                .filter(|id| !routes_through(id))
                .collect(),
        }
    }

    /// Less what the Rollout has come back to; `None` if nothing is left.
    pub(crate) fn without(mut self, routing: &Routing) -> Option<Self> {
        self.filters
            .retain(|id| !routing.has_filter(id) || !routing.may_need_policy());
        self.virtual_services
            .retain(|id| !routing.virtual_services.iter().any(|used| used.id == *id));
        (!self.filters.is_empty() || !self.virtual_services.is_empty()).then_some(self)
    }

    /// The writes that remove it: the policy first, then the lane routes.
    ///
    /// # Errors
    /// As [`writes`].
    pub(crate) fn removal(&self, observed: &Observed) -> Result<Vec<Write>, CoreError> {
        writes(
            &Rollout::default(),
            &self.routing(),
            observed,
            Call::RemoveManagedRoutes,
        )
    }

    /// As much of a routing as a removal looks at. Without stickiness: no weight is to move first. Without the names of managed routes: where the Rollout has moved to
    /// the built-in block, routes of these names are that one's.
    fn routing(&self) -> Routing {
        let reference = |id: &ObjectId| VirtualServiceRef {
            id: id.clone(),
            routes: Vec::new(),
            tls_routes: Vec::new(),
            tcp_routes: Vec::new(),
            protocols: Protocol::ALL.to_vec(),
            field: String::new(),
        };
        let filter = |id: &ObjectId| FilterRef {
            id: id.clone(),
            field: String::new(),
        };
        Routing {
            rollout: self.rollout.clone(),
            virtual_services: self.virtual_services.iter().map(reference).collect(),
            destination_rule: None,
            waits_for_pods: false,
            filters: self.filters.iter().map(filter).collect(),
            canary_service: String::new(),
            stable_service: String::new(),
            max_weight: 100,
            lanes: self.lanes,
            managed_routes: Vec::new(),
            sticky: None,
            routes: BTreeMap::new(),
            entry_hosts: Vec::new(),
            lane_secret: None,
            known_experiments: Vec::new(),
        }
    }
}
