//! The cluster around the calls: an API server with what the Rollout `shop/reviews` needs, and the arguments of calls.

use std::time::Duration;

use argo_rollouts::{
    Rollout, SetHeaderArgs, SetWeightAndVerifyWeightArgs, TrafficRouter, UpdateHashArgs,
};
use rollout_plugin::cluster::{Cluster, connect_with};
use rollout_plugin::reconciler::Timing;
use rollout_plugin::router::{CallError, IstioRouter};
use serde_json::{Value, json};
use testbed::apiserver::{ApiServer, ObjectRef, Request, TRAFFIC_EXTENSIONS, Verb};

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
        Self::on(ApiServer::start().await.unwrap())
    }

    /// The same with what Istio 1.30 brings.
    pub(crate) async fn with_traffic_extensions() -> Self {
        Self::on(ApiServer::start_with(&[TRAFFIC_EXTENSIONS]).await.unwrap())
    }

    fn on(server: ApiServer) -> Self {
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
                "spec": {"url": "oci://registry.example/serin:1.0.0", "pluginConfig": {"trust": "mesh", "rollouts": {"shop/other": {"hosts": ["a"]}}}}}),
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

    /// A plugin that watches, as the controller starts it, and waits for less than [`Self::settled`] does.
    pub(crate) async fn keeper(&self) -> IstioRouter {
        self.keeper_with(Timing {
            debounce: Duration::from_millis(80),
            rollout: Duration::from_millis(300),
            quiet: Duration::from_millis(120),
            idle: Duration::from_millis(200),
            ..Timing::default()
        })
        .await
    }

    pub(crate) async fn keeper_with(&self, timing: Timing) -> IstioRouter {
        let config = kube::Config::new(self.server.url().parse().unwrap());
        let clients = connect_with(config, "argo-rollouts".to_owned())
            .await
            .unwrap();
        let router = IstioRouter::on(Cluster::on(clients)).with_timing(timing);
        router.init_plugin().await.unwrap();
        router
    }

    /// The Rollout `shop/reviews` at that step and weight, as the controller has it in the API server; returned as a
    /// call would bring it.
    pub(crate) fn put_rollout(&self, step: i32, weight: i32, change: &Value) -> Rollout {
        let mut object = serde_json::to_value(rollout(step)).unwrap();
        object["apiVersion"] = json!("argoproj.io/v1alpha1");
        object["kind"] = json!("Rollout");
        object["metadata"] = json!({"namespace": "shop", "name": "reviews"});
        object["status"]["canary"] = json!({"weights": {
            "canary": {"weight": weight, "podTemplateHash": "c2"},
            "stable": {"weight": 100 - weight, "podTemplateHash": "s1"},
        }});
        merge(&mut object, change);
        self.server.store().put(object).unwrap();
        let stored = self.server.store().get(&at("rollouts")).unwrap();
        serde_json::from_value(stored).unwrap()
    }

    /// The Rollout `shop/other`, whose policy is in the WasmPlugin; its VirtualService doesn't exist.
    pub(crate) fn put_other(&self) {
        let mut object = self.server.store().get(&at("rollouts")).unwrap();
        object["metadata"] = json!({"namespace": "shop", "name": "other"});
        let plugins = &mut object["spec"]["strategy"]["canary"]["trafficRouting"]["plugins"];
        plugins["serin/istio"] = json!({"virtualService": {"name": "other"}});
        self.server.store().put(object).unwrap();
    }

    /// Waits until nothing has been asked of the server for a while, and hands out what has been.
    pub(crate) async fn settled(&self) -> Vec<Request> {
        let mut seen = usize::MAX;
        loop {
            let now = self.server.requests().len();
            if now == seen {
                return self.server.take_requests();
            }
            seen = now;
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }

    /// Waits until `holds`, for as long as a repair may take at most.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..200 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "{what}: not within 2 s; {:?}\n{:#?}",
            self.writes(),
            self.specs()
        );
    }

    /// As [`Self::until`], for all three objects to be as they were.
    pub(crate) async fn restored(&self, what: &str, specs: &[Value; 3]) {
        self.until(what, |world| {
            world.try_specs().is_some_and(|found| found == *specs)
        })
        .await;
    }

    fn try_specs(&self) -> Option<[Value; 3]> {
        let get = |resource| Some(self.server.store().get(&at(resource))?["spec"].clone());
        Some([
            get("virtualservices")?,
            get("destinationrules")?,
            get("wasmplugins")?,
        ])
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

    /// Puts the object as somebody else would.
    pub(crate) fn put_spec(&self, resource: &str, spec: &Value) {
        let mut object = self.server.store().get(&at(resource)).unwrap();
        object["spec"] = spec.clone();
        self.server.store().put(object).unwrap();
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

/// A Rollout after its header step, at weight 20, and the plugin that has brought it there.
pub(crate) async fn at_twenty(world: &World) -> IstioRouter {
    let rollout = world.put_rollout(2, 20, &json!({}));
    world.put_other();
    let router = Box::pin(world.keeper()).await;
    Box::pin(bring_to_twenty(&router, &rollout)).await;
    world.settled().await;
    router
}

/// UpdateHash in mid-canary.
pub(crate) fn hashes(rollout: &Rollout) -> UpdateHashArgs {
    UpdateHashArgs {
        rollout: rollout.clone(),
        canary_hash: "c2".into(),
        stable_hash: "s1".into(),
        ..Default::default()
    }
}

/// SetWeight and VerifyWeight without experiments.
pub(crate) fn weight_of(rollout: &Rollout, desired_weight: i32) -> SetWeightAndVerifyWeightArgs {
    SetWeightAndVerifyWeightArgs {
        rollout: rollout.clone(),
        desired_weight,
        ..Default::default()
    }
}

/// Makes this process's controller the leader, by a lease that nobody has renewed: each look at it may show another.
pub(crate) fn lead(world: &World, holder: &str) {
    put_lease(world, holder, &json!({}));
}

/// The same by a lease that nobody else can take while the test runs.
pub(crate) fn lead_for_long(world: &World) {
    let now = k8s_openapi::jiff::Timestamp::now().to_string();
    let spec = json!({"renewTime": now, "leaseDurationSeconds": 3600});
    put_lease(world, "certain", &spec);
}

fn put_lease(world: &World, holder: &str, spec: &Value) {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let mut lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"namespace": "argo-rollouts", "name": "argo-rollouts-controller-lock"},
        "spec": {"holderIdentity": format!("{}_{holder}", hostname.trim())}});
    merge(&mut lease["spec"], spec);
    world.server.store().put(lease).unwrap();
}

/// The calls that bring it there.
pub(crate) async fn bring_to_twenty(router: &IstioRouter, rollout: &Rollout) {
    let mut first = header(0);
    first.rollout = rollout.clone();
    router.set_header_route(first).await.unwrap();
    router.update_hash(hashes(rollout)).await.unwrap();
    router.set_weight(weight_of(rollout, 20)).await.unwrap();
}

/// Which request, in one word each.
pub(crate) fn told(request: &Request) -> String {
    let verb = format!("{:?}", request.verb).to_lowercase();
    let scope = if request.namespace.is_empty() {
        "everywhere"
    } else {
        &request.namespace
    };
    let name = if request.name.is_empty() {
        String::new()
    } else {
        format!("/{}", request.name)
    };
    format!("{verb} {} {scope}{name}", request.resource)
}

fn merge(target: &mut Value, change: &Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (key, value) in change {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (target, change) => *target = change.clone(),
    }
}

/// The one object of that resource that the Rollout names.
pub(crate) fn at(resource: &str) -> ObjectRef {
    match resource {
        "wasmplugins" | "trafficextensions" => ObjectRef::new(resource, "istio-system", "serin"),
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
    weight_of(&rollout(step), desired_weight)
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
