//! A Rollout whose strategy becomes blue-green in mid-canary.

use serde_json::{Value, json};
use testbed::apiserver::{ObjectRef, Request};

use crate::lifecycle::is_clean;
use crate::world::{World, at, at_twenty};

/// The strategy becomes blue-green, with that status besides.
fn become_blue_green(world: &World, status: &Value) {
    let strategy = json!({"canary": null, "blueGreen": {"activeService": "reviews"}});
    let change = json!({"spec": {"strategy": strategy}, "status": status});
    world.patch("rollouts", &change);
}

fn hashes(world: &World) -> [Value; 2] {
    let rule = world.spec("destinationrules");
    [0, 1].map(|index| rule["subsets"][index]["labels"]["rollouts-pod-template-hash"].clone())
}

fn reasons(requests: &[Request]) -> Vec<&Value> {
    let events = requests
        .iter()
        .filter(|request| request.resource == "events");
    events.map(|request| &request.body["reason"]).collect()
}

#[tokio::test]
async fn a_rollout_that_becomes_blue_green_in_mid_canary_says_so_and_ends_on_the_chosen_version() {
    let world = World::new().await;
    let _router = at_twenty(&world).await;
    become_blue_green(&world, &json!({}));
    world.until("removal", is_clean).await;
    let requests = world.settled().await;
    assert_eq!(reasons(&requests), ["CanaryLeft"]);
    let event = requests.iter().find(|request| request.resource == "events");
    assert_eq!(
        event.unwrap().body["message"],
        "spec.strategy: found blueGreen in mid-canary: VirtualService shop/reviews still sends 20 of 100 to the canary; \
         Serin sends all to one version when the controller has promoted or aborted the new one, and then takes the pod \
         hashes off the subsets"
    );
    assert_eq!(world.canary_weight(), 20);
    assert_eq!(hashes(&world), ["c2", "s1"]);

    // The controller has promoted the new version.
    become_blue_green(&world, &json!({"stableRS": "c2"}));
    world
        .until("promotion", |world| world.canary_weight() == 0)
        .await;
    assert_eq!(hashes(&world), ["c2", "c2"]);
    let requests = world.settled().await;
    assert_eq!(reasons(&requests), [""; 0]);

    let old = ObjectRef::new("replicasets", "shop", "reviews-s1");
    world
        .server
        .store()
        .patch(&old, &json!({"spec": {"replicas": 0}}))
        .unwrap();
    world
        .until("the old pods are gone", |world| {
            hashes(world) == [Value::Null, Value::Null]
        })
        .await;
    world.settled().await;
    // From here on they are the user's.
    become_blue_green(&world, &json!({"currentPodHash": "c3"}));
    let mut spec = world.spec("virtualservices");
    spec["http"][1]["route"][1]["weight"] = json!(7);
    world.put_spec("virtualservices", &spec);
    assert_eq!(world.settled().await, []);
}

#[tokio::test]
async fn a_rollout_that_becomes_blue_green_and_comes_back_has_its_canary_back() {
    let world = World::new().await;
    let _router = at_twenty(&world).await;
    let good = world.specs();
    let canary = world.server.store().get(&at("rollouts")).unwrap();
    become_blue_green(&world, &json!({}));
    world.until("removal", is_clean).await;
    world.settled().await;
    let strategy = canary["spec"]["strategy"].clone();
    let mut back = world.server.store().get(&at("rollouts")).unwrap();
    back["spec"]["strategy"] = strategy;
    world.server.store().put(back).unwrap();
    world.restored("the canary", &good).await;
}
