//! The objects as far as they are translated: typed views over the JSON that the store holds.
//!
//! Fields that a view doesn't have are found by [`read`], which writes the view back and compares: what is missing then
//! is what the embedded mesh ignores, and a [`Problem`] says so. Kubernetes' own objects are read without that check,
//! since most of a Pod is nobody's business here.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod core;
mod destination_rule;
mod gateway;
mod virtual_service;
mod wasm_plugin;

pub(super) use core::{Pod, Service, ServicePort};
pub(super) use destination_rule::{DestinationRule, Subset, TrafficPolicy};
pub(super) use gateway::Gateway;
pub(super) use virtual_service::{
    Cors, Destination, DirectResponse, Fault, HeaderOperations, Headers, Match, Redirect, Retries,
    Route, StringMatch, VirtualService, Weighted,
};
pub(super) use wasm_plugin::WasmPlugin;

/// Something that can't be translated, in words for a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{object}: {field}: {what}")]
pub(super) struct Problem {
    /// Kind, namespace and name.
    object: String,
    /// Path of the field.
    field: String,
    /// What is wrong with it.
    what: Trouble,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(super) enum Trouble {
    /// It is known to Istio, but not here; or to neither.
    #[error("the embedded mesh doesn't translate it")]
    Untranslated,
    /// Its value is known to Istio, but not here; or to neither.
    #[error("the embedded mesh doesn't translate {value:?}, expected {expected}")]
    Value {
        /// What stands there.
        value: String,
        /// What would be understood.
        expected: &'static str,
    },
    /// It can't be read.
    #[error("{error}")]
    Unreadable {
        /// The reader's words.
        error: String,
    },
    /// A route's destinations have no weight in sum.
    #[error("the weights are all 0, expected one above 0")]
    NoWeight,
}

/// Collects what is wrong with one object.
#[derive(Debug)]
pub(super) struct Problems<'a> {
    object: String,
    found: &'a mut Vec<Problem>,
}

impl<'a> Problems<'a> {
    /// For the object `kind` of this name.
    pub(super) fn of(kind: &str, meta: &Meta, found: &'a mut Vec<Problem>) -> Self {
        let object = format!("{kind} {}/{}", meta.namespace, meta.name);
        Self { object, found }
    }

    /// Notes that `field` isn't translated.
    pub(super) fn untranslated(&mut self, field: impl Into<String>) {
        self.add(field, Trouble::Untranslated);
    }

    /// Notes that `field` has a value that isn't understood.
    pub(super) fn value(
        &mut self,
        field: impl Into<String>,
        value: impl Into<String>,
        expected: &'static str,
    ) {
        let value = value.into();
        self.add(field, Trouble::Value { value, expected });
    }

    /// Notes what is wrong with `field`.
    pub(super) fn add(&mut self, field: impl Into<String>, what: Trouble) {
        self.found.push(Problem {
            object: self.object.clone(),
            field: field.into(),
            what,
        });
    }

    /// Reads the value of `field`, noting every field in it that the view leaves out. `None` if it doesn't fit the view.
    pub(super) fn read<T: DeserializeOwned + Serialize>(
        &mut self,
        field: &str,
        value: &Value,
    ) -> Option<T> {
        let value = &without_nulls(value);
        let view: T = match T::deserialize(value) {
            Ok(view) => view,
            Err(error) => {
                let error = error.to_string();
                self.add(field, Trouble::Unreadable { error });
                return None;
            }
        };
        // A view is made of maps, lists and plain values: writing it can't fail.
        let read = serde_json::to_value(&view).unwrap_or_default();
        self.compare(field, value, &read);
        Some(view)
    }

    fn compare(&mut self, path: &str, written: &Value, read: &Value) {
        match (written, read) {
            (Value::Object(written), Value::Object(read)) => {
                for (key, value) in written {
                    let path = format!("{path}.{key}");
                    match read.get(key) {
                        Some(read) => self.compare(&path, value, read),
                        None if is_empty(value) => {}
                        None => self.untranslated(path),
                    }
                }
            }
            (Value::Array(written), Value::Array(read)) => {
                for (index, (written, read)) in written.iter().zip(read).enumerate() {
                    self.compare(&format!("{path}[{index}]"), written, read);
                }
            }
            _ => {}
        }
    }
}

/// A null field says what an absent one says, but to the reader only absent ones have a default. A plugin's own
/// configuration is not ours to change.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| {
                let own = key == "pluginConfig";
                (
                    key.clone(),
                    if own {
                        value.clone()
                    } else {
                        without_nulls(value)
                    },
                )
            })
            .collect(),
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Whether a value says nothing, as an absent field does.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// What every object has.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    /// As written; RFC 3339 in UTC sorts by time.
    pub(super) creation_timestamp: String,
    pub(super) deletion_timestamp: Option<String>,
}

/// One of Istio's objects: what it is called and what it says.
#[derive(Clone, Debug)]
pub(super) struct Named<T> {
    pub(super) meta: Meta,
    pub(super) spec: T,
}

/// Reads objects of Istio's, oldest first and by name within a second, as istiod sorts them (Istio 1.29
/// `pilot/pkg/model/config.go`, `sortConfigByCreationTime`). What can't be read is left out, with a problem.
pub(super) fn read<T: DeserializeOwned + Serialize>(
    kind: &str,
    objects: &[Value],
    found: &mut Vec<Problem>,
) -> Vec<Named<T>> {
    let empty = Value::Object(Map::new());
    let mut read: Vec<Named<T>> = objects
        .iter()
        .filter_map(|object| {
            let meta = meta(object);
            let spec = object.get("spec").unwrap_or(&empty);
            let spec = Problems::of(kind, &meta, found).read("spec", spec)?;
            Some(Named { meta, spec })
        })
        .collect();
    read.sort_by(|a, b| {
        let key = |meta: &Meta| {
            (
                meta.creation_timestamp.clone(),
                meta.name.clone(),
                meta.namespace.clone(),
            )
        };
        key(&a.meta).cmp(&key(&b.meta))
    });
    read
}

/// Reads objects of Kubernetes' own; what can't be read is left out, with a problem.
pub(super) fn read_loosely<T: DeserializeOwned>(
    kind: &str,
    objects: &[Value],
    found: &mut Vec<Problem>,
) -> Vec<T> {
    let mut read = Vec::with_capacity(objects.len());
    for object in objects {
        match T::deserialize(&without_nulls(object)) {
            Ok(view) => read.push(view),
            Err(error) => {
                let error = error.to_string();
                Problems::of(kind, &meta(object), found)
                    .add("object", Trouble::Unreadable { error });
            }
        }
    }
    read
}

fn meta(object: &Value) -> Meta {
    // Metadata that the API server has taken fits.
    object
        .get("metadata")
        .and_then(|meta| Meta::deserialize(&without_nulls(meta)).ok())
        .unwrap_or_default()
}

/// A message of which only one field is read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq)]
pub(super) struct Percent {
    /// From 0 to 100.
    #[serde(default)]
    pub(super) value: f64,
}

#[cfg(test)]
mod tests;
