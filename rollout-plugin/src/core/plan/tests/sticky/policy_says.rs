//! What the policy says of users who are told apart, and what is refused.

use super::*;

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
        primary(json!({}))["route"],
        "no weight moves what is the stable lane's"
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
        let plugin = Arc::make_mut(observed.filters[0].as_mut().unwrap());
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
        assert_eq!(observed.filters, good.filters, "{wrong}");
    }
    // Where no call has said any weight, the live one tells.
    set(&mut observed, json!({"hosts": ["x"]}));
    settle(&rollout, &mut observed, Call::Keep(Standing::default())).unwrap();
    assert_eq!(observed.filters, good.filters);
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
    for (lane, stable, canary) in [("canary", 0, 100), ("stable", 100, 0)] {
        let line = format!(
            "\n- {{name: serin-shop.reviews.{lane}, match: [{{headers: {{x-rollout-lane.shop.reviews: {{exact: \"{lane}.<laneSecret>\"}}}}}}], route: [{{destination: {{host: reviews, subset: stable}}, weight: {stable}}}, {{destination: {{host: reviews, subset: canary}}, weight: {canary}}}]}}"
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
    let before = observed.filters.clone();
    settle(&sticky(json!({})), &mut observed, set_weight(20)).unwrap();
    let plain = with_keys(json!({"sticky": null}), json!({}));
    assert_eq!(
        settle(&plain, &mut observed, set_weight(20)).unwrap(),
        ["WasmPlugin", "VirtualService"]
    );
    assert_eq!(observed.filters, before);
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
