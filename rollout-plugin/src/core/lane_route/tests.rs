//! One managed route, its clones.

use super::*;
use crate::core::fixtures::{primary, rollout, routing};

mod twins;

fn clone_of(route: &Value, lane: Lane) -> Value {
    let routing = routing();
    LaneRoute {
        rollout: &routing.rollout,
        namespace: "shop",
        lane,
        several: false,
    }
    .clone_of(route, &routing)
}

#[test]
fn a_clone_keeps_all_that_the_user_said_of_the_route() {
    let said = json!({
        "timeout": "3s", "retries": {"attempts": 2}, "rewrite": {"uri": "/"}, "headers": {"request": {"set": {"a": "b"}}},
        "corsPolicy": {"allowOrigins": []}, "fault": {"delay": {}}, "x-unknown": [1],
    });
    let clone = clone_of(&primary(said.clone()), Lane::Canary);
    for (field, value) in said.as_object().unwrap() {
        assert_eq!(clone[field], *value, "{field}");
    }
    assert_eq!(clone["name"], "serin-shop.reviews.canary");
    assert_eq!(clone["route"], sides(0, 100));
    let stable = clone_of(&primary(json!({})), Lane::Stable);
    assert_eq!(stable["route"], sides(100, 0));
}

fn sides(stable: u32, canary: u32) -> Value {
    json!([
        {"destination": {"host": "reviews", "subset": "stable"}, "weight": stable},
        {"destination": {"host": "reviews", "subset": "canary"}, "weight": canary},
    ])
}

#[test]
fn a_lane_has_the_routes_destinations_and_one_side_all_of_the_weight() {
    let to = |subset: &str, port: u32| json!({"host": "reviews", "subset": subset, "port": {"number": port}});
    let weighted = |destination: Value, weight: u32| json!({"destination": destination, "weight": weight, "x-unknown": 1});
    let route = |weights: [u32; 6]| {
        let [a, b, c, pinned, experiment, foreign] = weights;
        primary(json!({"route": [
            weighted(to("canary", 1), a), weighted(to("pinned", 1), pinned), weighted(to("stable", 1), b),
            {"destination": {"host": "trial"}, "weight": experiment}, weighted(to("canary", 2), c),
            weighted(json!({"host": "foreign"}), foreign),
        ]}))
    };
    let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"maxTrafficWeight": 11, "plugins": {"serin/istio": {
        "destinationRule": {"additionalSubsetNames": ["pinned"]},
    }}}}}}});
    let routing = Routing::of(&rollout(change)).unwrap();
    let clone_of = |route: &Value, lane: Lane| {
        LaneRoute {
            rollout: &routing.rollout,
            namespace: "shop",
            lane,
            several: false,
        }
        .clone_of(route, &routing)["route"]
            .clone()
    };
    let (canary, stable) = (
        json!([
            weighted(to("canary", 1), 6),
            weighted(to("stable", 1), 0),
            weighted(to("canary", 2), 5)
        ]),
        json!([
            weighted(to("canary", 1), 0),
            weighted(to("stable", 1), 11),
            weighted(to("canary", 2), 0)
        ]),
    );
    // Whatever the weights are now: a SetWeight leaves the lanes alone.
    for weights in [[0, 11, 0, 0, 0, 0], [2, 5, 2, 1, 1, 0], [6, 0, 5, 0, 0, 0]] {
        let route = route(weights);
        assert_eq!(clone_of(&route, Lane::Canary), canary, "{weights:?}");
        assert_eq!(clone_of(&route, Lane::Stable), stable, "{weights:?}");
        assert_eq!(clone_of(&route, Lane::StableMirror), stable, "{weights:?}");
        assert_eq!(
            clone_of(&route, Lane::Mirror),
            route["route"],
            "it follows the weights"
        );
    }
}

#[test]
fn what_is_null_or_no_match_never_leaves_the_lane_header_out() {
    let lane = json!({"x-rollout-lane.shop.reviews": {"exact": "canary"}});
    for (entries, expected) in [
        (json!(null), json!([{"headers": lane}])),
        (json!({}), json!([{"headers": lane}])),
        (json!([null]), json!([{"headers": lane}])),
        (
            json!(["x", []]),
            json!([{"headers": lane}, {"headers": lane}]),
        ),
        (
            json!([{"uri": {"prefix": "/"}, "headers": null}]),
            json!([{"uri": {"prefix": "/"}, "headers": lane}]),
        ),
        (
            json!([{"headers": []}, {"headers": "x"}]),
            json!([{"headers": lane}, {"headers": lane}]),
        ),
    ] {
        let mut route = primary(json!({}));
        route["match"] = entries.clone();
        assert_eq!(
            clone_of(&route, Lane::Canary)["match"],
            expected,
            "{entries}"
        );
    }
}

#[test]
fn the_lane_header_is_added_to_every_match_entry() {
    let lane = json!({"exact": "canary"});
    let header = "x-rollout-lane.shop.reviews";
    let route = primary(json!({"match": [
        {"uri": {"prefix": "/api"}, "headers": {"x-tenant": {"exact": "a"}}},
        {"name": "second", "withoutHeaders": {"x-bot": {}}},
    ]}));
    assert_eq!(
        clone_of(&route, Lane::Canary)["match"],
        json!([
            {"uri": {"prefix": "/api"}, "headers": {"x-tenant": {"exact": "a"}, header: lane}},
            {"name": "second", "withoutHeaders": {"x-bot": {}}, "headers": {header: lane}},
        ])
    );
    for empty in [json!({}), json!({"match": []})] {
        assert_eq!(
            clone_of(&primary(empty), Lane::Canary)["match"],
            json!([{"headers": {header: lane}}])
        );
    }
}

#[test]
fn the_mirror_lane_adds_the_canary_to_the_routes_own_mirrors() {
    let canary = json!({"host": "reviews", "subset": "canary"});
    let ours = json!({"destination": canary});
    let tap = json!({"host": "tap"});
    let cases = [
        (json!({}), json!([ours])),
        (
            json!({"mirrors": [{"destination": tap, "percentage": {"value": 5.5}}]}),
            json!([{"destination": tap, "percentage": {"value": 5.5}}, ours]),
        ),
        (json!({"mirror": tap}), json!([{"destination": tap}, ours])),
        (
            json!({"mirror": tap, "mirrorPercentage": {"value": 1.5}}),
            json!([{"destination": tap, "percentage": {"value": 1.5}}, ours]),
        ),
        (
            json!({"mirror": tap, "mirrorPercent": 7}),
            json!([{"destination": tap, "percentage": {"value": 7}}, ours]),
        ),
        // The canary gets each request once.
        (
            json!({"mirror": canary, "mirrorPercentage": {"value": 5}}),
            json!([ours]),
        ),
        (
            json!({"mirrors": [{"destination": canary}, {"destination": tap}, {"destination": canary, "percentage": {"value": 1}}]}),
            json!([{"destination": tap}, ours]),
        ),
        (
            json!({"mirror": {"host": "reviews.shop.svc.cluster.local", "subset": "canary", "port": {"number": 81}}}),
            json!([ours]),
        ),
        // Another host's subset of that name is another destination.
        (
            json!({"mirror": {"host": "tap", "subset": "canary"}}),
            json!([{"destination": {"host": "tap", "subset": "canary"}}, ours]),
        ),
    ];
    for (said, mirrors) in cases {
        let route = primary(said);
        let clone = clone_of(&route, Lane::Mirror);
        assert_eq!(clone["mirrors"], mirrors);
        assert_eq!(clone["route"], route["route"], "the weights stay");
        for single in ["mirror", "mirrorPercentage", "mirrorPercent"] {
            assert_eq!(clone.get(single), None, "{single}");
        }
    }
}

#[test]
fn a_mirror_that_is_null_is_none() {
    let ours = json!([{"destination": {"host": "reviews", "subset": "canary"}}]);
    for field in ["mirror", "mirrors", "mirrorPercentage", "mirrorPercent"] {
        let mut route = primary(json!({}));
        route[field] = Value::Null;
        let clone = clone_of(&route, Lane::Mirror);
        assert_eq!(clone["mirrors"], ours, "{field}");
    }
}

#[test]
fn a_users_route_may_begin_with_the_prefix() {
    for name in ["serin-z", "serin-", "serin-a.b", "serin-a.canary:"] {
        assert_eq!(is_lane_route(name), name.ends_with("canary:"), "{name}");
    }
}

#[test]
fn ownership_is_by_name_and_dots_in_rollout_names_do_not_confuse_it() {
    let key = |name: &str| RolloutKey {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    };
    for (name, owner, owned) in [
        ("serin-shop.a.canary", "a", true),
        ("serin-shop.a.mirror:primary", "a", true),
        ("serin-shop.a.canary.canary", "a", false),
        ("serin-shop.a.canary.canary", "a.canary", true),
        ("serin-shop.a.canary:b.c", "a", true),
        ("serin-shop.a.canary", "a.canary", false),
        ("serin-shop.a.other", "a", false),
        ("serin-shop2.a.canary", "a", false),
        ("serin-shop.a.", "a", false),
        ("a", "a", false),
        ("", "a", false),
    ] {
        assert_eq!(belongs_to(name, &key(owner)), owned, "{name} of {owner}");
    }
}
