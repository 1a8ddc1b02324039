//! Rollouts that go, or move elsewhere, leave nothing behind.

use std::time::Duration;

use rollout_plugin::reconciler::Timing;
use serde_json::{Value, json};
use testbed::apiserver::{Action, Fault, ObjectRef, Verb};

use crate::world::{World, at, at_twenty, bring_to_twenty};

/// The names of the lane routes in that VirtualService.
fn lanes(world: &World, name: &str) -> Vec<String> {
    let at = ObjectRef::new("virtualservices", "shop", name);
    let object = world.server.store().get(&at).unwrap();
    let http = object["spec"]["http"].as_array().unwrap().iter();
    let names = http.map(|route| route["name"].as_str().unwrap_or_default().to_owned());
    names.filter(|name| name.starts_with("serin-")).collect()
}

/// Neither a policy nor a lane route is left.
pub(crate) fn is_clean(world: &World) -> bool {
    world.policy().is_null() && lanes(world, "reviews").is_empty()
}

/// The VirtualService `shop/second`: as the first, without lanes.
fn put_second(world: &World) {
    let mut second = world.server.store().get(&at("virtualservices")).unwrap();
    second["metadata"] = json!({"namespace": "shop", "name": "second"});
    let http = second["spec"]["http"].as_array_mut().unwrap();
    http.retain(|route| !route["name"].as_str().unwrap().starts_with("serin-"));
    world.server.store().put(second).unwrap();
}

fn change_plugin_config(world: &World, change: &Value) {
    let plugins =
        json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": change}}}}});
    world.patch("rollouts", &plugins);
}

#[tokio::test]
async fn a_rollout_that_is_deleted_leaves_its_weights_and_nothing_else() {
    let world = World::new().await;
    let _router = at_twenty(&world).await;
    assert_eq!(lanes(&world, "reviews").len(), 2);
    let rule = world.spec("destinationrules");
    world.server.store().delete(&at("rollouts")).unwrap();
    world.until("removal", is_clean).await;
    assert_eq!(world.writes(), ["wasmplugins 200", "virtualservices 200"]);
    assert_eq!(world.canary_weight(), 20);
    assert_eq!(world.spec("destinationrules"), rule);
    let policies = world.spec("wasmplugins")["pluginConfig"]["rollouts"].clone();
    assert_eq!(policies, json!({"shop/other": {"hosts": ["a"]}}));
    world.settled().await;
    // Nobody needs them any more, so their watches end; the other Rollout still has its VirtualService's.
    let change = json!({"spec": {"host": "elsewhere"}});
    world.patch("destinationrules", &change);
    assert_eq!(world.settled().await, []);
}

#[tokio::test]
async fn a_rollout_that_leaves_the_plugin_is_like_one_deleted() {
    let world = World::new().await;
    let _router = at_twenty(&world).await;
    change_plugin_config(&world, &json!(null));
    world.until("removal", is_clean).await;
    assert_eq!(world.writes(), ["wasmplugins 200", "virtualservices 200"]);
}

#[tokio::test]
async fn what_is_gone_while_no_plugin_runs_is_removed_at_the_start() {
    let world = World::new().await;
    drop(at_twenty(&world).await);
    world.server.store().delete(&at("rollouts")).unwrap();
    let _router = world.keeper().await;
    world.until("removal", is_clean).await;
    assert_eq!(world.writes(), ["wasmplugins 200", "virtualservices 200"]);
    let policies = world.spec("wasmplugins")["pluginConfig"]["rollouts"].clone();
    assert_eq!(policies, json!({"shop/other": {"hosts": ["a"]}}));
}

#[tokio::test]
async fn declared_lanes_of_a_rollout_that_is_gone_are_the_users() {
    let world = World::new().await;
    drop(at_twenty(&world).await);
    let declared =
        json!({"spec": {"pluginConfig": {"rollouts": {"shop/reviews": {"lanes": "declared"}}}}});
    world.patch("wasmplugins", &declared);
    world.server.store().delete(&at("rollouts")).unwrap();
    let _router = world.keeper().await;
    world
        .until("removal", |world| world.policy().is_null())
        .await;
    world.settled().await;
    assert_eq!(lanes(&world, "reviews").len(), 2);
}

#[tokio::test]
async fn a_rollout_that_moves_takes_its_lanes_and_its_policy_along() {
    let world = World::new().await;
    let _router = at_twenty(&world).await;
    put_second(&world);
    change_plugin_config(
        &world,
        &json!({"serin/istio": {"virtualService": {"name": "second"}}}),
    );
    world
        .until("another VirtualService", |world| {
            lanes(world, "reviews").is_empty() && lanes(world, "second").len() == 2
        })
        .await;
    assert_eq!(
        world.policy()["virtualServices"],
        json!({"shop/second": ["primary"]})
    );

    let mut plugin = world.server.store().get(&at("wasmplugins")).unwrap();
    plugin["metadata"] = json!({"namespace": "shop", "name": "own"});
    plugin["spec"] = json!({"url": "oci://registry.example/serin:1.0.0"});
    world.server.store().put(plugin).unwrap();
    change_plugin_config(&world, &json!({"serin/istio": {"wasmPlugin": "shop/own"}}));
    world
        .until("another WasmPlugin", |world| {
            let own = ObjectRef::new("wasmplugins", "shop", "own");
            let own = world.server.store().get(&own).unwrap();
            world.policy().is_null()
                && !own["spec"]["pluginConfig"]["rollouts"]["shop/reviews"].is_null()
        })
        .await;
    assert_eq!(lanes(&world, "second").len(), 2);
}

#[tokio::test]
async fn a_rollout_that_moves_while_no_plugin_runs_leaves_no_policy() {
    let world = World::new().await;
    drop(at_twenty(&world).await);
    let mut plugin = world.server.store().get(&at("wasmplugins")).unwrap();
    plugin["metadata"] = json!({"namespace": "shop", "name": "own"});
    plugin["spec"] = json!({"url": "oci://registry.example/serin:1.0.0"});
    world.server.store().put(plugin).unwrap();
    change_plugin_config(&world, &json!({"serin/istio": {"wasmPlugin": "shop/own"}}));
    let _router = world.keeper().await;
    world
        .until("removal", |world| world.policy().is_null())
        .await;
    // It still routes through the VirtualService, so its lanes are there as before.
    world.settled().await;
    assert_eq!(lanes(&world, "reviews").len(), 2);
}

#[tokio::test]
async fn a_rollout_that_changes_its_virtual_service_while_no_plugin_runs_takes_its_lanes_along() {
    let world = World::new().await;
    drop(at_twenty(&world).await);
    put_second(&world);
    let config = json!({"serin/istio": {"virtualService": {"name": "second"}}});
    change_plugin_config(&world, &config);
    let _router = world.keeper().await;
    world
        .until("another VirtualService", |world| {
            lanes(world, "reviews").is_empty() && lanes(world, "second").len() == 2
        })
        .await;
}

#[tokio::test]
async fn a_rollout_that_can_not_be_read_is_not_taken_for_deleted() {
    for (verb, action) in [(Verb::List, Action::Drop), (Verb::Get, Action::Forbid)] {
        let world = World::new().await;
        drop(at_twenty(&world).await);
        let good = world.specs();
        let fault = Fault::new(action).verb(verb).resource("rollouts");
        world.server.faults().add(fault);
        if verb == Verb::Get {
            // Only the list lacks it.
            world.server.store().delete(&at("rollouts")).unwrap();
        }
        let _router = world.keeper().await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(world.specs(), good, "{verb:?}");
    }
}

#[tokio::test]
async fn a_watch_alone_removes_nothing() {
    let world = World::new().await;
    let _router = at_twenty(&world).await;
    let good = world.specs();
    let unreadable = Fault::new(Action::Forbid)
        .verb(Verb::Get)
        .resource("rollouts");
    let unreadable = world.server.faults().add(unreadable);
    let rollout = world.server.store().delete(&at("rollouts")).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.specs(), good);
    world.server.faults().remove(unreadable);
    world.server.store().put(rollout).unwrap();
    world.settled().await;
    assert_eq!(world.specs(), good);
}

#[tokio::test]
async fn a_rollout_that_goes_while_the_watch_is_broken_is_noticed() {
    let world = World::new().await;
    let _router = at_twenty(&world).await;
    // The history that the watch would go on from is forgotten.
    let delay = Fault::new(Action::Delay(Duration::from_millis(300))).verb(Verb::Watch);
    let delay = world.server.faults().add(delay);
    world.server.faults().cut_watches();
    world.server.store().delete(&at("rollouts")).unwrap();
    world.server.store().compact();
    world.until("removal", is_clean).await;
    world.server.faults().remove(delay);
}

#[tokio::test]
async fn where_rollouts_can_be_watched_in_some_namespaces_only_those_of_calls_are() {
    let world = World::new().await;
    let everywhere = Fault::new(Action::Forbid)
        .verb(Verb::List)
        .resource("rollouts")
        .namespace("");
    world.server.faults().add(everywhere);
    let _router = at_twenty(&world).await;
    world.server.store().delete(&at("rollouts")).unwrap();
    world.until("removal", is_clean).await;
}

/// `kubectl replace --force` in mid-canary: the new Rollout has nothing to do with the old one's hashes and weights.
#[tokio::test]
async fn a_rollout_made_again_under_its_name_inherits_nothing() {
    let world = World::new().await;
    let original = world.specs();
    let _router = at_twenty(&world).await;
    let mut object = world.server.store().get(&at("rollouts")).unwrap();
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        metadata.remove(field);
    }
    object["status"] = json!({"currentPodHash": "n1"});
    world.server.store().delete(&at("rollouts")).unwrap();
    world.server.store().put(object).unwrap();
    world.until("the lanes", is_clean).await;
    // The user applies all manifests anew.
    world.put_spec("virtualservices", &original[0]);
    world.put_spec("destinationrules", &original[1]);
    world.settled().await;
    assert_eq!(world.specs()[..2], original[..2]);
}

/// A sync that takes the header routes out of the Rollout and applies the VirtualService without lane routes: nothing
/// there says any more that there is a policy.
#[tokio::test]
async fn a_rollout_without_managed_routes_any_more_leaves_no_policy() {
    let world = World::new().await;
    let original = world.specs();
    let _router = at_twenty(&world).await;
    let plain = json!({"spec": {"strategy": {"canary": {
        "steps": [{"setWeight": 20}], "trafficRouting": {"managedRoutes": []}}}}, "status": {"currentStepIndex": 0}});
    world.put_spec("virtualservices", &original[0]);
    world.patch("rollouts", &plain);
    world
        .until("removal", |world| world.policy().is_null())
        .await;
}

/// It may not even be allowed to read a WasmPlugin.
#[tokio::test]
async fn a_plain_canary_that_goes_asks_for_no_wasm_plugin() {
    let world = World::new().await;
    let plain = json!({"spec": {"strategy": {"canary": {
        "steps": [{"setWeight": 20}], "trafficRouting": {"managedRoutes": []}}}}, "status": {"currentStepIndex": 0}});
    world.put_rollout(2, 20, &plain);
    let _router = world.keeper().await;
    world.settled().await;
    world.server.store().delete(&at("rollouts")).unwrap();
    let asked = world.settled().await;
    assert!(
        asked
            .iter()
            .all(|request| request.resource != "wasmplugins"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_permission_that_was_missing_for_a_while_is_asked_for_again() {
    let world = World::new().await;
    let refused = Fault::new(Action::Forbid)
        .verb(Verb::List)
        .resource("rollouts");
    let refused = world.server.faults().add(refused);
    let rollout = world.put_rollout(2, 20, &json!({}));
    world.put_other();
    let impatient = Timing {
        refused: Duration::from_millis(100),
        ..Timing::default()
    };
    let router = Box::pin(world.keeper_with(impatient)).await;
    Box::pin(bring_to_twenty(&router, &rollout)).await;
    world.settled().await;
    world.server.faults().remove(refused);
    let watches = |world: &World| {
        let requests = world.server.requests();
        requests.iter().any(|request| {
            request.verb == Verb::List
                && request.resource == "rollouts"
                && request.status == Some(200)
        })
    };
    for _ in 0..30 {
        if watches(&world) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    world.server.store().delete(&at("rollouts")).unwrap();
    world.until("removal", is_clean).await;
}
