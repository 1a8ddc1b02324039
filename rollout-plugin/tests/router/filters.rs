//! Policies in a TrafficExtension, and in several filter objects.

use argo_rollouts::{RemoveManagedRoutesArgs, Rollout, TrafficRouter};
use rollout_plugin::router::IstioRouter;
use serde_json::{Value, json};
use testbed::apiserver::{Action, Fault, Request, Verb};

use crate::lifecycle::is_clean;
use crate::world::{World, at, bring_to_twenty, hashes, header, message, weight_of};

/// What the Rollout says where it names these.
fn naming(kinds: &[&str]) -> Value {
    let filter = |kind: &&str| json!({"kind": kind, "namespace": "istio-system", "name": "serin"});
    let filters: Vec<Value> = kinds.iter().map(filter).collect();
    let plugins = json!({"serin/istio": {"filters": filters}});
    json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": plugins}}}}})
}

const BOTH: [&str; 2] = ["WasmPlugin", "TrafficExtension"];

/// The TrafficExtension `istio-system/serin`.
fn extension() -> Value {
    json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "TrafficExtension",
        "metadata": {"namespace": "istio-system", "name": "serin"},
        "spec": {"phase": "STATS", "wasm": {"url": "oci://registry.example/serin:1.0.0", "pluginConfig": {"trust": "mesh", "rollouts": {"note": {"hosts": ["a"]}}}}}})
}

async fn world() -> World {
    let world = World::with_traffic_extensions().await;
    world.server.store().put(extension()).unwrap();
    world
}

/// The policy in the TrafficExtension.
fn policy(world: &World) -> Value {
    world.spec("trafficextensions")["wasm"]["pluginConfig"]["rollouts"]["shop/reviews"].clone()
}

/// A canary at weight 20 whose policy goes into these.
async fn at_twenty(world: &World, kinds: &[&str]) -> (IstioRouter, Rollout) {
    let rollout = world.put_rollout(2, 20, &naming(kinds));
    world.put_other();
    let router = Box::pin(world.keeper()).await;
    Box::pin(bring_to_twenty(&router, &rollout)).await;
    world.settled().await;
    (router, rollout)
}

/// An abort's calls, in the controller's order.
async fn abort(world: &World, router: &IstioRouter, kinds: &[&str]) -> Result<(), String> {
    let mut change = naming(kinds);
    change["status"] = json!({"abort": true});
    let rollout = world.put_rollout(2, 20, &change);
    let removal = RemoveManagedRoutesArgs {
        rollout: rollout.clone(),
    };
    router.remove_managed_routes(removal).await.unwrap();
    router.update_hash(hashes(&rollout)).await.unwrap();
    let weight = router.set_weight(weight_of(&rollout, 0)).await;
    weight.map_err(|error| message(&error))
}

#[tokio::test]
async fn a_traffic_extension_carries_the_policy_in_place_of_a_wasm_plugin() {
    let world = world().await;
    let before = (world.specs(), world.spec("trafficextensions"));
    let (router, _) = Box::pin(at_twenty(&world, &["TrafficExtension"])).await;
    assert_eq!(policy(&world)["rules"][0]["name"], "beta");
    assert_eq!(world.spec("trafficextensions")["phase"], "STATS");
    assert_eq!(world.policy(), Value::Null);

    Box::pin(abort(&world, &router, &["TrafficExtension"]))
        .await
        .unwrap();
    assert_eq!(world.specs()[0], before.0[0]);
    assert_eq!(world.specs()[2], before.0[2]);
    assert_eq!(world.spec("trafficextensions"), before.1);
}

#[tokio::test]
async fn several_filter_objects_have_the_policy_from_the_first_call_to_the_last() {
    let world = world().await;
    let before = (world.specs(), world.spec("trafficextensions"));
    let (router, rollout) = Box::pin(at_twenty(&world, &BOTH)).await;
    assert_eq!(policy(&world)["rules"][0]["name"], "beta");
    assert_eq!(policy(&world), world.policy());

    // Somebody applies either of them again.
    let good = (world.specs(), world.spec("trafficextensions"));
    world.put_spec("trafficextensions", &before.1);
    world
        .until("the policy", |world| {
            world.spec("trafficextensions") == good.1
        })
        .await;
    world.put_spec("wasmplugins", &before.0[2]);
    world.restored("the policy", &good.0).await;
    assert_eq!(world.writes(), ["trafficextensions 200", "wasmplugins 200"]);
    // Or deletes it and makes it again.
    world
        .server
        .store()
        .delete(&at("trafficextensions"))
        .unwrap();
    world.settled().await;
    world.server.store().put(extension()).unwrap();
    world
        .until("the policy", |world| {
            world.spec("trafficextensions") == good.1
        })
        .await;
    world.settled().await;
    router.set_weight(weight_of(&rollout, 20)).await.unwrap();
    assert_eq!(world.writes(), [""; 0]);

    Box::pin(abort(&world, &router, &BOTH)).await.unwrap();
    assert_eq!(
        world.writes(),
        [
            "wasmplugins 200",
            "trafficextensions 200",
            "virtualservices 200",
            "virtualservices 200"
        ]
    );
    assert_eq!(world.specs()[2], before.0[2]);
    assert_eq!(world.spec("trafficextensions"), before.1);
}

#[tokio::test]
async fn a_filter_object_that_would_refuse_the_policy_leaves_the_others_without() {
    for (resource, kinds) in [
        ("trafficextensions", BOTH),
        ("wasmplugins", BOTH),
        ("wasmplugins", ["TrafficExtension", "WasmPlugin"]),
    ] {
        let world = world().await;
        let before = (world.specs(), world.spec("trafficextensions"));
        let fault = Fault::new(Action::Forbid)
            .verb(Verb::Patch)
            .resource(resource);
        world.server.faults().add(fault);
        let rollout = world.put_rollout(0, 0, &naming(&kinds));
        let router = world.router();
        let mut step = header(0);
        step.rollout = rollout;
        let error = message(&router.set_header_route(step).await.unwrap_err());
        let expected = format!("no permission to patch {resource}.extensions.istio.io");
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(world.specs()[0], before.0[0], "{kinds:?}");
        assert_eq!(world.specs()[2], before.0[2], "{kinds:?}");
        assert_eq!(world.spec("trafficextensions"), before.1, "{kinds:?}");
    }
}

/// Whatever has become of one filter object, an abort brings the others and the traffic back.
#[tokio::test]
async fn an_abort_gets_through_where_a_filter_object_is_gone_or_refuses() {
    type Break = fn(&World);
    let cases: [(&str, Break, Option<&str>); 3] = [
        (
            "deleted",
            |world| {
                let at = at("trafficextensions");
                world.server.store().delete(&at).unwrap();
            },
            None,
        ),
        (
            "not writable",
            |world| {
                let fault = Fault::new(Action::Forbid).verb(Verb::Patch);
                world
                    .server
                    .faults()
                    .add(fault.resource("trafficextensions"));
            },
            Some(
                "no permission to patch trafficextensions.extensions.istio.io in namespace istio-system",
            ),
        ),
        (
            "a script now",
            |world| {
                let lua = json!({"lua": {"inlineCode": "-- none"}});
                world.put_spec("trafficextensions", &lua);
            },
            None,
        ),
    ];
    for (name, damage, expected) in cases {
        let world = world().await;
        let before = world.specs();
        let (router, _) = Box::pin(at_twenty(&world, &BOTH)).await;
        damage(&world);
        world.settled().await;
        let outcome = Box::pin(abort(&world, &router, &BOTH)).await;
        match expected {
            None => outcome.unwrap_or_else(|error| panic!("{name}: {error}")),
            Some(expected) => {
                let error = outcome.unwrap_err();
                assert!(error.starts_with(expected), "{name}: {error}");
                assert!(error.ends_with("is back at one version"), "{name}: {error}");
            }
        }
        assert_eq!(world.specs()[0], before[0], "{name}");
        assert_eq!(world.specs()[2], before[2], "{name}");
    }
}

/// Istio 1.29 has no TrafficExtension.
#[tokio::test]
async fn a_kind_that_is_not_served_is_an_error_where_somebody_asks_for_it() {
    let world = World::new().await;
    let before = world.specs();
    let rollout = world.put_rollout(0, 0, &naming(&BOTH));
    let router = world.router();
    let mut step = header(0);
    step.rollout = rollout;
    let error = message(&router.set_header_route(step).await.unwrap_err());
    assert_eq!(
        error,
        "the API server doesn't serve TrafficExtension of extensions.istio.io/v1alpha1: install the CRDs of Istio 1.30 or newer"
    );
    assert_eq!(world.specs(), before);
}

#[tokio::test]
async fn a_canary_on_one_kind_aborts_where_the_other_is_not_served_any_more() {
    let world = World::new().await;
    let before = world.specs();
    let (router, _) = Box::pin(at_twenty(&world, &["WasmPlugin"])).await;
    assert_ne!(world.policy(), Value::Null);
    let outcome = Box::pin(abort(&world, &router, &BOTH)).await;
    let error = outcome.unwrap_err();
    assert!(error.contains("doesn't serve TrafficExtension"), "{error}");
    assert_eq!(world.specs()[0], before[0]);
    assert_eq!(world.specs()[2], before[2]);
}

#[tokio::test]
async fn a_script_in_place_of_the_module_is_named_before_the_first_step() {
    let world = world().await;
    world.put_spec(
        "trafficextensions",
        &json!({"lua": {"inlineCode": "-- none"}}),
    );
    let before = world.specs();
    let rollout = world.put_rollout(0, 0, &naming(&BOTH));
    let error = world.router().set_weight(weight_of(&rollout, 0)).await;
    assert_eq!(
        message(&error.unwrap_err()),
        "TrafficExtension istio-system/serin: spec.wasm: found nothing, and a spec.lua, expected Serin's module: policies go into its pluginConfig"
    );
    assert_eq!(world.specs(), before);
}

#[tokio::test]
async fn a_configuration_that_drops_or_adds_a_filter_object_in_mid_canary_moves_the_policy() {
    let world = world().await;
    let _router = Box::pin(at_twenty(&world, &["WasmPlugin"])).await;
    assert_eq!(policy(&world), Value::Null);
    world.patch("rollouts", &naming(&BOTH));
    world
        .until("a filter object more", |world| {
            policy(world) == world.policy() && !policy(world).is_null()
        })
        .await;
    world.settled().await;
    world.patch("rollouts", &naming(&["TrafficExtension"]));
    world
        .until("one filter object", |world| world.policy().is_null())
        .await;
    world.settled().await;
    assert_eq!(policy(&world)["rules"][0]["name"], "beta");
    assert!(!is_clean(&world), "its lanes are still needed");
}

#[tokio::test]
async fn a_rollout_that_is_deleted_leaves_no_policy_in_any_filter_object() {
    let world = world().await;
    let before = world.spec("trafficextensions");
    let _router = Box::pin(at_twenty(&world, &BOTH)).await;
    world.server.store().delete(&at("rollouts")).unwrap();
    world
        .until("removal", |world| {
            is_clean(world) && world.spec("trafficextensions") == before
        })
        .await;
    assert_eq!(
        world.writes(),
        [
            "wasmplugins 200",
            "trafficextensions 200",
            "virtualservices 200"
        ]
    );
}

/// Nobody names them any more.
#[tokio::test]
async fn what_is_gone_while_no_plugin_runs_is_removed_from_all_kinds() {
    let world = world().await;
    drop(Box::pin(at_twenty(&world, &BOTH)).await);
    world.server.store().delete(&at("rollouts")).unwrap();
    let _router = world.keeper().await;
    world
        .until("removal", |world| {
            is_clean(world) && policy(world).is_null()
        })
        .await;
}

/// The warning events among these, reason and object each.
fn warned(requests: &[Request]) -> Vec<(String, String)> {
    let events = requests
        .iter()
        .filter(|request| request.resource == "events");
    let mut all: Vec<_> = events
        .map(|request| {
            let text = |field: &str| request.body[field].as_str().unwrap().to_owned();
            let message = text("message");
            let (object, _) = message.split_once(": ").unwrap();
            (text("reason"), object.to_owned())
        })
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_canary_warns_once_of_a_module_that_is_not_pinned_and_of_a_filter_that_runs_twice() {
    let world = world().await;
    let latest = json!({"spec": {"wasm": {"url": "oci://registry.example/serin:latest"}}});
    world.patch("trafficextensions", &latest);
    let router = world.router();
    let rollout = world.put_rollout(0, 0, &naming(&["TrafficExtension"]));
    for _ in 0..2 {
        let mut step = header(0);
        step.rollout = rollout.clone();
        router.set_header_route(step).await.unwrap();
        router.set_weight(weight_of(&rollout, 0)).await.unwrap();
    }
    let extension = "TrafficExtension istio-system/serin".to_owned();
    assert_eq!(
        warned(&world.settled().await),
        [
            ("FilterNotPinned".to_owned(), extension.clone()),
            ("FilterRunsTwice".to_owned(), extension),
        ]
    );
}

/// The plugin may be allowed to see the namespaces of its own filter objects only.
#[tokio::test]
async fn where_filter_objects_can_not_be_listed_a_canary_goes_on() {
    let world = world().await;
    let fault = Fault::new(Action::Forbid).verb(Verb::List).namespace("");
    world.server.faults().add(fault);
    let rollout = world.put_rollout(0, 0, &naming(&["TrafficExtension"]));
    let router = world.router();
    let mut step = header(0);
    step.rollout = rollout;
    router.set_header_route(step).await.unwrap();
    let requests = world.settled().await;
    assert!(!policy(&world).is_null());
    assert_eq!(warned(&requests), []);
}
