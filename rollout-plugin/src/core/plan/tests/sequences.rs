//! The calls of whole reconciles, as the controller sends them in each situation (argo-rollouts v1.10.1
//! `rollout.reconcileTrafficRouting`), and where the objects are after each.

use super::*;

/// One call, told without its arguments' owner.
#[derive(Clone, Copy)]
enum Do {
    Remove,
    Header,
    Hash(&'static str, &'static str),
    Weight(i32),
}
use Do::{Hash, Header, Remove, Weight};

/// What happens, the Rollout's status, which versions have pods, the calls, and the outcome: the hashes of the canary
/// and the stable subset, their weights, and whether a lane stands.
type Reconcile = (
    &'static str,
    fn() -> Value,
    &'static [&'static str],
    &'static [Do],
    &'static str,
);

fn outcome(observed: &Observed) -> String {
    let rule = observed.destination_rule.as_ref().unwrap();
    let hash = |subset| destination_rule::hash_of(rule, subset).unwrap_or("-");
    let service = observed.virtual_services[0].as_ref().unwrap();
    let routes = service.spec["http"].as_array().unwrap();
    let weight = |index: usize| {
        let route = routes.last().unwrap();
        route["route"][index]["weight"].as_u64().unwrap()
    };
    let policy = observed.filters[0].as_ref().unwrap();
    let has_policy = policy.spec["pluginConfig"]["rollouts"]
        .get("shop/reviews")
        .is_some();
    assert_eq!(has_policy, routes.len() > 1, "lanes and policy go together");
    let lane = if has_policy { " lane" } else { "" };
    format!(
        "{} {}/{} {}{lane}",
        hash("canary"),
        weight(1),
        hash("stable"),
        weight(0)
    )
}

/// No request may meet a subset without endpoints.
fn check_endpoints(observed: &Observed, what: &str) {
    let rule = observed.destination_rule.as_ref().unwrap();
    let versions = Versions::of(&observed.replica_sets);
    let service = observed.virtual_services[0].as_ref().unwrap();
    for route in service.spec["http"].as_array().unwrap() {
        let destinations = route["route"].as_array().unwrap();
        for destination in destinations {
            let takes = destinations.len() == 1 || destination["weight"].as_u64().unwrap_or(0) > 0;
            let subset = destination["destination"]["subset"].as_str().unwrap();
            let hash = destination_rule::hash_of(rule, subset).unwrap();
            assert!(
                !takes || versions.has_pods(hash),
                "{what}: {subset} is at {hash}"
            );
        }
    }
}

fn run(scenario: &str, reconciles: &[Reconcile]) {
    let mut observed = observed(json!([primary(json!({}))]));
    for (what, status, pods, calls, expected) in reconciles {
        let what = format!("{scenario}: {what}");
        // Neither moves anything: `workloadRef` leaves the template out, and the metadata is the controller's.
        let rollout = with_steps(json!({
            "spec": {
                "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "reviews"},
                "strategy": {"canary": {"canaryMetadata": {"labels": {"role": "canary"}}, "stableMetadata": {"labels": {"role": "stable"}}}},
            },
            "status": status(),
        }));
        observed.replica_sets = ["s1", "c2", "c3"]
            .map(|hash| Arc::new(replica_set(hash, i64::from(pods.contains(&hash)))))
            .into();
        let (mut hashes, mut weights_set) = (None, None);
        for call in *calls {
            let call = match *call {
                Remove => Call::RemoveManagedRoutes,
                Header => header_step(&rollout),
                Hash(canary, stable) => update_hash(canary, stable),
                Weight(weight) => set_weight(weight),
            };
            match call {
                Call::UpdateHash(given) => hashes = Some(given),
                Call::SetWeight(given) => weights_set = Some(given),
                _ => {}
            }
            settle(&rollout, &mut observed, call).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        assert_eq!(outcome(&observed), *expected, "{what}");
        check_endpoints(&observed, &what);
        let standing = Standing {
            hashes,
            weights: weights_set,
        };
        let kept = settle(&rollout, &mut observed, Call::Keep(standing)).unwrap();
        assert_eq!(kept, [""; 0], "{what}: keeping has nothing to do");
    }
}

const BOTH: &[&str] = &["s1", "c2"];

fn at_first() -> Value {
    json!({"currentStepIndex": 0})
}

fn at_second() -> Value {
    json!({"currentStepIndex": 1})
}

fn aborted() -> Value {
    json!({"currentStepIndex": 0, "abort": true})
}

const BEGINS: Reconcile = (
    "the canary has no pods yet",
    at_first,
    &["s1"],
    &[Remove, Hash("c2", "s1"), Weight(0)],
    "s1 0/s1 100",
);
const HEADER: Reconcile = (
    "the header step",
    at_first,
    BOTH,
    &[Header, Hash("c2", "s1"), Weight(0)],
    "c2 0/s1 100 lane",
);
const TWENTY: Reconcile = (
    "the weight step",
    at_second,
    BOTH,
    &[Hash("c2", "s1"), Weight(20)],
    "c2 20/s1 80 lane",
);

#[test]
fn a_promotion() {
    let last = || json!({"currentStepIndex": 2});
    let promoted = || json!({"currentStepIndex": 2, "stableRS": "c2"});
    let ends: [Reconcile; 3] = [
        (
            "all to the canary",
            last,
            BOTH,
            &[Hash("c2", "s1"), Weight(100)],
            "c2 100/s1 0 lane",
        ),
        (
            "promoted",
            promoted,
            BOTH,
            &[Remove, Hash("c2", "c2"), Weight(0)],
            "c2 0/c2 100",
        ),
        (
            "the old version is gone",
            promoted,
            &["c2"],
            &[Remove, Hash("c2", "c2"), Weight(0)],
            "c2 0/c2 100",
        ),
    ];
    run(
        "promotion",
        &[&[BEGINS, HEADER, TWENTY][..], &ends].concat(),
    );
}

#[test]
fn an_abort_and_a_retry() {
    let calls = &[Remove, Hash("c2", "s1"), Weight(0)];
    let ends: [Reconcile; 5] = [
        ("aborted", aborted, BOTH, calls, "c2 0/s1 100"),
        (
            "the canary is scaled down",
            aborted,
            &["s1"],
            calls,
            "s1 0/s1 100",
        ),
        ("retried", at_first, &["s1"], calls, "s1 0/s1 100"),
        HEADER,
        TWENTY,
    ];
    run("abort", &[&[HEADER, TWENTY][..], &ends].concat());
}

#[test]
fn all_canary_pods_go_and_come_back() {
    let gone: Reconcile = (
        "gone",
        at_second,
        &["s1"],
        &[Remove, Weight(0), Hash("c2", "s1"), Weight(0)],
        "s1 0/s1 100",
    );
    run("deleted pods", &[HEADER, TWENTY, gone, TWENTY]);
}

#[test]
fn an_update_in_the_middle() {
    let third = || json!({"currentStepIndex": 0, "currentPodHash": "c3"});
    let later: [Reconcile; 3] = [
        (
            "the third has no pods",
            third,
            BOTH,
            &[Remove, Weight(0), Hash("c3", "s1"), Weight(0)],
            "c2 0/s1 100",
        ),
        (
            "neither has the second",
            third,
            &["s1"],
            &[Remove, Hash("c3", "s1"), Weight(0)],
            "s1 0/s1 100",
        ),
        (
            "the third has",
            third,
            &["s1", "c2", "c3"],
            &[Header, Hash("c3", "s1"), Weight(0)],
            "c3 0/s1 100 lane",
        ),
    ];
    run("three versions", &[&[HEADER, TWENTY][..], &later].concat());
}

#[test]
fn a_rollback_in_the_middle() {
    let back = || json!({"currentStepIndex": null, "currentPodHash": "s1"});
    let at_once: Reconcile = (
        "back",
        back,
        BOTH,
        &[Remove, Hash("s1", "s1"), Weight(0)],
        "s1 0/s1 100",
    );
    run("rollback", &[HEADER, TWENTY, at_once]);
    // `dynamicStableScale`: the previous hash is the canary's until the stable pods are up.
    let slowly: [Reconcile; 3] = [
        (
            "held",
            back,
            BOTH,
            &[Hash("c2", "s1"), Weight(20)],
            "c2 20/s1 80",
        ),
        (
            "less",
            back,
            BOTH,
            &[Hash("c2", "s1"), Weight(0)],
            "c2 0/s1 100",
        ),
        at_once,
    ];
    run(
        "dynamic rollback",
        &[&[HEADER, TWENTY][..], &slowly].concat(),
    );
}

#[test]
fn a_full_promotion() {
    let full = || json!({"currentStepIndex": 1, "promoteFull": true});
    let last = || json!({"currentStepIndex": 2});
    let ends: [Reconcile; 2] = [
        (
            "the weight follows the pods",
            full,
            BOTH,
            &[Remove, Hash("c2", "s1"), Weight(40)],
            "c2 40/s1 60",
        ),
        // With `dynamicStableScale` more pods than wanted make it ask for more than all.
        (
            "more than all",
            full,
            BOTH,
            &[Remove, Hash("c2", "s1"), Weight(150)],
            "c2 100/s1 0",
        ),
    ];
    let scaled: [Reconcile; 1] = [(
        "the stable version has no pods left",
        last,
        &["c2"],
        &[Hash("c2", "s1"), Weight(100)],
        "c2 100/s1 0",
    )];
    run(
        "promote full",
        &[&[HEADER, TWENTY][..], &ends, &scaled].concat(),
    );
}

#[test]
fn a_canary_scaled_to_nothing_under_a_header_route() {
    // `setCanaryScale: {matchTrafficWeight: true}` at weight 0; the second form is before the controller has noticed.
    for calls in [
        &[Remove, Hash("c2", "s1"), Weight(0)][..],
        &[Hash("c2", "s1"), Weight(0)],
        &[Header, Hash("c2", "s1"), Weight(0)],
    ] {
        let scaled: Reconcile = ("scaled", at_first, &["s1"], calls, "s1 0/s1 100");
        run("setCanaryScale", &[HEADER, scaled, HEADER]);
    }
}

#[test]
fn an_experiments_subset_stands_before_its_destination_and_goes_after_it() {
    let rollout = with_steps(json!({"status": {"currentStepIndex": 1}}));
    let additional = [WeightDestination {
        weight: 10,
        service_name: "reviews-c2-2-1-trial".to_owned(),
        pod_template_hash: "t1".to_owned(),
    }];
    let mut observed = observed(json!([primary(json!({}))]));
    settle(&rollout, &mut observed, set_weight(20)).unwrap();
    let before = observed.clone();
    let hashes = |additional| PodHashes {
        canary: "c2",
        stable: "s1",
        additional,
    };
    let weights = |additional| Weights {
        canary: 20,
        additional,
    };
    let mut log = Vec::new();
    let mut settle = |call| {
        let written = settle(&rollout, &mut observed, call).unwrap();
        log.extend(written);
    };
    settle(Call::UpdateHash(hashes(&additional)));
    // In between, with what stands so far: the subset is not taken for one of an ended experiment.
    settle(Call::Keep(Standing {
        hashes: Some(hashes(&additional)),
        weights: Some(weights(&[])),
    }));
    settle(Call::SetWeight(weights(&additional)));
    settle(Call::Keep(Standing {
        hashes: Some(hashes(&additional)),
        weights: Some(weights(&additional)),
    }));
    settle(Call::UpdateHash(hashes(&[])));
    settle(Call::Keep(Standing {
        hashes: Some(hashes(&[])),
        weights: Some(weights(&additional)),
    }));
    settle(Call::SetWeight(weights(&[])));
    settle(Call::Keep(Standing {
        hashes: Some(hashes(&[])),
        weights: Some(weights(&[])),
    }));
    assert_eq!(
        log,
        [
            "DestinationRule",
            "VirtualService",
            "VirtualService",
            "DestinationRule"
        ]
    );
    assert_eq!(observed.destination_rule, before.destination_rule);
    assert_eq!(observed.virtual_services, before.virtual_services);
}

#[test]
fn ping_pong_services_swap_sides_at_the_promotion() {
    let rollout = |status: Value| {
        let change = json!({
            "spec": {"strategy": {"canary": {
                "pingPong": {"pingService": "ping", "pongService": "pong"},
                "trafficRouting": {"managedRoutes": null, "plugins": {"serin/istio": {"destinationRule": null}}},
            }}},
            "status": status,
        });
        crate::core::fixtures::rollout(change)
    };
    let before = rollout(json!({"canary": {"stablePingPong": "ping"}}));
    let after = rollout(json!({"canary": {"stablePingPong": "pong"}, "stableRS": "c2"}));
    let routes = json!([{"name": "primary", "route": [
        {"destination": {"host": "ping"}, "weight": 100},
        {"destination": {"host": "pong"}, "weight": 0},
    ]}]);
    let mut observed = observed(routes);
    let pong = |observed: &Observed| {
        observed.virtual_services[0].as_ref().unwrap().spec["http"][0]["route"][1]["weight"].clone()
    };
    settle(&before, &mut observed, update_hash("c2", "s1")).unwrap();
    settle(&before, &mut observed, set_weight(100)).unwrap();
    assert_eq!(pong(&observed), 100);
    let standing = Call::Keep(Standing {
        hashes: Some(PodHashes {
            canary: "c2",
            stable: "s1",
            additional: &[],
        }),
        weights: Some(weights(100)),
    });
    for rollout in [&before, &after] {
        let kept = settle(rollout, &mut observed, standing).unwrap();
        assert_eq!(kept, [""; 0], "the weight is the new version's");
    }
    for call in [
        Call::RemoveManagedRoutes,
        update_hash("c2", "c2"),
        set_weight(0),
    ] {
        assert_eq!(
            settle(&after, &mut observed, call).unwrap(),
            [""; 0],
            "pong is stable now"
        );
    }
    assert_eq!(pong(&observed), 100);
    settle(&after, &mut observed, set_weight(30)).unwrap();
    assert_eq!(pong(&observed), 70, "and ping the next canary");
}

#[test]
fn keeping_leaves_alone_what_no_longer_fits() {
    let standing = |canary| {
        Call::Keep(Standing {
            hashes: Some(PodHashes {
                canary,
                stable: "s1",
                additional: &[],
            }),
            weights: Some(weights(20)),
        })
    };
    let at_second = with_steps(json!({"status": at_second()}));
    let mut observed = observed(json!([primary(json!({}))]));
    settle(&at_second, &mut observed, standing("c2")).unwrap();
    assert_eq!(outcome(&observed), "c2 20/s1 80 lane");

    // A third version has come, with pods, and the controller has not called yet.
    let third = with_steps(json!({"status": {"currentPodHash": "c3"}}));
    let mut between = observed.clone();
    between.replica_sets.push(Arc::new(replica_set("c3", 1)));
    settle(&third, &mut between, standing("c2")).unwrap();
    assert_eq!(
        outcome(&between),
        "c2 20/s1 80",
        "no rule may lead to the second"
    );

    // The canary's pods have gone, and the controller has not called yet.
    observed.replica_sets[1] = Arc::new(replica_set("c2", 0));
    settle(&at_second, &mut observed, standing("c2")).unwrap();
    assert_eq!(outcome(&observed), "s1 20/s1 80");
    check_endpoints(&observed, "canary gone");
}
