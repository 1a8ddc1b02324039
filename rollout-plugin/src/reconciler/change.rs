//! What a change of an object means: for whom, and how much haste it asks for.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::cluster::Change;
use crate::core::routing::RolloutKey;
use crate::object::{Kind, Object, POD_TEMPLATE_HASH};

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

/// All policies in a WasmPlugin, by Rollout.
pub(super) fn policies(object: &Object) -> Option<&Map<String, Value>> {
    object.spec.pointer("/pluginConfig/rollouts")?.as_object()
}

/// True if requests may fail, or meet the wrong version, until it is put right.
pub(super) fn is_urgent(change: &Change) -> bool {
    match (change.id.kind, &change.before, &change.after) {
        // Traffic of one version meets the pods of all.
        (Kind::DestinationRule, Some(before), Some(after)) => subsets_with_hash(before)
            .difference(&subsets_with_hash(after))
            .next()
            .is_some(),
        // Lanes lead to nowhere.
        (Kind::ReplicaSet, Some(before), after) => {
            before.available_replicas > 0
                && after
                    .as_ref()
                    .is_none_or(|after| after.available_replicas == 0)
        }
        _ => false,
    }
}

/// The names of the subsets that are bound to a pod hash.
fn subsets_with_hash(object: &Object) -> BTreeSet<&str> {
    let subsets = object.spec.get("subsets").and_then(Value::as_array);
    let bound = subsets.into_iter().flatten().filter(|subset| {
        let labels = subset.get("labels");
        labels.is_some_and(|labels| labels.get(POD_TEMPLATE_HASH).is_some())
    });
    bound
        .filter_map(|subset| subset.get("name")?.as_str())
        .collect()
}
