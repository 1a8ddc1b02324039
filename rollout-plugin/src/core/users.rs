//! Where users who are told apart get to, read from the objects as the filter and Envoy would.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::destination_rule::hash_of;
use crate::core::lane_route::lane_of;
use crate::core::plan::Observed;
use crate::core::policy::{observed_policy, sticky_of};
use crate::core::routing::{RolloutKey, Routing};
use crate::core::virtual_service::{destinations, route_name};
use crate::core::weights::{service_of, side_of, subset_of, weight_of};
use crate::object::Object;

/// Neither version: what the user sees differs from request to request.
const CHANCE: &str = "chance";

/// Who was where, write by write.
#[derive(Debug, Default)]
pub(crate) struct Users {
    /// By bucket: each version once for each time that the user has come to it.
    histories: BTreeMap<u32, Vec<String>>,
    /// By Service, in host-level splits.
    services: BTreeMap<&'static str, &'static str>,
}

impl Users {
    /// In subset-level splits the DestinationRule says which version is where, else `services` does.
    pub(crate) fn of(services: &[(&'static str, &'static str)]) -> Self {
        Self {
            histories: BTreeMap::new(),
            services: services.iter().copied().collect(),
        }
    }

    /// Notes where each user is now.
    pub(crate) fn look(&mut self, routing: &Routing, observed: &Observed) {
        let max = routing.max_weight;
        for bucket in [0, max / 10, max / 3, max / 2, max - 1] {
            let Some(version) = self.version(routing, observed, bucket) else {
                continue;
            };
            let history = self.histories.entry(bucket).or_default();
            if history.last() != Some(&version) {
                history.push(version);
            }
        }
    }

    /// The versions that the user of that bucket has seen.
    pub(crate) fn history(&self, bucket: u32) -> &[String] {
        &self.histories[&bucket]
    }

    /// All of them.
    pub(crate) fn histories(&self) -> impl Iterator<Item = (u32, &[String])> {
        let all = self.histories.iter();
        all.map(|(bucket, history)| (*bucket, &**history))
    }

    /// `None` where nobody gets to either side.
    fn version(&self, routing: &Routing, observed: &Observed, bucket: u32) -> Option<String> {
        let object = observed.virtual_services[0].as_ref().unwrap();
        let routes = object.spec["http"].as_array().unwrap();
        let policy = observed_policy(observed.wasm_plugin.as_deref(), &routing.rollout);
        let Some(sticky) = sticky_of(policy) else {
            let managed = routes.last().unwrap();
            let is_taken = |one: &&Value| side_of(one, routing).is_some() && weight_of(one) > 0;
            let taken = destinations(managed).iter().filter(is_taken);
            let mut versions = taken.map(|one| self.version_of(routing, observed, one));
            let first = versions.next()?;
            return Some(if versions.all(|version| version == first) {
                first
            } else {
                CHANCE.to_owned()
            });
        };
        assert_eq!(sticky.of, routing.max_weight);
        let lane = if bucket < sticky.canary {
            "canary"
        } else {
            "stable"
        };
        let route = lane_route(object, &routing.rollout, lane);
        let route =
            route.unwrap_or_else(|| panic!("the policy uses a lane without a route: {lane}"));
        Some(self.version_of(routing, observed, &destinations(route)[0]))
    }

    fn version_of(&self, routing: &Routing, observed: &Observed, destination: &Value) -> String {
        let version = if routing.destination_rule.is_some() {
            let rule = observed.destination_rule.as_ref().unwrap();
            hash_of(rule, subset_of(destination)).unwrap_or("foreign")
        } else {
            self.services[service_of(destination)]
        };
        version.to_owned()
    }
}

fn lane_route<'a>(object: &'a Object, rollout: &RolloutKey, lane: &str) -> Option<&'a Value> {
    let routes = object.spec["http"].as_array()?;
    routes.iter().find(|route| {
        lane_of(route_name(route), rollout).is_some_and(|found| found.as_str() == lane)
    })
}
