//! The calls of an abort, a rollback and a promotion get through, whatever has become of objects and configuration.

use argo_rollouts::{RemoveManagedRoutesArgs, Rollout, TrafficRouter, UpdateHashArgs};
use rollout_plugin::router::IstioRouter;
use serde_json::{Value, json};
use testbed::apiserver::{Action, Fault, ObjectRef, Verb};

use crate::world::{World, at, hashes, header, message, weight_of};

const CONFIGURATION: &str = "/spec/strategy/canary/trafficRouting/plugins/serin~1istio";

/// A configuration with the VirtualServices `reviews` and `edge`.
fn with_edge() -> Value {
    json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": {
        "virtualService": null,
        "virtualServices": [
            {"name": "reviews", "routes": ["primary"]}, {"name": "edge", "routes": ["primary"]},
        ],
    }}}}}}})
}

fn put_edge(world: &World) {
    let mut edge = world.server.store().get(&at("virtualservices")).unwrap();
    edge["metadata"] = json!({"namespace": "shop", "name": "edge"});
    edge["spec"]["hosts"] = json!(["shop.example.com"]);
    world.server.store().put(edge).unwrap();
}

fn edge() -> ObjectRef {
    ObjectRef::new("virtualservices", "shop", "edge")
}

/// Brings the Rollout to its header route and weight 20.
async fn to_twenty(world: &World, router: &IstioRouter, change: &Value) -> Rollout {
    let rollout = world.put_rollout(2, 20, change);
    let mut step = header(0);
    step.rollout = rollout.clone();
    router.set_header_route(step).await.unwrap();
    router.update_hash(hashes(&rollout)).await.unwrap();
    router.set_weight(weight_of(&rollout, 20)).await.unwrap();
    assert_eq!(world.canary_weight(), 20);
    rollout
}

fn aborted(world: &World, configuration: Option<&Value>) -> Rollout {
    let stored = world.server.store().get(&at("rollouts")).unwrap();
    let mut rollout = stored;
    rollout["status"]["abort"] = json!(true);
    if let Some(configuration) = configuration {
        *rollout.pointer_mut(CONFIGURATION).unwrap() = configuration.clone();
    }
    world.server.store().put(rollout).unwrap();
    let stored = world.server.store().get(&at("rollouts")).unwrap();
    serde_json::from_value(stored).unwrap()
}

/// The calls of an abort as the controller makes them, with the header step that is current again: it stops at the first
/// error.
async fn abort(router: &IstioRouter, rollout: &Rollout) -> Result<(), String> {
    Box::pin(calls_of_abort(router, rollout)).await
}

async fn calls_of_abort(router: &IstioRouter, rollout: &Rollout) -> Result<(), String> {
    let text = |error| message(&error);
    let rollout = rollout.clone();
    let removal = RemoveManagedRoutesArgs {
        rollout: rollout.clone(),
    };
    router.remove_managed_routes(removal).await.map_err(text)?;
    let mut step = header(0);
    step.rollout = rollout.clone();
    router.set_header_route(step).await.map_err(text)?;
    let hashes = UpdateHashArgs { ..hashes(&rollout) };
    router.update_hash(hashes).await.map_err(text)?;
    router
        .set_weight(weight_of(&rollout, 0))
        .await
        .map_err(text)
}

fn is_back(world: &World) {
    assert_eq!(world.canary_weight(), 0);
    assert_eq!(world.policy(), Value::Null);
    let routes = world.spec("virtualservices")["http"].clone();
    assert_eq!(routes.as_array().unwrap().len(), 2, "{routes}");
}

#[tokio::test]
async fn a_virtual_service_that_is_gone_keeps_no_other_at_the_canary() {
    let world = World::new().await;
    put_edge(&world);
    let router = world.router();
    Box::pin(to_twenty(&world, &router, &with_edge())).await;
    world.server.store().delete(&edge()).unwrap();
    let error = abort(&router, &aborted(&world, None)).await.unwrap_err();
    assert_eq!(
        error,
        r#"VirtualService shop/edge: not found; create it or correct spec.strategy.canary.trafficRouting.plugins["serin/istio"].virtualServices[1].name of rollout shop/reviews; everything else of rollout shop/reviews is back at one version"#
    );
    is_back(&world);
}

#[tokio::test]
async fn a_route_that_no_longer_splits_keeps_no_other_at_the_canary() {
    let changes: [(Value, Option<&str>); 5] = [
        (
            json!({"redirect": {"uri": "/maintenance"}, "route": null}),
            Some("found a redirect"),
        ),
        (
            json!({"name": "renamed"}),
            Some(r#"expected a route named "primary""#),
        ),
        (
            // The stable destination is put back, and nothing is left.
            json!({"route": [{"destination": {"host": "reviews", "subset": "canary"}}]}),
            None,
        ),
        (
            json!({"route": null}),
            Some("expected destinations for the subsets"),
        ),
        (json!({"timeout": "9s"}), None),
    ];
    for (change, expected) in changes {
        let world = World::new().await;
        put_edge(&world);
        let router = world.router();
        Box::pin(to_twenty(&world, &router, &with_edge())).await;
        let mut spec = world.server.store().get(&edge()).unwrap()["spec"].clone();
        let primary = spec["http"].as_array_mut().unwrap();
        let primary = primary.iter_mut().find(|route| route["name"] == "primary");
        let fields = primary.unwrap().as_object_mut().unwrap();
        for (name, value) in change.as_object().unwrap() {
            fields.insert(name.clone(), value.clone());
        }
        fields.retain(|_, value| !value.is_null());
        world
            .server
            .store()
            .patch(&edge(), &json!({"spec": {"http": spec["http"]}}))
            .unwrap();
        let outcome = abort(&router, &aborted(&world, None)).await;
        match expected {
            None => outcome.unwrap(),
            Some(expected) => {
                let error = outcome.unwrap_err();
                assert!(
                    error.starts_with("VirtualService shop/edge: "),
                    "{change}: {error}"
                );
                assert!(error.contains(expected), "{change}: {error}");
            }
        }
        is_back(&world);
        let edge = world.server.store().get(&edge()).unwrap()["spec"].clone();
        for route in edge["http"].as_array().unwrap() {
            let name = route["name"].as_str().unwrap();
            assert!(!name.starts_with("serin-"), "{change}: {edge}");
            for one in route["route"].as_array().into_iter().flatten() {
                let all = route["route"].as_array().unwrap();
                let is_canary = one["destination"]["subset"] == "canary";
                let takes = all.len() == 1 || one["weight"].as_u64().unwrap_or(0) > 0;
                assert!(!is_canary || !takes, "{change}: {edge}");
            }
        }
    }
}

#[tokio::test]
async fn an_object_that_may_not_be_written_keeps_no_other_at_the_canary() {
    for (resource, name) in [
        ("virtualservices", "edge"),
        ("wasmplugins", "serin"),
        ("destinationrules", "reviews"),
    ] {
        let world = World::new().await;
        put_edge(&world);
        let router = world.router();
        Box::pin(to_twenty(&world, &router, &with_edge())).await;
        let fault = Fault::new(Action::Forbid).verb(Verb::Patch);
        world
            .server
            .faults()
            .add(fault.resource(resource).name(name));
        if resource == "destinationrules" {
            // An abort has nothing to write there, unless somebody else has.
            world.patch(
                "destinationrules",
                &json!({"spec": {"subsets": [
                    {"name": "canary", "labels": {"rollouts-pod-template-hash": "s1"}},
                    {"name": "stable", "labels": {"rollouts-pod-template-hash": "s1"}},
                ]}}),
            );
            world.settled().await;
        }
        let error = abort(&router, &aborted(&world, None)).await.unwrap_err();
        assert!(
            error.starts_with(&format!("no permission to patch {resource}")),
            "{error}"
        );
        assert_eq!(world.canary_weight(), 0, "{resource}");
        let http = world.spec("virtualservices")["http"].clone();
        assert_eq!(http.as_array().unwrap().len(), 2, "{resource}: {http}");
        assert_eq!(world.policy().is_null(), resource != "wasmplugins");
    }
}

#[tokio::test]
async fn a_configuration_with_a_fault_does_not_block_an_abort() {
    let good = json!({"name": "reviews", "routes": ["primary"]});
    let rule =
        json!({"name": "reviews", "canarySubsetName": "canary", "stableSubsetName": "stable"});
    let faults = [
        json!({"routes": {"betta": {"percent": 10}}, "virtualService": good, "destinationRule": rule}),
        json!({"stikcy": {}, "virtualService": good, "destinationRule": rule}),
        json!({"laneSecret": 123_456, "virtualService": good, "destinationRule": rule}),
        json!({"virtualServices": [{"name": "other"}], "virtualService": good, "destinationRule": rule}),
        json!({"wasmPlugin": "serin", "virtualService": good, "destinationRule": rule}),
        json!({"virtualService": good, "destinationRule": rule, "entryHosts": 1}),
    ];
    // These say less than an abort needs: only the configuration before knows.
    let empty = [
        json!({"virtualService": "reviews", "destinationRule": rule}),
        json!({"virtualService": good, "destinationRule": {"name": "reviews", "canarySubsetName": "canary"}}),
        json!({}),
        json!("nothing"),
    ];
    for (configuration, restarts) in faults
        .iter()
        .flat_map(|fault| [(fault, false), (fault, true)])
        .chain(empty.iter().map(|fault| (fault, false)))
    {
        let world = World::new().await;
        let mut router = world.router();
        Box::pin(to_twenty(&world, &router, &json!({}))).await;
        if restarts {
            router = world.router();
        }
        let error = abort(&router, &aborted(&world, Some(configuration)))
            .await
            .unwrap_err();
        assert!(
            error.starts_with(
                "rollout shop/reviews: spec.strategy.canary.trafficRouting.plugins[\"serin/istio\"]"
            ),
            "{configuration}: {error}"
        );
        is_back(&world);
    }
}

#[tokio::test]
async fn a_virtual_service_that_the_configuration_has_left_gets_no_more_canary_traffic() {
    let world = World::new().await;
    put_edge(&world);
    let router = world.router();
    Box::pin(to_twenty(&world, &router, &json!({}))).await;
    let rule =
        json!({"name": "reviews", "canarySubsetName": "canary", "stableSubsetName": "stable"});
    let moved =
        json!({"virtualService": {"name": "edge", "routes": ["primary"]}, "destinationRule": rule});
    abort(&router, &aborted(&world, Some(&moved)))
        .await
        .unwrap();
    is_back(&world);
}

#[tokio::test]
async fn a_stable_subset_that_is_gone_is_there_before_traffic_is() {
    let world = World::new().await;
    let router = world.router();
    Box::pin(to_twenty(&world, &router, &json!({}))).await;
    world.patch(
        "destinationrules",
        &json!({"spec": {"subsets": [{"name": "canary", "labels": {"rollouts-pod-template-hash": "c2"}}]}}),
    );
    let error = abort(&router, &aborted(&world, None)).await.unwrap_err();
    assert!(
        error.contains(r#"expected a subset named "stable""#),
        "{error}"
    );
    is_back(&world);
    assert_eq!(
        world.spec("destinationrules")["subsets"][1],
        json!({"name": "stable", "labels": {"rollouts-pod-template-hash": "s1"}})
    );
}

#[tokio::test]
async fn a_header_step_that_fails_keeps_no_weight_at_a_canary_without_pods() {
    let world = World::new().await;
    put_edge(&world);
    let router = world.router();
    let mut rollout = Box::pin(to_twenty(&world, &router, &with_edge())).await;
    world.server.store().delete(&edge()).unwrap();
    world
        .server
        .store()
        .patch(
            &ObjectRef::new("replicasets", "shop", "reviews-c2"),
            &json!({"status": {"availableReplicas": 0}}),
        )
        .unwrap();
    world.settled().await;
    rollout.status.current_step_index = Some(0);
    let removal = RemoveManagedRoutesArgs {
        rollout: rollout.clone(),
    };
    router.remove_managed_routes(removal).await.unwrap();
    let mut step = header(0);
    step.rollout = rollout.clone();
    router.set_header_route(step).await.unwrap();
    let error = router.set_weight(weight_of(&rollout, 0)).await.unwrap_err();
    assert!(message(&error).starts_with("VirtualService shop/edge: not found"));
    is_back(&world);
}

#[tokio::test]
async fn an_idle_rollout_with_a_fault_writes_nothing() {
    let world = World::new().await;
    let before = world.specs();
    let mut rollout = world.put_rollout(0, 0, &json!({"status": {"currentPodHash": "s1"}}));
    let canary = rollout.spec.strategy.canary.as_mut().unwrap();
    let plugins = &mut canary.traffic_routing.as_mut().unwrap().plugins;
    plugins.insert(
        "serin/istio".to_owned(),
        json!({"virtualService": {"name": "reviews", "protocols": ["HTTP"]}}),
    );
    let router = world.router();
    let removal = RemoveManagedRoutesArgs {
        rollout: rollout.clone(),
    };
    router.remove_managed_routes(removal).await.unwrap_err();
    router.set_weight(weight_of(&rollout, 0)).await.unwrap_err();
    assert_eq!(world.specs(), before);
}

#[tokio::test]
async fn a_virtual_service_that_an_idle_rollout_has_left_is_not_written_any_more() {
    let world = World::new().await;
    put_edge(&world);
    let router = world.router();
    let idle = json!({"status": {"currentPodHash": "s1"}});
    let rollout = world.put_rollout(0, 0, &idle);
    router.set_weight(weight_of(&rollout, 0)).await.unwrap();
    let mut moved = with_edge();
    moved["spec"]["strategy"]["canary"]["trafficRouting"]["plugins"]["serin/istio"]["virtualServices"] =
        json!([{"name": "edge", "routes": ["primary"]}]);
    moved["status"] = idle["status"].clone();
    let rollout = world.put_rollout(0, 0, &moved);
    // Somebody else's by now.
    let mut spec = world.spec("virtualservices");
    spec["http"][1]["route"][0]["weight"] = json!(50);
    spec["http"][1]["route"][1]["weight"] = json!(50);
    world.put_spec("virtualservices", &spec);
    world.settled().await;
    router.set_weight(weight_of(&rollout, 0)).await.unwrap();
    assert_eq!(world.spec("virtualservices"), spec);
}
