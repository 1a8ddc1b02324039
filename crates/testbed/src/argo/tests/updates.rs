//! Whole updates on the store, with pods, and with a plugin that follows a script.
//!
//! The expected orders are what `reconcileTrafficRouting` does (argo-rollouts v1.10.1 `rollout/trafficrouting.go`); a
//! reconciliation that does the same as the one before it counts once, since how often it comes depends on timing.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::scene::{hash, template};
use super::world::{LIMIT, World, at, is_healthy};
use crate::apiserver::ObjectRef;

fn services() -> Value {
    json!({"spec": {"strategy": {"canary": {
        "stableService": "web-stable",
        "canaryService": "web-canary",
        "scaleDownDelaySeconds": 1,
        "abortScaleDownDelaySeconds": 1,
    }}}})
}

fn steps() -> Value {
    let beta = [json!({"headerName": "x-beta", "headerValue": {"exact": "1"}})];
    json!([
        {"setCanaryScale": {"replicas": 1}},
        {"setHeaderRoute": {"name": "beta", "match": beta}},
        {"pause": {}},
        {"setMirrorRoute": {"name": "shadow", "percentage": 50}},
        {"setWeight": 50},
        {"pause": {}},
    ])
}

/// `UpdateHash`, `SetWeight`, `VerifyWeight`, after what comes first.
fn round(first: &[&str], hashes: &str, weight: u32) -> Vec<String> {
    let rest = [
        format!("UpdateHash {hashes}"),
        format!("SetWeight {weight}"),
        format!("VerifyWeight {weight}"),
    ];
    let first = first.iter().map(|call| (*call).to_owned());
    first.chain(rest).collect()
}

const REMOVE: &str = "RemoveManagedRoutes";
const NEW: &str = "web:2 web:1";

#[tokio::test]
async fn a_canary_with_header_mirror_weights_and_promotion() {
    let mut world = World::new(steps(), services()).await;
    world
        .expect(&[
            vec!["InitPlugin".to_owned()],
            vec![REMOVE.to_owned()],
            round(&[REMOVE], "web:1 web:1", 0),
        ])
        .await;
    assert_eq!(world.selects("web-stable"), hash("web:1"));

    world.set_image("web:2");
    world.until_paused_at(2).await;
    world
        .expect(&[
            round(&[REMOVE], NEW, 0),
            round(&[], NEW, 0),
            round(&["SetHeaderRoute beta"], NEW, 0),
            round(&[], NEW, 0),
        ])
        .await;
    assert_eq!((world.pods("web:1"), world.pods("web:2")), (4, 1));
    assert_eq!(world.selects("web-stable"), hash("web:1"));
    assert_eq!(world.selects("web-canary"), hash("web:2"));

    world.promote();
    world.until_paused_at(5).await;
    world
        .expect(&[
            round(&["SetMirrorRoute shadow"], NEW, 0),
            round(&[], NEW, 50),
        ])
        .await;
    let weights = &world.rollout()["status"]["canary"]["weights"];
    assert_eq!(weights["canary"]["weight"], 50);
    assert_eq!(weights["stable"]["weight"], 50);
    assert_eq!(weights["verified"], true);
    assert_eq!(weights["canary"]["serviceName"], "web-canary");

    world.promote();
    world.until(is_healthy).await;
    world
        .expect(&[round(&[], NEW, 100), round(&[REMOVE], "web:2 web:2", 0)])
        .await;
    assert_eq!(world.selects("web-stable"), hash("web:2"));
    world
        .until(|rollout| rollout["status"]["replicas"] == 4)
        .await;
    assert_eq!((world.pods("web:1"), world.pods("web:2")), (0, 4));
    let done = world.events("RolloutCompleted");
    let said = |what: &str| {
        done.iter()
            .any(|event| event["message"].as_str().unwrap().ends_with(what))
    };
    assert!(said("Initial deploy") && said("Completed all 6 canary steps"));
    let steps = world.script.steps.lock().unwrap().clone();
    assert!(steps.contains(&(50, Some(4))), "{steps:?}");
}

#[tokio::test]
async fn an_abort_a_retry_and_a_rollback() {
    let steps = json!([{"setWeight": 25}, {"pause": {}}]);
    let mut more = services();
    more["spec"]["strategy"]["canary"]["canaryService"] = Value::Null;
    let mut world = World::new(steps, more).await;
    world.set_image("web:2");
    world.until_paused_at(1).await;
    world.expect_last(round(&[], NEW, 25)).await;

    world.patch(json!({"status": {"abort": true}}));
    world
        .until(|rollout| rollout["status"]["phase"] == "Degraded")
        .await;
    world.expect(&[round(&[REMOVE], NEW, 0)]).await;
    let status = world.rollout()["status"].clone();
    assert_eq!(
        status["message"],
        "RolloutAborted: Rollout aborted update to revision 2"
    );
    assert_eq!(status["currentStepIndex"], 0);
    assert!(status["abortedAt"].is_string());
    world
        .until(|rollout| rollout["status"]["replicas"] == 4)
        .await;
    assert_eq!((world.pods("web:1"), world.pods("web:2")), (4, 0));

    world.patch(json!({"status": {"abort": false}}));
    world.until_paused_at(1).await;
    assert_eq!(world.pods("web:2"), 1);
    world.expect_last(round(&[], NEW, 25)).await;

    world.set_image("web:1");
    world.until(is_healthy).await;
    world.expect_last(round(&[REMOVE], "web:1 web:1", 0)).await;
    world
        .until(|rollout| rollout["status"]["replicas"] == 4)
        .await;
    assert_eq!((world.pods("web:1"), world.pods("web:2")), (4, 0));
}

#[tokio::test]
async fn full_promotion_and_a_pause_by_hand() {
    let steps = json!([{"setWeight": 25}, {"pause": {"duration": "1h"}}, {"setWeight": 75}]);
    let mut world = World::new(steps, services()).await;
    world.patch(json!({"spec": {"paused": true, "template": template("web:2")}}));
    world
        .until(|rollout| rollout["status"]["message"] == "manually paused")
        .await;
    world.expect_last(round(&[REMOVE], NEW, 0)).await;
    assert_eq!(world.pods("web:2"), 0);
    world.patch(json!({"spec": {"paused": null}}));
    world.until_paused_at(1).await;
    world.expect_last(round(&[], NEW, 25)).await;
    world.patch(json!({"status": {"promoteFull": true}}));
    world.until(is_healthy).await;
    world
        .expect(&[
            round(&[REMOVE], NEW, 25),
            round(&[REMOVE], "web:2 web:2", 0),
        ])
        .await;
}

#[tokio::test]
async fn a_refused_weight_is_told_and_tried_again() {
    let steps = json!([{"setWeight": 25}, {"pause": {}}]);
    let world = World::new(steps, json!({})).await;
    let refusals = HashMap::from([
        (
            "SetWeight",
            vec!["shop/web: no route", "shop/web: no route"],
        ),
        ("UpdateHash", vec!["no subset"]),
    ]);
    *world.script.errors.lock().unwrap() = refusals;
    world.set_image("web:2");
    world.until_paused_at(1).await;
    let events = world.events("TrafficRoutingError");
    assert_eq!(events.len(), 1, "{events:?}");
    let message = "failed to set weight via plugin: shop/web: no route";
    assert_eq!(events[0]["message"], message);
    assert_eq!(events[0]["type"], "Warning");
    assert_eq!(events[0]["count"], 2);
    assert_eq!(events[0]["involvedObject"]["name"], "web");
    let log = world.log.lock().unwrap();
    let line = "argo: rollout shop/web: failed to update hash via plugin: no subset";
    assert!(log.iter().any(|one| one == line), "{log:?}");
}

#[tokio::test]
async fn a_weight_that_is_not_verified_holds_the_step() {
    let steps = json!([{"setWeight": 25}, {"pause": {}}]);
    let world = World::new(steps, json!({})).await;
    world.script.unverified.store(true, Ordering::SeqCst);
    world.set_image("web:2");
    world
        .until(|rollout| {
            let weights = &rollout["status"]["canary"]["weights"];
            weights["canary"]["weight"] == 25 && weights["verified"] == false
        })
        .await;
    assert_eq!(world.rollout()["status"]["currentStepIndex"], 0);
    world.script.unverified.store(false, Ordering::SeqCst);
    // Anything that wakes the controller before its ten seconds are over.
    world.patch(json!({"metadata": {"labels": {"wake": "up"}}}));
    world.until_paused_at(1).await;
}

#[tokio::test]
async fn a_plugin_that_is_gone_is_started_again() {
    let world = World::new(json!([{"pause": {}}]), json!({})).await;
    assert_eq!(world.engine.host().process(), Some(1));
    world.script.dead.store(true, Ordering::SeqCst);
    world.set_image("web:2");
    world.until_paused_at(0).await;
    assert_eq!(world.engine.host().starts(), 2);
    assert_eq!(world.engine.host().process(), Some(2));
    let rounds = world.rounds();
    let initialised = rounds.iter().filter(|round| **round == ["InitPlugin"]);
    assert_eq!(initialised.count(), 2);
    assert_eq!(world.script.alive.load(Ordering::SeqCst), 1);

    let World { engine, script, .. } = world;
    engine.kill().await;
    assert_eq!(script.alive.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_replica_set_of_somebody_else_is_left_alone() {
    let world = World::new(json!([{"pause": {}}]), json!({})).await;
    let name = format!("web-{}", hash("web:2"));
    let set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": 0},
    });
    let foreign = world.store().put(set).unwrap();
    world.set_image("web:2");
    let line = format!(
        "argo: rollout shop/web: 409 AlreadyExists: replicasets.apps \"{name}\" already exists"
    );
    let told = async {
        while !world.log.lock().unwrap().contains(&line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(LIMIT, told).await;
    assert!(in_time.is_ok(), "{:?}", world.log.lock());
    let there = ObjectRef::new("replicasets", "shop", &name);
    let stays = world.store().get(&there).unwrap();
    assert_eq!(stays["metadata"]["uid"], foreign["metadata"]["uid"]);
    assert_eq!(stays["metadata"]["ownerReferences"], Value::Null);
    world.store().delete(&there).unwrap();
    world.until_paused_at(0).await;
}

#[tokio::test]
async fn a_deleted_rollout_gives_its_services_back_and_takes_its_pods_along() {
    let world = World::new(json!([{"pause": {}}]), services()).await;
    assert_eq!(world.selects("web-stable"), hash("web:1"));
    world.store().delete(&at()).unwrap();
    let gone = async {
        loop {
            let mut changes = world.store().subscribe();
            let released = world.selects("web-stable").is_null();
            if released && world.pods("web:1") == 0 {
                return;
            }
            drop(changes.next().await);
        }
    };
    tokio::time::timeout(LIMIT, gone).await.unwrap();
}
