//! Other writers, a watch that lags, answers that get lost.

use std::time::Duration;

use argo_rollouts::{TrafficRouter, Verified};
use serde_json::{Value, json};
use testbed::apiserver::{Action, Fault, ObjectRef, Verb};

use crate::world::{World, weight};

#[tokio::test]
async fn a_lost_race_is_read_again_and_the_other_writers_change_stays() {
    let world = World::new().await;
    let router = world.router();
    router.set_weight(weight(2, 10)).await.unwrap();
    let lag = Fault::new(Action::LagWatch(Duration::from_mins(1))).resource("virtualservices");
    world.server.faults().add(lag);
    world.server.faults().cut_watches();
    let mut http = world.spec("virtualservices")["http"].clone();
    // A shorter list, so that the plugin's patch doesn't even apply.
    let lane = |route: &Value| route["name"].as_str().unwrap().starts_with("serin-");
    http.as_array_mut().unwrap().retain(|route| !lane(route));
    http[0]["timeout"] = json!("9s");
    world.patch("virtualservices", &json!({"spec": {"http": http}}));
    world.server.take_requests();
    router.set_weight(weight(2, 30)).await.unwrap();
    assert_eq!(
        world.writes(),
        ["virtualservices 422", "virtualservices 200"]
    );
    let spec = world.spec("virtualservices");
    assert_eq!(spec["http"][0]["timeout"], "9s");
    assert_eq!(world.canary_weight(), 30);
}

#[tokio::test]
async fn two_hundred_calls_racing_with_other_writers_all_succeed() {
    let world = World::new().await;
    let router = world.router();
    router.set_weight(weight(2, 10)).await.unwrap();
    let foreign = async {
        for round in 0..200 {
            let at = ObjectRef::new("virtualservices", "shop", "reviews");
            let mut object = world.server.store().get(&at).unwrap();
            object["spec"]["hosts"] = json!(["reviews", format!("h{round}.example.com")]);
            world.server.store().put(object).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let calls = async {
        for round in 0..200 {
            router.set_weight(weight(2, round % 100)).await.unwrap();
        }
    };
    tokio::join!(foreign, calls);
    let spec = world.spec("virtualservices");
    assert_eq!(spec["hosts"][1], "h199.example.com");
    assert_eq!(world.canary_weight(), 99);
}

#[tokio::test]
async fn an_answer_that_got_lost_is_asked_for_again() {
    let world = World::new().await;
    let router = world.router();
    router.set_weight(weight(2, 10)).await.unwrap();
    for action in [Action::DropAnswer, Action::Drop] {
        let desired = if action == Action::Drop { 30 } else { 20 };
        let lost = Fault::new(action)
            .verb(Verb::Patch)
            .resource("virtualservices")
            .times(1);
        world.server.faults().add(lost);
        router.set_weight(weight(2, desired)).await.unwrap();
        assert_eq!(
            router.verify_weight(weight(2, desired)).await.unwrap(),
            Verified::Verified
        );
    }
}
