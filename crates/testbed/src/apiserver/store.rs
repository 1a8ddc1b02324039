//! What the server remembers: objects, and the changes that led to them.
//!
//! One lock over everything makes each request atomic, as etcd's transactions do; nothing waits
//! while it is held. Watches read the history by revision, so that a slow reader costs no memory
//! beyond the history's limit and meets a `410` like at the real server.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

use super::object;
use super::resource::Resource;
use super::status::Status;

mod direct;
pub(super) mod list;
mod rules;
pub(super) mod write;

pub use direct::{Changes, ObjectRef};

/// Changes kept for watches and paged lists before the oldest are forgotten.
const HISTORY: usize = 10_000;

/// Where `resourceVersion` starts to count.
const FIRST_REVISION: u64 = 100;

/// Where an object is stored. Sorted as lists show it: by resource, namespace, name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) group: &'static str,
    pub(super) plural: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(resource: &Resource, namespace: &str, name: &str) -> Self {
        Self {
            group: resource.group,
            plural: resource.plural,
            namespace: if resource.namespaced {
                namespace.to_owned()
            } else {
                String::new()
            },
            name: name.to_owned(),
        }
    }

    fn is_of(&self, resource: &Resource) -> bool {
        self.plural == resource.plural && self.group == resource.group
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It was there and is different now.
    Modified,
    /// It is gone.
    Deleted,
}

/// One write.
#[derive(Debug, Clone)]
pub struct Change {
    /// The `resourceVersion` that the write made.
    pub revision: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// The resource of the object.
    pub resource: Resource,
    /// The object after the write; for a deletion its last state, at the new `resourceVersion`.
    pub object: Arc<Value>,
    /// The object before the write.
    pub previous: Option<Arc<Value>>,
    /// When it happened.
    pub at: Instant,
}

impl Change {
    fn key(&self) -> Key {
        Key::new(
            &self.resource,
            object::meta(&self.object, "namespace"),
            object::meta(&self.object, "name"),
        )
    }
}

/// The objects of one embedded API server; clones share them.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    newest: tokio::sync::watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    resources: Vec<Resource>,
    objects: BTreeMap<Key, Arc<Value>>,
    revision: u64,
    /// Changes up to and including this revision are forgotten.
    compacted: u64,
    history: VecDeque<Arc<Change>>,
}

impl Store {
    pub(super) fn new(resources: Vec<Resource>) -> Self {
        let state = State {
            resources,
            objects: BTreeMap::new(),
            // 0 means "any version" in requests, so no object may carry it; and 1 is forgotten
            // history at any server that has run for a while.
            revision: FIRST_REVISION,
            compacted: FIRST_REVISION,
            history: VecDeque::new(),
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                newest: tokio::sync::watch::Sender::new(FIRST_REVISION),
            }),
        }
    }

    /// Reads under the lock.
    pub(super) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    /// Writes under the lock, then wakes those who wait for changes.
    pub(super) fn write<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = write(&mut state);
        let newest = state.revision;
        drop(state);
        self.shared.newest.send_if_modified(|seen| {
            let moved = newest > *seen;
            *seen = newest.max(*seen);
            moved
        });
        result
    }

    /// Tells of new revisions.
    pub(super) fn newest(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.newest.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a failed test already; the others may go on.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn resources(&self) -> &[Resource] {
        &self.resources
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn get(&self, resource: &Resource, key: &Key) -> Result<&Arc<Value>, Status> {
        self.objects
            .get(key)
            .ok_or_else(|| Status::not_found(resource, &key.name))
    }

    /// Objects of a resource in key order; an empty namespace means all.
    pub(super) fn objects<'a>(
        &'a self,
        resource: &'a Resource,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        in_scope(&self.objects, resource, namespace)
    }

    /// Changes after a revision, or `410` if some of them are forgotten.
    pub(super) fn since(&self, revision: u64) -> Result<Vec<Arc<Change>>, Status> {
        if revision < self.compacted {
            return Err(Status::expired(format!(
                "too old resource version: {revision} ({})",
                self.compacted
            )));
        }
        let start = self
            .history
            .partition_point(|change| change.revision <= revision);
        Ok(self.history.range(start..).cloned().collect())
    }

    /// All objects as they were at a revision, found by undoing what came later.
    fn snapshot(&self, revision: u64) -> Option<BTreeMap<Key, Arc<Value>>> {
        if revision < self.compacted {
            return None;
        }
        let mut objects = self.objects.clone();
        for change in self
            .history
            .iter()
            .rev()
            .take_while(|change| change.revision > revision)
        {
            match &change.previous {
                Some(previous) => objects.insert(change.key(), Arc::clone(previous)),
                None => objects.remove(&change.key()),
            };
        }
        Some(objects)
    }

    /// Stores `object` under the next revision, or removes it, and remembers the change.
    fn commit(
        &mut self,
        resource: &Resource,
        key: Key,
        mut object: Value,
        kind: ChangeKind,
    ) -> Arc<Value> {
        self.revision += 1;
        object::set_meta(
            &mut object,
            "resourceVersion",
            Value::from(self.revision.to_string()),
        );
        let object = Arc::new(object);
        let previous = if kind == ChangeKind::Deleted {
            self.objects.remove(&key)
        } else {
            self.objects.insert(key, Arc::clone(&object))
        };
        self.history.push_back(Arc::new(Change {
            revision: self.revision,
            kind,
            resource: *resource,
            object: Arc::clone(&object),
            previous,
            at: Instant::now(),
        }));
        if self.history.len() > HISTORY
            && let Some(forgotten) = self.history.pop_front()
        {
            self.compacted = forgotten.revision;
        }
        object
    }

    fn compact(&mut self) {
        self.compacted = self.revision;
        self.history.clear();
    }
}

fn in_scope<'a>(
    objects: &'a BTreeMap<Key, Arc<Value>>,
    resource: &'a Resource,
    namespace: &'a str,
) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
    objects
        .range(Key::new(resource, namespace, "")..)
        .take_while(move |(key, _)| {
            key.is_of(resource) && (namespace.is_empty() || key.namespace == namespace)
        })
}
