//! Objects as apply sees them: which fields they have, how two differ, how one goes into another.
//!
//! Follows `merge.go`, `compare.go`, `remove.go` and `tofieldset.go` of
//! `sigs.k8s.io/structured-merge-diff/v6/typed`.

use serde_json::{Map, Value};

use super::Scope;
use super::fields::FieldSet;

/// How a new object differs from an old one. No path is in two of the sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    /// What the new object has and the old one hasn't, or not so.
    pub(super) fn set(&self) -> FieldSet {
        self.modified.union(&self.added)
    }

    /// The differences that a write of this scope can make.
    pub(super) fn within(&self, scope: Scope) -> Self {
        Self {
            removed: self.removed.within(scope),
            modified: self.modified.within(scope),
            added: self.added.within(scope),
        }
    }
}

/// Compares two objects. A map that is new or gone is so itself, and with all that is in it.
pub(super) fn compare(old: &Value, new: &Value) -> Comparison {
    let mut found = Comparison::default();
    compare_at(Some(old), Some(new), &mut Vec::new(), &mut found);
    found
}

fn compare_at<'a>(
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    path: &mut Vec<&'a str>,
    found: &mut Comparison,
) {
    let (before, after) = (old.and_then(filled), new.and_then(filled));
    // Each name once: twice at each level would be 2^n times at the nth.
    let is_new = |name: &&String| before.is_none_or(|before| !before.contains_key(*name));
    let new_names = after.into_iter().flat_map(Map::keys).filter(is_new);
    for name in before.into_iter().flat_map(Map::keys).chain(new_names) {
        path.push(name);
        let (old, new) = (
            before.and_then(|map| map.get(name)),
            after.and_then(|map| map.get(name)),
        );
        compare_at(old, new, path, found);
        path.pop();
    }
    match (old, new) {
        (Some(_), None) => found.removed.insert(path),
        (None, Some(_)) => found.added.insert(path),
        (Some(old), Some(new)) => {
            // Null and `{}` stand for a map without fields; what is in maps has been compared.
            let maps = [old, new]
                .iter()
                .all(|one| one.is_object() || one.is_null())
                && (before.is_some() || after.is_some());
            if !maps && old != new {
                found.modified.insert(path);
            }
        }
        (None, None) => {}
    }
}

/// The fields that an object sets: scalars, lists, nulls and empty maps.
pub(super) fn fields_of(object: &Value) -> FieldSet {
    let mut fields = FieldSet::default();
    leaves(object, &mut Vec::new(), &mut fields);
    fields
}

fn leaves<'a>(value: &'a Value, path: &mut Vec<&'a str>, fields: &mut FieldSet) {
    match filled(value) {
        Some(map) => {
            for (name, value) in map {
                path.push(name);
                leaves(value, path, fields);
                path.pop();
            }
        }
        None => fields.insert(path),
    }
}

/// What `config` makes of `live`: maps are merged, anything else is replaced.
pub(super) fn merge(live: &Value, config: &Value) -> Value {
    match (filled(live), config) {
        (Some(live), Value::Object(config)) => {
            let mut merged = live.clone();
            for (name, value) in config {
                let value = match live.get(name) {
                    Some(live) => merge(live, value),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Some(_), Value::Null) => live.clone(),
        _ => config.clone(),
    }
}

/// The object without these fields. A map that loses all its fields stays, unless it is one of
/// them.
pub(super) fn without(object: &Value, fields: &FieldSet) -> Value {
    let Some(map) = object.as_object() else {
        return object.clone();
    };
    let kept = map.iter().filter(|(name, _)| !fields.has(name));
    let kept = kept.map(|(name, value)| {
        let value = match fields.below(name) {
            Some(fields) => without(value, fields),
            None => value.clone(),
        };
        (name.clone(), value)
    });
    Value::Object(kept.collect())
}

/// The map, if the value is one that has fields.
fn filled(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object().filter(|map| !map.is_empty())
}
