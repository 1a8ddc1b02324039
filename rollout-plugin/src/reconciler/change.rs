//! What a change of an object means: for whom, and how much haste it asks for.

use std::collections::BTreeSet;

use serde_json::Map;

use crate::cluster::{Change, Origin};
use crate::core::filter::policies;
use crate::core::routing::RolloutKey;
use crate::object::{Kind, Object};

/// The Rollouts whose policies differ.
pub(super) fn changed_policies(before: &Object, after: &Object) -> BTreeSet<RolloutKey> {
    let none = Map::new();
    let (before, after) = (policies(before), policies(after));
    let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
    before
        .keys()
        .chain(after.keys())
        .filter(|key| before.get(*key) != after.get(*key))
        .filter_map(|key| RolloutKey::parse(key))
        .collect()
}

/// True if requests may fail, or meet the wrong version, until it is put right.
///
/// istiod pushes a change of its objects 100 ms after the last event (Istio 1.29.1 `features.DebounceAfter`). A repair
/// that comes before that reaches the proxies together with what it repairs.
pub(super) fn is_urgent(change: &Change) -> bool {
    match (change.id.kind, &change.before, &change.after) {
        // An object that is gone can't be put right; it may be made again in a moment.
        (
            Kind::VirtualService
            | Kind::DestinationRule
            | Kind::WasmPlugin
            | Kind::TrafficExtension,
            _,
            after,
        ) => after.is_some() && change.origin == Origin::Watch,
        // Lanes lead to nowhere.
        (Kind::ReplicaSet, Some(before), after) => {
            before.available_replicas > 0
                && after
                    .as_ref()
                    .is_none_or(|after| after.available_replicas == 0)
        }
        (Kind::ReplicaSet | Kind::Service, ..) => false,
    }
}
