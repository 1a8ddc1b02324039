//! Kubernetes object metadata and label selectors (k8s.io/apimachinery v0.34
//! `pkg/apis/meta/v1/types.go`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::or_default;
use super::time::Time;

/// Who the object is. Go's `metav1.ObjectMeta`, without `managedFields` and `selfLink`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Name, unique within the namespace.
    #[serde(alias = "Name")]
    pub name: String,
    /// The prefix that the API server made the name from, if it did.
    #[serde(alias = "GenerateName")]
    pub generate_name: String,
    /// Namespace.
    #[serde(alias = "Namespace")]
    pub namespace: String,
    /// Unique over the cluster's life.
    #[serde(alias = "UID")]
    pub uid: String,
    /// The version of the object as read; opaque.
    #[serde(alias = "ResourceVersion")]
    pub resource_version: String,
    /// Counts changes of the spec.
    #[serde(alias = "Generation")]
    pub generation: i64,
    /// When the object was created.
    #[serde(alias = "CreationTimestamp")]
    pub creation_timestamp: Option<Time>,
    /// Set once the object is being deleted.
    #[serde(alias = "DeletionTimestamp")]
    pub deletion_timestamp: Option<Time>,
    /// Seconds that the deletion may take.
    #[serde(alias = "DeletionGracePeriodSeconds")]
    pub deletion_grace_period_seconds: Option<i64>,
    /// Labels.
    #[serde(alias = "Labels", deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(alias = "Annotations", deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    /// The objects that this one belongs to.
    #[serde(alias = "OwnerReferences", deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference>,
    /// What must be done before the object may go.
    #[serde(alias = "Finalizers", deserialize_with = "or_default")]
    pub finalizers: Vec<String>,
}

/// One owner of an object. Go's `metav1.OwnerReference`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// API group and version of the owner.
    #[serde(alias = "APIVersion")]
    pub api_version: String,
    /// Kind of the owner.
    #[serde(alias = "Kind")]
    pub kind: String,
    /// Name of the owner, in the same namespace.
    #[serde(alias = "Name")]
    pub name: String,
    /// UID of the owner.
    #[serde(alias = "UID")]
    pub uid: String,
    /// Whether this owner controls the object.
    #[serde(alias = "Controller")]
    pub controller: Option<bool>,
    /// Whether the owner can't be deleted before the object.
    #[serde(alias = "BlockOwnerDeletion")]
    pub block_owner_deletion: Option<bool>,
}

/// Labels and expressions that all have to hold. Go's `metav1.LabelSelector`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must have exactly these values.
    #[serde(alias = "MatchLabels", deserialize_with = "or_default")]
    pub match_labels: BTreeMap<String, String>,
    /// Further conditions.
    #[serde(alias = "MatchExpressions", deserialize_with = "or_default")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One condition on a label. Go's `metav1.LabelSelectorRequirement`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelectorRequirement {
    /// The label.
    #[serde(alias = "Key")]
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    #[serde(alias = "Operator")]
    pub operator: String,
    /// The values for `In` and `NotIn`.
    #[serde(alias = "Values", deserialize_with = "or_default")]
    pub values: Vec<String>,
}
