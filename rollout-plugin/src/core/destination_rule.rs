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
/// request meets a subset without endpoints. Where the old one has none either, holding it would help nobody. The
/// built-in reconciler (argo-rollouts v1.10.1 `istio.UpdateHash`) refuses instead when there are no Services, and
/// moves at once when there are.
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
    for (name, hash) in [
        (&reference.canary_subset, hashes.canary),
        (&reference.stable_subset, hashes.stable),
    ] {
        let subset = subset_mut(&mut spec, name).map_err(|fault| fault.of(&object.id))?;
        let old = hash_of(object, name);
        match hash {
            Some("") => {
                if let Some(labels) = subset.get_mut("labels").and_then(Value::as_object_mut) {
                    labels.remove(POD_TEMPLATE_HASH);
                }
            }
            Some(hash)
                if versions.has_pods(hash) || old.is_some_and(|old| !versions.has_pods(old)) =>
            {
                let labels = subset.entry("labels").or_insert(Value::Null);
                if !labels.is_object() {
                    *labels = Value::Object(Map::new());
                }
                if let Some(labels) = labels.as_object_mut() {
                    labels.insert(POD_TEMPLATE_HASH.to_owned(), Value::from(hash));
                }
            }
            Some(_) | None => {}
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

fn subset_mut<'a>(spec: &'a mut Value, name: &str) -> Result<&'a mut Map<String, Value>, Fault> {
    let subsets = spec.get("subsets").and_then(Value::as_array);
    let names: Vec<String> = subsets
        .into_iter()
        .flatten()
        .filter_map(|subset| subset.get("name"))
        .map(Value::to_string)
        .collect();
    spec.get_mut("subsets")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
        .find(|subset| subset.get("name").and_then(Value::as_str) == Some(name))
        .ok_or_else(|| {
            Fault::new(
                "spec.subsets[].name",
                format!("[{}]", names.join(", ")),
                format!("a subset named {name:?}"),
            )
        })
}

#[cfg(test)]
mod tests;
