//! No version gets traffic, or more of it, before it has the pods for it, and no way back waits for any
//! (`docs/guards.md`).

use super::*;
use crate::core::fixtures::live_policy;
use crate::core::fixtures::scaling;
use crate::core::policy;

mod enough;
mod property;

/// `shop/reviews` with ten replicas, after its last step as a rollback within the window has it. `change` is merged over
/// it.
fn wanting(change: Value) -> Rollout {
    let base = json!({
        "spec": {"replicas": 10, "rollbackWindow": {"revisions": 3}, "strategy": {"canary": {
            "steps": [{"setWeight": 20}, {"pause": {}}, {"setWeight": 70}, {"pause": {}}],
        }}},
        "status": {"currentPodHash": "c0", "currentStepIndex": 4, "canary": {"weights": {
            "canary": {"weight": 20, "podTemplateHash": "c2"},
            "stable": {"weight": 80, "podTemplateHash": "s1"},
        }}},
    });
    let mut object = serde_json::to_value(rollout(base)).unwrap();
    json_patch::merge(&mut object, &change);
    serde_json::from_value(object).unwrap()
}

/// The canary `c2` at 20 %, all of its pods and the stable version's available.
fn at_twenty() -> Observed {
    let mut observed = observed(json!([primary(json!({"route": [
        {"destination": {"host": "reviews", "subset": "stable"}, "weight": 80},
        {"destination": {"host": "reviews", "subset": "canary"}, "weight": 20},
    ]}))]));
    observed.destination_rule = Some(Arc::new(destination_rule("c2", "s1")));
    pods(&mut observed, &[("s1", 10, 10), ("c2", 2, 2)]);
    observed
}

fn pods(observed: &mut Observed, sets: &[(&str, i64, i64)]) {
    let sets = sets.iter();
    observed.replica_sets = sets
        .map(|(hash, available, wanted)| Arc::new(scaling(hash, *available, *wanted)))
        .collect();
}

/// Hash and weight of the canary's and the stable subset in the last HTTP route.
fn shares(observed: &Observed) -> String {
    let rule = observed.destination_rule.as_ref().unwrap();
    let hash = |subset| destination_rule::hash_of(rule, subset).unwrap_or("-");
    let routes = observed.virtual_services[0].as_ref().unwrap().spec["http"].clone();
    let managed = routes.as_array().unwrap().last().unwrap();
    let weight = |subset: &str| -> u64 {
        let all = managed["route"].as_array().unwrap().iter();
        all.filter(|one| one["destination"]["subset"] == *subset)
            .map(|one| one["weight"].as_u64().unwrap_or(0))
            .sum()
    };
    format!(
        "{} {}/{} {}",
        hash("canary"),
        weight("canary"),
        hash("stable"),
        weight("stable")
    )
}

/// A reconcile's calls; the controller stops at the first error.
fn reconcile(
    rollout: &Rollout,
    observed: &mut Observed,
    hashes: (&str, &str),
    weight: i32,
) -> Result<(), String> {
    settle(rollout, observed, update_hash(hashes.0, hashes.1))?;
    settle(rollout, observed, set_weight(weight))?;
    Ok(())
}

#[test]
fn a_rollback_within_the_window_waits_for_its_pods() {
    let rollout = wanting(json!({}));
    let mut observed = at_twenty();
    pods(
        &mut observed,
        &[("s1", 10, 10), ("c2", 2, 2), ("c0", 1, 10)],
    );
    let before = observed.clone();
    settle(&rollout, &mut observed, update_hash("c0", "s1")).unwrap();
    let error = settle(&rollout, &mut observed, set_weight(70)).unwrap_err();
    assert_eq!(
        error,
        r#"rollout shop/reviews: pods of the version "c0": found 1 of 10 available, expected all, or what spec.strategy.canary.replicaProgressThreshold asks for, before more traffic goes there"#
    );
    assert_eq!(shares(&observed), "c2 20/s1 80");
    assert_eq!(observed.destination_rule, before.destination_rule);
    assert!(!weight_is_live(&rollout, &routing(), &observed, weights(70)).unwrap());
    // The weight of before would be said to be the new version's.
    assert!(settle(&rollout, &mut observed, set_weight(20)).is_err());
    for available in [9, 10] {
        pods(
            &mut observed,
            &[("s1", 10, 10), ("c2", 2, 2), ("c0", available, 10)],
        );
        let result = reconcile(&rollout, &mut observed, ("c0", "s1"), 100);
        assert_eq!(result.is_ok(), available == 10, "{available}");
    }
    assert_eq!(shares(&observed), "c0 100/s1 0");
}

#[test]
fn a_version_without_pods_is_waited_for_and_stops_no_reconcile() {
    let rollout = wanting(json!({}));
    for sets in [
        &[("s1", 10, 10), ("c2", 2, 2), ("c0", 0, 10)][..],
        &[("s1", 10, 10), ("c2", 2, 2)],
    ] {
        let mut observed = at_twenty();
        pods(&mut observed, sets);
        settle(&rollout, &mut observed, Call::RemoveManagedRoutes).unwrap();
        settle(&rollout, &mut observed, set_weight(0)).unwrap();
        reconcile(&rollout, &mut observed, ("c0", "s1"), 0).unwrap();
        assert_eq!(shares(&observed), "c2 0/s1 100");
    }
}

#[test]
fn a_dead_canary_is_replaced_by_the_stable_version_until_the_next_has_its_pods() {
    let rollout = wanting(json!({}));
    let mut observed = at_twenty();
    pods(
        &mut observed,
        &[("s1", 10, 10), ("c2", 0, 2), ("c0", 1, 10)],
    );
    settle(&rollout, &mut observed, update_hash("c0", "s1")).unwrap();
    assert_eq!(shares(&observed), "s1 20/s1 80");
    // Nobody else answers.
    pods(&mut observed, &[("c2", 0, 2), ("c0", 1, 10)]);
    settle(&rollout, &mut observed, update_hash("c0", "s1")).unwrap();
    assert_eq!(shares(&observed), "c0 20/s1 80");
}

#[test]
fn the_share_of_sticky_users_waits_too() {
    let rollout = wanting(json!({
        "spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": {
            "sticky": {"keys": [{"header": "x-user"}]},
        }}}}}},
        "status": {"currentPodHash": "c2", "currentStepIndex": 1},
    }));
    let mut observed = at_twenty();
    reconcile(&rollout, &mut observed, ("c2", "s1"), 20).unwrap();
    let share = |observed: &Observed| {
        let policy = live_policy(observed);
        policy::sticky_of(policy).unwrap().canary
    };
    assert_eq!(share(&observed), 20);
    let later = wanting(json!({
        "spec": rollout_spec(&rollout),
        "status": {"currentPodHash": "c0"},
    }));
    pods(
        &mut observed,
        &[("s1", 10, 10), ("c2", 2, 2), ("c0", 1, 10)],
    );
    let before = observed.clone();
    reconcile(&later, &mut observed, ("c0", "s1"), 70).unwrap_err();
    assert_eq!(observed.filters, before.filters);
    assert_eq!(shares(&observed), "c2 20/s1 80");
    let kept = Call::Keep(Standing::default());
    settle(&later, &mut observed, kept).unwrap();
    assert_eq!(share(&observed), 20, "who is at the canary stays there");
    pods(
        &mut observed,
        &[("s1", 10, 10), ("c2", 2, 2), ("c0", 10, 10)],
    );
    reconcile(&later, &mut observed, ("c0", "s1"), 70).unwrap();
    assert_eq!(share(&observed), 70);
}

fn rollout_spec(rollout: &Rollout) -> Value {
    serde_json::to_value(&rollout.spec).unwrap()
}

#[test]
fn a_lane_waits_for_the_canarys_pods_and_outlives_some_of_them() {
    let rollout = with_steps(json!({"spec": {"replicas": 10}}));
    let mut observed = observed(json!([primary(json!({}))]));
    let lanes = |observed: &Observed| {
        virtual_service::has_lane_routes(observed.virtual_services[0].as_ref().unwrap(), &routing())
    };
    let calls = |rollout: &Rollout, observed: &mut Observed| {
        settle(rollout, observed, header_step(rollout)).unwrap();
        reconcile(rollout, observed, ("c2", "s1"), 0).unwrap();
    };
    let mut last = (false, String::new());
    for (available, expected) in [
        (0, (false, "s1 0/s1 100")),
        (1, (false, "s1 0/s1 100")),
        (9, (false, "s1 0/s1 100")),
        (10, (true, "c2 0/s1 100")),
        (9, (true, "c2 0/s1 100")),
        (1, (true, "c2 0/s1 100")),
        (0, (false, "s1 0/s1 100")),
    ] {
        pods(&mut observed, &[("s1", 10, 10), ("c2", available, 10)]);
        calls(&rollout, &mut observed);
        last = (lanes(&observed), shares(&observed));
        assert_eq!((last.0, &*last.1), expected, "{available}");
    }
    assert_eq!(last.1, "s1 0/s1 100");

    // The next version: its lane doesn't lead to the one before.
    pods(&mut observed, &[("s1", 10, 10), ("c2", 10, 10)]);
    calls(&rollout, &mut observed);
    let next = with_steps(json!({"status": {"currentPodHash": "c3"}}));
    pods(
        &mut observed,
        &[("s1", 10, 10), ("c2", 10, 10), ("c3", 1, 10)],
    );
    settle(&next, &mut observed, header_step(&next)).unwrap();
    assert!(!lanes(&observed));
    reconcile(&next, &mut observed, ("c3", "s1"), 0).unwrap();
    assert_eq!(shares(&observed), "c2 0/s1 100");
    pods(
        &mut observed,
        &[("s1", 10, 10), ("c2", 10, 10), ("c3", 10, 10)],
    );
    reconcile(&next, &mut observed, ("c3", "s1"), 0).unwrap();
    assert!(lanes(&observed));
    assert_eq!(shares(&observed), "c3 0/s1 100");
}

#[test]
fn a_canary_that_loses_some_pods_keeps_what_it_has_and_gets_no_more() {
    let rollout = wanting(json!({"status": {
        "currentPodHash": "c2", "currentStepIndex": 1, "canary": {"weights": {"canary": {"podTemplateHash": "c2"}}},
    }}));
    let mut observed = at_twenty();
    pods(&mut observed, &[("s1", 10, 10), ("c2", 1, 2)]);
    let before = observed.clone();
    reconcile(&rollout, &mut observed, ("c2", "s1"), 20).unwrap();
    assert_eq!(observed.virtual_services, before.virtual_services);
    assert!(weight_is_live(&rollout, &routing(), &observed, weights(20)).unwrap());
    reconcile(&rollout, &mut observed, ("c2", "s1"), 21).unwrap_err();
    assert_eq!(observed.virtual_services, before.virtual_services);
    reconcile(&rollout, &mut observed, ("c2", "s1"), 10).unwrap();
    assert_eq!(shares(&observed), "c2 10/s1 90");
    // What the controller's status already says is its own is no more.
    reconcile(&rollout, &mut observed, ("c2", "s1"), 20).unwrap();
    assert_eq!(shares(&observed), "c2 20/s1 80");
}

#[test]
fn what_others_take_away_comes_back_though_some_pods_are_missing() {
    let rollout = wanting(json!({"status": {
        "currentPodHash": "c2", "currentStepIndex": 1, "canary": {"weights": {"canary": {"podTemplateHash": "c2"}}},
    }}));
    let mut observed = at_twenty();
    pods(&mut observed, &[("s1", 9, 10), ("c2", 1, 2)]);
    let before = observed.clone();
    let standing = Standing {
        hashes: Some(PodHashes {
            canary: "c2",
            stable: "s1",
            additional: &[],
        }),
        weights: Some(weights(20)),
    };
    for (canary, stable) in [("s1", "s0"), ("", "")] {
        let mut rule = destination_rule(canary, stable);
        if canary.is_empty() {
            for subset in rule.spec["subsets"].as_array_mut().unwrap() {
                subset["labels"] = json!({"app": "reviews"});
            }
        }
        observed.destination_rule = Some(Arc::new(rule));
        let plain = virtual_service(json!([primary(json!({}))]));
        observed.virtual_services = vec![Some(Arc::new(plain))];
        settle(&rollout, &mut observed, Call::Keep(standing)).unwrap();
        assert_eq!(observed.destination_rule, before.destination_rule);
        assert_eq!(shares(&observed), "c2 20/s1 80");
    }
}

#[test]
fn a_held_subset_moves_when_the_pods_are_there() {
    let rollout = with_steps(json!({}));
    let mut observed = observed(json!([primary(json!({}))]));
    pods(&mut observed, &[("s1", 10, 10), ("c2", 1, 2)]);
    reconcile(&rollout, &mut observed, ("c2", "s1"), 0).unwrap();
    let standing = Call::Keep(Standing {
        hashes: Some(PodHashes {
            canary: "c2",
            stable: "s1",
            additional: &[],
        }),
        weights: Some(weights(0)),
    });
    assert_eq!(settle(&rollout, &mut observed, standing).unwrap(), [""; 0]);
    pods(&mut observed, &[("s1", 10, 10), ("c2", 2, 2)]);
    let kept = settle(&rollout, &mut observed, standing).unwrap();
    assert_eq!(kept, ["DestinationRule", "VirtualService", "WasmPlugin"]);
}

#[test]
fn a_promotion_waits_for_the_new_versions_pods() {
    let rollout = wanting(json!({"status": {"currentPodHash": "c2", "stableRS": "c2"}}));
    let mut observed = at_twenty();
    pods(&mut observed, &[("s1", 10, 10), ("c2", 3, 10)]);
    let before = observed.clone();
    settle(&rollout, &mut observed, update_hash("c2", "c2")).unwrap();
    let error = settle(&rollout, &mut observed, set_weight(0)).unwrap_err();
    assert!(
        error.contains(r#"of the version "c2": found 3 of 10"#),
        "{error}"
    );
    assert_eq!(observed.destination_rule, before.destination_rule);
    assert_eq!(observed.virtual_services, before.virtual_services);
    pods(&mut observed, &[("s1", 10, 10), ("c2", 10, 10)]);
    reconcile(&rollout, &mut observed, ("c2", "c2"), 0).unwrap();
    assert_eq!(shares(&observed), "c2 0/c2 100");

    // The old version is gone: the new one's pods are all there are.
    let mut observed = at_twenty();
    pods(&mut observed, &[("s1", 0, 0), ("c2", 3, 10)]);
    reconcile(&rollout, &mut observed, ("c2", "c2"), 0).unwrap();
    assert_eq!(shares(&observed), "c2 0/c2 100");
}

#[test]
fn no_way_back_waits_for_pods() {
    let backs = [
        (
            json!({"abort": true, "currentPodHash": "c2", "currentStepIndex": 0}),
            ("c2", "s1"),
        ),
        (json!({"abort": true, "currentStepIndex": 0}), ("c0", "s1")),
        (
            json!({"currentPodHash": "s1", "currentStepIndex": null}),
            ("s1", "s1"),
        ),
    ];
    for (status, hashes) in &backs {
        for sets in [
            &[("s1", 10, 10), ("c2", 1, 2), ("c0", 1, 10)][..],
            &[("s1", 1, 10), ("c2", 2, 2), ("c0", 10, 10)],
            &[("s1", 1, 10), ("c2", 1, 2), ("c0", 0, 10)],
            &[("s1", 1, 10)],
            &[("s1", 0, 10), ("c2", 2, 2)],
            &[],
        ] {
            for dynamic in [false, true] {
                let rollout = wanting(json!({
                    "spec": {"strategy": {"canary": {"dynamicStableScale": dynamic}}},
                    "status": status,
                }));
                let mut observed = at_twenty();
                pods(&mut observed, sets);
                // With `dynamicStableScale` in more than one step.
                for weight in if dynamic { &[20, 15, 0][..] } else { &[0] } {
                    settle(&rollout, &mut observed, Call::RemoveManagedRoutes).unwrap();
                    reconcile(&rollout, &mut observed, *hashes, *weight)
                        .unwrap_or_else(|error| panic!("{hashes:?} {sets:?} {weight}: {error}"));
                }
                let left = shares(&observed);
                assert!(left.ends_with(" 0/s1 100"), "{hashes:?} {sets:?}: {left}");
            }
        }
    }
}
