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
