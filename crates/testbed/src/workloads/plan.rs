//! What Deployments and ReplicaSets want, decided without I/O.
//!
//! Follows Kubernetes v1.34 `pkg/controller/replicaset/replica_set.go` (`syncReplicaSet`, `calculateStatus`), and for
//! owners that are gone `pkg/controller/garbagecollector`; of Deployments only as much as keeps a static application
//! running.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::hash::template_hash;
use super::write::Write;
use crate::apiserver::object::{ORPHAN, controller, is_ending, label, meta, number, owned_by};
use crate::apiserver::{ObjectRef, Status, Store};

/// Label of a Deployment's ReplicaSets and their pods (`DefaultDeploymentUniqueLabelKey`).
const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// How long a failed pod keeps its place, so that what can't run isn't tried all the time. On a cluster kubelet's back-off
/// has that part; its first wait is as long (Kubernetes v1.34 `pkg/kubelet/kubelet.go`, `initialCrashLoopBackOff`).
const FAILED_STAYS: Duration = Duration::from_secs(10);

/// What the decisions rest on.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) deployments: Vec<Value>,
    pub(super) rollouts: Vec<Value>,
    pub(super) sets: Vec<Value>,
    pub(super) pods: Vec<Value>,
}

impl Cluster {
    pub(super) fn read(store: &Store) -> Self {
        // A resource that isn't served has no objects.
        let list = |resource| store.list(resource, "").unwrap_or_default();
        Self {
            deployments: list("deployments"),
            rollouts: list("rollouts"),
            sets: list("replicasets"),
            pods: list("pods"),
        }
    }
}

/// What to do now, and when to look again although nothing has changed.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) writes: Vec<Write>,
    pub(super) again_after: Option<Duration>,
}

impl Plan {
    /// Looks again after this long, or before.
    pub(super) fn again(&mut self, after: Duration) {
        let before = self.again_after.unwrap_or(after);
        self.again_after = Some(before.min(after));
    }
}

/// Decides for the whole cluster. With nothing to do the plan is empty.
pub(super) fn plan(cluster: &Cluster, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    for deployment in cluster.deployments.iter().filter(|one| !is_ending(one)) {
        plan_deployment(deployment, &cluster.sets, now, &mut plan.writes);
    }
    for set in cluster.sets.iter().filter(|one| !is_ending(one)) {
        plan_set(set, &cluster.pods, now, &mut plan);
    }
    collect_garbage(cluster, &mut plan.writes);
    plan
}

/// What a ReplicaSet says when one of its pods was refused.
pub(super) fn failed(write: &Write, refused: &Status, now: Timestamp) -> Option<Write> {
    let Write::Create(pod) = write else {
        return None;
    };
    let owner = pod.pointer("/metadata/ownerReferences/0/name")?.as_str()?;
    let at = ObjectRef::new("replicasets", meta(pod, "namespace"), owner);
    let condition = json!({
        "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "message": refused.message, "lastTransitionTime": rfc3339(now),
    });
    Some(Write::Merge(
        at,
        json!({"status": {"conditions": [condition]}}),
    ))
}

/// A time as Kubernetes writes it.
pub(super) fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn plan_set(set: &Value, pods: &[Value], now: Timestamp, plan: &mut Plan) {
    let uid = meta(set, "uid");
    let (failed, mut own): (Vec<&Value>, Vec<&Value>) = pods
        .iter()
        .filter(|pod| controller(pod).is_some_and(|(_, owner)| owner == uid))
        .filter(|pod| !is_ending(pod))
        .partition(|pod| has_failed(pod));
    let wanted = replicas(set);
    let missing = wanted.saturating_sub(own.len());
    let mut to_make = missing;
    for pod in failed {
        match stays(pod, now).filter(|_| to_make > 0) {
            Some(rest) => {
                to_make -= 1;
                plan.again(rest);
            }
            None => plan.writes.push(delete("pods", pod)),
        }
    }
    plan.writes
        .extend((0..to_make).map(|_| Write::Create(pod_of(set))));
    // The ones that serve longest stay (`controller.ActivePodsWithRanks`).
    own.sort_by_key(|pod| {
        (
            !is_ready(pod),
            meta(pod, "creationTimestamp"),
            meta(pod, "name"),
        )
    });
    let extra = own.split_off(own.len().min(wanted));
    plan.writes
        .extend(extra.iter().map(|pod| delete("pods", pod)));
    let min_ready = number(set, "/spec/minReadySeconds").unwrap_or_default();
    let mut available = 0;
    for pod in own.iter().filter(|pod| is_ready(pod)) {
        match available_in(pod, min_ready, now) {
            None => available += 1,
            Some(rest) => plan.again(rest),
        }
    }
    let ready = own.iter().filter(|pod| is_ready(pod)).count();
    // A failure stands until all pods are there.
    let failure = set.pointer("/status/conditions").filter(|_| missing > 0);
    let status = json!({"status": {
        "replicas": own.len(),
        "fullyLabeledReplicas": unless_zero(own.len()),
        "readyReplicas": unless_zero(ready),
        "availableReplicas": unless_zero(available),
        "observedGeneration": number(set, "/metadata/generation"),
        "conditions": failure,
    }});
    plan.writes
        .extend(Write::merge(at("replicasets", set), set, status));
}

fn pod_of(set: &Value) -> Value {
    let template = |part: &str| {
        set.pointer(&format!("/spec/template/{part}"))
            .cloned()
            .unwrap_or_else(|| json!({}))
    };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": format!("{}-", meta(set, "name")),
            "namespace": meta(set, "namespace"),
            "labels": template("metadata/labels"),
            "annotations": template("metadata/annotations"),
            "ownerReferences": owned_by("apps/v1", "ReplicaSet", set),
        },
        "spec": template("spec"),
        "status": {"phase": "Pending"},
    })
}

fn plan_deployment(deployment: &Value, sets: &[Value], now: Timestamp, writes: &mut Vec<Write>) {
    let uid = meta(deployment, "uid");
    let template = deployment
        .pointer("/spec/template")
        .cloned()
        .unwrap_or_default();
    let hash = template_hash(&template);
    let wanted = replicas(deployment);
    let (current, old): (Vec<&Value>, Vec<&Value>) = sets
        .iter()
        .filter(|set| controller(set).is_some_and(|(_, owner)| owner == uid))
        .partition(|set| label(set, POD_TEMPLATE_HASH) == Some(hash.as_str()));
    let Some(current) = current.first() else {
        writes.push(Write::Create(set_of(deployment, &template, &hash, wanted)));
        return;
    };
    let scale = json!({"spec": {"replicas": wanted}});
    writes.extend(Write::merge(at("replicasets", current), current, scale));
    let count = |set: &Value, field: &str| {
        let count = number(set, &format!("/status/{field}")).unwrap_or_default();
        usize::try_from(count).unwrap_or_default()
    };
    let available = count(current, "availableReplicas");
    if available >= wanted {
        // Its pods follow as garbage.
        writes.extend(old.iter().map(|set| delete("replicasets", set)));
    }
    let all = |field| -> usize {
        let old = old.iter().map(|set| count(set, field)).sum::<usize>();
        old + count(current, field)
    };
    let is_available = all("availableReplicas") >= wanted;
    let status = json!({"status": {
        "replicas": unless_zero(all("replicas")),
        "updatedReplicas": unless_zero(count(current, "replicas")),
        "readyReplicas": unless_zero(all("readyReplicas")),
        "availableReplicas": unless_zero(all("availableReplicas")),
        "unavailableReplicas": unless_zero(wanted.saturating_sub(all("availableReplicas"))),
        "observedGeneration": number(deployment, "/metadata/generation"),
        "conditions": [available_condition(deployment, is_available, now)],
    }});
    writes.extend(Write::merge(
        at("deployments", deployment),
        deployment,
        status,
    ));
}

fn available_condition(deployment: &Value, available: bool, now: Timestamp) -> Value {
    let (status, reason, message) = if available {
        (
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    } else {
        (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    };
    let before = deployment.pointer("/status/conditions/0");
    match before {
        Some(before) if before.get("status").and_then(Value::as_str) == Some(status) => {
            before.clone()
        }
        _ => json!({
            "type": "Available", "status": status, "reason": reason, "message": message,
            "lastUpdateTime": rfc3339(now), "lastTransitionTime": rfc3339(now),
        }),
    }
}

fn set_of(deployment: &Value, template: &Value, hash: &str, wanted: usize) -> Value {
    let with_hash = |pointer: &str| {
        let mut labels = deployment
            .pointer(pointer)
            .filter(|labels| labels.is_object())
            .cloned()
            .unwrap_or_else(|| json!({}));
        json_patch::merge(&mut labels, &json!({POD_TEMPLATE_HASH: hash}));
        labels
    };
    let labels = with_hash("/spec/template/metadata/labels");
    let mut template = template.clone();
    json_patch::merge(&mut template, &json!({"metadata": {"labels": labels}}));
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", meta(deployment, "name")),
            "namespace": meta(deployment, "namespace"),
            "labels": labels,
            "ownerReferences": owned_by("apps/v1", "Deployment", deployment),
        },
        "spec": {
            "replicas": wanted,
            "minReadySeconds": number(deployment, "/spec/minReadySeconds"),
            "selector": {"matchLabels": with_hash("/spec/selector/matchLabels")},
            "template": template,
        },
    })
}

fn collect_garbage(cluster: &Cluster, writes: &mut Vec<Write>) {
    let uids = |objects: &[Value]| -> BTreeSet<String> {
        objects
            .iter()
            .map(|one| meta(one, "uid").to_owned())
            .collect()
    };
    let (deployments, rollouts, sets) = (
        uids(&cluster.deployments),
        uids(&cluster.rollouts),
        uids(&cluster.sets),
    );
    let has_owner = |object: &Value| match controller(object) {
        Some(("Deployment", uid)) => deployments.contains(uid),
        Some(("Rollout", uid)) => rollouts.contains(uid),
        Some(("ReplicaSet", uid)) => sets.contains(uid),
        // Nobody's, or somebody's whose objects aren't followed here.
        _ => true,
    };
    for (resource, objects) in [("replicasets", &cluster.sets), ("pods", &cluster.pods)] {
        let orphans = objects
            .iter()
            .filter(|one| !has_owner(one) && !is_ending(one));
        writes.extend(orphans.map(|one| delete(resource, one)));
    }
    let owners = [
        ("deployments", &cluster.deployments),
        ("rollouts", &cluster.rollouts),
        ("replicasets", &cluster.sets),
    ];
    for (resource, objects) in owners {
        for owner in objects.iter().filter(|one| orphans_dependents(one)) {
            release_dependents(resource, owner, cluster, writes);
        }
    }
}

fn orphans_dependents(object: &Value) -> bool {
    let finalizers = object.pointer("/metadata/finalizers");
    let finalizers = finalizers.and_then(Value::as_array);
    is_ending(object) && finalizers.is_some_and(|all| all.iter().any(|one| one == ORPHAN))
}

/// Takes an owner out of its dependents, and lets it go once none names it (`attemptToOrphan`).
fn release_dependents(resource: &str, owner: &Value, cluster: &Cluster, writes: &mut Vec<Write>) {
    let uid = meta(owner, "uid");
    let mut named = false;
    for (resource, objects) in [("replicasets", &cluster.sets), ("pods", &cluster.pods)] {
        for one in objects {
            let owners = one.pointer("/metadata/ownerReferences");
            let owners = owners.and_then(Value::as_array).cloned();
            let mut rest = owners.clone().unwrap_or_default();
            rest.retain(|owner| owner.get("uid").and_then(Value::as_str) != Some(uid));
            if owners.is_some_and(|owners| owners != rest) {
                named = true;
                let patch = json!({"metadata": {"ownerReferences": rest}});
                writes.push(Write::Merge(at(resource, one), patch));
            }
        }
    }
    if !named {
        let finalizers = owner.pointer("/metadata/finalizers");
        let mut rest = finalizers
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        rest.retain(|one| one != ORPHAN);
        let patch = json!({"metadata": {"finalizers": rest}});
        writes.push(Write::Merge(at(resource, owner), patch));
    }
}

fn replicas(object: &Value) -> usize {
    number(object, "/spec/replicas").map_or(1, |count| usize::try_from(count).unwrap_or_default())
}

fn unless_zero(count: usize) -> Option<usize> {
    (count > 0).then_some(count)
}

fn at(resource: &str, object: &Value) -> ObjectRef {
    ObjectRef::new(resource, meta(object, "namespace"), meta(object, "name"))
}

fn delete(resource: &str, object: &Value) -> Write {
    Write::Delete {
        at: at(resource, object),
        uid: meta(object, "uid").to_owned(),
    }
}

fn has_failed(pod: &Value) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str);
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// How long a failed pod stays from now on, at least a second; none if it may go.
fn stays(pod: &Value, now: Timestamp) -> Option<Duration> {
    let since = pod.pointer("/status/conditions")?.as_array()?;
    let since = since.iter().find(|one| {
        let field = |name| one.get(name).and_then(Value::as_str);
        field("type") == Some("Ready") && field("status") == Some("False")
    })?;
    let since: Timestamp = since.get("lastTransitionTime")?.as_str()?.parse().ok()?;
    let ends = since.checked_add(FAILED_STAYS).ok()?;
    let rest = Duration::try_from(ends.duration_since(now)).ok()?;
    (!rest.is_zero()).then(|| rest.max(Duration::from_secs(1)))
}

fn ready_condition(pod: &Value) -> Option<&Value> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|one| {
        one.get("type").and_then(Value::as_str) == Some("Ready")
            && one.get("status").and_then(Value::as_str) == Some("True")
    })
}

fn is_ready(pod: &Value) -> bool {
    ready_condition(pod).is_some()
}

/// How long until a ready pod counts as available; none if it does now (`podutil.IsPodAvailable`).
fn available_in(pod: &Value, min_ready_seconds: i64, now: Timestamp) -> Option<Duration> {
    let since = ready_condition(pod)?
        .get("lastTransitionTime")?
        .as_str()?
        .parse::<Timestamp>()
        .ok()?;
    let passed = now.duration_since(since).as_secs();
    let rest = min_ready_seconds.checked_sub(passed)?;
    (min_ready_seconds > 0 && rest > 0)
        .then(|| Duration::from_secs(u64::try_from(rest).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
