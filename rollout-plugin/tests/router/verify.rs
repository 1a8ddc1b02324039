//! VerifyWeight where the weight can't be read: never an error, and the reason reported once.

use std::time::Duration;

use argo_rollouts::{SetWeightAndVerifyWeightArgs, TrafficRouter, Verified, WeightDestination};
use rollout_plugin::router::IstioRouter;
use serde_json::{Value, json};
use testbed::apiserver::{Action, Fault, Verb};

use crate::world::{World, at, changed_rollout, header, rollout, weight, weight_of};

/// What is wrong, and what the event says of it.
type Case = (fn(&World) -> SetWeightAndVerifyWeightArgs, &'static str);

/// The events that have been written, once there are `count` of them.
async fn events(world: &World, count: usize) -> Vec<Value> {
    let found = || {
        let requests = world.server.requests().into_iter();
        let events = requests.filter(|request| request.resource == "events");
        events.map(|request| request.body).collect::<Vec<Value>>()
    };
    world.until("events", |_| found().len() >= count).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    found()
}

fn with_config(change: Value) -> SetWeightAndVerifyWeightArgs {
    let mut object = serde_json::to_value(rollout(2)).unwrap();
    object["spec"]["strategy"]["canary"]["trafficRouting"]["plugins"]["serin/istio"] = change;
    weight_of(&serde_json::from_value(object).unwrap(), 20)
}

fn without_answer(
    world: &World,
    action: Action,
    resource: &'static str,
) -> SetWeightAndVerifyWeightArgs {
    let fault = Fault::new(action).verb(Verb::List).resource(resource);
    world.server.faults().add(fault);
    weight(2, 20)
}

fn without(world: &World, resource: &str) -> SetWeightAndVerifyWeightArgs {
    world.server.store().delete(&at(resource)).unwrap();
    weight(2, 20)
}

#[tokio::test]
async fn what_can_not_be_verified_is_not_verified_and_reported_once() {
    let cases: [Case; 11] = [
        (
            |world| without(world, "virtualservices"),
            "VirtualService shop/reviews: not found; ",
        ),
        (
            |world| without(world, "destinationrules"),
            "DestinationRule shop/reviews: not found; ",
        ),
        (
            |world| without(world, "wasmplugins"),
            "WasmPlugin istio-system/serin: not found; ",
        ),
        (
            |world| {
                let moved = json!([{"name": "primary", "redirect": {"uri": "/maintenance"}}]);
                world.patch("virtualservices", &json!({"spec": {"http": moved}}));
                weight(2, 20)
            },
            "VirtualService shop/reviews: spec.http[",
        ),
        (
            |world| {
                world.patch("destinationrules", &json!({"spec": {"subsets": []}}));
                weight(2, 20)
            },
            "DestinationRule shop/reviews: spec.subsets[].name: found [], ",
        ),
        (
            |_| weight(2, -1),
            "rollout shop/reviews: the desired weight: found -1, ",
        ),
        (
            |_| SetWeightAndVerifyWeightArgs {
                additional_destinations: vec![WeightDestination {
                    weight: -1,
                    service_name: "trial".to_owned(),
                    ..WeightDestination::default()
                }],
                ..weight(2, 20)
            },
            "rollout shop/reviews: the weight of the experiment's service \"trial\": ",
        ),
        (
            |_| with_config(json!({"virtualService": {"name": "reviews"}, "stikcy": {}})),
            "rollout shop/reviews: ",
        ),
        (|_| with_config(json!(null)), "rollout shop/reviews: "),
        (
            |world| without_answer(world, Action::Forbid, "virtualservices"),
            "no permission to get, list and watch virtualservices.networking.istio.io",
        ),
        (
            |world| without_answer(world, Action::Drop, "destinationrules"),
            "can't read destinationrules.networking.istio.io of namespace shop: ",
        ),
    ];
    for (break_it, expected) in cases {
        let world = World::new().await;
        let args = break_it(&world);
        let router = world.router();
        let before = world.writes();
        for _ in 0..3 {
            let verified = router.verify_weight(args.clone()).await;
            assert_eq!(verified.unwrap(), Verified::NotVerified, "{expected}");
        }
        let events = events(&world, 1).await;
        assert_eq!(events.len(), 1, "{expected}: {events:?}");
        assert_eq!(events[0]["type"], "Warning");
        assert_eq!(events[0]["reason"], "WeightVerifyError");
        assert_eq!(events[0]["involvedObject"]["name"], "reviews");
        let message = events[0]["message"].as_str().unwrap();
        let expected = format!("Failed to verify weight: {expected}");
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(world.writes(), before, "nothing is written");
    }
}

#[tokio::test]
async fn each_reason_and_each_update_is_reported_again() {
    let world = World::new().await;
    let router = world.router();
    let next = changed_rollout(2, &json!({"currentPodHash": "c3"}));
    for args in [
        weight(2, -1),
        weight(2, -2),
        weight(2, -1),
        weight_of(&next, -1),
        weight_of(&next, -1),
    ] {
        let verified = router.verify_weight(args).await.unwrap();
        assert_eq!(verified, Verified::NotVerified);
    }
    assert_eq!(events(&world, 3).await.len(), 3);
}

#[tokio::test]
async fn a_cluster_that_is_away_leaves_a_weight_unverified() {
    let world = World::new().await;
    let config = kube::Config::new(world.server.url().parse().unwrap());
    let router = IstioRouter::connecting_to(config, "argo-rollouts".to_owned());
    // The controller asks a plugin whose InitPlugin has failed as well.
    assert_eq!(
        router.verify_weight(weight(2, 20)).await.unwrap(),
        Verified::NotVerified
    );
    let away = world.server.faults().add(Fault::new(Action::Drop));
    router.init_plugin().await.unwrap_err();
    assert_eq!(
        router.verify_weight(weight(2, 20)).await.unwrap(),
        Verified::NotVerified
    );
    world.server.faults().remove(away);
    router.set_header_route(header(0)).await.unwrap();
    router.set_weight(weight(2, 20)).await.unwrap();
    assert_eq!(
        router.verify_weight(weight(2, 20)).await.unwrap(),
        Verified::Verified
    );
}
