//! The subsets that a DestinationRule must have: labels that follow the pod hashes, only when pods stand behind them,
//! and subsets of experiments.
//!
//! The `metadata` is never touched: the controller would take a DestinationRule with the annotation
//! `argo-rollouts.argoproj.io/managed-by-rollouts` for its own and strip the hashes.

use std::collections::BTreeSet;

use argo_rollouts::WeightDestination;
use serde_json::{Map, Value, json};

use crate::core::capacity::Capacity;
use crate::core::error::{CoreError, Fault};
use crate::core::routing::{DestinationRuleRef, Routing};
use crate::core::weights::Side;
use crate::object::{Object, POD_TEMPLATE_HASH};

/// The pod hashes that the subsets shall be at; `None` leaves one where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hashes<'a> {
    /// The canary subset's. Empty takes the label away (as the built-in reconciler does).
    pub canary: Option<&'a str>,
    /// The stable subset's.
    pub stable: Option<&'a str>,
    /// Experiments, each with its own hash.
    pub additional: &'a [WeightDestination],
}

/// One change of a subset that stands.
enum Label<'a> {
    At(&'a str),
    Gone,
}

/// The `spec` that `object` must have; `None` when it has it.
///
/// A subset moves to a hash only when that version has its pods ([`Capacity::may_move`]; an experiment's, any): until
/// then the old hash stays, so that no request meets a subset without endpoints, or with too few. Where the old one has
/// none left, the canary subset goes to the stable version (where `hashes` says which that is and it has pods), and else
/// where it was wanted. The built-in reconciler (argo-rollouts v1.10.1 `istio.UpdateHash`) refuses instead when there
/// are no Services, and moves at once when there are.
///
/// As with the built-in reconciler an experiment gets a subset named as its Service is, though no route leads to it:
/// the route's destination is the Service. It doesn't remove foreign subsets nor those of `additionalSubsetNames`, as
/// that one does, and adds none without a hash; subsets of experiments that have ended go by [`without_leftovers`].
///
/// # Errors
/// A subset that the Rollout names and the object lacks (the built-in reconciler goes on without).
pub fn desired_spec(
    object: &Object,
    reference: &DestinationRuleRef,
    hashes: Hashes<'_>,
    capacity: Capacity<'_>,
) -> Result<Option<Value>, CoreError> {
    let (spec, problems) = possible_spec(object, reference, hashes, capacity);
    match problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(spec),
    }
}

/// As [`desired_spec`], for the subsets that the object has; with an error for each that it lacks.
pub(crate) fn possible_spec(
    object: &Object,
    reference: &DestinationRuleRef,
    hashes: Hashes<'_>,
    capacity: Capacity<'_>,
) -> (Option<Value>, Vec<CoreError>) {
    let stable = hashes.stable.filter(|hash| capacity.has_pods(hash));
    let (mut changes, mut problems) = (Vec::new(), Vec::new());
    for (side, name, hash, refuge) in [
        (
            Side::Canary,
            &reference.canary_subset,
            hashes.canary,
            stable,
        ),
        (Side::Stable, &reference.stable_subset, hashes.stable, None),
    ] {
        match position(object, name) {
            Ok(subset) => {
                let change = hash
                    .and_then(|hash| change(object, subset, hash, (Some(side), refuge), capacity));
                changes.extend(change.map(|label| (subset, label)));
            }
            Err(fault) => problems.push(fault.of(&object.id)),
        }
    }
    let mut new: Vec<&WeightDestination> = Vec::new();
    let mut seen = BTreeSet::new();
    for experiment in hashes.additional {
        let (name, hash) = (&*experiment.service_name, &*experiment.pod_template_hash);
        // Of several with one name the first counts: a subset can be at one hash only.
        if name.is_empty() || hash.is_empty() || names_subset(reference, name) || !seen.insert(name)
        {
            continue;
        }
        match position(object, name) {
            Ok(subset) => {
                let change = change(object, subset, hash, (None, None), capacity);
                changes.extend(change.map(|label| (subset, label)));
            }
            Err(_) => new.push(experiment),
        }
    }
    if changes.is_empty() && new.is_empty() {
        return (None, problems);
    }
    let mut spec = object.spec.clone();
    if let Some(subsets) = spec.get_mut("subsets").and_then(Value::as_array_mut) {
        for (index, label) in changes {
            if let Some(subset) = subsets.get_mut(index).and_then(Value::as_object_mut) {
                set_label(subset, &label);
            }
        }
        subsets.extend(
            new.into_iter()
                .map(|experiment| bare(&experiment.service_name, &experiment.pod_template_hash)),
        );
    }
    (Some(spec), problems)
}

/// A subset that selects a pod hash and nothing else.
fn bare(name: &str, hash: &str) -> Value {
    json!({"name": name, "labels": {POD_TEMPLATE_HASH: hash}})
}

/// The `spec` of `object` with the stable subset at `hash`, where the object has none; `None` where it has one, or where
/// no hash is known. Without that subset Envoy answers every request to it with 503.
pub(crate) fn with_stable_subset(
    object: &Object,
    reference: &DestinationRuleRef,
    hash: &str,
) -> Option<Value> {
    if hash.is_empty() || position(object, &reference.stable_subset).is_ok() {
        return None;
    }
    let mut spec = object.spec.clone();
    let fields = spec.as_object_mut()?;
    let subsets = fields.entry("subsets").or_insert(Value::Null);
    if !subsets.is_array() {
        *subsets = Value::Array(Vec::new());
    }
    subsets
        .as_array_mut()?
        .push(bare(&reference.stable_subset, hash));
    Some(spec)
}

/// What has to change for the subset to be at `hash`, or at what is as near to it as there are pods. `side`: none for an
/// experiment's.
fn change<'a>(
    object: &Object,
    subset: usize,
    hash: &'a str,
    (side, refuge): (Option<Side>, Option<&'a str>),
    capacity: Capacity<'_>,
) -> Option<Label<'a>> {
    let old = subsets(object).get(subset).and_then(label_of);
    if hash.is_empty() {
        return old.map(|_| Label::Gone);
    }
    let may_move = match side {
        // Without a label it leads to all versions.
        Some(Side::Stable) if old.is_none() => capacity.has_pods(hash),
        Some(side) => capacity.may_move(side, hash),
        None => capacity.has_pods(hash),
    };
    let wanted = if may_move {
        hash
    } else if old.is_none_or(|old| capacity.has_pods(old)) {
        return None;
    } else {
        refuge.unwrap_or(hash)
    };
    (old != Some(wanted)).then_some(Label::At(wanted))
}

fn set_label(subset: &mut Map<String, Value>, label: &Label<'_>) {
    match label {
        Label::At(hash) => {
            let labels = subset.entry("labels").or_insert(Value::Null);
            if !labels.is_object() {
                *labels = Value::Object(Map::new());
            }
            if let Some(labels) = labels.as_object_mut() {
                labels.insert(POD_TEMPLATE_HASH.to_owned(), Value::from(*hash));
            }
        }
        Label::Gone => {
            if let Some(labels) = subset.get_mut("labels").and_then(Value::as_object_mut) {
                labels.remove(POD_TEMPLATE_HASH);
            }
        }
    }
}

/// The `spec` without the subsets of experiments that have ended; `None` where there is none.
///
/// A subset counts for one if it has nothing but its name and the pod hash's label, neither the Rollout's
/// configuration nor a `current` experiment's Service names it, and its name says that it was made for this Rollout:
/// either the status still lists it among the weights last set, or it is as the controller names an experiment's
/// Service, `<rollout>-<hash>-<revision>-<step>-<template>` (argo-rollouts v1.10.1 `rollout.GetExperimentFromTemplate`).
/// The shape alone would not do: subsets of another Rollout that shares the DestinationRule may look the same. So one
/// with a name of the user's own, left over while the plugin was away, stays; no route leads to it.
pub fn without_leftovers(
    object: &Object,
    reference: &DestinationRuleRef,
    routing: &Routing,
    current: &BTreeSet<&str>,
) -> Option<Value> {
    let leftover = |subset: &Value| {
        let name = subset
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let known = || routing.known_experiments.iter().any(|known| known == name);
        is_bare(subset)
            && !current.contains(name)
            && !names_subset(reference, name)
            && (known() || is_experiments_name(name, &routing.rollout.name))
    };
    if !subsets(object).iter().any(leftover) {
        return None;
    }
    let mut spec = object.spec.clone();
    if let Some(subsets) = spec.get_mut("subsets").and_then(Value::as_array_mut) {
        subsets.retain(|subset| !leftover(subset));
    }
    Some(spec)
}

/// True for a subset that holds its name and the pod hash's label, and nothing else.
fn is_bare(subset: &Value) -> bool {
    let fields = subset.as_object();
    fields.is_some_and(|fields| fields.keys().all(|key| key == "name" || key == "labels"))
        && subset
            .get("labels")
            .and_then(Value::as_object)
            .is_some_and(|labels| labels.len() == 1 && labels.contains_key(POD_TEMPLATE_HASH))
}

fn is_experiments_name(name: &str, rollout: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let rest = name
        .strip_prefix(rollout)
        .and_then(|rest| rest.strip_prefix('-'));
    let parts: Vec<&str> = rest
        .map(|rest| rest.splitn(4, '-').collect())
        .unwrap_or_default();
    match parts[..] {
        [hash, revision, step, template] => {
            !hash.is_empty() && number(revision) && number(step) && !template.is_empty()
        }
        _ => false,
    }
}

/// True if the Rollout's configuration names the subset.
fn names_subset(reference: &DestinationRuleRef, name: &str) -> bool {
    name == reference.canary_subset
        || name == reference.stable_subset
        || reference
            .additional_subsets
            .iter()
            .any(|additional| additional == name)
}

/// The pod hash that a subset is at; `None` where it has no such label or there is no such subset.
pub fn hash_of<'a>(object: &'a Object, subset: &str) -> Option<&'a str> {
    let index = position(object, subset).ok()?;
    label_of(subsets(object).get(index)?)
}

fn label_of(subset: &Value) -> Option<&str> {
    subset.get("labels")?.get(POD_TEMPLATE_HASH)?.as_str()
}

fn subsets(object: &Object) -> &[Value] {
    object
        .spec
        .get("subsets")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn position(object: &Object, name: &str) -> Result<usize, Fault> {
    let subsets = subsets(object);
    subsets
        .iter()
        .position(|subset| subset.get("name").and_then(Value::as_str) == Some(name))
        .ok_or_else(|| {
            let names = subsets.iter().filter_map(|subset| subset.get("name"));
            let names: Vec<String> = names.map(Value::to_string).collect();
            Fault::new(
                "spec.subsets[].name",
                format!("[{}]", names.join(", ")),
                format!("a subset named {name:?}"),
            )
        })
}

#[cfg(test)]
mod tests;
