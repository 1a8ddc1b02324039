//! The subsets that a DestinationRule must have: two labels that follow the pod hashes, and only when pods stand
//! behind them.

use serde_json::{Map, Value};

use crate::core::error::{CoreError, Fault};
use crate::core::plan::Versions;
use crate::core::routing::DestinationRuleRef;
use crate::object::{Object, POD_TEMPLATE_HASH};

/// The pod hashes that the subsets shall be at; `None` leaves one where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hashes<'a> {
    /// The canary subset's. Empty takes the label away (as the built-in reconciler does).
    pub canary: Option<&'a str>,
    /// The stable subset's.
    pub stable: Option<&'a str>,
}

/// The `spec` that `object` must have.
///
/// A subset moves to a hash only when that ReplicaSet has available pods: until then the old hash stays, so that no
/// request meets a subset without endpoints. The built-in reconciler (argo-rollouts v1.10.1 `istio.UpdateHash`)
/// refuses instead when there are no Services, and moves at once when there are.
///
/// # Errors
/// A subset that the Rollout names and the object lacks.
pub fn desired_spec(
    object: &Object,
    reference: &DestinationRuleRef,
    hashes: Hashes<'_>,
    versions: &Versions<'_>,
) -> Result<Value, CoreError> {
    let mut spec = object.spec.clone();
    for (subset, hash) in [
        (&reference.canary_subset, hashes.canary),
        (&reference.stable_subset, hashes.stable),
    ] {
        let labels = labels_of(&mut spec, subset).map_err(|fault| fault.of(&object.id))?;
        match hash {
            Some("") => {
                labels.remove(POD_TEMPLATE_HASH);
            }
            Some(hash) if versions.has_pods(hash) => {
                labels.insert(POD_TEMPLATE_HASH.to_owned(), Value::from(hash));
            }
            Some(_) | None => {}
        }
    }
    // A subset that had no labels gets none back.
    for subset in spec
        .get_mut("subsets")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let empty = subset
            .get("labels")
            .and_then(Value::as_object)
            .is_some_and(Map::is_empty);
        let was_empty = subset_of(&object.spec, subset.get("name"))
            .is_some_and(|old| old.get("labels").is_some());
        if empty
            && !was_empty
            && let Some(fields) = subset.as_object_mut()
        {
            fields.remove("labels");
        }
    }
    Ok(spec)
}

/// The pod hash that a subset is at; `None` where it has no such label or there is no such subset.
pub fn hash_of<'a>(object: &'a Object, subset: &str) -> Option<&'a str> {
    subset_of(&object.spec, Some(&Value::from(subset)))?
        .get("labels")?
        .get(POD_TEMPLATE_HASH)?
        .as_str()
}

fn subset_of<'a>(spec: &'a Value, name: Option<&Value>) -> Option<&'a Value> {
    spec.get("subsets")?
        .as_array()?
        .iter()
        .find(|subset| subset.get("name") == name)
}

fn labels_of<'a>(spec: &'a mut Value, subset: &str) -> Result<&'a mut Map<String, Value>, Fault> {
    let names = spec
        .get("subsets")
        .and_then(Value::as_array)
        .map(|subsets| {
            subsets
                .iter()
                .filter_map(|subset| subset.get("name"))
                .map(Value::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        })
        .unwrap_or_default();
    spec.get_mut("subsets")
        .and_then(Value::as_array_mut)
        .and_then(|subsets| {
            subsets
                .iter_mut()
                .find(|found| found.get("name").and_then(Value::as_str) == Some(subset))
        })
        .and_then(Value::as_object_mut)
        .map(|fields| {
            fields
                .entry("labels")
                .or_insert_with(|| Value::Object(Map::new()))
        })
        .and_then(Value::as_object_mut)
        .ok_or_else(|| {
            Fault::new(
                "spec.subsets[].name",
                format!("[{names}]"),
                format!("a subset named {subset:?}"),
            )
        })
}

#[cfg(test)]
mod tests;
