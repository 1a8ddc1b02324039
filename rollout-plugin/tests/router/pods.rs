//! A version that lacks pods: what waits for them, and what a watch that lags behind the controller's costs.

use argo_rollouts::{
    Rollout, SetWeightAndVerifyWeightArgs, TrafficRouter, UpdateHashArgs, Verified,
};
use rollout_plugin::router::IstioRouter;
use serde_json::{Value, json};
use testbed::apiserver::{ObjectRef, Verb};

use crate::world::{World, hashes, message, rollout, weight, weight_of};

/// So many of the ten pods that the version wants are available.
fn pods(world: &World, hash: &str, available: i32) {
    let at = ObjectRef::new("replicasets", "shop", &format!("reviews-{hash}"));
    let mut object = world.server.store().get(&at).unwrap();
    object["spec"] = json!({"replicas": 10});
    object["status"] = json!({"availableReplicas": available});
    world.server.store().put(object).unwrap();
}

fn subset(world: &World, index: usize) -> Value {
    world.spec("destinationrules")["subsets"][index]["labels"]["rollouts-pod-template-hash"].clone()
}

async fn verified(router: &IstioRouter, args: SetWeightAndVerifyWeightArgs) -> Verified {
    router.verify_weight(args).await.unwrap()
}

#[tokio::test]
async fn weight_waits_for_the_pods_that_the_controller_may_see_a_moment_earlier() {
    let world = World::new().await;
    let router = world.router();
    pods(&world, "c2", 1);
    let before = world.specs();
    router.update_hash(hashes(&rollout(2))).await.unwrap();
    let error = router.set_weight(weight(2, 70)).await.unwrap_err();
    assert_eq!(
        message(&error),
        r#"rollout shop/reviews: pods of the version "c2": found 1 of 10 available, expected all, or what spec.strategy.canary.replicaProgressThreshold asks for, before more traffic goes there"#
    );
    assert_eq!(world.specs(), before);
    assert_eq!(
        verified(&router, weight(2, 70)).await,
        Verified::NotVerified
    );
    let events = |world: &World| {
        let requests = world.server.requests();
        requests.iter().any(|request| request.resource == "events")
    };
    assert!(!events(&world), "waiting is no fault");
    // Before the watch has told.
    pods(&world, "c2", 10);
    router.set_weight(weight(2, 70)).await.unwrap();
    assert_eq!(verified(&router, weight(2, 70)).await, Verified::Verified);
    assert_eq!(subset(&world, 0), "c2");
}

#[tokio::test]
async fn a_promotion_is_asked_of_the_api_server_before_it_waits() {
    let world = World::new().await;
    let router = world.router();
    router.set_weight(weight(2, 20)).await.unwrap();
    pods(&world, "c2", 3);
    world.settled().await;
    let promoted = |version: &str| -> Rollout {
        let mut object = serde_json::to_value(rollout(3)).unwrap();
        object["metadata"]["resourceVersion"] = json!(version);
        object["status"]["stableRS"] = json!("c2");
        serde_json::from_value(object).unwrap()
    };
    let of = |rollout: &Rollout| UpdateHashArgs {
        stable_hash: "c2".to_owned(),
        ..hashes(rollout)
    };
    router.update_hash(of(&promoted("1"))).await.unwrap();
    assert_eq!(subset(&world, 1), "s1");
    let error = router
        .set_weight(weight_of(&promoted("1"), 0))
        .await
        .unwrap_err();
    assert!(
        message(&error).contains("found 3 of 10 available"),
        "{}",
        message(&error)
    );
    assert_eq!(world.canary_weight(), 20);
    // Before the watch has told.
    pods(&world, "c2", 10);
    router.update_hash(of(&promoted("1"))).await.unwrap();
    assert_eq!(subset(&world, 1), "c2");
    router
        .set_weight(weight_of(&promoted("1"), 0))
        .await
        .unwrap();
    assert_eq!(world.canary_weight(), 0);
}

#[tokio::test]
async fn a_subset_that_waits_moves_without_a_call() {
    let world = World::new().await;
    pods(&world, "c2", 1);
    let rollout = world.put_rollout(0, 0, &json!({}));
    world.put_other();
    let router = Box::pin(world.keeper()).await;
    router.update_hash(hashes(&rollout)).await.unwrap();
    router.set_weight(weight_of(&rollout, 0)).await.unwrap();
    world.settled().await;
    assert_eq!(subset(&world, 0), "s1");
    assert_eq!(world.policy(), Value::Null);
    // Pods in between are nobody's concern.
    pods(&world, "c2", 9);
    let asked = world.settled().await;
    assert!(asked.iter().all(|request| request.verb != Verb::Patch));
    pods(&world, "c2", 10);
    world
        .until("the lane", |world| world.policy() != Value::Null)
        .await;
    assert_eq!(subset(&world, 0), "c2");
}

#[tokio::test]
async fn ping_pong_services_wait_and_others_ask_for_no_pods() {
    let cases = [
        (
            json!({"pingPong": {"pingService": "ping", "pongService": "pong"}}),
            true,
        ),
        (
            json!({"stableService": "ping", "canaryService": "pong"}),
            false,
        ),
    ];
    for (services, waits) in cases {
        let world = World::new().await;
        world.patch("virtualservices", &json!({"spec": {"http": [{"name": "primary", "route": [
            {"destination": {"host": "ping"}, "weight": 100}, {"destination": {"host": "pong"}, "weight": 0},
        ]}]}}));
        pods(&world, "c2", 1);
        let mut object = serde_json::to_value(rollout(2)).unwrap();
        let canary = &mut object["spec"]["strategy"]["canary"];
        for (field, value) in services.as_object().unwrap() {
            canary[field] = value.clone();
        }
        canary["steps"] = json!([{"setWeight": 70}]);
        canary["trafficRouting"] =
            json!({"plugins": {"serin/istio": {"virtualService": {"name": "reviews"}}}});
        object["status"]["canary"] = json!({"stablePingPong": "ping"});
        let rollout: Rollout = serde_json::from_value(object).unwrap();
        let router = world.router();
        router.update_hash(hashes(&rollout)).await.unwrap();
        let set = router.set_weight(weight_of(&rollout, 70)).await;
        assert_eq!(set.is_err(), waits, "{set:?}");
        assert_eq!(world.canary_weight(), if waits { 0 } else { 70 });
        let requests = world.server.requests();
        let reads = requests
            .iter()
            .any(|request| request.resource == "replicasets");
        assert_eq!(reads, waits);
        pods(&world, "c2", 10);
        router.set_weight(weight_of(&rollout, 80)).await.unwrap();
        assert_eq!(world.canary_weight(), 80);
    }
}
