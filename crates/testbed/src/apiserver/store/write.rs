//! Create, update and delete, with what the server does to metadata on the way.
//!
//! Follows `BeforeCreate`, `BeforeUpdate` and `BeforeDelete` of `k8s.io/apiserver/pkg/registry/rest`
//! and `Store.Update` of `pkg/registry/generic/registry/store.go`.

use std::sync::Arc;

use serde_json::Value;

use super::rules::{
    adopt_namespace, check_name, check_revision, differs_in_spec, first_status, normalise,
};
use super::{ChangeKind, Key, State};
use crate::apiserver::apply::{self, Operation, Writer};
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

/// How an object is written.
#[derive(Debug, Clone, Copy)]
pub(in crate::apiserver) struct Write<'a> {
    pub(in crate::apiserver) part: Part,
    /// Go through it all, but store nothing.
    pub(in crate::apiserver) dry_run: bool,
    pub(in crate::apiserver) writer: &'a Writer,
}

/// `metav1.Preconditions` of a delete, and its propagation policy.
#[derive(Debug, Clone, Default)]
pub(in crate::apiserver) struct Preconditions {
    pub(in crate::apiserver) uid: Option<String>,
    pub(in crate::apiserver) revision: Option<String>,
    /// `propagationPolicy: Orphan`: the object stays until the garbage collector has taken it out of its dependents.
    pub(in crate::apiserver) orphan: bool,
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
    /// Stores a new object. `namespace` is the request's. Only an apply brings `managedFields`.
    pub(in crate::apiserver) fn create(
        &mut self,
        resource: &Resource,
        namespace: &str,
        mut body: Value,
        write: Write<'_>,
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
        if write.writer.operation == Operation::Update {
            object::set_meta(&mut body, "managedFields", Value::Null);
        }
        if resource.generation {
            object::set_meta(&mut body, "generation", Value::from(1));
        }
        if write.part == Part::Main && resource.status {
            object::set_top(&mut body, "status", first_status(resource));
        }
        normalise(resource, &mut body);
        if write.dry_run {
            return Ok(Arc::new(body));
        }
        Ok(self.commit(resource, key, body, ChangeKind::Added))
    }

    /// Changes an object to what `change` makes of it; without a difference nothing is written.
    pub(in crate::apiserver) fn update(
        &mut self,
        resource: &Resource,
        key: &Key,
        write: Write<'_>,
        change: impl FnOnce(&Value) -> Result<Value, Status>,
    ) -> Result<Arc<Value>, Status> {
        let old = Arc::clone(self.get(resource, key)?);
        let mut new = change(&old)?;
        check_revision(resource, key, &old, &new)?;
        let sent = object::take_meta(&mut new, "managedFields");
        match write.part {
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
        let managers = match write.writer.operation {
            Operation::Apply => sent.unwrap_or_default(),
            Operation::Update => apply::track(
                &old,
                &new,
                sent.as_ref(),
                write.writer,
                &object::timestamp(),
            ),
        };
        object::set_meta(&mut new, "managedFields", managers);
        if !object::meta(&new, "deletionTimestamp").is_empty() && !object::has_finalizers(&new) {
            return Ok(if write.dry_run {
                Arc::new(new)
            } else {
                self.commit(resource, key.clone(), new, ChangeKind::Deleted)
            });
        }
        if apply::same_but_times(&old, &new) {
            return Ok(old);
        }
        if write.dry_run {
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
        let orphans = preconditions.orphan && object::meta(&old, "deletionTimestamp").is_empty();
        if orphans || object::has_finalizers(&old) {
            if dry_run || !object::meta(&old, "deletionTimestamp").is_empty() {
                return Ok(Deletion::Pending(old));
            }
            let mut marked = Value::clone(&old);
            if orphans {
                object::add_finalizer(&mut marked, object::ORPHAN);
            }
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
