//! The rules for metadata that every write goes through.

use serde_json::{Value, json};

use super::Key;
use crate::apiserver::object;
use crate::apiserver::resource::Resource;
use crate::apiserver::status::{InvalidField, Status};

/// Go `EnsureObjectNamespaceMatchesRequestNamespace`.
pub(super) fn adopt_namespace(
    resource: &Resource,
    namespace: &str,
    body: &mut Value,
) -> Result<(), Status> {
    let expected = if resource.namespaced { namespace } else { "" };
    let found = object::meta(body, "namespace");
    if !found.is_empty() && found != expected {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let value = if expected.is_empty() {
        Value::Null
    } else {
        Value::from(expected)
    };
    object::set_meta(body, "namespace", value);
    Ok(())
}

/// The guard against lost updates. Built-in resources allow an update without it
/// (`AllowUnconditionalUpdate`), custom ones don't.
pub(super) fn check_revision(
    resource: &Resource,
    key: &Key,
    old: &Value,
    new: &Value,
) -> Result<(), Status> {
    let (found, stored) = (
        object::meta(new, "resourceVersion"),
        object::meta(old, "resourceVersion"),
    );
    if found == stored || (found.is_empty() && !resource.custom) {
        return Ok(());
    }
    if found.is_empty() {
        let cause = InvalidField::invalid(
            "metadata.resourceVersion",
            "0",
            "must be specified for an update",
        );
        // The real server puts the plural in the kind's place here.
        return Err(Status::invalid_kind(
            resource.group,
            resource.plural,
            &key.name,
            &cause,
        ));
    }
    Err(Status::modified(resource, &key.name))
}

/// Go `NameIsDNSSubdomain`.
pub(super) fn check_name(resource: &Resource, name: &str) -> Result<(), Status> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let labels_fit = name.split('.').all(|label| {
        edge(label.chars().next())
            && edge(label.chars().last())
            && label.chars().all(|c| edge(Some(c)) || c == '-')
    });
    if labels_fit && name.len() <= 253 {
        return Ok(());
    }
    let found = format!("\"{name}\"");
    let cause = InvalidField::invalid(
        "metadata.name",
        &found,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    );
    Err(Status::invalid(resource, name, &cause))
}

/// Brings an object into the stored form: one version, and no empty collections in `metadata`
/// (`metav1.ObjectMeta` leaves them out).
pub(super) fn normalise(resource: &Resource, body: &mut Value) {
    let version = resource.api_version(resource.preferred_version());
    object::set_top(body, "apiVersion", Some(Value::from(version)));
    object::set_top(body, "kind", Some(Value::from(resource.kind)));
    let Some(meta) = body.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    meta.retain(|_, value| match value {
        Value::Null => false,
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    });
}

/// Whether more than `metadata` and, where it is a subresource, `status` differs.
pub(super) fn differs_in_spec(resource: &Resource, old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return old != new;
    };
    let counts = |key: &String| key != "metadata" && (key != "status" || !resource.status);
    old.keys()
        .chain(new.keys())
        .filter(|key| counts(key))
        .any(|key| old.get(key) != new.get(key))
}

/// The status that an object is born with.
pub(super) fn first_status(resource: &Resource) -> Option<Value> {
    match resource.plural {
        _ if resource.custom => None,
        "pods" => Some(json!({"phase": "Pending", "qosClass": "BestEffort"})),
        "namespaces" => Some(json!({"phase": "Active"})),
        "services" => Some(json!({"loadBalancer": {}})),
        "replicasets" => Some(json!({"replicas": 0})),
        _ => Some(json!({})),
    }
}
