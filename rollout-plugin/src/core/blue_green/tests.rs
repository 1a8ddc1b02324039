//! A canary at 20 % whose Rollout becomes blue-green, on each of the controller's ways from there.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::core::fixtures::{
    carry_out, destination_rule, observed, primary, replica_set, rollout, routing,
};
use crate::object::{Kind, ObjectId};

/// Canary c2 at 20 % over stable s1.
fn at_twenty() -> Observed {
    let mut observed = observed(json!([primary(json!({"route": [
        {"destination": {"host": "reviews", "subset": "stable"}, "weight": 80},
        {"destination": {"host": "reviews", "subset": "canary"}, "weight": 20},
    ]}))]));
    observed.destination_rule = Some(Arc::new(destination_rule("c2", "s1")));
    observed
}

fn blue_green(status: Value) -> Rollout {
    let strategy = json!({"canary": null, "blueGreen": {"activeService": "reviews"}});
    let mut rollout = rollout(json!({"spec": {"strategy": strategy}}));
    let mut whole = serde_json::to_value(&rollout.status).unwrap();
    json_patch::merge(&mut whole, &status);
    rollout.status = serde_json::from_value(whole).unwrap();
    rollout
}

fn pods(observed: &mut Observed, of: &[(&str, i64)]) {
    let sets = of
        .iter()
        .map(|(hash, count)| Arc::new(replica_set(hash, *count)));
    observed.replica_sets = sets.collect();
}

/// Weights and subsets' hashes, canary's and stable's.
fn state(observed: &Observed) -> [Value; 4] {
    let service = observed.virtual_services[0].as_ref().unwrap();
    let weight = |index: usize| service.spec["http"][0]["route"][index]["weight"].clone();
    let hash = |index: usize| {
        let rule = observed.destination_rule.as_ref().unwrap();
        rule.spec["subsets"][index]["labels"][POD_TEMPLATE_HASH].clone()
    };
    [weight(1), weight(0), hash(0), hash(1)]
}

/// Carries out all writes; which kinds they were, and what is left to do.
fn settle(rollout: &Rollout, observed: &mut Observed) -> (Vec<Kind>, Next) {
    let routing = routing_of(&routing());
    let former = ["c2".to_owned(), "s1".to_owned()];
    let blue_green = BlueGreen {
        rollout,
        routing: &routing,
        former: &former,
        services: [None; 2],
    };
    let mut kinds = Vec::new();
    loop {
        let pending = match blue_green.next(observed).unwrap() {
            Next::Write(pending) => pending,
            next => return (kinds, next),
        };
        let first = pending.into_iter().next().unwrap();
        kinds.push(match &first {
            Write::Spec { object, .. } => object.id.kind,
            Write::Policy { object, .. } => object.kind,
        });
        carry_out(first, observed);
        assert!(kinds.len() < 9, "{kinds:?}");
    }
}

#[test]
fn nothing_moves_before_the_controller_has_chosen() {
    let mut objects = at_twenty();
    // It brings the new version up for its active Service.
    pods(&mut objects, &[("s1", 3), ("c2", 3)]);
    let rollout = blue_green(json!({}));
    assert_eq!(settle(&rollout, &mut objects), (vec![], Next::Wait));
    assert_eq!(
        state(&objects),
        [json!(20), json!(80), json!("c2"), json!("s1")]
    );
}

#[test]
fn a_promoted_version_gets_all_and_its_subsets_end_with_the_old_pods() {
    let mut objects = at_twenty();
    let rollout = blue_green(json!({"stableRS": "c2"}));
    let kinds = vec![Kind::DestinationRule, Kind::VirtualService];
    assert_eq!(settle(&rollout, &mut objects), (kinds, Next::Wait));
    assert_eq!(
        state(&objects),
        [json!(0), json!(100), json!("c2"), json!("c2")]
    );
    // scaleDownDelaySeconds are over.
    pods(&mut objects, &[("s1", 0), ("c2", 3)]);
    let kinds = vec![Kind::DestinationRule];
    assert_eq!(settle(&rollout, &mut objects), (kinds, Next::Over));
    assert_eq!(
        state(&objects),
        [json!(0), json!(100), Value::Null, Value::Null]
    );
}

#[test]
fn an_aborted_version_and_one_without_pods_lose_their_traffic() {
    for (status, left) in [
        (json!({"abort": true}), vec![("s1", 3), ("c2", 3)]),
        (json!({"currentPodHash": "s1"}), vec![("s1", 3), ("c2", 3)]),
        (
            json!({"currentPodHash": "c3"}),
            vec![("s1", 3), ("c2", 3), ("c3", 0)],
        ),
    ] {
        let rollout = blue_green(status.clone());
        let mut objects = at_twenty();
        pods(&mut objects, &left);
        let kinds = vec![Kind::DestinationRule, Kind::VirtualService];
        assert_eq!(
            settle(&rollout, &mut objects),
            (kinds, Next::Wait),
            "{status}"
        );
        let expected = [json!(0), json!(100), json!("s1"), json!("s1")];
        assert_eq!(state(&objects), expected, "{status}");
        pods(&mut objects, &[("s1", 3)]);
        let kinds = vec![Kind::DestinationRule];
        assert_eq!(
            settle(&rollout, &mut objects),
            (kinds, Next::Over),
            "{status}"
        );
    }
}

#[test]
fn where_the_old_pods_went_before_anything_could_be_moved_the_hashes_go_first() {
    let mut objects = at_twenty();
    pods(&mut objects, &[("c2", 3)]);
    let rollout = blue_green(json!({"stableRS": "c2"}));
    let kinds = vec![Kind::DestinationRule, Kind::VirtualService];
    assert_eq!(settle(&rollout, &mut objects), (kinds, Next::Over));
    assert_eq!(
        state(&objects),
        [json!(0), json!(100), Value::Null, Value::Null]
    );
}

#[test]
fn a_split_between_hosts_goes_to_the_service_that_selects_the_chosen_version() {
    let routing = Routing {
        destination_rule: None,
        canary_service: "reviews-canary".to_owned(),
        stable_service: "reviews-stable".to_owned(),
        ..routing_of(&routing())
    };
    let service = |name: &str, selector: Value| Object {
        id: ObjectId::new(Kind::Service, "shop", name),
        spec: json!({ "selector": selector }),
        ..replica_set("", 0)
    };
    let at = |hash: &str| json!({"app": "reviews", POD_TEMPLATE_HASH: hash});
    let rollout = blue_green(json!({"stableRS": "c2"}));
    let mut objects = observed(json!([primary(json!({"route": [
        {"destination": {"host": "reviews-stable"}, "weight": 80},
        {"destination": {"host": "reviews-canary"}, "weight": 20},
    ]}))]));
    objects.destination_rule = None;
    for (stable, canary, expected) in [
        (at("s1"), at("c2"), Some(100)),
        // It is the active Service too, or was never changed.
        (at("c2"), at("c2"), Some(0)),
        (json!({"app": "reviews"}), at("c2"), Some(0)),
        (at("s1"), at("s1"), None),
    ] {
        let services = [
            service("reviews-stable", stable),
            service("reviews-canary", canary),
        ];
        let blue_green = BlueGreen {
            rollout: &rollout,
            routing: &routing,
            former: &[],
            services: services.each_ref().map(Some),
        };
        let written = match blue_green.next(&objects).unwrap() {
            Next::Write(pending) => match pending.first() {
                Some(Write::Spec { spec, .. }) => spec["http"][0]["route"][1]["weight"].as_i64(),
                _ => None,
            },
            _ => None,
        };
        assert_eq!(
            written,
            expected,
            "{:?}",
            services.map(|service| service.spec)
        );
    }
}
