//! What is decoded of an API server's answer: what the plugin reads. The rest, of which managed fields and pod templates
//! alone can outweigh it, is skipped in the text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use kube::Resource;
use kube::api::{ApiResource, ObjectMeta};
use kube::core::DynamicResourceScope;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::object::{Kind, Object, ObjectId};

/// An object that is read for its spec.
pub(super) type Specified = Decoded<Value, IgnoredAny>;

/// A ReplicaSet.
pub(super) type Pods = Decoded<Scale, Availability>;

/// An object of which the spec is read as `S` and the status as `T`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Decoded<S, T> {
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
    spec: Option<S>,
    status: Option<T>,
}

/// A ReplicaSet's spec.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Scale {
    replicas: Option<i64>,
}

/// A ReplicaSet's status.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Availability {
    #[serde(rename = "availableReplicas")]
    replicas: Option<i64>,
}

/// An answer that becomes an [`Object`].
pub(super) trait Body:
    Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>
    + DeserializeOwned
    + Clone
    + Debug
    + Send
    + 'static
{
    /// The object.
    fn object(self, kind: Kind) -> Object;
}

impl Body for Specified {
    fn object(self, kind: Kind) -> Object {
        let spec = self.spec.unwrap_or_default();
        object(kind, self.metadata, spec)
    }
}

impl Body for Pods {
    fn object(self, kind: Kind) -> Object {
        // The API server takes none for 1.
        let wanted = self.spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let available = self.status.and_then(|status| status.replicas);
        // Where none are wanted its pods are about to go: lanes that wait for the status to say so lead to nowhere
        // meanwhile.
        let available = available.filter(|_| wanted != 0);
        Object {
            available_replicas: available.unwrap_or(0),
            wanted_replicas: wanted,
            ..object(kind, self.metadata, Value::Null)
        }
    }
}

fn object(kind: Kind, metadata: ObjectMeta, spec: Value) -> Object {
    Object {
        id: ObjectId::new(
            kind,
            metadata.namespace.unwrap_or_default(),
            metadata.name.unwrap_or_default(),
        ),
        resource_version: metadata.resource_version.unwrap_or_default(),
        labels: metadata.labels.unwrap_or_default(),
        spec,
        available_replicas: 0,
        wanted_replicas: 0,
    }
}

impl<S, T> Resource for Decoded<S, T> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.kind)
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.group)
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.version)
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.api_version)
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.plural)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The metadata without managed fields, annotations and owners.
pub(super) fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kept {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
        labels: Option<BTreeMap<String, String>>,
    }

    let kept = Kept::deserialize(from)?;
    Ok(ObjectMeta {
        name: kept.name,
        namespace: kept.namespace,
        uid: kept.uid,
        resource_version: kept.resource_version,
        generation: kept.generation,
        labels: kept.labels,
        ..ObjectMeta::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Value {
        json!({
            "kind": "X",
            "metadata": {
                "name": "a", "namespace": "n", "resourceVersion": "7", "labels": { "l": "m" },
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}" },
                "managedFields": [{ "fieldsV1": { "f:spec": {} } }],
            },
            "spec": { "replicas": 4, "template": { "spec": [1, 2] } },
            "status": { "availableReplicas": 3, "replicas": 4 },
        })
    }

    #[test]
    fn specs_stay_as_they_are() {
        let decoded: Specified = serde_json::from_value(answer()).unwrap();
        assert_eq!(decoded.meta().managed_fields, None);
        let object = decoded.object(Kind::VirtualService);
        assert_eq!(object.id, ObjectId::new(Kind::VirtualService, "n", "a"));
        assert_eq!(object.resource_version, "7");
        assert_eq!(object.labels.get("l").map(String::as_str), Some("m"));
        assert_eq!(
            object.spec,
            json!({ "replicas": 4, "template": { "spec": [1, 2] } })
        );
        assert_eq!(object.available_replicas, 0);
    }

    #[test]
    fn of_a_replica_set_labels_and_pods_count() {
        let decoded: Pods = serde_json::from_value(answer()).unwrap();
        let object = decoded.object(Kind::ReplicaSet);
        assert_eq!((object.available_replicas, object.wanted_replicas), (3, 4));
        assert!(!object.is_available());
        assert_eq!(object.labels.len(), 1);
        assert_eq!(object.spec, Value::Null);

        let mut ending = answer();
        ending["spec"]["replicas"] = json!(0);
        let decoded: Pods = serde_json::from_value(ending).unwrap();
        assert_eq!(decoded.object(Kind::ReplicaSet).available_replicas, 0);
    }

    #[test]
    fn what_is_missing_or_null_is_nothing() {
        let bare =
            json!({ "metadata": { "name": "a", "labels": null }, "spec": null, "status": null });
        let decoded: Specified = serde_json::from_value(bare.clone()).unwrap();
        assert_eq!(decoded.object(Kind::VirtualService).spec, Value::Null);
        let decoded: Pods = serde_json::from_value(bare).unwrap();
        assert_eq!(decoded.object(Kind::ReplicaSet).available_replicas, 0);
        assert!(serde_json::from_value::<Pods>(json!({})).is_ok());
    }
}
