//! A Rollout in the middle of an update from one image to another, to be changed by each test.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::argo::change::Change;
use crate::argo::observe::{Key, Observed, ReplicaSet, Service};
use crate::argo::reconcile::{Finished, Prepared, Verdict, finish, prepare};
use crate::argo::traffic::RouterCall;
use crate::workloads::hash::template_hash;
use crate::workloads::write::Write;

pub(super) const NOW: &str = "2026-01-01T00:01:00Z";

pub(super) fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 8080}]}]},
    })
}

/// A Rollout of four replicas without a status.
pub(super) fn rollout(image: &str, steps: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image),
            "strategy": {"canary": {
                "trafficRouting": {
                    "plugins": {"serin/istio": {}},
                    "managedRoutes": [{"name": "beta"}, {"name": "shadow"}],
                },
                "steps": steps,
            }},
        },
    })
}

/// From `web:1`, which is stable with four pods, to `web:2` at its first step and without pods.
pub(super) fn scene(steps: Value) -> Observed {
    let (old, new) = (hash("web:1"), hash("web:2"));
    let mut object = rollout("web:2", &steps);
    let more = json!({
        "metadata": {
            "uid": "uid", "generation": 2,
            "annotations": {"rollout.argoproj.io/revision": "2"},
        },
        "status": {
            "stableRS": old, "currentPodHash": new, "currentStepIndex": 0,
            "currentStepHash": template_hash(&steps), "observedGeneration": "2",
            "replicas": 4, "readyReplicas": 4, "availableReplicas": 4,
            "conditions": [
                {
                    "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
                    "lastUpdateTime": "2026-01-01T00:00:30Z", "lastTransitionTime": "2026-01-01T00:00:30Z",
                },
                {"type": "Paused", "status": "False", "reason": "RolloutPaused"},
            ],
        },
    });
    json_patch::merge(&mut object, &more);
    let mut services = BTreeMap::new();
    for name in ["web-stable", "web-canary"] {
        let selector = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let service = Service {
            selector,
            managed_by: None,
        };
        services.insert(name.to_owned(), service);
    }
    Observed {
        key: Key::of(&object),
        rollout: serde_json::from_value(object.clone()).unwrap(),
        object,
        sets: vec![set("web:1", 1, 4, 4), set("web:2", 2, 0, 0)],
        services,
        now: NOW.parse().unwrap(),
    }
}

pub(super) fn hash(image: &str) -> String {
    template_hash(&template(image))
}

/// A ReplicaSet with all pods created.
pub(super) fn set(image: &str, revision: i64, replicas: i32, available: i32) -> ReplicaSet {
    ReplicaSet {
        name: format!("web-{}", hash(image)),
        hash: hash(image),
        created: format!("2026-01-01T00:00:0{revision}Z"),
        replicas,
        actual: replicas,
        ready: available,
        available,
        settled: true,
        revision,
        desired: Some(4),
        ..ReplicaSet::default()
    }
}

impl Observed {
    /// With a merge patch applied to the Rollout.
    pub(super) fn with(mut self, patch: Value) -> Self {
        json_patch::merge(&mut self.object, &patch);
        self.rollout = serde_json::from_value(self.object.clone()).unwrap();
        self
    }

    pub(super) fn at_step(self, index: usize) -> Self {
        self.with(json!({"status": {"currentStepIndex": index}}))
    }

    /// With so many pods of the canary asked for and available.
    pub(super) fn canary(mut self, replicas: i32, available: i32) -> Self {
        self.sets[1] = set("web:2", 2, replicas, available);
        self
    }

    pub(super) fn stable(mut self, replicas: i32, available: i32) -> Self {
        self.sets[0] = set("web:1", 1, replicas, available);
        self
    }
}

/// The calls, in the form in which their records have them.
pub(super) fn calls(prepared: &Prepared) -> Vec<String> {
    let route = prepared.route.as_ref().unwrap();
    let name = |step: &Value| step["name"].as_str().unwrap().to_owned();
    let text = |call: &RouterCall| match call {
        RouterCall::RemoveManagedRoutes => "RemoveManagedRoutes".to_owned(),
        RouterCall::SetHeaderRoute(step) => format!("SetHeaderRoute {}", name(step)),
        RouterCall::SetMirrorRoute(step) => format!("SetMirrorRoute {}", name(step)),
        RouterCall::UpdateHash { .. } => "UpdateHash".to_owned(),
        RouterCall::SetWeight(weight) => format!("SetWeight {weight}"),
        RouterCall::VerifyWeight(weight) => format!("VerifyWeight {weight}"),
    };
    route.calls.iter().map(text).collect()
}

/// All patches of the Rollout's status, merged.
pub(super) fn status(changes: &[Change]) -> Value {
    merged(changes, "rollouts", "web")["status"].clone()
}

/// All patches of one object, merged.
pub(super) fn merged(changes: &[Change], resource: &str, name: &str) -> Value {
    let mut all = Value::Null;
    for change in changes {
        if let Change::Write(Write::Merge(at, patch)) = change
            && (at.resource.as_str(), at.name.as_str()) == (resource, name)
        {
            // Nulls delete: here they have to be seen.
            combine(&mut all, patch);
        }
    }
    all
}

fn combine(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                combine(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

/// The replicas that a ReplicaSet is given.
pub(super) fn scaled(changes: &[Change], image: &str) -> Option<i64> {
    let name = format!("web-{}", hash(image));
    merged(changes, "replicasets", &name)
        .pointer("/spec/replicas")?
        .as_i64()
}

/// The reasons of the events.
pub(super) fn reasons(changes: &[Change]) -> Vec<&'static str> {
    let reasons = changes.iter().filter_map(|change| match change {
        Change::Event(event) => Some(event.reason),
        Change::Write(_) => None,
    });
    reasons.collect()
}

pub(super) fn steps() -> Value {
    json!([
        {"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"exact": "1"}}]}},
        {"setWeight": 25},
        {"setMirrorRoute": {"name": "shadow", "percentage": 50}},
        {"pause": {}},
        {"setWeight": 50},
    ])
}

/// A whole reconciliation whose calls succeed.
pub(super) fn reconcile(observed: &Observed, verdict: Verdict) -> Finished {
    let prepared = prepare(observed);
    let mut finished = finish(observed, prepared.route.as_ref().unwrap(), &verdict);
    finished.changes.splice(0..0, prepared.changes);
    finished
}

/// What the Rollout is once nothing has to be put in order before the calls.
pub(super) fn settled(mut observed: Observed) -> Observed {
    for _ in 0..5 {
        let prepared = prepare(&observed);
        if prepared.route.is_some() {
            break;
        }
        observed = observed.with(merged(&prepared.changes, "rollouts", "web"));
    }
    observed
}
