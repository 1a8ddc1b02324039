//! A change to the cluster as a value: decided by a pure function, carried out here.

use serde_json::Value;

use crate::apiserver::{ObjectRef, Status, Store};

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write {
    /// A new object. Fails if there is one of its name.
    Create(Value),
    /// A merge patch.
    Merge(ObjectRef, Value),
    /// A deletion.
    Delete {
        /// The object.
        at: ObjectRef,
        /// Its uid: another object of its name stays.
        uid: String,
    },
}

impl Write {
    /// The merge patch, if it makes a difference to the object.
    pub(crate) fn merge(at: ObjectRef, object: &Value, patch: Value) -> Option<Self> {
        let mut patched = object.clone();
        json_patch::merge(&mut patched, &patch);
        (patched != *object).then_some(Self::Merge(at, patch))
    }

    /// Carries it out. What is gone already, its name perhaps taken by another, is deleted.
    pub(crate) fn apply(&self, store: &Store) -> Result<(), Status> {
        match self {
            Self::Create(object) => store.create(object.clone()).map(drop),
            Self::Merge(at, patch) => store.patch(at, patch).map(drop),
            Self::Delete { at, uid } => match store.delete_uid(at, uid) {
                Err(refused) if ![404, 409].contains(&refused.code) => Err(refused),
                _ => Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::ApiServer;
    use crate::apiserver::object::meta;

    #[tokio::test]
    async fn another_object_of_the_same_name_stays() {
        let server = ApiServer::start().await.unwrap();
        let store = server.store();
        let set = |owner: &str| {
            json!({
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {"name": "web", "namespace": "shop", "labels": {"owner": owner}},
                "spec": {"replicas": 0},
            })
        };
        Write::Create(set("first")).apply(store).unwrap();
        let refused = Write::Create(set("second")).apply(store).unwrap_err();
        assert_eq!(refused.reason, "AlreadyExists");
        let at = ObjectRef::new("replicasets", "shop", "web");
        let first = store.get(&at).unwrap();
        assert_eq!(first["metadata"]["labels"]["owner"], "first");

        let delete = |uid: &str| Write::Delete {
            at: at.clone(),
            uid: uid.to_owned(),
        };
        delete("other").apply(store).unwrap();
        assert_eq!(store.get(&at), Some(first.clone()));
        let own = delete(meta(&first, "uid"));
        own.apply(store).unwrap();
        assert_eq!(store.get(&at), None);
        own.apply(store).unwrap();
    }
}
