//! Lane routes over several calls: declared ones, several Rollouts on one VirtualService, and what users edit in the
//! middle of a canary.

use super::*;

/// As [`with_steps`]; a null in `config` takes the field away.
fn with_config(config: Value, change: Value) -> Rollout {
    let step = json!({"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x", "headerValue": {"exact": "1"}}]}});
    let mut whole = json!({"spec": {"strategy": {"canary": {
        "steps": [step, {"setWeight": 20}],
        "trafficRouting": {"plugins": {"serin/istio": config}},
    }}}});
    json_patch::merge(&mut whole, &change);
    rollout(whole)
}

fn declared() -> Rollout {
    with_config(json!({"lanes": "declared"}), json!({}))
}

fn http(observed: &Observed) -> &Value {
    &observed.virtual_services[0].as_ref().unwrap().spec["http"]
}

fn http_mut(observed: &mut Observed) -> &mut Value {
    &mut Arc::make_mut(observed.virtual_services[0].as_mut().unwrap()).spec["http"]
}

fn names(observed: &Observed) -> Vec<&str> {
    let routes = http(observed).as_array().unwrap();
    routes
        .iter()
        .map(|route| route["name"].as_str().unwrap_or_default())
        .collect()
}

fn policy(observed: &Observed, rollout: &str) -> Value {
    let plugin = observed.filters[0].as_ref().unwrap();
    plugin.spec["pluginConfig"]["rollouts"][rollout].clone()
}

fn weight(route: &Value) -> (u64, u64) {
    let weight = |index: usize| route["route"][index]["weight"].as_u64().unwrap();
    (weight(0), weight(1))
}

/// What managed lanes look like when they stand, with a mirror lane and a timeout of the user's own.
fn with_lane_routes() -> Value {
    let header =
        |lane: &str| json!([{"headers": {"x-rollout-lane.shop.reviews": {"exact": lane}}}]);
    let canary = json!({"destination": {"host": "reviews", "subset": "canary"}});
    json!([
        {"name": "serin-shop.reviews.mirror", "match": header("mirror"), "mirrors": [canary], "route": primary(json!({}))["route"]},
        {"name": "serin-shop.reviews.canary", "match": header("canary"), "route": [canary], "timeout": "60s"},
        primary(json!({})),
    ])
}

#[test]
fn with_declared_lanes_only_weights_move() {
    let rollout = declared();
    let mut observed = observed(with_lane_routes());
    let before = observed.virtual_services.clone();
    assert_eq!(
        settle(&rollout, &mut observed, header_step(&rollout)).unwrap(),
        ["DestinationRule", "WasmPlugin"]
    );
    assert_eq!(observed.virtual_services, before);
    assert_eq!(policy(&observed, "shop/reviews")["lanes"], "declared");

    assert_eq!(
        settle(&rollout, &mut observed, set_weight(20)).unwrap(),
        ["VirtualService"]
    );
    let mut expected = with_lane_routes();
    for route in [0, 2] {
        expected[route]["route"][0]["weight"] = json!(80);
        expected[route]["route"][1]["weight"] = json!(20);
    }
    assert_eq!(
        *http(&observed),
        expected,
        "the mirror lane follows the weights"
    );
    let routing = Routing::of(&rollout).unwrap();
    assert!(weight_is_live(&rollout, &routing, &observed, weights(20)).unwrap());

    assert_eq!(
        settle(&rollout, &mut observed, Call::RemoveManagedRoutes).unwrap(),
        ["WasmPlugin"]
    );
    let promoted = with_config(
        json!({"lanes": "declared"}),
        json!({"status": {"stableRS": "c2"}}),
    );
    assert_eq!(
        settle(&promoted, &mut observed, Call::RemoveManagedRoutes).unwrap(),
        [""; 0]
    );
}

#[test]
fn a_missing_declared_lane_is_told_at_the_first_weight_and_never_holds_up_an_abort() {
    let rollout = declared();
    let mut observed = observed(json!([primary(json!({}))]));
    for call in [
        set_weight(0),
        header_step(&rollout),
        Call::Keep(Standing::default()),
    ] {
        let before = observed.virtual_services.clone();
        let error = settle(&rollout, &mut observed, call).unwrap_err();
        assert!(
            error.contains("\n- {name: serin-shop.reviews.canary, "),
            "{error}"
        );
        assert!(!error.contains("mirror"), "no step mirrors: {error}");
        assert_eq!(observed.virtual_services, before);
    }
    let mirror = json!({"spec": {"strategy": {"canary": {"steps": [{"setWeight": 5}, {"setMirrorRoute": {"name": "shadow", "match": [{"path": {"prefix": "/"}}]}}]}}}});
    let mirrors = with_config(json!({"lanes": "declared"}), mirror);
    let error = settle(&mirrors, &mut observed, set_weight(0)).unwrap_err();
    assert!(
        error.contains("\n- {name: serin-shop.reviews.mirror, "),
        "{error}"
    );

    for status in [
        json!({"abort": true}),
        json!({"promoteFull": true}),
        json!({"stableRS": "c2"}),
        json!({"stableRS": ""}),
    ] {
        let rollout = with_config(json!({"lanes": "declared"}), json!({"status": status}));
        settle(&rollout, &mut observed, set_weight(0)).unwrap();
        settle(&rollout, &mut observed, Call::RemoveManagedRoutes).unwrap();
    }
}

#[test]
fn lanes_change_hands_in_the_middle_of_a_canary() {
    let managed = with_steps(json!({}));
    let mut observed = observed(json!([primary(json!({"timeout": "3s"}))]));
    settle(&managed, &mut observed, header_step(&managed)).unwrap();
    settle(&managed, &mut observed, set_weight(20)).unwrap();
    let standing = http(&observed).clone();

    // What Serin has written is what it asks the user for.
    assert_eq!(
        settle(&declared(), &mut observed, set_weight(20)).unwrap(),
        ["WasmPlugin"]
    );
    assert_eq!(*http(&observed), standing);
    // From now on it is the user's.
    http_mut(&mut observed)[0]["timeout"] = json!("60s");
    assert_eq!(
        settle(&declared(), &mut observed, set_weight(20)).unwrap(),
        [""; 0]
    );
    // And back.
    assert_eq!(
        settle(&managed, &mut observed, set_weight(20)).unwrap(),
        ["VirtualService", "WasmPlugin"]
    );
    assert_eq!(*http(&observed), standing);
    assert_eq!(policy(&observed, "shop/reviews").get("lanes"), None);
    settle(&managed, &mut observed, Call::RemoveManagedRoutes).unwrap();
    assert_eq!(names(&observed), ["primary"]);

    // A sync that takes the lane routes with it leaves the weights to decide, and an error.
    settle(&managed, &mut observed, set_weight(20)).unwrap();
    *http_mut(&mut observed) = json!([primary(json!({}))]);
    assert!(settle(&declared(), &mut observed, set_weight(30)).is_err());
}

/// The Rollout `shop/search` by Services, which manages the route `search`.
fn search(lanes: &str) -> Rollout {
    let config =
        json!({"lanes": lanes, "virtualService": {"routes": ["search"]}, "destinationRule": null});
    with_config(
        config,
        json!({
            "metadata": {"name": "search"},
            "spec": {"strategy": {"canary": {"canaryService": "search-canary", "stableService": "search-stable"}}},
        }),
    )
}

fn search_route() -> Value {
    json!({"name": "search", "match": [{"uri": {"prefix": "/search"}}], "route": [
        {"destination": {"host": "search-stable"}, "weight": 100},
        {"destination": {"host": "search-canary"}, "weight": 0},
    ]})
}

#[test]
fn two_rollouts_on_one_virtual_service_keep_each_others_lanes() {
    let admin = json!({"name": "admin", "match": [{"uri": {"prefix": "/admin"}}], "route": [{"destination": {"host": "admin"}}]});
    let users = json!([admin, search_route(), primary(json!({}))]);
    let (one, other) = (with_steps(json!({})), search("managed"));
    let mut observed = observed(users.clone());
    settle(&one, &mut observed, header_step(&one)).unwrap();
    settle(&other, &mut observed, header_step(&other)).unwrap();
    let both = [
        "admin",
        "serin-shop.search.canary",
        "search",
        "serin-shop.reviews.canary",
        "primary",
    ];
    assert_eq!(names(&observed), both);
    for (rollout, weight) in [(&one, 20), (&other, 30), (&one, 20), (&other, 30)] {
        settle(rollout, &mut observed, set_weight(weight)).unwrap();
        assert_eq!(names(&observed), both);
    }
    assert_eq!(weight(&http(&observed)[2]), (70, 30));
    assert_eq!(weight(&http(&observed)[4]), (80, 20));
    assert_eq!(
        settle(&one, &mut observed, set_weight(20)).unwrap(),
        [""; 0]
    );
    for rollout in [&one, &other] {
        settle(rollout, &mut observed, set_weight(0)).unwrap();
        settle(rollout, &mut observed, Call::RemoveManagedRoutes).unwrap();
    }
    assert_eq!(*http(&observed), users);
}

#[test]
fn a_managed_and_a_declared_rollout_keep_each_others_lanes() {
    let (one, other) = (with_steps(json!({})), search("declared"));
    let mut declared = search_route();
    declared["name"] = json!("serin-shop.search.canary");
    declared["match"][0]["headers"] = json!({"x-rollout-lane.shop.search": {"exact": "canary"}});
    declared["route"] = json!([{"destination": {"host": "search-canary"}}]);
    // Where the user has put it: not directly above its route.
    let users = json!([search_route(), primary(json!({}))]);
    let mut users = users.as_array().unwrap().clone();
    users.insert(0, declared);
    let mut observed = observed(json!(users));
    settle(&other, &mut observed, header_step(&other)).unwrap();
    settle(&one, &mut observed, header_step(&one)).unwrap();
    settle(&other, &mut observed, set_weight(10)).unwrap();
    assert_eq!(
        names(&observed),
        [
            "serin-shop.search.canary",
            "search",
            "serin-shop.reviews.canary",
            "primary"
        ]
    );
    for rollout in [&one, &other] {
        settle(rollout, &mut observed, set_weight(0)).unwrap();
        settle(rollout, &mut observed, Call::RemoveManagedRoutes).unwrap();
    }
    assert_eq!(*http(&observed), json!(users));
}

#[test]
fn two_rollouts_with_several_managed_routes_each_share_a_virtual_service() {
    let named = |route: Value, name: &str| {
        let mut route = route;
        route["name"] = json!(name);
        route
    };
    let users = json!([
        named(search_route(), "search-v2"),
        {"match": [{"uri": {"prefix": "/nameless"}}], "route": [{"destination": {"host": "other"}}]},
        named(primary(json!({})), "second"),
        search_route(),
        primary(json!({})),
    ]);
    let one = managing(&["primary", "second"]);
    let config =
        json!({"virtualService": {"routes": ["search", "search-v2"]}, "destinationRule": null});
    let other = with_config(
        config,
        json!({
            "metadata": {"name": "search"},
            "spec": {"strategy": {"canary": {"canaryService": "search-canary", "stableService": "search-stable"}}},
        }),
    );
    let mut observed = observed(users.clone());
    for rollout in [&one, &other, &one, &other] {
        settle(rollout, &mut observed, header_step(rollout)).unwrap();
        settle(rollout, &mut observed, set_weight(10)).unwrap();
    }
    assert_eq!(
        names(&observed),
        [
            "serin-shop.search.canary:search-v2",
            "search-v2",
            "",
            "serin-shop.reviews.canary:second",
            "second",
            "serin-shop.search.canary:search",
            "search",
            "serin-shop.reviews.canary:primary",
            "primary"
        ]
    );
    for rollout in [&one, &other] {
        assert_eq!(
            settle(rollout, &mut observed, set_weight(10)).unwrap(),
            [""; 0]
        );
    }
    for rollout in [&one, &other] {
        settle(rollout, &mut observed, set_weight(0)).unwrap();
        settle(rollout, &mut observed, Call::RemoveManagedRoutes).unwrap();
    }
    assert_eq!(*http(&observed), users);
}

#[test]
fn declared_lanes_of_another_rollout_are_never_put_in_order() {
    let lane = |name: &str| json!({"name": name, "route": [{"destination": {"host": "zebra"}}]});
    let users = json!([
        lane("serin-shop.zebra.mirror"),
        lane("serin-shop.zebra.canary"),
        lane("serin-shop.alpha.canary"),
        primary(json!({})),
    ]);
    let rollout = with_steps(json!({}));
    let mut observed = observed(users.clone());
    settle(&rollout, &mut observed, header_step(&rollout)).unwrap();
    assert_eq!(names(&observed)[0], "serin-shop.reviews.canary");
    assert_eq!(
        names(&observed)[1..4],
        [
            "serin-shop.zebra.mirror",
            "serin-shop.zebra.canary",
            "serin-shop.alpha.canary"
        ]
    );
    settle(&rollout, &mut observed, Call::RemoveManagedRoutes).unwrap();
    assert_eq!(*http(&observed), users);
}

/// What a user does to the HTTP routes.
type Edit = Box<dyn Fn(&mut Vec<Value>)>;

#[test]
fn what_a_user_edits_in_the_middle_is_kept_and_the_lane_routes_follow() {
    let lane = "serin-shop.reviews.canary";
    let other = json!({"name": "other", "match": [{"uri": {"prefix": "/other"}}], "route": [{"destination": {"host": "other"}}]});
    let between = other.clone();
    let cases: [(&str, Edit, &[&str]); 5] = [
        (
            "a timeout",
            Box::new(|http| http[1]["timeout"] = json!("9s")),
            &[lane, "primary"],
        ),
        (
            "a match",
            Box::new(|http| http[1]["match"] = json!([{"uri": {"prefix": "/v2"}}])),
            &[lane, "primary"],
        ),
        (
            "a route above",
            Box::new(move |http| http.insert(0, other.clone())),
            &["other", lane, "primary"],
        ),
        (
            "a route between",
            Box::new(move |http| http.insert(1, between.clone())),
            &["other", lane, "primary"],
        ),
        (
            "the lane route itself",
            Box::new(|http| {
                http.remove(0);
            }),
            &[lane, "primary"],
        ),
    ];
    let rollout = with_steps(json!({}));
    for (what, edit, expected) in cases {
        let mut observed = observed(json!([primary(json!({}))]));
        settle(&rollout, &mut observed, header_step(&rollout)).unwrap();
        let standing = policy(&observed, "shop/reviews");
        let mut routes = http(&observed).as_array().unwrap().clone();
        edit(&mut routes);
        *http_mut(&mut observed) = json!(routes);
        let users: Vec<Value> = routes
            .into_iter()
            .filter(|route| route["name"] != lane)
            .collect();

        settle(&rollout, &mut observed, set_weight(0)).unwrap();
        assert_eq!(names(&observed), expected, "{what}");
        assert_eq!(policy(&observed, "shop/reviews"), standing, "{what}");
        let after = http(&observed).as_array().unwrap();
        let managed = after.last().unwrap();
        let clone = after.iter().find(|route| route["name"] == lane).unwrap();
        assert_eq!(clone.get("timeout"), managed.get("timeout"), "{what}");
        assert_eq!(
            clone["match"][0].get("uri"),
            managed.pointer("/match/0/uri"),
            "{what}"
        );
        let kept: Vec<Value> = after
            .iter()
            .filter(|route| route["name"] != lane)
            .cloned()
            .collect();
        assert_eq!(kept, users, "{what}");
        assert_eq!(
            settle(&rollout, &mut observed, set_weight(0)).unwrap(),
            [""; 0],
            "{what}"
        );
    }
}

fn managing(routes: &[&str]) -> Rollout {
    with_config(json!({"virtualService": {"routes": routes}}), json!({}))
}

#[test]
fn a_renamed_route_takes_its_lanes_along() {
    let mut observed = observed(json!([primary(json!({}))]));
    let before = managing(&["primary"]);
    settle(&before, &mut observed, header_step(&before)).unwrap();
    http_mut(&mut observed)[1]["name"] = json!("renamed");
    assert_eq!(
        settle(&before, &mut observed, set_weight(0)).unwrap_err(),
        r#"VirtualService shop/reviews: spec.http[].name: found ["renamed"], expected a route named "primary""#
    );
    let after = managing(&["renamed"]);
    // The lane route's name doesn't hold it, so that the policy alone has to change.
    assert_eq!(
        settle(&after, &mut observed, set_weight(0)).unwrap(),
        ["WasmPlugin"]
    );
    assert_eq!(names(&observed), ["serin-shop.reviews.canary", "renamed"]);
    assert_eq!(
        policy(&observed, "shop/reviews")["virtualServices"],
        json!({"shop/reviews": ["renamed"]})
    );
}

#[test]
fn lane_routes_of_a_name_that_is_gone_go() {
    let second = primary(json!({"name": "second", "match": [{"uri": {"prefix": "/2"}}]}));
    let mut observed = observed(json!([second, primary(json!({}))]));
    let before = managing(&["primary", "second"]);
    settle(&before, &mut observed, header_step(&before)).unwrap();
    http_mut(&mut observed)[1]["name"] = json!("renamed");
    let after = managing(&["primary", "renamed"]);
    assert_eq!(
        settle(&after, &mut observed, set_weight(0)).unwrap(),
        ["VirtualService", "WasmPlugin"]
    );
    assert_eq!(
        names(&observed),
        [
            "serin-shop.reviews.canary:renamed",
            "renamed",
            "serin-shop.reviews.canary:primary",
            "primary"
        ]
    );
}

#[test]
fn lanes_of_a_route_that_is_no_longer_managed_go_after_the_policy() {
    let second = primary(json!({"name": "second", "match": [{"uri": {"prefix": "/2"}}]}));
    let mut observed = observed(json!([second, primary(json!({}))]));
    let before = managing(&["primary", "second"]);
    settle(&before, &mut observed, header_step(&before)).unwrap();
    let after = managing(&["primary"]);
    let routing = Routing::of(&after).unwrap();
    let first = writes(&after, &routing, &observed, set_weight(0)).unwrap();
    let Write::Spec { spec, .. } = &first[0] else {
        panic!("{first:?}");
    };
    let standing: Vec<_> = spec["http"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| &route["name"])
        .collect();
    assert_eq!(
        standing,
        [
            "serin-shop.reviews.canary:second",
            "second",
            "serin-shop.reviews.canary",
            "primary"
        ]
    );
    assert_eq!(
        settle(&after, &mut observed, set_weight(0)).unwrap(),
        ["VirtualService", "WasmPlugin", "VirtualService"]
    );
    assert_eq!(
        names(&observed),
        ["second", "serin-shop.reviews.canary", "primary"]
    );

    // A route that becomes a managed one has its lane route before the policy names it.
    assert_eq!(
        settle(&before, &mut observed, set_weight(0)).unwrap(),
        ["VirtualService", "WasmPlugin"]
    );
}

#[test]
fn an_edit_of_a_route_with_declared_lanes_is_told() {
    let rollout = declared();
    let mut observed = observed(with_lane_routes());
    settle(&rollout, &mut observed, header_step(&rollout)).unwrap();
    http_mut(&mut observed)[2]["match"] = json!([{"uri": {"prefix": "/v2"}}]);
    let error = settle(&rollout, &mut observed, set_weight(20)).unwrap_err();
    assert!(
        error.starts_with(r#"VirtualService shop/reviews: spec.http[1].match of "serin-shop.reviews.canary": found [{headers: {x-rollout-lane.shop.reviews: {exact: canary}}}], expected the matches of route "primary" with the lane header: [{headers: {x-rollout-lane.shop.reviews: {exact: canary}}, uri: {prefix: /v2}}]; "#),
        "{error}"
    );
    assert!(
        error.contains("timeout: \"60s\""),
        "the user's own stays in the lines: {error}"
    );
}

#[test]
fn a_delegates_lanes_stand_in_it_and_its_policy_names_the_root() {
    let rollout = with_steps(json!({}));
    let mut observed = observed(json!([primary(json!({}))]));
    let delegate = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
    delegate.spec.as_object_mut().unwrap().remove("hosts");
    let mut root = delegate.clone();
    root.id.namespace = "edge".to_owned();
    root.id.name = "root".to_owned();
    root.spec = json!({"hosts": ["shop.example.com"], "http": [{"name": "team", "delegate": {"name": "reviews", "namespace": "shop"}}]});
    assert_eq!(
        settle(&rollout, &mut observed, set_weight(0)).unwrap_err(),
        "VirtualService shop/reviews: spec.hosts: found nothing, expected hosts, or another VirtualService that has hosts and http[].delegate {name: reviews, namespace: shop}"
    );
    observed.roots = vec![Arc::new(root)];
    assert_eq!(
        settle(&rollout, &mut observed, header_step(&rollout)).unwrap(),
        ["DestinationRule", "VirtualService", "WasmPlugin"]
    );
    assert_eq!(names(&observed), ["serin-shop.reviews.canary", "primary"]);
    let policy = policy(&observed, "shop/reviews");
    assert_eq!(
        policy["virtualServices"],
        json!({"edge/root": ["team-primary"]})
    );
    assert_eq!(policy["hosts"], json!(["shop.example.com"]));
    // Whatever becomes of the root, an end gets through.
    observed.roots.clear();
    let aborted = with_steps(json!({"status": {"abort": true}}));
    settle(&aborted, &mut observed, set_weight(0)).unwrap();
    settle(&aborted, &mut observed, Call::RemoveManagedRoutes).unwrap();
    assert_eq!(names(&observed), ["primary"]);
}
