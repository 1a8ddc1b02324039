//! What one reconciliation rests on: a Rollout, its ReplicaSets, its Services, and the time.

use std::collections::BTreeMap;

use argo_rollouts::types::{Rollout, Time};
use jiff::Timestamp;
use serde_json::Value;

use crate::apiserver::object::{controller, is_ending, label, meta, number};
use crate::apiserver::{ObjectRef, Store};
use crate::workloads::hash::template_hash;

/// Label of a Rollout's ReplicaSets and pods, key in its Services' selectors (`DefaultRolloutUniqueLabelKey`).
pub(super) const HASH: &str = "rollouts-pod-template-hash";
/// `RevisionAnnotation`.
pub(super) const REVISION: &str = "rollout.argoproj.io/revision";
/// `RevisionHistoryAnnotation`.
pub(super) const REVISION_HISTORY: &str = "rollout.argoproj.io/revision-history";
/// `DesiredReplicasAnnotation`.
pub(super) const DESIRED_REPLICAS: &str = "rollout.argoproj.io/desired-replicas";
/// `DefaultReplicaSetScaleDownDeadlineAnnotationKey`.
pub(super) const DEADLINE: &str = "scale-down-deadline";
/// `ManagedByRolloutsKey`.
pub(super) const MANAGED_BY: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";

/// Namespace and name of a Rollout.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn of(object: &Value) -> Self {
        Self {
            namespace: meta(object, "namespace").to_owned(),
            name: meta(object, "name").to_owned(),
        }
    }

    pub(super) fn reference(&self) -> ObjectRef {
        self.sibling("rollouts", &self.name)
    }

    pub(super) fn sibling(&self, resource: &str, name: &str) -> ObjectRef {
        ObjectRef::new(resource, &self.namespace, name)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A ReplicaSet, as far as the controller reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ReplicaSet {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) hash: String,
    /// RFC 3339, which sorts by time.
    pub(super) created: String,
    /// What is asked for.
    pub(super) replicas: i32,
    /// What there is.
    pub(super) actual: i32,
    pub(super) ready: i32,
    pub(super) available: i32,
    /// True if its controller has seen its newest generation.
    pub(super) settled: bool,
    /// 0 if there is none.
    pub(super) revision: i64,
    pub(super) revision_history: String,
    /// The Rollout's replicas as of the last scaling.
    pub(super) desired: Option<i32>,
    /// When it is to be scaled down.
    pub(super) deadline: Option<Time>,
}

/// A Service, as far as the controller reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Service {
    pub(super) selector: BTreeMap<String, String>,
    /// The Rollout that has adopted it.
    pub(super) managed_by: Option<String>,
}

impl Service {
    /// The ReplicaSet it selects; empty if it selects by other labels only.
    pub(super) fn hash(&self) -> &str {
        self.selector.get(HASH).map_or("", String::as_str)
    }
}

/// Everything at one moment.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) key: Key,
    /// The Rollout as stored.
    pub(super) object: Value,
    /// The same, typed.
    pub(super) rollout: Rollout,
    /// The ReplicaSets that it owns, oldest first.
    pub(super) sets: Vec<ReplicaSet>,
    /// The Services of its namespace.
    pub(super) services: BTreeMap<String, Service>,
    pub(super) now: Timestamp,
}

impl Observed {
    /// Reads a Rollout's surroundings. The error says what doesn't fit the Rollout type.
    pub(super) fn read(
        store: &Store,
        object: Value,
        now: Timestamp,
    ) -> Result<Self, serde_json::Error> {
        let key = Key::of(&object);
        let rollout = serde_json::from_value(object.clone())?;
        let list = |resource| store.list(resource, &key.namespace).unwrap_or_default();
        let uid = meta(&object, "uid");
        let mut sets: Vec<ReplicaSet> = list("replicasets")
            .iter()
            .filter(|set| controller(set).is_some_and(|(_, owner)| owner == uid))
            .filter(|set| !is_ending(set))
            .map(replica_set)
            .collect();
        sets.sort_by(|a, b| (&a.created, &a.name).cmp(&(&b.created, &b.name)));
        let services = list("services")
            .iter()
            .map(|one| (meta(one, "name").to_owned(), service(one)))
            .collect();
        Ok(Self {
            key,
            object,
            rollout,
            sets,
            services,
            now,
        })
    }

    /// Hash of the Rollout's pod template as it is now.
    pub(super) fn template_hash(&self) -> String {
        template_hash(
            self.object
                .pointer("/spec/template")
                .unwrap_or(&Value::Null),
        )
    }

    /// Hash of the Rollout's steps as they are now (`ComputeStepHash`).
    pub(super) fn step_hash(&self) -> String {
        template_hash(
            self.object
                .pointer("/spec/strategy/canary/steps")
                .unwrap_or(&Value::Null),
        )
    }

    /// The revision in the Rollout's annotation; 0 if there is none.
    pub(super) fn revision(&self) -> i64 {
        let revision = self.rollout.metadata.annotations.get(REVISION);
        revision
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }

    /// Now, as Kubernetes writes it: without fractions of a second.
    pub(super) fn time(&self) -> Time {
        Time {
            unix_seconds: self.now.as_second(),
            nanoseconds: 0,
        }
    }
}

/// A moment as jiff has it.
pub(super) fn timestamp(time: Time) -> Timestamp {
    let nanoseconds = i32::try_from(time.nanoseconds).unwrap_or_default();
    Timestamp::new(time.unix_seconds, nanoseconds).unwrap_or_default()
}

fn replica_set(object: &Value) -> ReplicaSet {
    let annotation = |name: &str| {
        object
            .get("metadata")?
            .get("annotations")?
            .get(name)?
            .as_str()
    };
    let count = |pointer: &str| {
        number(object, pointer).map_or(0, |count| i32::try_from(count).unwrap_or(i32::MAX))
    };
    ReplicaSet {
        name: meta(object, "name").to_owned(),
        uid: meta(object, "uid").to_owned(),
        hash: label(object, HASH).unwrap_or_default().to_owned(),
        created: meta(object, "creationTimestamp").to_owned(),
        replicas: count("/spec/replicas"),
        actual: count("/status/replicas"),
        ready: count("/status/readyReplicas"),
        available: count("/status/availableReplicas"),
        settled: number(object, "/status/observedGeneration")
            >= number(object, "/metadata/generation"),
        revision: annotation(REVISION)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default(),
        revision_history: annotation(REVISION_HISTORY).unwrap_or_default().to_owned(),
        desired: annotation(DESIRED_REPLICAS).and_then(|text| text.parse().ok()),
        deadline: annotation(DEADLINE).and_then(|text| text.parse().ok()),
    }
}

pub(super) fn service(object: &Value) -> Service {
    let selector = object.pointer("/spec/selector").and_then(Value::as_object);
    let selector = selector
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let managed_by = object
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations")?.get(MANAGED_BY)?.as_str());
    Service {
        selector,
        managed_by: managed_by.map(str::to_owned),
    }
}
