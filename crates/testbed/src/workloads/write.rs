//! A change to the cluster as a value: decided by a pure function, carried out here.

use serde_json::Value;

use crate::apiserver::{ObjectRef, Status, Store};

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write {
    /// A new object.
    Create(Value),
    /// A merge patch.
    Merge(ObjectRef, Value),
    /// A deletion.
    Delete(ObjectRef),
}

impl Write {
    /// The merge patch, if it makes a difference to the object.
    pub(crate) fn merge(at: ObjectRef, object: &Value, patch: Value) -> Option<Self> {
        let mut patched = object.clone();
        json_patch::merge(&mut patched, &patch);
        (patched != *object).then_some(Self::Merge(at, patch))
    }

    /// Carries it out. What is gone already is deleted.
    pub(crate) fn apply(&self, store: &Store) -> Result<(), Status> {
        match self {
            Self::Create(object) => store.put(object.clone()).map(drop),
            Self::Merge(at, patch) => store.patch(at, patch).map(drop),
            Self::Delete(at) => match store.delete(at) {
                Err(refused) if refused.code != 404 => Err(refused),
                _ => Ok(()),
            },
        }
    }
}

/// A text field of an object's metadata; empty if it isn't there.
pub(crate) fn meta<'a>(object: &'a Value, key: &str) -> &'a str {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A label of an object.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object
        .get("metadata")?
        .get("labels")?
        .get(key)
        .and_then(Value::as_str)
}

/// A number in an object, by JSON pointer; none if it isn't there.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// Kind and uid of the controller that owns an object.
pub(crate) fn controller(object: &Value) -> Option<(&str, &str)> {
    let owners = object.get("metadata")?.get("ownerReferences")?.as_array()?;
    let owner = owners
        .iter()
        .find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
    Some((owner.get("kind")?.as_str()?, owner.get("uid")?.as_str()?))
}

/// True once its deletion has been asked for.
pub(crate) fn is_ending(object: &Value) -> bool {
    !meta(object, "deletionTimestamp").is_empty()
}

/// The owner reference that makes `owner` the controller of an object.
pub(crate) fn owned_by(api_version: &str, kind: &str, owner: &Value) -> Value {
    serde_json::json!([{
        "apiVersion": api_version,
        "kind": kind,
        "name": meta(owner, "name"),
        "uid": meta(owner, "uid"),
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}
