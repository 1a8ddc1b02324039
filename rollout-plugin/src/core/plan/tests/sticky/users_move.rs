//! The policy's share moves before the weights, each user once, and nothing is left of it.

use super::*;

#[test]
fn a_ramp_moves_each_user_once_and_leaves_nothing() {
    let mut observed = observed(json!([primary(json!({}))]));
    let before = observed.clone();
    let mut users = Users::default();
    let ramp = sticky(json!({}));
    let mut on = |rollout: &Rollout, observed: &mut Observed, call| {
        walk(rollout, observed, call, &mut users)
    };

    with_pods(&mut observed, &[("s1", 3)]);
    assert_eq!(on(&ramp, &mut observed, Call::RemoveManagedRoutes), NOTHING);
    assert_eq!(on(&ramp, &mut observed, update_hash("c2", "s1")), NOTHING);
    assert_eq!(
        on(&ramp, &mut observed, set_weight(0)),
        ["VirtualService", "WasmPlugin"]
    );
    let hosts = policy(&observed)["hosts"].clone();
    assert_eq!(
        policy(&observed),
        json!({
            "hosts": hosts, "virtualServices": {"shop/reviews": ["primary"]},
            "sticky": {"keys": [{"header": "x-user"}], "salt": "c2", "canary": 0},
        })
    );
    assert_eq!(lanes(&observed), ["canary", "stable"]);
    assert_eq!(on(&ramp, &mut observed, Call::RemoveManagedRoutes), NOTHING);

    with_pods(&mut observed, &[("s1", 3), ("c2", 1)]);
    assert_eq!(
        on(&ramp, &mut observed, update_hash("c2", "s1")),
        ["DestinationRule"]
    );
    for weight in [10, 35, 60, 100] {
        assert_eq!(
            on(&ramp, &mut observed, set_weight(weight)),
            ["WasmPlugin", "VirtualService"]
        );
        assert_eq!(share(&observed), u64::try_from(weight).ok());
        assert_eq!(on(&ramp, &mut observed, set_weight(weight)), NOTHING);
    }
    let promoted = sticky(json!({"stableRS": "c2"}));
    assert_eq!(
        on(&promoted, &mut observed, Call::RemoveManagedRoutes),
        ["WasmPlugin", "VirtualService"],
        "the weights lead everybody to where the lanes did"
    );
    assert_eq!(
        on(&promoted, &mut observed, update_hash("c2", "c2")),
        ["DestinationRule"]
    );
    assert_eq!(
        on(&promoted, &mut observed, set_weight(0)),
        ["VirtualService"]
    );
    assert_eq!(observed.virtual_services, before.virtual_services);
    assert_eq!(observed.filters, before.filters);
    for (bucket, history) in users.histories() {
        assert_eq!(history, ["s1", "c2"], "user {bucket}");
    }
}

#[test]
fn an_abort_takes_everybody_back_before_the_weights_move() {
    let mut observed = observed(json!([primary(json!({}))]));
    let before = observed.clone();
    let mut users = Users::default();
    let ramp = sticky(json!({}));
    walk(&ramp, &mut observed, set_weight(0), &mut users);
    walk(&ramp, &mut observed, set_weight(40), &mut users);

    let aborted = sticky(json!({"abort": true}));
    assert_eq!(
        walk(
            &aborted,
            &mut observed,
            Call::RemoveManagedRoutes,
            &mut users
        ),
        NOTHING,
        "as long as the weights stand, so does the share"
    );
    assert_eq!(
        walk(&aborted, &mut observed, set_weight(0), &mut users),
        [
            "WasmPlugin",
            "VirtualService",
            "WasmPlugin",
            "VirtualService"
        ]
    );
    for call in [Call::RemoveManagedRoutes, set_weight(0)] {
        assert_eq!(walk(&aborted, &mut observed, call, &mut users), NOTHING);
    }
    assert_eq!(observed.virtual_services, before.virtual_services);
    assert_eq!(observed.filters, before.filters);
    assert_eq!(users.history(33), ["s1", "c2", "s1"]);
    assert_eq!(users.history(50), ["s1"]);
}

#[test]
fn an_abort_with_a_dynamic_stable_scale_goes_back_step_by_step() {
    let mut observed = observed(json!([primary(json!({}))]));
    let mut users = Users::default();
    walk(&sticky(json!({})), &mut observed, set_weight(0), &mut users);
    walk(
        &sticky(json!({})),
        &mut observed,
        set_weight(100),
        &mut users,
    );
    let aborted = sticky(json!({"abort": true}));
    for weight in [100, 60, 20, 0] {
        for call in [Call::RemoveManagedRoutes, set_weight(weight)] {
            walk(&aborted, &mut observed, call, &mut users);
        }
        let routing = Routing::of(&aborted).unwrap();
        assert!(weight_is_live(&aborted, &routing, &observed, weights(weight)).unwrap());
    }
    assert_eq!(share(&observed), None);
    for (bucket, history) in users.histories() {
        assert_eq!(history, ["s1", "c2", "s1"], "user {bucket}");
    }
}

#[test]
fn an_abort_does_not_wait_for_a_route_that_is_gone() {
    let mut observed = observed(json!([primary(json!({}))]));
    let mut users = Users::default();
    walk(
        &sticky(json!({})),
        &mut observed,
        set_weight(40),
        &mut users,
    );
    let object = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
    object.spec["http"][2]["redirect"] = json!({"uri": "/"});
    let aborted = sticky(json!({"abort": true}));
    assert_eq!(
        settle(&aborted, &mut observed, Call::RemoveManagedRoutes).unwrap(),
        ["WasmPlugin", "VirtualService"]
    );
}

#[test]
fn back_to_the_stable_image_and_promoted_at_once_users_move_once() {
    for (name, status, hashes, expected) in [
        (
            "rolled back",
            json!({"currentPodHash": "s1"}),
            ("s1", "s1"),
            ["s1", "c2", "s1"].as_slice(),
        ),
        (
            "promoted in full",
            json!({"stableRS": "c2"}),
            ("c2", "c2"),
            &["s1", "c2"],
        ),
    ] {
        let mut observed = observed(json!([primary(json!({}))]));
        let before = observed.clone();
        let mut users = Users::default();
        walk(&sticky(json!({})), &mut observed, set_weight(0), &mut users);
        walk(
            &sticky(json!({})),
            &mut observed,
            set_weight(40),
            &mut users,
        );
        let full = sticky(json!({"promoteFull": true}));
        for call in [Call::RemoveManagedRoutes, set_weight(40)] {
            assert_eq!(
                walk(&full, &mut observed, call, &mut users),
                NOTHING,
                "{name}"
            );
        }
        let rollout = sticky(status);
        for call in [
            Call::RemoveManagedRoutes,
            update_hash(hashes.0, hashes.1),
            set_weight(0),
        ] {
            walk(&rollout, &mut observed, call, &mut users);
        }
        assert_eq!(users.history(33), expected, "{name}");
        assert!(
            users.history(50).len() <= 2,
            "{name}: {:?}",
            users.history(50)
        );
        assert_eq!(observed.virtual_services, before.virtual_services, "{name}");
        assert_eq!(observed.filters, before.filters, "{name}");
    }
}

/// Ping-pong: `ping` is the canary's until the promotion, and the stable version's from then on.
fn ping_pong(status: Value) -> Rollout {
    let mut change = json!({
        "spec": {"strategy": {"canary": {"pingPong": {"pingService": "ping", "pongService": "pong"}}}},
        "status": {"canary": {"stablePingPong": "pong"}},
    });
    json_patch::merge(&mut change, &json!({"status": status}));
    with_keys(json!({"destinationRule": null}), change)
}

#[test]
fn ping_pong_services_swap_sides_and_users_do_not() {
    for last in [100, 40] {
        let mut observed = observed(json!([{"name": "primary", "route": [
            {"destination": {"host": "pong"}, "weight": 100}, {"destination": {"host": "ping"}, "weight": 0},
        ]}]));
        let wasm_before = observed.filters.clone();
        let mut users = Users::of(&[("ping", "c2"), ("pong", "s1")]);
        for weight in [0, 20, last] {
            walk(
                &ping_pong(json!({})),
                &mut observed,
                set_weight(weight),
                &mut users,
            );
        }
        let promoted = ping_pong(json!({"stableRS": "c2", "canary": {"stablePingPong": "ping"}}));
        for call in [
            Call::RemoveManagedRoutes,
            update_hash("c2", "c2"),
            set_weight(0),
        ] {
            walk(&promoted, &mut observed, call, &mut users);
        }
        assert_eq!(observed.filters, wasm_before);
        assert_eq!(
            observed.virtual_services[0].as_ref().unwrap().spec["http"],
            json!([{"name": "primary", "route": [
                {"destination": {"host": "pong"}, "weight": 0}, {"destination": {"host": "ping"}, "weight": 100},
            ]}])
        );
        for (bucket, history) in users.histories() {
            assert_eq!(history, ["s1", "c2"], "user {bucket} from {last}");
        }
    }
}

#[test]
fn nobody_is_sent_to_a_canary_without_pods() {
    for config in [json!({}), json!({"destinationRule": null})] {
        let services = json!({"spec": {"strategy": {"canary": {"canaryService": "canary", "stableService": "stable"}}}});
        let route = if config == json!({}) {
            primary(json!({}))
        } else {
            json!({"name": "primary", "route": [{"destination": {"host": "stable"}, "weight": 100}, {"destination": {"host": "canary"}, "weight": 0}]})
        };
        let rollout = with_keys(config.clone(), services);
        let mut observed = observed(json!([route]));
        settle(&rollout, &mut observed, set_weight(40)).unwrap();
        assert_eq!(share(&observed), Some(40));

        with_pods(&mut observed, &[("s1", 3), ("c2", 0)]);
        let standing = Standing {
            hashes: None,
            weights: Some(weights(40)),
        };
        assert_eq!(
            settle(&rollout, &mut observed, Call::Keep(standing)).unwrap(),
            ["WasmPlugin"],
            "{config}"
        );
        assert_eq!(share(&observed), Some(0));
        let routing = Routing::of(&rollout).unwrap();
        assert!(!weight_is_live(&rollout, &routing, &observed, weights(40)).unwrap());
        assert_eq!(
            settle(&rollout, &mut observed, Call::RemoveManagedRoutes).unwrap(),
            NOTHING
        );
        settle(&rollout, &mut observed, set_weight(0)).unwrap();

        with_pods(&mut observed, &[("s1", 3), ("c2", 1)]);
        assert_eq!(
            settle(&rollout, &mut observed, set_weight(40)).unwrap(),
            ["WasmPlugin", "VirtualService"]
        );
        assert!(weight_is_live(&rollout, &routing, &observed, weights(40)).unwrap());
    }
}

#[test]
fn a_removal_takes_nobody_to_a_canary_without_pods() {
    let rollout = sticky(json!({}));
    let mut observed = observed(json!([primary(json!({}))]));
    settle(&rollout, &mut observed, set_weight(40)).unwrap();
    with_pods(&mut observed, &[("s1", 3), ("c2", 0)]);
    assert_eq!(
        settle(&rollout, &mut observed, Call::RemoveManagedRoutes).unwrap(),
        ["WasmPlugin"]
    );
    assert_eq!(share(&observed), Some(0));
    assert_eq!(lanes(&observed), ["canary", "stable"]);
}
