//! Users who are told apart, on a cluster: what it costs, what repairs keep, and what is left.

use argo_rollouts::{RemoveManagedRoutesArgs, Rollout, TrafficRouter, Verified};
use rollout_plugin::router::IstioRouter;
use serde_json::{Value, json};
use testbed::apiserver::ObjectRef;

use crate::world::{World, at, hashes, told, weight_of};

/// The Rollout at that weight, with users told apart by a header and no other steps than weights.
fn put_sticky(world: &World, weight: i32, status: &Value) -> Rollout {
    let change = json!({
        "spec": {"strategy": {"canary": {
            "steps": [{"setWeight": 20}, {"setWeight": 30}],
            "trafficRouting": {"plugins": {"serin/istio": {"sticky": {"keys": [{"header": "x-user"}]}}}},
        }}},
        "status": status,
    });
    world.put_rollout(1, weight, &change)
}

/// As the controller reconciles in mid-canary.
async fn reconcile(router: &IstioRouter, rollout: &Rollout, desired: i32) {
    router.update_hash(hashes(rollout)).await.unwrap();
    router
        .set_weight(weight_of(rollout, desired))
        .await
        .unwrap();
    let verified = router.verify_weight(weight_of(rollout, desired)).await;
    assert_eq!(verified.unwrap(), Verified::Verified);
}

async fn at_sticky_twenty(world: &World) -> (IstioRouter, Rollout) {
    let rollout = put_sticky(world, 20, &json!({}));
    world.put_other();
    let router = Box::pin(world.keeper()).await;
    Box::pin(reconcile(&router, &rollout, 20)).await;
    world.settled().await;
    assert_eq!(world.policy()["sticky"]["canary"], 20);
    (router, rollout)
}

fn set_pods(world: &World, pods: i64) {
    let canary = ObjectRef::new("replicasets", "shop", "reviews-c2");
    let change = json!({"status": {"availableReplicas": pods}});
    world.server.store().patch(&canary, &change).unwrap();
}

fn asked(requests: &[testbed::apiserver::Request]) -> Vec<String> {
    requests.iter().map(told).collect()
}

#[tokio::test]
async fn a_step_costs_one_patch_of_the_policy_and_one_of_the_virtual_service() {
    let world = World::new().await;
    let (router, rollout) = at_sticky_twenty(&world).await;
    for _ in 0..5 {
        reconcile(&router, &rollout, 20).await;
    }
    assert_eq!(world.settled().await, []);
    reconcile(&router, &rollout, 30).await;
    assert_eq!(
        asked(&world.settled().await),
        [
            "patch wasmplugins istio-system/serin",
            "patch virtualservices shop/reviews"
        ]
    );
    put_sticky(&world, 30, &json!({}));
    assert_eq!(world.settled().await, []);
}

#[tokio::test]
async fn nobody_stays_at_a_canary_whose_pods_have_gone() {
    let world = World::new().await;
    let (_router, _) = at_sticky_twenty(&world).await;
    let good = world.specs();
    set_pods(&world, 0);
    world
        .until("the share", |world| world.policy()["sticky"]["canary"] == 0)
        .await;
    set_pods(&world, 1);
    world.restored("with the pods", &good).await;
}

#[tokio::test]
async fn a_share_that_others_change_comes_back() {
    let world = World::new().await;
    let (_router, _) = at_sticky_twenty(&world).await;
    let good = world.specs();
    let policy =
        |policy: Value| json!({"spec": {"pluginConfig": {"rollouts": {"shop/reviews": policy}}}});
    for change in [
        json!({"sticky": {"canary": 90}}),
        json!({"sticky": null}),
        json!(null),
    ] {
        world.patch("wasmplugins", &policy(change.clone()));
        world.restored(&change.to_string(), &good).await;
    }
}

#[tokio::test]
async fn a_rollout_that_is_deleted_leaves_no_share() {
    let world = World::new().await;
    let (_router, _) = at_sticky_twenty(&world).await;
    world.server.store().delete(&at("rollouts")).unwrap();
    world
        .until("removal", |world| {
            let http = world.spec("virtualservices")["http"].clone();
            world.policy().is_null() && http.as_array().unwrap().len() == 2
        })
        .await;
    assert_eq!(world.writes(), ["wasmplugins 200", "virtualservices 200"]);
    assert_eq!(world.canary_weight(), 20);
}

#[tokio::test]
async fn an_abort_that_a_restart_has_cut_short_comes_to_its_end() {
    let world = World::new().await;
    let before = world.specs();
    let (router, _) = at_sticky_twenty(&world).await;
    drop(router);
    // The policy has come back to stable, the weights have not.
    let share = json!({"spec": {"pluginConfig": {"rollouts": {"shop/reviews": {"sticky": {"canary": 0}}}}}});
    world.patch("wasmplugins", &share);
    let rollout = put_sticky(&world, 0, &json!({"abort": true}));
    let router = world.keeper().await;
    let removal = RemoveManagedRoutesArgs {
        rollout: rollout.clone(),
    };
    router.remove_managed_routes(removal).await.unwrap();
    router.set_weight(weight_of(&rollout, 0)).await.unwrap();
    assert_eq!(world.spec("virtualservices"), before[0]);
    assert_eq!(world.spec("wasmplugins"), before[2]);
}
