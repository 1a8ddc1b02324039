//! Kubernetes objects as the plugin sees them: an identity, a version and the part of the body it reads.
//!
//! Bodies stay JSON so that fields this program has never heard of survive a change.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// The kinds that the plugin reads; it writes the first four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `networking.istio.io` VirtualService: weights and lane routes are written.
    VirtualService,
    /// `networking.istio.io` DestinationRule: subset labels are written.
    DestinationRule,
    /// `extensions.istio.io` WasmPlugin: the Rollout's own policy is written.
    WasmPlugin,
    /// `extensions.istio.io` TrafficExtension, which Istio 1.30 brings: the same.
    TrafficExtension,
    /// `apps` ReplicaSet: says whether a version has available pods.
    ReplicaSet,
    /// `core` Service: its addresses and aliases are hosts too.
    Service,
}

impl Kind {
    /// Group, version, kind and plural, as the API server knows them.
    ///
    /// Istio's `v1` is served since Istio 1.22; WasmPlugin and TrafficExtension have never left `v1alpha1`.
    pub const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::VirtualService => (
                "networking.istio.io",
                "v1",
                "VirtualService",
                "virtualservices",
            ),
            Self::DestinationRule => (
                "networking.istio.io",
                "v1",
                "DestinationRule",
                "destinationrules",
            ),
            Self::WasmPlugin => (
                "extensions.istio.io",
                "v1alpha1",
                "WasmPlugin",
                "wasmplugins",
            ),
            Self::TrafficExtension => (
                "extensions.istio.io",
                "v1alpha1",
                "TrafficExtension",
                "trafficextensions",
            ),
            Self::ReplicaSet => ("apps", "v1", "ReplicaSet", "replicasets"),
            Self::Service => ("", "v1", "Service", "services"),
        }
    }
}

impl Kind {
    /// The first version of Istio whose CRDs have it.
    pub(crate) const fn since_istio(self) -> &'static str {
        match self {
            Self::TrafficExtension => "1.30",
            _ => "1.22",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names().2)
    }
}

/// Which object: what an error and a cache are keyed by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; every kind here has one.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectId {
    /// The object of that kind, namespace and name.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// One object as read from, or returned by, the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Which one.
    pub id: ObjectId,
    /// `metadata.resourceVersion`; the guard of the next write.
    pub resource_version: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `spec`, or `Value::Null`. Of a ReplicaSet it is left out.
    pub spec: Value,
    /// `status.availableReplicas` of a ReplicaSet, 0 as soon as its `spec.replicas` is; 0 for all else.
    pub available_replicas: i64,
    /// `spec.replicas` of a ReplicaSet; 0 for all else.
    pub wanted_replicas: i64,
}

impl Object {
    /// True for a ReplicaSet that has all the pods it wants, and wants any (argo-rollouts v1.10.1
    /// `replicaset.IsReplicaSetAvailable`).
    pub fn is_available(&self) -> bool {
        self.available_replicas > 0 && self.available_replicas >= self.wanted_replicas
    }
}

/// The label by which the controller marks a ReplicaSet, its pods and the subsets
/// (argo-rollouts v1.10.1 `DefaultRolloutUniqueLabelKey`).
pub const POD_TEMPLATE_HASH: &str = "rollouts-pod-template-hash";
