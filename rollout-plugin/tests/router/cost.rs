//! What the plugin asks of the API server.

use std::time::Duration;

use argo_rollouts::{SetWeightAndVerifyWeightArgs, TrafficRouter, UpdateHashArgs, Verified};
use rollout_plugin::reconciler::Timing;
use serde_json::{Map, json};
use testbed::apiserver::{ObjectRef, Verb};

use crate::world::{World, at, at_twenty, lead_for_long, told};

#[tokio::test]
async fn a_start_asks_for_exactly_what_it_needs() {
    let world = World::new().await;
    lead_for_long(&world);
    world.put_rollout(2, 0, &json!({}));
    world.put_other();
    let _router = world.keeper().await;
    let requests = world.settled().await;
    let mut asked: Vec<String> = requests
        .iter()
        .filter(|request| request.verb != Verb::Patch)
        .map(told)
        .collect();
    asked.sort();
    assert_eq!(
        asked,
        [
            // A TrafficExtension, which isn't served here.
            "get  everywhere",
            // The step is reached and its rules are not in force yet, so there is something to put right; the look at the
            // start is good enough for it.
            "get leases argo-rollouts/argo-rollouts-controller-lock",
            "get wasmplugins istio-system/serin",
            "list destinationrules shop",
            "list replicasets shop",
            "list rollouts everywhere",
            "list secrets argo-rollouts",
            "list services shop",
            "list virtualservices shop",
            "list wasmplugins istio-system",
            "watch destinationrules shop",
            "watch replicasets shop",
            "watch rollouts everywhere",
            "watch services shop",
            "watch virtualservices shop",
            "watch wasmplugins istio-system",
        ]
    );
    let agent = concat!("serin/", env!("CARGO_PKG_VERSION"));
    for request in &requests {
        assert_eq!(request.user_agent, agent, "{}", told(request));
    }
}

#[tokio::test]
async fn a_plain_cluster_is_asked_for_rollouts_alone() {
    let world = World::new().await;
    let _router = world.keeper().await;
    let mut asked: Vec<String> = world.settled().await.iter().map(told).collect();
    asked.sort();
    // The WasmPlugin holds a policy whose Rollout doesn't exist. TrafficExtensions are not served.
    assert_eq!(
        asked,
        [
            "get  everywhere",
            "get leases argo-rollouts/argo-rollouts-controller-lock",
            "get leases argo-rollouts/argo-rollouts-controller-lock",
            "get rollouts shop/other",
            "get wasmplugins istio-system/serin",
            "get wasmplugins istio-system/serin",
            "get wasmplugins istio-system/serin",
            "list rollouts everywhere",
            "list secrets argo-rollouts",
            "patch wasmplugins istio-system/serin",
            "watch rollouts everywhere",
        ]
    );
}

#[tokio::test]
async fn reconciles_that_change_nothing_are_free_and_changes_cost_one_patch_per_object() {
    let world = World::new().await;
    let router = at_twenty(&world).await;
    let rollout = world.put_rollout(2, 20, &json!({"metadata": {"labels": {"a": "b"}}}));
    world.settled().await;
    let hashes = UpdateHashArgs {
        rollout: rollout.clone(),
        canary_hash: "c2".into(),
        stable_hash: "s1".into(),
        ..Default::default()
    };
    let weight = |desired_weight| SetWeightAndVerifyWeightArgs {
        rollout: rollout.clone(),
        desired_weight,
        ..Default::default()
    };
    for _ in 0..10 {
        router.update_hash(hashes.clone()).await.unwrap();
        router.set_weight(weight(20)).await.unwrap();
        let verified = router.verify_weight(weight(20)).await.unwrap();
        assert_eq!(verified, Verified::Verified);
    }
    assert_eq!(world.settled().await, []);
    router.set_weight(weight(30)).await.unwrap();
    let asked: Vec<String> = world.settled().await.iter().map(told).collect();
    assert_eq!(asked, ["patch virtualservices shop/reviews"]);
    // The status follows, and nothing is left to do.
    world.put_rollout(2, 30, &json!({}));
    tokio::time::sleep(Duration::from_millis(1300)).await;
    assert_eq!(world.settled().await, []);
}

#[tokio::test]
async fn five_hundred_rollouts_on_one_wasm_plugin() {
    const COUNT: usize = 500;
    let world = World::new().await;
    lead_for_long(&world);
    drop(at_twenty(&world).await);
    let store = world.server.store();
    store
        .delete(&ObjectRef::new("rollouts", "shop", "other"))
        .unwrap();
    // All as the first one is, each under its own name and host.
    let host = "reviews.shop.svc.cluster.local";
    let policy = world.policy().to_string().replace("\"10.96.3.4\",", "");
    let mut policies = Map::new();
    for number in 0..COUNT {
        let name = format!("r{number}");
        for resource in ["virtualservices", "destinationrules", "rollouts"] {
            let mut object = store.get(&at(resource)).unwrap();
            object["metadata"] = json!({"namespace": "shop", "name": "reviews"});
            if resource == "virtualservices" {
                object["spec"]["hosts"] = json!([host]);
            }
            let text = object
                .to_string()
                .replace(host, &format!("{name}.example.com"));
            let object = serde_json::from_str(&text.replace("reviews", &name)).unwrap();
            store.put(object).unwrap();
        }
        let policy = policy
            .replace(host, &format!("{name}.example.com"))
            .replace("reviews", &name);
        policies.insert(
            format!("shop/{name}"),
            serde_json::from_str(&policy).unwrap(),
        );
    }
    for resource in ["virtualservices", "destinationrules", "rollouts"] {
        store.delete(&at(resource)).unwrap();
    }
    let rollouts = json!({"spec": {"pluginConfig": {"rollouts": policies}}});
    let mut plugin = store.get(&at("wasmplugins")).unwrap();
    plugin["spec"]["pluginConfig"] = rollouts["spec"]["pluginConfig"].clone();
    store.put(plugin).unwrap();
    world.server.take_requests();

    // A start asks for as much as with a single one.
    let _router = world.keeper_with(Timing::default()).await;
    let mut asked: Vec<String> = world.settled().await.iter().map(told).collect();
    asked.sort();
    assert_eq!(
        asked,
        [
            "get  everywhere",
            "get leases argo-rollouts/argo-rollouts-controller-lock",
            "get wasmplugins istio-system/serin",
            "list destinationrules shop",
            "list replicasets shop",
            "list rollouts everywhere",
            "list secrets argo-rollouts",
            "list virtualservices shop",
            "list wasmplugins istio-system",
            "watch destinationrules shop",
            "watch replicasets shop",
            "watch rollouts everywhere",
            "watch virtualservices shop",
            "watch wasmplugins istio-system",
        ]
    );

    // One drift costs one patch.
    let policy =
        |world: &World| world.spec("wasmplugins")["pluginConfig"]["rollouts"]["shop/r77"].clone();
    let good = policy(&world);
    let change = json!({"spec": {"pluginConfig": {"rollouts": {"shop/r77": null}}}});
    world.patch("wasmplugins", &change);
    world.until("drift", |world| policy(world) == good).await;
    let asked: Vec<String> = world.settled().await.iter().map(told).collect();
    assert_eq!(asked, ["patch wasmplugins istio-system/serin"]);
}
