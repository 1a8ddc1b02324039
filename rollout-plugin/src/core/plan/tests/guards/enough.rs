//! What counts as having the pods, and what waits for them.

use super::*;

#[test]
fn with_dynamic_stable_scale_the_weight_follows_the_pods() {
    let rollout = |dynamic| {
        wanting(json!({
            "spec": {"strategy": {"canary": {"dynamicStableScale": dynamic}}},
            "status": {"currentPodHash": "c2", "promoteFull": true, "canary": {"weights": {"canary": {"podTemplateHash": "c2"}}}},
        }))
    };
    let mut observed = at_twenty();
    pods(&mut observed, &[("s1", 8, 8), ("c2", 4, 10)]);
    // The stable version shrinks only as its weight does, and the canary may have no room to grow before.
    reconcile(&rollout(true), &mut observed, ("c2", "s1"), 40).unwrap();
    assert_eq!(shares(&observed), "c2 40/s1 60");
    reconcile(&rollout(true), &mut observed, ("c2", "s1"), 41).unwrap_err();
    assert_eq!(shares(&observed), "c2 40/s1 60");
    let mut observed = at_twenty();
    pods(&mut observed, &[("s1", 10, 10), ("c2", 4, 10)]);
    reconcile(&rollout(false), &mut observed, ("c2", "s1"), 40).unwrap_err();
    assert_eq!(shares(&observed), "c2 20/s1 80");
}

#[test]
fn a_replica_progress_threshold_says_how_many_are_enough() {
    let cases = [
        (json!({"type": "Percent", "value": 70}), 6, 7),
        (json!({"type": "Percent", "value": 75}), 7, 8),
        (json!({"type": "Pods", "value": 3}), 2, 3),
        (json!({"type": "Percent", "value": -1}), 9, 10),
        (json!({"type": "Percent", "value": 0}), 0, 1),
    ];
    for (threshold, few, enough) in cases {
        let rollout = wanting(json!({
            "spec": {"strategy": {"canary": {"replicaProgressThreshold": threshold}}},
        }));
        for (available, gets_through) in [(few, false), (enough, true)] {
            let mut observed = at_twenty();
            pods(
                &mut observed,
                &[("s1", 10, 10), ("c2", 2, 2), ("c0", available, 10)],
            );
            let result = reconcile(&rollout, &mut observed, ("c0", "s1"), 70);
            assert_eq!(result.is_ok(), gets_through, "{threshold} {available}");
            let expected = if gets_through {
                "c0 70/s1 30"
            } else {
                "c2 20/s1 80"
            };
            assert_eq!(shares(&observed), expected, "{threshold} {available}");
        }
    }
}

#[test]
fn experiments_go_on_while_a_canary_waits() {
    let rollout = wanting(json!({"status": {"currentStepIndex": 0}}));
    let additional = [WeightDestination {
        weight: 10,
        service_name: "reviews-c0-3-0-trial".to_owned(),
        pod_template_hash: "t1".to_owned(),
    }];
    let mut observed = at_twenty();
    pods(
        &mut observed,
        &[("s1", 10, 10), ("c2", 2, 2), ("c0", 1, 2), ("t1", 1, 1)],
    );
    let hashes = Call::UpdateHash(PodHashes {
        canary: "c0",
        stable: "s1",
        additional: &additional,
    });
    settle(&rollout, &mut observed, hashes).unwrap();
    let call = Call::SetWeight(Weights {
        canary: 0,
        additional: &additional,
    });
    settle(&rollout, &mut observed, call).unwrap();
    assert_eq!(shares(&observed), "c2 0/s1 90");
}

#[test]
fn ping_pong_services_wait_as_subsets_do_and_others_do_not() {
    let services = |mut canary: Value| {
        canary["trafficRouting"] =
            json!({"managedRoutes": null, "plugins": {"serin/istio": {"destinationRule": null}}});
        wanting(
            json!({"spec": {"strategy": {"canary": canary}}, "status": {"canary": {"stablePingPong": "ping"}}}),
        )
    };
    let ping_pong = services(json!({"pingPong": {"pingService": "ping", "pongService": "pong"}}));
    let named = services(json!({"stableService": "ping", "canaryService": "pong"}));
    for (rollout, waits) in [(ping_pong, true), (named, false)] {
        let routes = json!([{"name": "primary", "route": [
            {"destination": {"host": "ping"}, "weight": 80},
            {"destination": {"host": "pong"}, "weight": 20},
        ]}]);
        let mut observed = observed(routes);
        observed.destination_rule = None;
        let pong = |observed: &Observed| {
            observed.virtual_services[0].as_ref().unwrap().spec["http"][0]["route"][1]["weight"]
                .clone()
        };
        pods(
            &mut observed,
            &[("s1", 10, 10), ("c2", 2, 2), ("c0", 1, 10)],
        );
        let result = reconcile(&rollout, &mut observed, ("c0", "s1"), 70);
        assert_eq!(result.is_err(), waits, "{result:?}");
        assert_eq!(pong(&observed), if waits { 20 } else { 70 });
        pods(&mut observed, &[("s1", 10, 10), ("c0", 10, 10)]);
        reconcile(&rollout, &mut observed, ("c0", "s1"), 100).unwrap();
        assert_eq!(pong(&observed), 100);
    }
}

#[test]
fn a_version_whose_pods_are_still_there_gets_traffic_at_once() {
    let rollout = wanting(json!({}));
    let mut observed = at_twenty();
    // Within `scaleDownDelaySeconds`.
    pods(
        &mut observed,
        &[("s1", 10, 10), ("c2", 2, 2), ("c0", 10, 10)],
    );
    reconcile(&rollout, &mut observed, ("c0", "s1"), 100).unwrap();
    assert_eq!(shares(&observed), "c0 100/s1 0");
    // `setCanaryScale: {replicas: 1}`: what the user wants is enough.
    let mut observed = at_twenty();
    pods(&mut observed, &[("s1", 10, 10), ("c0", 1, 1)]);
    reconcile(&rollout, &mut observed, ("c0", "s1"), 70).unwrap();
    assert_eq!(shares(&observed), "c0 70/s1 30");
}

#[test]
fn every_destination_of_every_protocol_waits() {
    let rollout = wanting(json!({"spec": {"strategy": {"canary": {"trafficRouting": {
        "managedRoutes": null,
        "plugins": {"serin/istio": {"virtualService": {"routes": null}}},
    }}}}, "status": {"currentPodHash": "c2"}}));
    let split = json!([
        {"destination": {"host": "reviews", "subset": "stable"}, "weight": 80},
        {"destination": {"host": "reviews", "subset": "canary"}, "weight": 15},
        {"destination": {"host": "reviews", "subset": "canary", "port": {"number": 81}}, "weight": 5},
    ]);
    for field in ["http", "tls", "tcp"] {
        let mut observed = at_twenty();
        let service = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
        service.spec = json!({"hosts": ["reviews"]});
        service.spec[field] = json!([{"route": split}]);
        let before = observed.virtual_services.clone();
        pods(&mut observed, &[("s1", 10, 10), ("c2", 1, 2)]);
        reconcile(&rollout, &mut observed, ("c2", "s1"), 70).unwrap_err();
        assert_eq!(observed.virtual_services, before, "{field}");
        pods(&mut observed, &[("s1", 10, 10), ("c2", 2, 2)]);
        reconcile(&rollout, &mut observed, ("c2", "s1"), 70).unwrap();
        assert_ne!(observed.virtual_services, before, "{field}");
    }
}
