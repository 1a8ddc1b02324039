//! Reading and writing the metadata of JSON objects: for the server, and for the controllers that work on its store.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use serde_json::{Map, Value, json};

/// The text at a dotted path; empty where there is none. Booleans and numbers as JSON prints them,
/// as field selectors compare them.
pub(super) fn text(object: &Value, path: &str) -> String {
    match path
        .split('.')
        .try_fold(object, |value, key| value.get(key))
    {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// A string of `metadata`; empty where there is none.
pub(crate) fn meta<'a>(object: &'a Value, key: &str) -> &'a str {
    object
        .get("metadata")
        .and_then(|meta| meta.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A label's value.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("labels")?.get(key)?.as_str()
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
    json!([{
        "apiVersion": api_version,
        "kind": kind,
        "name": meta(owner, "name"),
        "uid": meta(owner, "uid"),
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}

/// Sets or, with null, removes a field of `metadata`.
pub(super) fn set_meta(object: &mut Value, key: &str, value: Value) {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Some(map) = object.as_object_mut() else {
        return;
    };
    let meta = map
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if !meta.is_object() {
        *meta = Value::Object(Map::new());
    }
    let Some(meta) = meta.as_object_mut() else {
        return;
    };
    if value.is_null() {
        meta.remove(key);
    } else {
        meta.insert(key.to_owned(), value);
    }
}

/// Takes a field of `metadata` out.
pub(super) fn take_meta(object: &mut Value, key: &str) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove(key)
}

/// Sets or, with null or nothing, removes a field at the top.
pub(super) fn set_top(object: &mut Value, key: &str, value: Option<Value>) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    match value {
        Some(value) => {
            map.insert(key.to_owned(), value);
        }
        None => {
            map.remove(key);
        }
    }
}

/// Copies a field of `metadata` from one object to another, its absence too.
pub(super) fn copy_meta(from: &Value, to: &mut Value, key: &str) {
    let value = from
        .get("metadata")
        .and_then(|meta| meta.get(key))
        .cloned()
        .unwrap_or(Value::Null);
    set_meta(to, key, value);
}

/// The finalizer by which the garbage collector is asked to let dependents live (`metav1.FinalizerOrphanDependents`).
pub(crate) const ORPHAN: &str = "orphan";

/// Puts a finalizer behind those that are there.
pub(super) fn add_finalizer(object: &mut Value, finalizer: &str) {
    let found = object.pointer("/metadata/finalizers").cloned();
    let mut all = match found {
        Some(Value::Array(all)) => all,
        _ => Vec::new(),
    };
    if !all.iter().any(|one| one == finalizer) {
        all.push(Value::from(finalizer));
    }
    set_meta(object, "finalizers", Value::Array(all));
}

/// Whether `metadata.finalizers` names any.
pub(super) fn has_finalizers(object: &Value) -> bool {
    object
        .get("metadata")
        .and_then(|meta| meta.get("finalizers"))
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty())
}

/// `metadata.generation`, 0 where there is none.
pub(super) fn generation(object: &Value) -> u64 {
    object
        .get("metadata")
        .and_then(|meta| meta.get("generation"))
        .and_then(Value::as_u64)
        .unwrap_or_default()
}

/// The stored object as `apiVersion` shows it.
pub(super) fn at_version(object: &Value, api_version: &str) -> Value {
    let mut shown = object.clone();
    set_top(&mut shown, "apiVersion", Some(Value::from(api_version)));
    shown
}

/// Now, in whole seconds, as Go writes a `metav1.Time`.
pub(super) fn timestamp() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// A number that no other call returns, save by an unlikely chance.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A new `metadata.uid` in the form of a version 4 UUID.
pub(super) fn new_uid() -> String {
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff,
    )
}

/// Five letters for `generateName`, of the alphabet that Kubernetes uses (no vowels, so no words).
pub(super) fn name_suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rest = random();
    (0..5)
        .filter_map(|_| {
            let size = u64::try_from(ALPHABET.len()).ok()?;
            let letter = ALPHABET.get(usize::try_from(rest % size).ok()?)?;
            rest /= size;
            Some(char::from(*letter))
        })
        .collect()
}
