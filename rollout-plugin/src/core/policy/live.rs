//! A Rollout's policies in all of its filter objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use traffic_policy::Lane;
use traffic_policy::config::Sticky;

use crate::core::filter::policy_of;
use crate::core::plan::Observed;
use crate::core::policy::{lanes_of, routes_of, rule_names, sticky_of};
use crate::core::routing::Routing;
use crate::object::ObjectId;

/// One for each filter object of the Rollout, in their order; `None` where it has no policy, or doesn't exist.
///
/// They are written one after the other, so the first is the newest where they differ.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies<'a>(Vec<Option<&'a Value>>);

impl<'a> Policies<'a> {
    /// As they stand.
    pub(crate) fn live(routing: &Routing, observed: &'a Observed) -> Self {
        let of = |place: usize| {
            let object = observed.filters.get(place)?.as_deref();
            policy_of(object?, &routing.rollout)
        };
        Self((0..routing.filters.len()).map(of).collect())
    }

    /// As they shall be.
    pub(crate) fn wanted(policies: &'a [Option<Arc<Value>>]) -> Self {
        Self(policies.iter().map(Option::as_deref).collect())
    }

    /// The one in the filter object at that place.
    pub(crate) fn at(&self, place: usize) -> Option<&'a Value> {
        self.0.get(place).copied().flatten()
    }

    /// Those that exist.
    pub(crate) fn present(&self) -> impl Iterator<Item = &'a Value> + '_ {
        self.0.iter().copied().flatten()
    }

    /// The lanes that any of them sends requests to.
    pub(crate) fn lanes(&self) -> BTreeSet<Lane> {
        let lanes = self.present().map(|policy| lanes_of(Some(policy)));
        lanes.flatten().collect()
    }

    /// The names of their rules.
    pub(crate) fn rule_names(&self) -> BTreeSet<&'a str> {
        let names = self.present().map(|policy| rule_names(Some(policy)));
        names.flatten().collect()
    }

    /// How the newest that does so tells users apart.
    pub(crate) fn sticky(&self) -> Option<Sticky> {
        self.present().find_map(|policy| sticky_of(Some(policy)))
    }

    /// The managed routes of that VirtualService that any of them sends requests of a lane to.
    pub(crate) fn routes_of(&self, virtual_service: &ObjectId) -> BTreeSet<String> {
        let routes = self
            .present()
            .map(|policy| routes_of(Some(policy), virtual_service));
        routes.flatten().collect()
    }
}
