//! What a reconciliation does to the cluster, in order: writes, and events for the user to read.

use serde_json::{Value, json};

use super::observe::{Key, Observed};
use crate::apiserver::object::{meta, number};
use crate::apiserver::{Status, Store};
use crate::workloads::hash::template_hash;
use crate::workloads::write::Write;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// To an object.
    Write(Write),
    /// Something to tell the user.
    Event(Event),
}

/// An event on the Rollout (`kubectl describe`, `kubectl get events`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) warning: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Change {
    pub(super) fn normal(reason: &'static str, message: String) -> Self {
        Self::Event(Event {
            warning: false,
            reason,
            message,
        })
    }

    pub(super) fn warning(reason: &'static str, message: String) -> Self {
        Self::Event(Event {
            warning: true,
            reason,
            message,
        })
    }

    /// A merge patch of the Rollout.
    pub(super) fn rollout(key: &Key, patch: Value) -> Self {
        Self::Write(Write::Merge(key.reference(), patch))
    }

    /// A merge patch of one of its ReplicaSets.
    pub(super) fn set(key: &Key, name: &str, patch: Value) -> Self {
        Self::Write(Write::Merge(key.sibling("replicasets", name), patch))
    }

    pub(super) fn apply(&self, store: &Store, observed: &Observed) -> Result<(), Status> {
        match self {
            Self::Write(write) => write.apply(store),
            Self::Event(event) => event.record(store, observed),
        }
    }
}

impl Event {
    /// An event that has been told before counts one more (client-go `tools/record` does the same).
    fn record(&self, store: &Store, observed: &Observed) -> Result<(), Status> {
        let (key, rollout) = (&observed.key, &observed.object);
        let uid = meta(rollout, "uid");
        let name = format!(
            "{}.{}",
            key.name,
            template_hash(&json!([uid, self.reason, self.message]))
        );
        let at = key.sibling("events", &name);
        let now = observed.time().to_string();
        if let Some(before) = store.get(&at) {
            let count = number(&before, "/count").unwrap_or_default() + 1;
            let again = json!({"count": count, "lastTimestamp": now});
            return store.patch(&at, &again).map(drop);
        }
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": key.namespace},
            "involvedObject": {
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
                "namespace": key.namespace, "name": key.name, "uid": uid,
                "resourceVersion": meta(rollout, "resourceVersion"),
            },
            "type": if self.warning { "Warning" } else { "Normal" },
            "reason": self.reason,
            "message": self.message,
            "source": {"component": "rollouts-controller"},
            "reportingComponent": "rollouts-controller",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        });
        store.put(event).map(drop)
    }
}
