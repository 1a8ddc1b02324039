//! The objects of one list-and-watch, and which of two versions of an object wins.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use crate::object::{Object, ObjectId};

/// The objects of one kind, of one namespace or of all.
#[derive(Debug, Default)]
pub(super) struct Objects {
    current: HashMap<ObjectId, Arc<Object>>,
    /// A list under way; readers see none of it until it is whole.
    listing: Vec<Object>,
    /// What was written or read past the watch since that list began, and so may be newer than it.
    touched: HashSet<ObjectId>,
}

impl Objects {
    pub(super) fn get(&self, id: &ObjectId) -> Option<Arc<Object>> {
        self.current.get(id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Object>> {
        self.current.values().cloned().collect()
    }

    pub(super) fn begin_list(&mut self) {
        self.listing.clear();
        self.touched.clear();
    }

    /// One more object of the list under way.
    pub(super) fn listed(&mut self, object: Object) {
        self.listing.push(object);
    }

    /// Takes a newer version; an older one than the cache has (an event from before an own write) is dropped.
    pub(super) fn apply(&mut self, object: Object) -> Option<Change> {
        let known = self.current.get(&object.id);
        if known.is_some_and(|known| is_newer(known, &object)) {
            return None;
        }
        let after = Arc::new(object);
        let before = self.current.insert(after.id.clone(), Arc::clone(&after));
        let same = before
            .as_ref()
            .is_some_and(|before| is_same(before, &after));
        (!same).then(|| Change {
            id: after.id.clone(),
            before,
            after: Some(after),
            origin: Origin::Watch,
            at: Instant::now(),
        })
    }

    /// The same for an answer to a request of our own.
    pub(super) fn apply_answer(&mut self, object: Object) -> Option<Change> {
        self.touched.insert(object.id.clone());
        let change = self.apply(object)?;
        Some(Change {
            origin: Origin::Answer,
            ..change
        })
    }

    /// Removes an object of which an answer says that it is gone.
    pub(super) fn forget(&mut self, id: &ObjectId) -> Option<Change> {
        self.remove(id, Origin::Answer)
    }

    fn remove(&mut self, id: &ObjectId, origin: Origin) -> Option<Change> {
        let before = self.current.remove(id)?;
        Some(Change {
            id: before.id.clone(),
            before: Some(before),
            after: None,
            origin,
            at: Instant::now(),
        })
    }

    /// The deletion's version is newer than any of the object's own, unless it was made again since.
    pub(super) fn delete(&mut self, object: &Object) -> Option<Change> {
        let known = self.current.get(&object.id)?;
        if is_newer(known, object) {
            return None;
        }
        self.remove(&object.id, Origin::Watch)
    }

    /// Ends a list: what it lacks is gone, except what was touched since it began.
    pub(super) fn swap_in(&mut self) -> Vec<Change> {
        let listing = std::mem::take(&mut self.listing);
        let touched = std::mem::take(&mut self.touched);
        let listed: HashSet<&ObjectId> = listing.iter().map(|object| &object.id).collect();
        let gone: Vec<ObjectId> = self
            .current
            .keys()
            .filter(|id| !listed.contains(id) && !touched.contains(id))
            .cloned()
            .collect();
        let mut changes: Vec<Change> = gone
            .iter()
            .filter_map(|id| self.remove(id, Origin::Watch))
            .collect();
        changes.extend(listing.into_iter().filter_map(|object| self.apply(object)));
        changes
    }
}

/// An object that is not as it was.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Which.
    pub(crate) id: ObjectId,
    /// What it was; none if it is new.
    pub(crate) before: Option<Arc<Object>>,
    /// What it is; none if it is gone.
    pub(crate) after: Option<Arc<Object>>,
    /// What has brought it here.
    pub(crate) origin: Origin,
    /// When it came.
    pub(crate) at: Instant,
}

/// What brings a change into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A watch, or a list that it began anew: somebody else has changed the object.
    Watch,
    /// The answer to a request of this process: a call or a repair is under way, and looks at the object by itself.
    Answer,
}

/// True if nothing differs that any decision depends on: of a ReplicaSet whether it has pods, and whether it has all of
/// them, not how many.
fn is_same(before: &Object, after: &Object) -> bool {
    before.spec == after.spec
        && before.labels == after.labels
        && (before.available_replicas > 0) == (after.available_replicas > 0)
        && before.is_available() == after.is_available()
}

/// Resource versions of one kind compare as numbers (Kubernetes 1.35 says so officially; etcd has always made them
/// so). Where a server's don't, whatever comes last is the newest.
fn is_newer(known: &Object, other: &Object) -> bool {
    matches!((version(known), version(other)), (Some(known), Some(other)) if known > other)
}

fn version(object: &Object) -> Option<u64> {
    object.resource_version.parse().ok()
}

#[cfg(test)]
mod tests;
