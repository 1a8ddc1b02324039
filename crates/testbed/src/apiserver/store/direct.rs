//! The store without HTTP: for a driver in the same process, and for tests that arrange objects or
//! look at them behind the client's back.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::write::{Deletion, Part, Preconditions, Write};
use super::{Change, Key, Store};
use crate::apiserver::apply::Writer;
use crate::apiserver::object;
use crate::apiserver::resource::Resource;
use crate::apiserver::status::Status;

/// The field manager of writes without HTTP.
const MANAGER: &str = "testbed";

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// Plural of the resource, `virtualservices`, with its group (`gateways.networking.istio.io`)
    /// where the plural alone would be ambiguous.
    pub resource: String,
    /// Namespace; empty for what has none.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectRef {
    /// A reference, as in `kubectl get RESOURCE NAME -n NAMESPACE`.
    pub fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl Store {
    /// The object, if it exists.
    pub fn get(&self, at: &ObjectRef) -> Option<Value> {
        let resource = self.resource(&at.resource).ok()?;
        let key = Key::new(&resource, &at.namespace, &at.name);
        self.read(|state| state.objects.get(&key).map(|found| Value::clone(found)))
    }

    /// The object as a type, or `404`; `422` if it doesn't fit the type.
    pub fn get_as<T: DeserializeOwned>(&self, at: &ObjectRef) -> Result<T, Status> {
        let resource = self.resource(&at.resource)?;
        let found = self
            .get(at)
            .ok_or_else(|| Status::not_found(&resource, &at.name))?;
        serde_json::from_value(found).map_err(|refused| {
            let mut status = Status::from_code(422);
            status.message = format!("{} \"{}\": {refused}", resource.qualified(), at.name);
            status
        })
    }

    /// All objects of a resource in key order; an empty namespace means all namespaces.
    pub fn list(&self, resource: &str, namespace: &str) -> Result<Vec<Value>, Status> {
        let resource = self.resource(resource)?;
        Ok(self.read(|state| {
            state
                .objects(&resource, namespace)
                .map(|(_, object)| Value::clone(object))
                .collect()
        }))
    }

    /// Creates an object or replaces the one of its name, `status` included, whatever
    /// `resourceVersion` it carries. Makes its namespace where that is missing.
    pub fn put(&self, object: Value) -> Result<Value, Status> {
        let resource = self.resource_of(&object)?;
        let namespace = object::meta(&object, "namespace").to_owned();
        if resource.namespaced {
            self.ensure_namespace(&namespace)?;
        }
        let key = Key::new(&resource, &namespace, object::meta(&object, "name"));
        let writer = writer(&resource);
        let write = whole(&writer);
        self.write(|state| {
            if state.objects.contains_key(&key) {
                state.update(&resource, &key, write, |old| {
                    let mut new = object;
                    object::copy_meta(old, &mut new, "resourceVersion");
                    object::copy_meta(old, &mut new, "uid");
                    Ok(new)
                })
            } else {
                let mut new = object;
                object::set_meta(&mut new, "resourceVersion", Value::Null);
                state.create(&resource, &namespace, new, write)
            }
        })
        .map(|stored| Value::clone(&stored))
    }

    /// Creates an object, `status` included; `409` (`AlreadyExists`) if there is one of its name. Makes
    /// its namespace where that is missing.
    pub fn create(&self, object: Value) -> Result<Value, Status> {
        let resource = self.resource_of(&object)?;
        let namespace = object::meta(&object, "namespace").to_owned();
        if resource.namespaced {
            self.ensure_namespace(&namespace)?;
        }
        let writer = writer(&resource);
        self.write(|state| state.create(&resource, &namespace, object, whole(&writer)))
            .map(|stored| Value::clone(&stored))
    }

    /// Applies a JSON merge patch to the whole object, `status` included.
    pub fn patch(&self, at: &ObjectRef, merge: &Value) -> Result<Value, Status> {
        let resource = self.resource(&at.resource)?;
        let key = Key::new(&resource, &at.namespace, &at.name);
        let writer = writer(&resource);
        self.write(|state| {
            state.update(&resource, &key, whole(&writer), |old| {
                let mut new = old.clone();
                json_patch::merge(&mut new, merge);
                Ok(new)
            })
        })
        .map(|stored| Value::clone(&stored))
    }

    /// Deletes an object, as the DELETE verb without options does, and answers with its last state.
    pub fn delete(&self, at: &ObjectRef) -> Result<Value, Status> {
        self.delete_if(at, &Preconditions::default())
    }

    /// The same with the precondition that the object has this `uid`; `409` if another has its name.
    pub fn delete_uid(&self, at: &ObjectRef, uid: &str) -> Result<Value, Status> {
        let preconditions = Preconditions {
            uid: Some(uid.to_owned()),
            ..Preconditions::default()
        };
        self.delete_if(at, &preconditions)
    }

    fn delete_if(&self, at: &ObjectRef, preconditions: &Preconditions) -> Result<Value, Status> {
        let resource = self.resource(&at.resource)?;
        let key = Key::new(&resource, &at.namespace, &at.name);
        let done = self.write(|state| state.delete(&resource, &key, preconditions, false))?;
        let (Deletion::Gone(last) | Deletion::Pending(last)) = done;
        Ok(Value::clone(&last))
    }

    /// Makes a namespace where it is missing.
    pub fn ensure_namespace(&self, name: &str) -> Result<(), Status> {
        let namespaces = self.resource("namespaces")?;
        let body = json!({"metadata": {"name": name}, "spec": {"finalizers": ["kubernetes"]}});
        let writer = writer(&namespaces);
        let write = Write {
            part: Part::Main,
            ..whole(&writer)
        };
        match self.write(|state| state.create(&namespaces, "", body, write)) {
            Err(refused) if refused.reason != "AlreadyExists" => Err(refused),
            _ => Ok(()),
        }
    }

    /// Every change from now on.
    pub fn subscribe(&self) -> Changes {
        let newest = self.newest();
        let cursor = self.revision();
        Changes {
            store: self.clone(),
            newest,
            cursor,
            pending: VecDeque::new(),
        }
    }

    /// The newest `resourceVersion`.
    pub fn revision(&self) -> u64 {
        self.read(super::State::revision)
    }

    /// Forgets all history, as etcd's compaction does: watches and lists from an older
    /// `resourceVersion` are answered with `410` from now on.
    pub fn compact(&self) {
        self.write(super::State::compact);
    }

    /// Stops serving a resource, as if its `CustomResourceDefinition` had never been applied.
    pub fn unserve(&self, name: &str) -> Result<(), Status> {
        let gone = self.resource(name)?;
        self.write(|state| {
            state.resources.retain(|one| *one != gone);
            state.objects.retain(|key, _| !key.is_of(&gone));
        });
        Ok(())
    }

    /// A resource by plural, or by plural and group.
    pub fn resource(&self, name: &str) -> Result<Resource, Status> {
        self.read(|state| {
            state
                .resources()
                .iter()
                .find(|one| one.plural == name || one.qualified() == name)
                .copied()
        })
        .ok_or_else(Status::no_such_path)
    }

    fn resource_of(&self, object: &Value) -> Result<Resource, Status> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let (kind, api_version) = (text("kind"), text("apiVersion"));
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        self.read(|state| {
            state
                .resources()
                .iter()
                .find(|one| one.kind == kind && one.group == group)
                .copied()
        })
        .ok_or_else(|| {
            Status::bad_request(format!(
                "no kind \"{kind}\" is registered for \"{api_version}\""
            ))
        })
    }
}

fn writer(resource: &Resource) -> Writer {
    let version = resource.preferred_version();
    Writer::update(MANAGER, &resource.api_version(version), "")
}

fn whole(writer: &Writer) -> Write<'_> {
    Write {
        part: Part::Whole,
        dry_run: false,
        writer,
    }
}

/// A subscription to the changes of all resources.
#[derive(Debug)]
pub struct Changes {
    store: Store,
    newest: tokio::sync::watch::Receiver<u64>,
    cursor: u64,
    pending: VecDeque<Arc<Change>>,
}

impl Changes {
    /// Waits for the next change. `410` if the history was cut before the subscriber read it: then
    /// it must list again.
    pub async fn next(&mut self) -> Result<Arc<Change>, Status> {
        loop {
            if let Some(change) = self.pending.pop_front() {
                return Ok(change);
            }
            self.newest.borrow_and_update();
            self.pending = self.store.read(|state| state.since(self.cursor))?.into();
            match self.pending.back() {
                Some(last) => self.cursor = last.revision,
                // The sender lives as long as the store that this holds.
                None => drop(self.newest.changed().await),
            }
        }
    }
}
