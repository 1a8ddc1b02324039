//! The objects of one list-and-watch, and which of two versions of an object wins.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

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
    pub(super) fn apply(&mut self, object: Object) {
        let known = self.current.get(&object.id);
        if known.is_none_or(|known| !is_newer(known, &object)) {
            self.current.insert(object.id.clone(), Arc::new(object));
        }
    }

    /// The same for an answer to a request of our own.
    pub(super) fn apply_answer(&mut self, object: Object) {
        self.touched.insert(object.id.clone());
        self.apply(object);
    }

    pub(super) fn forget(&mut self, id: &ObjectId) {
        self.current.remove(id);
    }

    /// The deletion's version is newer than any of the object's own, unless it was made again since.
    pub(super) fn delete(&mut self, object: &Object) {
        let known = self.current.get(&object.id);
        if known.is_some_and(|known| !is_newer(known, object)) {
            self.forget(&object.id);
        }
    }

    /// Ends a list: what it lacks is gone, except what was touched since it began.
    pub(super) fn swap_in(&mut self) {
        let listing = std::mem::take(&mut self.listing);
        let touched = std::mem::take(&mut self.touched);
        let listed: HashSet<&ObjectId> = listing.iter().map(|object| &object.id).collect();
        self.current
            .retain(|id, _| listed.contains(id) || touched.contains(id));
        for object in listing {
            self.apply(object);
        }
    }
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
