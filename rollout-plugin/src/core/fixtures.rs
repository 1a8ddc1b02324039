//! Objects for the core's tests, each as short as it can be said.

use std::sync::Arc;

use argo_rollouts::Rollout;
use serde_json::{Value, json};

use crate::core::diff::spec_patch;
use crate::core::filter::policy_of;
use crate::core::plan::{Observed, Write};
use crate::core::routing::Routing;
use crate::object::{Kind, Object, ObjectId, POD_TEMPLATE_HASH};

pub(crate) mod users;

/// The Rollout `shop/reviews`: subset-level, canary `c2` over stable `s1`, with the managed routes `beta`, `shadow`
/// and `trial`. `change` is merged over it.
pub(crate) fn rollout(change: Value) -> Rollout {
    let mut object = json!({
        "metadata": {"namespace": "shop", "name": "reviews"},
        "spec": {"strategy": {"canary": {
            "steps": [],
            "trafficRouting": {
                "managedRoutes": [{"name": "beta"}, {"name": "shadow"}, {"name": "trial"}],
                "plugins": {"serin/istio": {
                    "virtualService": {"name": "reviews", "routes": ["primary"]},
                    "destinationRule": {"name": "reviews", "canarySubsetName": "canary", "stableSubsetName": "stable"},
                }},
            },
        }}},
        "status": {"currentPodHash": "c2", "stableRS": "s1", "currentStepIndex": 0},
    });
    json_patch::merge(&mut object, &change);
    serde_json::from_value(object).unwrap()
}

/// The routing of [`rollout`] as it is.
pub(crate) fn routing() -> Routing {
    Routing::of(&rollout(json!({}))).unwrap()
}

/// The VirtualService `shop/reviews` with these HTTP routes.
pub(crate) fn virtual_service(http: Value) -> Object {
    object(
        Kind::VirtualService,
        "reviews",
        json!({"hosts": ["reviews"], "http": http}),
    )
}

/// A managed route `primary` for the two subsets, with `change` merged over it.
pub(crate) fn primary(change: Value) -> Value {
    let mut route = json!({
        "name": "primary",
        "route": [
            {"destination": {"host": "reviews", "subset": "stable"}, "weight": 100},
            {"destination": {"host": "reviews", "subset": "canary"}, "weight": 0},
        ],
    });
    json_patch::merge(&mut route, &change);
    route
}

/// The DestinationRule `shop/reviews`, its subsets at these hashes.
pub(crate) fn destination_rule(canary: &str, stable: &str) -> Object {
    let subset = |name: &str, hash: &str| json!({"name": name, "labels": {"app": "reviews", POD_TEMPLATE_HASH: hash}});
    let spec =
        json!({"host": "reviews", "subsets": [subset("canary", canary), subset("stable", stable)]});
    object(Kind::DestinationRule, "reviews", spec)
}

/// A ReplicaSet of that pod hash that has all pods it wants; with 0 it waits for its first.
pub(crate) fn replica_set(hash: &str, available_replicas: i64) -> Object {
    scaling(hash, available_replicas, available_replicas.max(1))
}

/// A ReplicaSet of that pod hash, some of whose pods are available.
pub(crate) fn scaling(hash: &str, available_replicas: i64, wanted_replicas: i64) -> Object {
    let mut object = object(Kind::ReplicaSet, hash, Value::Null);
    object
        .labels
        .insert(POD_TEMPLATE_HASH.to_owned(), hash.to_owned());
    Object {
        available_replicas,
        wanted_replicas,
        ..object
    }
}

/// The WasmPlugin `istio-system/serin` with a setting of the user's and another Rollout's policy.
pub(crate) fn wasm_plugin() -> Object {
    let config = json!({"trust": "mesh", "rollouts": {"shop/other": {"hosts": ["other.shop.svc.cluster.local"]}}});
    Object {
        id: ObjectId::new(Kind::WasmPlugin, "istio-system", "serin"),
        ..object(
            Kind::WasmPlugin,
            "serin",
            json!({"url": "oci://serin", "pluginConfig": config}),
        )
    }
}

/// The TrafficExtension `istio-system/serin`, likewise.
pub(crate) fn traffic_extension() -> Object {
    let Object { spec, .. } = wasm_plugin();
    Object {
        id: ObjectId::new(Kind::TrafficExtension, "istio-system", "serin"),
        ..object(Kind::TrafficExtension, "serin", json!({ "wasm": spec }))
    }
}

/// The policy of [`rollout`] in the first filter object.
pub(crate) fn live_policy(observed: &Observed) -> Option<&Value> {
    let filter = observed.filters.first()?.as_deref()?;
    policy_of(filter, &routing().rollout)
}

/// Everything that [`rollout`] needs, with both versions' pods available.
pub(crate) fn observed(http: Value) -> Observed {
    Observed {
        virtual_services: vec![Some(Arc::new(virtual_service(http)))],
        destination_rule: Some(Arc::new(destination_rule("s1", "s1"))),
        filters: vec![Some(Arc::new(wasm_plugin()))],
        replica_sets: vec![
            Arc::new(replica_set("s1", 3)),
            Arc::new(replica_set("c2", 1)),
        ],
        services: Vec::new(),
        roots: Vec::new(),
        history: Arc::default(),
    }
}

/// Carries out a write in memory.
pub(crate) fn carry_out(write: Write, observed: &mut Observed) {
    match write {
        Write::Spec { object, spec } => {
            let services = observed.virtual_services.iter_mut();
            let mut targets = services.chain([&mut observed.destination_rule]).flatten();
            let target = targets.find(|target| target.id == object.id).unwrap();
            let mut whole = json!({"spec": target.spec});
            json_patch::patch(&mut whole, &spec_patch(&object, &spec)).unwrap();
            assert_eq!(whole["spec"], spec, "the patch makes what the write says");
            Arc::make_mut(target).spec = spec;
        }
        Write::Policy { object, patch } => {
            let mut targets = observed.filters.iter_mut().flatten();
            let target = targets.find(|target| target.id == object).unwrap();
            let target = Arc::make_mut(target);
            let mut whole = json!({"spec": target.spec});
            json_patch::merge(&mut whole, &patch);
            target.spec = whole["spec"].take();
        }
    }
}

fn object(kind: Kind, name: &str, spec: Value) -> Object {
    Object {
        id: ObjectId::new(kind, "shop", name),
        resource_version: "7".to_owned(),
        labels: std::collections::BTreeMap::new(),
        spec,
        available_replicas: 0,
        wanted_replicas: 0,
    }
}
