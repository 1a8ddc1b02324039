//! Users who are told apart: the policy's share moves before the weights, each user once, and nothing is left of it.

use super::*;
use crate::core::fixtures::users::Users;

/// As [`with_steps`], with users told apart by a header; a null in `config` takes the field away.
fn with_keys(config: Value, change: Value) -> Rollout {
    let mut plugin = config;
    if plugin.get("sticky").is_none_or(Value::is_object) {
        plugin["sticky"]["keys"] = json!([{"header": "x-user"}]);
    }
    let mut whole = json!({"spec": {"strategy": {"canary": {
        "steps": [{"setWeight": 20}],
        "trafficRouting": {"plugins": {"serin/istio": plugin}},
    }}}});
    json_patch::merge(&mut whole, &change);
    rollout(whole)
}

fn sticky(status: Value) -> Rollout {
    with_keys(json!({}), json!({"status": status}))
}

/// [`settle`], with a look at the users after each write.
fn walk(
    rollout: &Rollout,
    observed: &mut Observed,
    call: Call<'_>,
    users: &mut Users,
) -> Vec<String> {
    let routing = Routing::of(rollout).unwrap();
    let mut log = Vec::new();
    users.look(&routing, observed);
    while let Some(write) = writes(rollout, &routing, observed, call)
        .unwrap()
        .into_iter()
        .next()
    {
        let kind = match &write {
            Write::Spec { object, .. } => object.id.kind,
            Write::Policy { object, .. } => object.kind,
        };
        log.push(kind.to_string());
        carry_out(write, observed);
        users.look(&routing, observed);
        assert!(log.len() < 10, "doesn't settle: {log:?}");
    }
    log
}

fn policy(observed: &Observed) -> Value {
    let plugin = observed.wasm_plugin.as_ref().unwrap();
    plugin.spec["pluginConfig"]["rollouts"]["shop/reviews"].clone()
}

fn share(observed: &Observed) -> Option<u64> {
    policy(observed)["sticky"]["canary"].as_u64()
}

fn lanes(observed: &Observed) -> Vec<String> {
    let routes = observed.virtual_services[0].as_ref().unwrap().spec["http"].clone();
    let names = routes.as_array().unwrap().iter();
    names
        .filter_map(|route| route["name"].as_str()?.strip_prefix("serin-shop.reviews."))
        .map(str::to_owned)
        .collect()
}

fn with_pods(observed: &mut Observed, pods: &[(&str, i64)]) {
    let sets = pods
        .iter()
        .map(|(hash, pods)| Arc::new(replica_set(hash, *pods)));
    observed.replica_sets = sets.collect();
}

const NOTHING: [&str; 0] = [];

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
    assert_eq!(observed.wasm_plugin, before.wasm_plugin);
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
    assert_eq!(observed.wasm_plugin, before.wasm_plugin);
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
        assert_eq!(observed.wasm_plugin, before.wasm_plugin, "{name}");
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
        let wasm_before = observed.wasm_plugin.clone();
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
        assert_eq!(observed.wasm_plugin, wasm_before);
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

#[test]
fn header_and_mirror_steps_leave_the_share_alone() {
    let header = json!({"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x", "headerValue": {"exact": "1"}}]}});
    let mirror = json!({"setMirrorRoute": {"name": "shadow", "percentage": 35, "match": [{"path": {"prefix": "/"}}]}});
    let steps = json!({"spec": {"strategy": {"canary": {"steps": [header, mirror]}}}});
    let rollout = with_keys(json!({}), steps.clone());
    let mut observed = observed(json!([primary(json!({}))]));
    settle(&rollout, &mut observed, set_weight(20)).unwrap();
    assert_eq!(
        settle(&rollout, &mut observed, header_step(&rollout)).unwrap(),
        NOTHING
    );
    let mut second = steps;
    second["status"] = json!({"currentStepIndex": 1});
    let rollout = with_keys(json!({}), second);
    let step = rollout.spec.strategy.canary.as_ref().unwrap().steps[1]
        .set_mirror_route
        .as_ref()
        .unwrap();
    assert_eq!(
        settle(
            &rollout,
            &mut observed,
            Call::SetRoute(RouteStep::Mirror(step))
        )
        .unwrap(),
        ["VirtualService", "WasmPlugin"]
    );
    assert_eq!(share(&observed), Some(20));
    assert_eq!(
        lanes(&observed),
        ["canary", "mirror", "stable", "stable-mirror"]
    );
    let routes = &observed.virtual_services[0].as_ref().unwrap().spec["http"];
    let lane = |name: &str| {
        let mut routes = routes.as_array().unwrap().iter();
        routes
            .find(|route| route["name"] == format!("serin-shop.reviews.{name}"))
            .unwrap()
    };
    assert_eq!(lane("mirror")["route"][1]["weight"], 20);
    assert_eq!(
        lane("stable-mirror")["route"],
        json!([{"destination": {"host": "reviews", "subset": "stable"}}])
    );
    assert_eq!(lane("stable-mirror")["mirrors"], lane("mirror")["mirrors"]);

    // With an abort the rules go at once.
    let aborted = sticky(json!({"abort": true}));
    assert_eq!(
        settle(&aborted, &mut observed, Call::RemoveManagedRoutes).unwrap(),
        ["WasmPlugin"]
    );
    assert_eq!(policy(&observed).get("rules"), None);
    assert_eq!(share(&observed), Some(20));
}

#[test]
fn what_others_change_in_the_policy_comes_back_with_the_weights_share() {
    let rollout = sticky(json!({}));
    let mut observed = observed(json!([primary(json!({}))]));
    settle(&rollout, &mut observed, set_weight(20)).unwrap();
    let standing = Standing {
        hashes: None,
        weights: Some(weights(20)),
    };
    let good = observed.clone();
    let set = |observed: &mut Observed, policy: Value| {
        let plugin = Arc::make_mut(observed.wasm_plugin.as_mut().unwrap());
        plugin.spec["pluginConfig"]["rollouts"]["shop/reviews"] = policy;
    };
    for wrong in [
        json!({"hosts": ["x"]}),
        json!({"sticky": {"keys": [], "salt": "c2", "canary": 70}}),
        json!({"sticky": 1}),
    ] {
        set(&mut observed, wrong.clone());
        assert_eq!(
            settle(&rollout, &mut observed, Call::Keep(standing)).unwrap(),
            ["WasmPlugin"],
            "{wrong}"
        );
        assert_eq!(observed.wasm_plugin, good.wasm_plugin, "{wrong}");
    }
    // Where no call has said any weight, the live one tells.
    set(&mut observed, json!({"hosts": ["x"]}));
    settle(&rollout, &mut observed, Call::Keep(Standing::default())).unwrap();
    assert_eq!(observed.wasm_plugin, good.wasm_plugin);
}

#[test]
fn between_the_calls_of_a_new_version_users_stay_where_they_are() {
    let mut observed = observed(json!([primary(json!({}))]));
    settle(&sticky(json!({})), &mut observed, set_weight(40)).unwrap();
    let standing = policy(&observed);
    let next = sticky(json!({"currentPodHash": "c3"}));
    with_pods(&mut observed, &[("s1", 3), ("c2", 1), ("c3", 1)]);
    let kept = Standing {
        hashes: Some(PodHashes {
            canary: "c2",
            stable: "s1",
            additional: &[],
        }),
        weights: Some(weights(40)),
    };
    assert_eq!(
        settle(&next, &mut observed, Call::Keep(kept)).unwrap(),
        NOTHING
    );
    assert_eq!(policy(&observed), standing);
    settle(&next, &mut observed, update_hash("c3", "s1")).unwrap();
    settle(&next, &mut observed, set_weight(10)).unwrap();
    assert_eq!(
        policy(&observed)["sticky"],
        json!({"keys": [{"header": "x-user"}], "salt": "c3", "canary": 10})
    );
}

#[test]
fn a_fixed_salt_and_another_maximum_are_said() {
    let max =
        json!({"spec": {"strategy": {"canary": {"trafficRouting": {"maxTrafficWeight": 1000}}}}});
    let rollout = with_keys(json!({"sticky": {"salt": "always"}}), max);
    let mut observed = observed(json!([primary(json!({}))]));
    settle(&rollout, &mut observed, set_weight(250)).unwrap();
    assert_eq!(
        policy(&observed)["sticky"],
        json!({"keys": [{"header": "x-user"}], "salt": "always", "canary": 250, "of": 1000})
    );
}

#[test]
fn declared_lanes_are_told_with_a_place_for_their_secret() {
    let rollout = with_keys(
        json!({"lanes": "declared", "laneSecret": "s3cret"}),
        json!({}),
    );
    let mut observed = observed(json!([primary(json!({}))]));
    let error = settle(&rollout, &mut observed, set_weight(0)).unwrap_err();
    for lane in ["canary", "stable"] {
        let line = format!(
            "\n- {{name: serin-shop.reviews.{lane}, match: [{{headers: {{x-rollout-lane.shop.reviews: {{exact: \"{lane}.<laneSecret>\"}}}}}}], route: [{{destination: {{host: reviews, subset: {lane}}}}}]}}"
        );
        assert!(error.contains(&line), "{line} in {error}");
    }
    let routes = error.split("\n- ").skip(1).map(|line| {
        let line = line.replace("<laneSecret>", "s3cret");
        let line: Value = serde_saphyr::from_str(&line).unwrap();
        line
    });
    let http: Vec<Value> = routes.chain([primary(json!({}))]).collect();
    observed.virtual_services = vec![Some(Arc::new(virtual_service(json!(http))))];
    let before = observed.virtual_services.clone();
    assert_eq!(
        settle(&rollout, &mut observed, set_weight(0)).unwrap(),
        ["WasmPlugin"]
    );
    assert_eq!(policy(&observed)["secret"], "s3cret");
    assert_eq!(observed.virtual_services, before);
}

fn plugin(config: Value) -> Value {
    json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": config}}}}}})
}

#[test]
fn keys_of_the_edge_are_refused_in_the_mesh() {
    let keys = [
        (json!([{"sourceAddress": true}]), "sourceAddress"),
        (
            json!([{"header": "x"}, {"cookie": "id", "issue": {}}]),
            "a cookie's issue",
        ),
    ];
    for (keys, what) in keys {
        let in_sticky = with_steps(plugin(json!({"sticky": {"keys": keys}})));
        let in_route = with_steps(plugin(
            json!({"routes": {"beta": {"percent": 50, "keys": keys}}}),
        ));
        for rollout in [in_sticky, in_route] {
            for (gateways, found) in [
                (json!(null), "nothing, which means the mesh"),
                (json!([]), "nothing, which means the mesh"),
                (json!(["istio-system/edge", "mesh"]), "mesh among them"),
            ] {
                let mut observed = observed(json!([primary(json!({}))]));
                let object = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
                object.spec["gateways"] = gateways;
                let error = settle(&rollout, &mut observed, set_weight(0)).unwrap_err();
                assert_eq!(
                    error,
                    format!(
                        "VirtualService shop/reviews: spec.gateways: found {found}, expected no gateway but those at an edge: {what} in the plugin's keys means nothing elsewhere"
                    )
                );
            }
            let mut observed = observed(json!([primary(json!({}))]));
            let object = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
            object.spec["gateways"] = json!(["istio-system/edge"]);
            settle(&rollout, &mut observed, set_weight(0)).unwrap();
        }
    }
    // The edge is at the hosts where the lane is decided ahead.
    let hops = with_steps(plugin(json!({
        "sticky": {"keys": [{"cookie": "id", "issue": {}}]}, "entryHosts": ["Shop.example.com", "frontend"],
    })));
    let mut observed = observed(json!([primary(json!({}))]));
    settle(&hops, &mut observed, set_weight(0)).unwrap();
    assert_eq!(
        policy(&observed)["entryHosts"],
        json!(["shop.example.com", "frontend.shop.svc.cluster.local"])
    );
}

#[test]
fn a_rollout_that_stops_telling_users_apart_takes_it_out_of_the_policy() {
    let mut observed = observed(json!([primary(json!({}))]));
    let before = observed.wasm_plugin.clone();
    settle(&sticky(json!({})), &mut observed, set_weight(20)).unwrap();
    let plain = with_keys(json!({"sticky": null}), json!({}));
    assert_eq!(
        settle(&plain, &mut observed, set_weight(20)).unwrap(),
        ["WasmPlugin", "VirtualService"]
    );
    assert_eq!(observed.wasm_plugin, before);
    assert_eq!(lanes(&observed), NOTHING);
}

#[test]
fn routes_without_http_have_no_users() {
    let mut observed = observed(json!([]));
    let object = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
    object.spec = json!({"hosts": ["reviews"], "tls": [{"match": [{"port": 443, "sniHosts": ["a"]}], "route": primary(json!({}))["route"]}]});
    let rollout = with_keys(json!({"virtualService": {"routes": null}}), json!({}));
    let error = settle(&rollout, &mut observed, set_weight(0)).unwrap_err();
    assert!(
        error.starts_with("VirtualService shop/reviews: spec.http: found nothing, "),
        "{error}"
    );
}
