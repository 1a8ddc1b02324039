//! Table tests: routes in, routes out.

use serde_json::json;

use super::*;
use crate::core::fixtures::{primary, rollout, routing, virtual_service};

fn http(
    object: &Object,
    routing: &Routing,
    weight: Option<u32>,
    lanes: &[Lane],
) -> Result<Value, String> {
    let lanes = lanes.iter().copied().collect();
    desired_spec(
        object,
        &routing.virtual_services[0],
        routing,
        weight,
        &lanes,
    )
    .map(|spec| spec["http"].clone())
    .map_err(|error| error.to_string())
}

fn weights(route: &Value) -> Vec<(String, Option<u64>)> {
    let name = |destination: &Value| {
        destination["destination"]["subset"]
            .as_str()
            .unwrap_or("-")
            .to_owned()
    };
    destinations(route)
        .iter()
        .map(|d| (name(d), d["weight"].as_u64()))
        .collect()
}

#[test]
fn set_weight_leaves_everything_but_the_managed_weights_alone() {
    let admin = json!({"name": "admin", "match": [{"uri": {"prefix": "/admin"}}], "route": [{"destination": {"host": "admin"}}], "x-new": 1});
    let route = primary(
        json!({"timeout": "3s", "x-unknown": {"deep": [1, 2]}, "retries": {"attempts": 2}}),
    );
    let object = virtual_service(json!([admin, route]));
    let found = http(&object, &routing(), Some(10), &[]).unwrap();
    let mut expected = object.spec["http"].clone();
    expected[1]["route"][0]["weight"] = json!(90);
    expected[1]["route"][1]["weight"] = json!(10);
    assert_eq!(found, expected);
}

#[test]
fn weights_add_up_to_max_traffic_weight() {
    let change =
        json!({"spec": {"strategy": {"canary": {"trafficRouting": {"maxTrafficWeight": 1000}}}}});
    let routing = Routing::of(&rollout(change)).unwrap();
    let found = http(
        &virtual_service(json!([primary(json!({}))])),
        &routing,
        Some(5),
        &[],
    )
    .unwrap();
    assert_eq!(
        weights(&found[0]),
        [
            ("stable".to_owned(), Some(995)),
            ("canary".to_owned(), Some(5))
        ]
    );
}

#[test]
fn an_absent_weight_is_zero_and_is_not_written_as_such() {
    let route = json!({"name": "primary", "route": [
        {"destination": {"host": "reviews", "subset": "stable"}, "weight": 100},
        {"destination": {"host": "reviews", "subset": "canary"}},
    ]});
    let object = virtual_service(json!([route]));
    assert_eq!(
        http(&object, &routing(), Some(0), &[]).unwrap(),
        object.spec["http"]
    );
}

#[test]
fn a_foreign_destination_goes_if_it_carries_weight_and_stays_at_zero() {
    let extra = |name: &str, weight: u32| json!({"destination": {"host": name}, "weight": weight});
    let mut route = primary(json!({}));
    route["route"]
        .as_array_mut()
        .unwrap()
        .insert(0, extra("old", 30));
    route["route"]
        .as_array_mut()
        .unwrap()
        .push(extra("parked", 0));
    let found = http(&virtual_service(json!([route])), &routing(), Some(10), &[]).unwrap();
    assert_eq!(
        weights(&found[0]),
        [
            ("stable".to_owned(), Some(90)),
            ("canary".to_owned(), Some(10)),
            ("-".to_owned(), Some(0))
        ]
    );
}

#[test]
fn lane_routes_stand_right_above_the_managed_route_and_leave_nothing_behind() {
    let first = json!({"name": "first", "route": [{"destination": {"host": "first"}}]});
    let last = json!({"name": "last", "route": [{"destination": {"host": "last"}}]});
    let object = virtual_service(json!([first, primary(json!({})), last]));
    let lanes = [Lane::Mirror, Lane::Canary];
    let with = http(&object, &routing(), None, &lanes).unwrap();
    let names: Vec<_> = with.as_array().unwrap().iter().map(route_name).collect();
    assert_eq!(
        names,
        [
            "first",
            "serin-shop.reviews.canary",
            "serin-shop.reviews.mirror",
            "primary",
            "last"
        ]
    );

    let standing = virtual_service(with.clone());
    assert!(has_lane_routes(&standing, &routing()));
    assert_eq!(
        http(&standing, &routing(), None, &lanes).unwrap(),
        with,
        "a second time changes nothing"
    );
    assert_eq!(
        http(&standing, &routing(), None, &[]).unwrap(),
        object.spec["http"]
    );
}

#[test]
fn the_mirror_lane_follows_the_weights() {
    let object = virtual_service(json!([primary(json!({}))]));
    let standing = virtual_service(http(&object, &routing(), None, &[Lane::Mirror]).unwrap());
    let found = http(&standing, &routing(), Some(20), &[Lane::Mirror]).unwrap();
    assert_eq!(weights(&found[0]), weights(&found[1]));
    assert_eq!(
        weights(&found[0]),
        [
            ("stable".to_owned(), Some(80)),
            ("canary".to_owned(), Some(20))
        ]
    );
}

#[test]
fn lane_routes_follow_what_the_user_changes() {
    let object = virtual_service(json!([primary(json!({}))]));
    let mut standing = virtual_service(http(&object, &routing(), None, &[Lane::Canary]).unwrap());
    standing.spec["http"][1]["timeout"] = json!("9s");
    let found = http(&standing, &routing(), None, &[Lane::Canary]).unwrap();
    assert_eq!(found[0]["timeout"], "9s");
}

#[test]
fn several_managed_routes_get_lane_routes_of_their_own() {
    let config = json!({"virtualService": {"routes": ["primary", "secondary"]}});
    let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": config}}}}}});
    let routing = Routing::of(&rollout(change)).unwrap();
    let object = virtual_service(json!([
        primary(json!({"name": "secondary"})),
        primary(json!({}))
    ]));
    let found = http(&object, &routing, Some(10), &[Lane::Canary]).unwrap();
    let names: Vec<_> = found.as_array().unwrap().iter().map(route_name).collect();
    assert_eq!(
        names,
        [
            "serin-shop.reviews.canary:secondary",
            "secondary",
            "serin-shop.reviews.canary:primary",
            "primary"
        ]
    );
    let standing = virtual_service(found);
    let back = http(&standing, &routing, Some(0), &[]).unwrap();
    assert_eq!(back, object.spec["http"]);
}

#[test]
fn another_rollouts_lane_routes_stay_where_they_are() {
    let foreign =
        json!({"name": "serin-shop.zebra.canary", "route": [{"destination": {"host": "zebra"}}]});
    let before =
        json!({"name": "serin-shop.alpha.canary", "route": [{"destination": {"host": "alpha"}}]});
    let object = virtual_service(json!([before, foreign, primary(json!({}))]));
    let found = http(&object, &routing(), None, &[Lane::Canary]).unwrap();
    let names: Vec<_> = found.as_array().unwrap().iter().map(route_name).collect();
    assert_eq!(
        names,
        [
            "serin-shop.alpha.canary",
            "serin-shop.reviews.canary",
            "serin-shop.zebra.canary",
            "primary"
        ]
    );
    assert_eq!(
        http(&virtual_service(found), &routing(), None, &[]).unwrap(),
        object.spec["http"]
    );
}

fn unnamed() -> Routing {
    let mut routing = routing();
    routing.virtual_services[0].routes.clear();
    routing
}

#[test]
fn an_only_route_needs_no_name() {
    let route = primary(json!({"name": null}));
    let foreign =
        json!({"name": "serin-shop.zebra.canary", "route": [{"destination": {"host": "zebra"}}]});
    let object = virtual_service(json!([foreign, route]));
    let found = http(&object, &unnamed(), Some(10), &[Lane::Canary]).unwrap();
    assert_eq!(
        weights(&found[2]),
        [
            ("stable".to_owned(), Some(90)),
            ("canary".to_owned(), Some(10))
        ]
    );
    let names = managed_route_names(&object, &unnamed().virtual_services[0], &unnamed()).unwrap();
    assert_eq!(
        names,
        Vec::<String>::new(),
        "which stands for the only route"
    );
}

#[test]
fn hosts_split_by_service_name_whatever_follows_it() {
    let change = json!({"spec": {"strategy": {"canary": {
        "canaryService": "reviews-canary", "stableService": "reviews-stable",
        "trafficRouting": {"plugins": {"serin/istio": {"destinationRule": null}}},
    }}}});
    let routing = Routing::of(&rollout(change)).unwrap();
    let object = virtual_service(json!([{"name": "primary", "route": [
        {"destination": {"host": "reviews-stable.shop.svc.cluster.local", "port": {"number": 80}}, "weight": 100},
        {"destination": {"host": "reviews-canary", "port": {"number": 80}}, "headers": {"x": 1}, "weight": 0},
    ]}]));
    let found = http(&object, &routing, Some(25), &[Lane::Canary]).unwrap();
    assert_eq!(found[1]["route"][0]["weight"], 75);
    assert_eq!(found[1]["route"][1]["weight"], 25);
    let lane = json!([{"destination": {"host": "reviews-canary", "port": {"number": 80}}, "headers": {"x": 1}}]);
    assert_eq!(found[0]["route"], lane);
}

#[test]
fn what_is_wrong_is_named() {
    let admin = json!({"name": "admin", "route": [{"destination": {"host": "admin"}}]});
    let cases = [
        (
            json!([admin]),
            routing(),
            r#"VirtualService shop/reviews: spec.http[].name: found ["admin"], expected a route named "primary""#,
        ),
        (
            json!([admin, primary(json!({}))]),
            unnamed(),
            r#"VirtualService shop/reviews: spec.http: found 2 routes, expected exactly one where spec.strategy.canary.trafficRouting.plugins["serin/istio"].virtualService.routes is left out"#,
        ),
        (
            json!([]),
            unnamed(),
            r#"VirtualService shop/reviews: spec.http: found 0 routes, expected exactly one where spec.strategy.canary.trafficRouting.plugins["serin/istio"].virtualService.routes is left out"#,
        ),
        (
            json!([primary(json!({"redirect": {"uri": "/"}}))]),
            routing(),
            r#"VirtualService shop/reviews: spec.http[0].redirect: found a redirect in managed route "primary", expected route destinations"#,
        ),
        (
            json!([{"name": "primary", "route": [{"destination": {"host": "reviews", "subset": "stable"}}]}]),
            routing(),
            r#"VirtualService shop/reviews: spec.http[0].route: found [host "reviews" subset "stable"], expected destinations for the subsets "stable" and "canary""#,
        ),
        (
            json!(null),
            routing(),
            "VirtualService shop/reviews: spec.http: found nothing, expected at least one HTTP route",
        ),
    ];
    for (routes, routing, message) in cases {
        assert_eq!(
            http(&virtual_service(routes), &routing, Some(10), &[]).unwrap_err(),
            message
        );
    }
}

#[test]
fn a_split_in_tls_or_tcp_routes_is_refused_and_others_are_none_of_ours() {
    for protocol in ["tls", "tcp"] {
        let mut object = virtual_service(json!([primary(json!({}))]));
        object.spec[protocol] = json!([{"route": [{"destination": {"host": "database"}}]}]);
        assert!(http(&object, &routing(), Some(10), &[]).is_ok());
        object.spec[protocol] = json!([primary(json!({}))]);
        assert_eq!(
            http(&object, &routing(), Some(10), &[]).unwrap_err(),
            format!(
                "VirtualService shop/reviews: spec.{protocol}[0].route: found destinations of this rollout, expected them in HTTP routes only: the weights of TLS and TCP routes are not moved"
            )
        );
    }
}
