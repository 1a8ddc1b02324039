//! Destinations in, destinations out.

use super::*;
use crate::core::fixtures::{primary, rollout};

/// Subset-level with the Services `reviews-canary` and `reviews-stable` besides, and the additional subset `pinned`.
fn routing(max: u32) -> Routing {
    let change = json!({
        "spec": {"strategy": {"canary": {
            "canaryService": "reviews-canary", "stableService": "reviews-stable",
            "trafficRouting": {"maxTrafficWeight": max, "plugins": {"serin/istio": {
                "destinationRule": {"additionalSubsetNames": ["pinned"]},
            }}},
        }}},
        "status": {"canary": {"weights": {"additional": [{"serviceName": "ended", "weight": 0}]}}},
    });
    Routing::of(&rollout(change)).unwrap()
}

/// `host[/subset]` and weight; no weight at all for a negative one.
fn route(entries: &[(&str, i64)]) -> Value {
    let entries = entries.iter().map(|(name, weight)| {
        let mut destination = match name.split_once('/') {
            Some((host, subset)) => json!({"destination": {"host": host, "subset": subset}}),
            None => json!({"destination": {"host": name}}),
        };
        if *weight >= 0 {
            destination["weight"] = json!(weight);
        }
        destination
    });
    json!({"route": entries.collect::<Vec<_>>()})
}

fn settled(route: &Value, routing: &Routing, split: &Split<'_>) -> Value {
    let desired = desired_destinations("shop", route, routing, split);
    let found = desired.unwrap_or_else(|| destinations(route).to_vec());
    let again = json!({"route": found});
    assert_eq!(desired_destinations("shop", &again, routing, split), None);
    again
}

const S: &str = "reviews/stable";
const C: &str = "reviews/canary";

type Entries<'a> = &'a [(&'a str, i64)];

/// What a case is, its maximum, the canary's weight, the experiments, the route before and after.
type Case<'a> = (&'a str, u32, u32, Entries<'a>, Entries<'a>, Entries<'a>);

#[track_caller]
fn check(cases: &[Case<'_>]) {
    for (name, max, canary, experiments, before, after) in cases {
        let experiments = experiments
            .iter()
            .map(|(service, weight)| (*service, u32::try_from(*weight).unwrap()));
        let split = Split {
            canary: *canary,
            experiments: experiments.collect(),
        };
        let found = settled(&route(before), &routing(*max), &split);
        assert_eq!(found, route(after), "{name}");
    }
}

#[test]
#[rustfmt::skip]
fn stable_has_what_is_left() {
    check(&[
        ("a plain split", 100, 20, &[], &[(S, 100), (C, 0)], &[(S, 80), (C, 20)]),
        ("out of a thousand", 1000, 20, &[], &[(S, 100), (C, 0)], &[(S, 980), (C, 20)]),
        ("by Service, whatever follows it", 100, 20, &[],
            &[("reviews-stable.shop.svc.cluster.local", 100), ("reviews-canary.shop", -1)],
            &[("reviews-stable.shop.svc.cluster.local", 80), ("reviews-canary.shop", 20)]),
        ("a foreign one at weight 0 stays", 100, 10, &[],
            &[(S, 100), (C, 0), ("parked", -1)], &[(S, 90), (C, 10), ("parked", -1)]),
        ("several of one side share", 100, 11, &[],
            &[(S, 50), (S, 50), (C, 0), ("reviews-canary", 0)], &[(S, 45), (S, 44), (C, 6), ("reviews-canary", 5)]),
    ]);
}

#[test]
#[rustfmt::skip]
fn experiments_come_change_and_go() {
    check(&[
        ("one comes", 100, 10, &[("exp", 20)], &[(S, 100), (C, 0)], &[(S, 70), (C, 10), ("exp", 20)]),
        ("and changes", 100, 10, &[("exp", 30)], &[(S, 70), (C, 10), ("exp", 20)], &[(S, 60), (C, 10), ("exp", 30)]),
        ("whatever follows its name", 100, 10, &[("exp", 30)],
            &[(S, 70), ("exp.shop.svc", 20), (C, 10)], &[(S, 60), ("exp.shop.svc", 30), (C, 10)]),
        ("and goes, first in the list or not", 100, 10, &[], &[("exp", 20), (S, 70), (C, 10)], &[(S, 90), (C, 10)]),
        ("also at weight 0", 100, 10, &[], &[("ended", 0), (S, 90), (C, 10)], &[(S, 90), (C, 10)]),
        ("two of them go together", 100, 0, &[], &[(S, 70), ("a", 10), (C, 10), ("b", 10)], &[(S, 100), (C, 0)]),
        ("one without weight is not added", 100, 10, &[("exp", 0)], &[(S, 100), (C, 0)], &[(S, 90), (C, 10)]),
    ]);
}

#[test]
#[rustfmt::skip]
fn additional_subsets_come_before_the_canary_and_the_canary_before_experiments() {
    check(&[
        ("an additional subset keeps its weight, whatever its host", 100, 10, &[],
            &[(S, 80), (C, 0), ("other/pinned", 10), ("reviews-stable/pinned", 10)],
            &[(S, 70), (C, 10), ("other/pinned", 10), ("reviews-stable/pinned", 10)]),
        ("before the canary", 100, 100, &[("exp", 5)],
            &[(S, 90), (C, 0), ("other/pinned", 10)], &[(S, 0), (C, 90), ("other/pinned", 10)]),
        ("the canary before experiments, the first before the second", 100, 70, &[("a", 20), ("b", 20)],
            &[(S, 100), (C, 0)], &[(S, 0), (C, 70), ("a", 20), ("b", 10)]),
        ("more than there is", 100, 10, &[],
            &[(S, 0), (C, 0), ("other/pinned", 70), ("more/pinned", 70)],
            &[(S, 0), (C, 0), ("other/pinned", 70), ("more/pinned", 30)]),
    ]);
}

#[test]
fn what_else_a_destination_says_is_kept() {
    let routing = routing(100);
    let mut route = primary(json!({}));
    route["route"][1]["headers"] = json!({"request": {"set": {"x": "1"}}});
    route["route"][1]["destination"]["port"] = json!({"number": 80});
    let split = Split {
        canary: 5,
        experiments: vec![("exp", 5)],
    };
    let found = settled(&route, &routing, &split);
    let mut expected = route.clone();
    expected["route"][0]["weight"] = json!(90);
    expected["route"][1]["weight"] = json!(5);
    let added = json!({"destination": {"host": "exp"}, "weight": 5});
    expected["route"].as_array_mut().unwrap().push(added);
    assert_eq!(found["route"], expected["route"]);
}

#[test]
fn beside_another_namespaces_virtual_service_an_experiment_has_its_full_name() {
    let split = Split {
        canary: 5,
        experiments: vec![("exp", 5)],
    };
    let found = desired_destinations("far", &primary(json!({})), &routing(100), &split).unwrap();
    let host = json!("exp.shop.svc.cluster.local");
    assert_eq!(found[2]["destination"]["host"], host);
    let again = json!({"route": found});
    assert_eq!(
        desired_destinations("far", &again, &routing(100), &split),
        None
    );
}

const FULL: &str = "reviews-stable.shop.svc.cluster.local";
const FULL_CANARY: &str = "reviews-canary.shop.svc.cluster.local";

#[test]
#[rustfmt::skip]
fn a_service_of_the_same_name_elsewhere_is_nobodys() {
    check(&[
        ("in another namespace, at weight 0", 100, 20, &[],
            &[(FULL, 100), (FULL_CANARY, 0), ("reviews-stable.legacy.svc.cluster.local", 0)],
            &[(FULL, 80), (FULL_CANARY, 20), ("reviews-stable.legacy.svc.cluster.local", 0)]),
        ("a ServiceEntry's host", 100, 20, &[],
            &[("reviews-stable.example.com", 0), (FULL, 100), ("reviews-canary.legacy", -1), (FULL_CANARY, 0)],
            &[("reviews-stable.example.com", 0), (FULL, 80), ("reviews-canary.legacy", -1), (FULL_CANARY, 20)]),
        ("it goes with its weight", 100, 100, &[],
            &[(FULL, 60), (FULL_CANARY, 20), ("reviews-canary.legacy.svc.cluster.local", 20)],
            &[(FULL, 0), (FULL_CANARY, 100)]),
        ("no experiment is taken for it", 100, 10, &[("exp", 30)],
            &[(S, 100), (C, 0), ("exp.legacy.svc.cluster.local", 0)],
            &[(S, 60), (C, 10), ("exp.legacy.svc.cluster.local", 0), ("exp", 30)]),
        ("nor one that has ended", 100, 10, &[],
            &[(S, 100), (C, 0), ("ended.example.com", 0)], &[(S, 90), (C, 10), ("ended.example.com", 0)]),
    ]);
}

#[test]
fn a_short_name_is_looked_for_beside_the_virtual_service() {
    let short = route(&[("reviews-stable", 100), ("reviews-canary", 0)]);
    let full = route(&[(FULL, 100), (FULL_CANARY, 0)]);
    let side_in = |namespace: &str, route: &Value| {
        let sides = destinations(route).iter();
        sides
            .map(|one| side_of(namespace, one, &routing(100)))
            .collect::<Vec<_>>()
    };
    let both = [Some(Side::Stable), Some(Side::Canary)];
    assert_eq!(side_in("shop", &short), both);
    assert_eq!(side_in("far", &short), [None, None]);
    assert_eq!(side_in("shop", &full), both);
    assert_eq!(side_in("far", &full), both);
}
