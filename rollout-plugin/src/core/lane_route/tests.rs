//! One managed route, its clones.

use super::*;
use crate::core::fixtures::{primary, routing};

fn clone_of(route: &Value, lane: Lane) -> Value {
    let routing = routing();
    LaneRoute {
        rollout: &routing.rollout,
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
    assert_eq!(
        clone["route"],
        json!([{"destination": {"host": "reviews", "subset": "canary"}}])
    );
    assert_eq!(
        clone_of(&primary(json!({})), Lane::Stable)["route"][0]["destination"]["subset"],
        "stable"
    );
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
    let ours = json!({"destination": {"host": "reviews", "subset": "canary"}});
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
