//! What the calls write, and in how many requests.

use std::time::Duration;

use argo_rollouts::{
    RemoveManagedRoutesArgs, SetMirrorArgs, SetWeightAndVerifyWeightArgs, TrafficRouter,
    UpdateHashArgs, Verified,
};
use serde_json::json;
use testbed::apiserver::Verb;

use crate::world::{World, changed_rollout, header, rollout, weight};

#[tokio::test]
async fn a_canary_from_its_first_step_to_promotion() {
    let world = World::new().await;
    let [virtual_service, _, wasm_plugin] = world.specs();
    let router = world.router();

    router.set_header_route(header(0)).await.unwrap();
    assert_eq!(
        world.writes(),
        [
            // The policy of all steps, then this one's, as dry runs.
            "wasmplugins 200",
            "wasmplugins 200",
            "destinationrules 200",
            "virtualservices 200",
            "wasmplugins 200"
        ]
    );
    assert_eq!(
        world.policy(),
        json!({
            "hosts": ["10.96.3.4", "reviews.shop.svc.cluster.local"],
            "virtualServices": {"shop/reviews": ["primary"]},
            "rules": [{"name": "beta", "lane": "canary", "match": [{"headers": {"x-beta": {"exact": "1"}}}]}],
        })
    );
    let http = world.spec("virtualservices")["http"].clone();
    assert_eq!(http[1]["name"], "serin-shop.reviews.canary");
    assert_eq!(http[1]["timeout"], "3s");

    let set_mirror_route = rollout(1).canary().unwrap().steps[1]
        .set_mirror_route
        .clone()
        .unwrap();
    router
        .set_mirror_route(SetMirrorArgs {
            rollout: rollout(1),
            set_mirror_route,
        })
        .await
        .unwrap();
    assert_eq!(world.policy()["rules"][1]["percent"], 35);
    router.set_weight(weight(2, 20)).await.unwrap();
    assert_eq!(
        router.verify_weight(weight(2, 20)).await.unwrap(),
        Verified::Verified
    );

    let promoted = changed_rollout(3, &json!({"stableRS": "c2"}));
    router
        .remove_managed_routes(RemoveManagedRoutesArgs {
            rollout: promoted.clone(),
        })
        .await
        .unwrap();
    let hashes = UpdateHashArgs {
        rollout: promoted.clone(),
        canary_hash: "c2".into(),
        stable_hash: "c2".into(),
        ..Default::default()
    };
    router.update_hash(hashes).await.unwrap();
    let end = SetWeightAndVerifyWeightArgs {
        rollout: promoted,
        ..Default::default()
    };
    router.set_weight(end).await.unwrap();
    assert_eq!(world.spec("virtualservices"), virtual_service);
    assert_eq!(world.spec("wasmplugins"), wasm_plugin);
}

#[tokio::test]
async fn an_unchanged_reconcile_makes_no_request_and_a_changed_weight_one_patch() {
    let world = World::new().await;
    let router = world.router();
    router.set_header_route(header(0)).await.unwrap();
    router.set_weight(weight(2, 20)).await.unwrap();

    let hashes = UpdateHashArgs {
        rollout: rollout(2),
        canary_hash: "c2".into(),
        stable_hash: "s1".into(),
        ..Default::default()
    };
    // The subset moved and the second lane came with the weight; from here on nothing is new.
    world.server.take_requests();
    for _ in 0..10 {
        router.update_hash(hashes.clone()).await.unwrap();
        router.set_weight(weight(2, 20)).await.unwrap();
        assert_eq!(
            router.verify_weight(weight(2, 20)).await.unwrap(),
            Verified::Verified
        );
    }
    assert_eq!(world.server.requests(), []);
    router.set_weight(weight(2, 30)).await.unwrap();
    assert_eq!(world.server.requests().len(), 1, "{:?}", world.writes());
}

#[tokio::test]
async fn a_start_lists_no_more_than_it_needs() {
    let world = World::new().await;
    let mut plain = weight(2, 20);
    let canary = plain.rollout.spec.strategy.canary.as_mut().unwrap();
    canary.steps.drain(..2);
    let traffic = canary.traffic_routing.as_mut().unwrap();
    traffic.managed_routes.clear();
    world.router().set_weight(plain).await.unwrap();
    let mut read: Vec<_> = world
        .server
        .requests()
        .into_iter()
        .filter(|request| request.verb == Verb::List)
        .map(|request| format!("{} {}", request.namespace, request.resource))
        .collect();
    read.sort();
    assert_eq!(
        read,
        [
            "shop destinationrules",
            "shop replicasets",
            "shop virtualservices"
        ]
    );
}

#[tokio::test]
async fn verify_weight_reads_back_what_others_have_changed() {
    let world = World::new().await;
    let router = world.router();
    router.set_weight(weight(2, 20)).await.unwrap();
    let mut http = world.spec("virtualservices")["http"].clone();
    for route in http.as_array_mut().unwrap() {
        if route["name"] == "primary" {
            route["route"][1]["weight"] = json!(21);
        }
    }
    world.patch("virtualservices", &json!({"spec": {"http": http}}));
    let mut verified = Verified::Verified;
    for _ in 0..200 {
        verified = router.verify_weight(weight(2, 20)).await.unwrap();
        if verified == Verified::NotVerified {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(verified, Verified::NotVerified);
    router.set_weight(weight(2, 20)).await.unwrap();
    assert_eq!(
        router.verify_weight(weight(2, 20)).await.unwrap(),
        Verified::Verified
    );
}

#[tokio::test]
async fn a_restarted_plugin_goes_on_where_the_old_one_stopped() {
    let world = World::new().await;
    let [virtual_service, _, wasm_plugin] = world.specs();
    world.router().set_header_route(header(0)).await.unwrap();
    // A step later, in a new process: the header step is not repeated, and its rule stays.
    world.router().set_weight(weight(2, 0)).await.unwrap();
    assert_eq!(world.policy()["rules"][0]["name"], "beta");
    let aborted = changed_rollout(2, &json!({"abort": true}));
    let removal = RemoveManagedRoutesArgs { rollout: aborted };
    world.router().remove_managed_routes(removal).await.unwrap();
    assert_eq!(world.spec("virtualservices"), virtual_service);
    assert_eq!(world.spec("wasmplugins"), wasm_plugin);
}
