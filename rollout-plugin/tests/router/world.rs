//! The cluster around the calls: an API server with what the Rollout `shop/reviews` needs, and the arguments of calls.

use argo_rollouts::{Rollout, SetHeaderArgs, SetWeightAndVerifyWeightArgs};
use rollout_plugin::cluster::Cluster;
use rollout_plugin::router::{CallError, IstioRouter};
use serde_json::{Value, json};
use testbed::apiserver::{ApiServer, ObjectRef, Verb};

pub(crate) const STEPS: &str = r#"[
    {"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"exact": "1"}}]}},
    {"setMirrorRoute": {"name": "shadow", "percentage": 35, "match": [{"path": {"prefix": "/search"}}]}},
    {"setWeight": 20}
]"#;

/// An API server with everything that the Rollout `shop/reviews` needs.
pub(crate) struct World {
    pub(crate) server: ApiServer,
}

impl World {
    pub(crate) async fn new() -> Self {
        let server = ApiServer::start().await.unwrap();
        let store = server.store();
        let labels = |hash: &str| json!({"app": "reviews", "rollouts-pod-template-hash": hash});
        for object in [
            json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"namespace": "shop", "name": "reviews"},
            "spec": {"hosts": ["reviews"], "http": [
                {"name": "admin", "match": [{"uri": {"prefix": "/admin"}}], "route": [{"destination": {"host": "admin"}}]},
                {"name": "primary", "timeout": "3s", "x-unknown": {"a": 1}, "route": [
                    {"destination": {"host": "reviews", "subset": "stable"}, "weight": 100},
                    {"destination": {"host": "reviews", "subset": "canary"}, "weight": 0},
                ]},
            ]}}),
            json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": {"namespace": "shop", "name": "reviews"},
            "spec": {"host": "reviews", "subsets": [
                {"name": "canary", "labels": labels("s1")}, {"name": "stable", "labels": labels("s1")},
            ]}}),
            json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
                "metadata": {"namespace": "istio-system", "name": "serin"},
                "spec": {"url": "oci://serin", "pluginConfig": {"trust": "mesh", "rollouts": {"shop/other": {"hosts": ["a"]}}}}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "reviews"},
                "spec": {"clusterIPs": ["10.96.3.4"]}}),
            json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {"namespace": "shop", "name": "reviews-s1", "labels": labels("s1")},
                "status": {"availableReplicas": 3}}),
            json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {"namespace": "shop", "name": "reviews-c2", "labels": labels("c2")},
                "status": {"availableReplicas": 1}}),
        ] {
            store.put(object).unwrap();
        }
        Self { server }
    }

    /// A plugin as it is after a start: nothing cached.
    pub(crate) fn router(&self) -> IstioRouter {
        let config = kube::Config::new(self.server.url().parse().unwrap());
        IstioRouter::on(Cluster::new(kube::Client::try_from(config).unwrap()))
    }

    pub(crate) fn spec(&self, resource: &str) -> Value {
        self.server.store().get(&at(resource)).unwrap()["spec"].clone()
    }

    /// The weight of the managed route's canary destination.
    pub(crate) fn canary_weight(&self) -> Value {
        let spec = self.spec("virtualservices");
        let mut routes = spec["http"].as_array().unwrap().iter();
        let primary = routes.find(|route| route["name"] == "primary").unwrap();
        primary["route"][1]["weight"].clone()
    }

    pub(crate) fn specs(&self) -> [Value; 3] {
        ["virtualservices", "destinationrules", "wasmplugins"].map(|resource| self.spec(resource))
    }

    pub(crate) fn policy(&self) -> Value {
        self.spec("wasmplugins")["pluginConfig"]["rollouts"]["shop/reviews"].clone()
    }

    pub(crate) fn patch(&self, resource: &str, change: &Value) {
        self.server.store().patch(&at(resource), change).unwrap();
    }

    pub(crate) fn writes(&self) -> Vec<String> {
        let requests = self.server.requests();
        let writes = requests
            .iter()
            .filter(|request| request.verb == Verb::Patch);
        writes
            .map(|request| format!("{} {}", request.resource, request.status.unwrap_or(0)))
            .collect()
    }
}

/// The one object of that resource that the Rollout names.
fn at(resource: &str) -> ObjectRef {
    match resource {
        "wasmplugins" => ObjectRef::new(resource, "istio-system", "serin"),
        _ => ObjectRef::new(resource, "shop", "reviews"),
    }
}

pub(crate) fn rollout(step: i32) -> Rollout {
    changed_rollout(step, &json!({}))
}

pub(crate) fn changed_rollout(step: i32, status: &Value) -> Rollout {
    let mut object = json!({
        "metadata": {"namespace": "shop", "name": "reviews"},
        "spec": {"strategy": {"canary": {
            "steps": serde_json::from_str::<Value>(STEPS).unwrap(),
            "trafficRouting": {
                "managedRoutes": [{"name": "beta"}, {"name": "shadow"}],
                "plugins": {"serin/istio": {
                    "virtualService": {"name": "reviews", "routes": ["primary"]},
                    "destinationRule": {"name": "reviews", "canarySubsetName": "canary", "stableSubsetName": "stable"},
                }},
            },
        }}},
        "status": {"currentPodHash": "c2", "stableRS": "s1", "currentStepIndex": step},
    });
    for (field, value) in status.as_object().unwrap() {
        object["status"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

pub(crate) fn weight(step: i32, desired_weight: i32) -> SetWeightAndVerifyWeightArgs {
    SetWeightAndVerifyWeightArgs {
        rollout: rollout(step),
        desired_weight,
        ..Default::default()
    }
}

pub(crate) fn header(step: i32) -> SetHeaderArgs {
    let rollout = rollout(step);
    let set_header_route = rollout.canary().unwrap().steps[0]
        .set_header_route
        .clone()
        .unwrap();
    SetHeaderArgs {
        rollout,
        set_header_route,
    }
}

pub(crate) fn message(error: &CallError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
