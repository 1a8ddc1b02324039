//! Create, update and delete, with what the server does to metadata on the way.
//!
//! Follows `BeforeCreate`, `BeforeUpdate` and `BeforeDelete` of `k8s.io/apiserver/pkg/registry/rest`
//! and `Store.Update` of `pkg/registry/generic/registry/store.go`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{ChangeKind, Key, State};
use crate::apiserver::object;
use crate::apiserver::resource::Resource;
use crate::apiserver::status::{InvalidField, Status};

/// Which half of an object a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::apiserver) enum Part {
    /// The resource itself: `status` stays as it is if it is a subresource.
    Main,
    /// The `/status` subresource: everything else stays.
    Status,
    /// Both, for direct access without HTTP.
    Whole,
}

/// `metav1.Preconditions` of a delete.
#[derive(Debug, Clone, Default)]
pub(in crate::apiserver) struct Preconditions {
    pub(in crate::apiserver) uid: Option<String>,
    pub(in crate::apiserver) revision: Option<String>,
}

/// What a delete did.
#[derive(Debug)]
pub(in crate::apiserver) enum Deletion {
    /// The object is gone; this was it.
    Gone(Arc<Value>),
    /// Finalizers hold it; it carries a `deletionTimestamp` now.
    Pending(Arc<Value>),
}

impl State {
    /// Stores a new object. `namespace` is the request's.
    pub(in crate::apiserver) fn create(
        &mut self,
        resource: &Resource,
        namespace: &str,
        mut body: Value,
        part: Part,
        dry_run: bool,
    ) -> Result<Arc<Value>, Status> {
        adopt_namespace(resource, namespace, &mut body)?;
        if resource.namespaced {
            self.need_namespace(namespace)?;
        }
        if !object::meta(&body, "resourceVersion").is_empty() {
            return Err(Status::unreasoned(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        if object::meta(&body, "name").is_empty() {
            let prefix = object::meta(&body, "generateName").to_owned();
            if prefix.is_empty() {
                let cause =
                    InvalidField::required("metadata.name", "name or generateName is required");
                return Err(Status::invalid(resource, "", &cause));
            }
            let name = format!("{prefix}{}", object::name_suffix());
            object::set_meta(&mut body, "name", Value::from(name));
        }
        let name = object::meta(&body, "name").to_owned();
        check_name(resource, &name)?;
        let key = Key::new(resource, namespace, &name);
        if self.objects.contains_key(&key) {
            return Err(Status::already_exists(resource, &name));
        }

        object::set_meta(&mut body, "uid", Value::from(object::new_uid()));
        object::set_meta(
            &mut body,
            "creationTimestamp",
            Value::from(object::timestamp()),
        );
        for owned in [
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "selfLink",
        ] {
            object::set_meta(&mut body, owned, Value::Null);
        }
        if resource.generation {
            object::set_meta(&mut body, "generation", Value::from(1));
        }
        if part == Part::Main && resource.status {
            object::set_top(&mut body, "status", first_status(resource));
        }
        normalise(resource, &mut body);
        if dry_run {
            return Ok(Arc::new(body));
        }
        Ok(self.commit(resource, key, body, ChangeKind::Added))
    }

    /// Changes an object to what `change` makes of it; without a difference nothing is written.
    pub(in crate::apiserver) fn update(
        &mut self,
        resource: &Resource,
        key: &Key,
        part: Part,
        dry_run: bool,
        change: impl FnOnce(&Value) -> Result<Value, Status>,
    ) -> Result<Arc<Value>, Status> {
        let old = Arc::clone(self.get(resource, key)?);
        let mut new = change(&old)?;
        check_revision(resource, key, &old, &new)?;
        match part {
            Part::Main if resource.status => {
                object::set_top(&mut new, "status", old.get("status").cloned());
            }
            Part::Main | Part::Whole => {}
            Part::Status => {
                let status = new.get("status").cloned();
                new = Value::clone(&old);
                object::set_top(&mut new, "status", status);
            }
        }
        adopt_namespace(resource, &key.namespace, &mut new)?;
        for owned in [
            "generation",
            "creationTimestamp",
            "resourceVersion",
            "selfLink",
        ] {
            object::copy_meta(&old, &mut new, owned);
        }
        for kept in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
            object::copy_meta(&old, &mut new, kept);
        }
        if object::meta(&new, "uid").is_empty() {
            object::copy_meta(&old, &mut new, "uid");
        }
        for fixed in ["name", "uid"] {
            let (found, stored) = (object::meta(&new, fixed), object::meta(&old, fixed));
            if found != stored {
                let field = format!("metadata.{fixed}");
                let found = format!("\"{found}\"");
                let cause = InvalidField::invalid(&field, &found, "field is immutable");
                return Err(Status::invalid(resource, &key.name, &cause));
            }
        }
        normalise(resource, &mut new);
        if resource.generation && differs_in_spec(resource, &old, &new) {
            object::set_meta(
                &mut new,
                "generation",
                Value::from(object::generation(&old) + 1),
            );
        }
        if !object::meta(&new, "deletionTimestamp").is_empty() && !object::has_finalizers(&new) {
            return Ok(if dry_run {
                Arc::new(new)
            } else {
                self.commit(resource, key.clone(), new, ChangeKind::Deleted)
            });
        }
        if new == *old {
            return Ok(old);
        }
        if dry_run {
            return Ok(Arc::new(new));
        }
        Ok(self.commit(resource, key.clone(), new, ChangeKind::Modified))
    }

    /// Deletes an object, or marks it while finalizers hold it.
    pub(in crate::apiserver) fn delete(
        &mut self,
        resource: &Resource,
        key: &Key,
        preconditions: &Preconditions,
        dry_run: bool,
    ) -> Result<Deletion, Status> {
        let old = Arc::clone(self.get(resource, key)?);
        for (want, field, have) in [
            (&preconditions.uid, "UID", object::meta(&old, "uid")),
            (
                &preconditions.revision,
                "ResourceVersion",
                object::meta(&old, "resourceVersion"),
            ),
        ] {
            if let Some(want) = want.as_deref().filter(|want| *want != have) {
                return Err(Status::precondition(resource, &key.name, field, want, have));
            }
        }
        if object::has_finalizers(&old) {
            if dry_run || !object::meta(&old, "deletionTimestamp").is_empty() {
                return Ok(Deletion::Pending(old));
            }
            let mut marked = Value::clone(&old);
            object::set_meta(
                &mut marked,
                "deletionTimestamp",
                Value::from(object::timestamp()),
            );
            object::set_meta(&mut marked, "deletionGracePeriodSeconds", Value::from(0));
            let generation = object::generation(&old);
            if generation > 0 {
                object::set_meta(&mut marked, "generation", Value::from(generation + 1));
            }
            let marked = self.commit(resource, key.clone(), marked, ChangeKind::Modified);
            return Ok(Deletion::Pending(marked));
        }
        if dry_run {
            return Ok(Deletion::Gone(old));
        }
        if resource.plural == "namespaces" && resource.group.is_empty() {
            self.empty_namespace(&key.name)?;
        }
        let gone = self.commit(
            resource,
            key.clone(),
            Value::clone(&old),
            ChangeKind::Deleted,
        );
        Ok(Deletion::Gone(gone))
    }

    /// What the namespace controller does: deletes all that is in a namespace.
    fn empty_namespace(&mut self, namespace: &str) -> Result<(), Status> {
        let inside: Vec<Key> = self
            .objects
            .keys()
            .filter(|key| key.namespace == namespace)
            .cloned()
            .collect();
        for key in inside {
            let resource = self.resources.iter().copied().find(|one| key.is_of(one));
            if let Some(resource) = resource {
                self.delete(&resource, &key, &Preconditions::default(), false)?;
            }
        }
        Ok(())
    }

    /// Admission plugin `NamespaceLifecycle`: nothing is created in a namespace that isn't there.
    fn need_namespace(&self, namespace: &str) -> Result<(), Status> {
        match self.resources.iter().find(|one| one.plural == "namespaces") {
            Some(namespaces) => self
                .get(namespaces, &Key::new(namespaces, "", namespace))
                .map(|_| ()),
            None => Ok(()),
        }
    }
}

/// Go `EnsureObjectNamespaceMatchesRequestNamespace`.
fn adopt_namespace(resource: &Resource, namespace: &str, body: &mut Value) -> Result<(), Status> {
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
fn check_revision(resource: &Resource, key: &Key, old: &Value, new: &Value) -> Result<(), Status> {
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
fn check_name(resource: &Resource, name: &str) -> Result<(), Status> {
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
fn normalise(resource: &Resource, body: &mut Value) {
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
    // Ownership of fields is not tracked, so none is claimed.
    meta.remove("managedFields");
}

/// Whether more than `metadata` and, where it is a subresource, `status` differs.
fn differs_in_spec(resource: &Resource, old: &Value, new: &Value) -> bool {
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
fn first_status(resource: &Resource) -> Option<Value> {
    match resource.plural {
        _ if resource.custom => None,
        "pods" => Some(json!({"phase": "Pending", "qosClass": "BestEffort"})),
        "namespaces" => Some(json!({"phase": "Active"})),
        "services" => Some(json!({"loadBalancer": {}})),
        "replicasets" => Some(json!({"replicas": 0})),
        _ => Some(json!({})),
    }
}
