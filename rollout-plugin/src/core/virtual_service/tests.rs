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
    spec(object, routing, weight, lanes).map(|spec| spec["http"].clone())
}

/// The whole of it, and as observed where nothing has to change.
fn spec(
    object: &Object,
    routing: &Routing,
    weight: Option<u32>,
    lanes: &[Lane],
) -> Result<Value, String> {
    let split = weight.map(|canary| Split {
        canary,
        experiments: Vec::new(),
    });
    let desired = Desired {
        split: split.as_ref(),
        lanes: lanes.iter().copied().collect(),
        ..Desired::default()
    };
    let found = desired_spec(object, &routing.virtual_services[0], routing, &desired)
        .map_err(|error| error.to_string())?;
    assert!(found.as_ref() != Some(&object.spec), "a change must change");
    Ok(found.unwrap_or_else(|| object.spec.clone()))
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
    let mut lane = object.spec["http"][0]["route"].clone();
    lane[0]["weight"] = json!(0);
    lane[1]["weight"] = json!(100);
    assert_eq!(found[0]["route"], lane);
}

/// Lanes had one destination once.
#[test]
fn a_lane_route_of_another_form_is_made_anew() {
    let route = primary(json!({"timeout": "3s"}));
    let wanted = http(
        &virtual_service(json!([route])),
        &routing(),
        None,
        &[Lane::Canary, Lane::Stable],
    );
    let wanted = wanted.unwrap();
    let mut older = wanted.clone();
    older[0]["route"] = json!([{"destination": {"host": "reviews", "subset": "canary"}}]);
    older[1]["route"] = json!([{"destination": {"host": "reviews", "subset": "stable"}}]);
    let found = http(
        &virtual_service(older.clone()),
        &routing(),
        None,
        &[Lane::Canary, Lane::Stable],
    );
    assert_eq!(found.unwrap(), wanted);
    // They are the Rollout's, and go with the others.
    let object = virtual_service(older);
    let left = without_lane_routes(&object, &routing().virtual_services[0], &routing());
    assert_eq!(left.unwrap()["http"], json!([route]));
}

#[test]
fn a_lane_leads_to_where_its_weight_is() {
    let lane = |route: Value| {
        virtual_service(json!([{"name": "serin-shop.reviews.canary", "route": route}]))
    };
    let to = |subset: &str, weight: u32| json!({"destination": {"host": "reviews", "subset": subset}, "weight": weight});
    for (route, stable) in [
        (json!([to("stable", 0), to("canary", 100)]), false),
        (json!([to("stable", 100), to("canary", 0)]), true),
        (json!([to("stable", 1), to("canary", 99)]), true),
        (
            json!([{"destination": {"host": "reviews", "subset": "stable"}}]),
            true,
        ),
        (json!([to("stable", 0)]), true),
        (
            json!([{"destination": {"host": "reviews", "subset": "canary"}}]),
            false,
        ),
        (json!([]), false),
    ] {
        let found = canary_lane_leads_to_stable(&lane(route.clone()), &routing());
        assert_eq!(found, stable, "{route}");
    }
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
            "VirtualService shop/reviews: spec.http: found nothing, expected at least one HTTP, TLS or TCP route",
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
            "VirtualService shop/reviews: spec.http: found nothing, expected at least one HTTP, TLS or TCP route",
        ),
    ];
    for (routes, routing, message) in cases {
        assert_eq!(
            http(&virtual_service(routes), &routing, Some(10), &[]).unwrap_err(),
            message
        );
    }
}

/// The VirtualService with routes of that protocol besides.
fn with_protocol(protocol: &str, routes: Value) -> Object {
    let mut object = virtual_service(json!([primary(json!({}))]));
    object.spec[protocol] = routes;
    object
}

#[test]
fn all_protocols_move_listed_or_not() {
    for protocol in ["tls", "tcp"] {
        let route = primary(json!({"name": null, "match": [{"port": 3306}], "x-new": 1}));
        let mut object = with_protocol(protocol, json!([route]));
        let found = spec(&object, &routing(), Some(10), &[Lane::Canary]).unwrap();
        assert_eq!(found["http"][1]["route"], found[protocol][0]["route"]);
        let mut expected = route.clone();
        expected["route"][0]["weight"] = json!(90);
        expected["route"][1]["weight"] = json!(10);
        assert_eq!(found[protocol], json!([expected]));

        object.spec.as_object_mut().unwrap().remove("http");
        let found = spec(&object, &unnamed(), Some(10), &[]).unwrap();
        assert_eq!(found[protocol], json!([expected]), "also without HTTP");
        assert_eq!(found.get("http"), None);
    }
}

#[test]
fn a_lane_needs_an_http_route() {
    let mut object = with_protocol("tls", json!([primary(json!({}))]));
    object.spec.as_object_mut().unwrap().remove("http");
    let error =
        managed_route_names(&object, &unnamed().virtual_services[0], &unnamed()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "VirtualService shop/reviews: spec.http: found nothing, expected at least one HTTP route: TLS and TCP routes have neither headers nor mirrors"
    );
}

#[test]
fn what_the_built_in_reconciler_left_over_counts_for_no_route_and_goes() {
    let header = json!({"name": "beta", "match": [{"headers": {"x": {"exact": "1"}}}], "route": [{"destination": {"host": "reviews", "subset": "canary"}, "weight": 100}]});
    let mirror = primary(
        json!({"name": "shadow", "mirror": {"host": "reviews", "subset": "canary"}, "match": [{"method": {"exact": "GET"}}]}),
    );
    let route = primary(json!({"name": null}));
    let object = virtual_service(json!([header, mirror, route]));
    let found = http(&object, &unnamed(), Some(10), &[]).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 1);

    let split = Split {
        canary: 10,
        experiments: Vec::new(),
    };
    let desired = Desired {
        split: Some(&split),
        leftovers: ["beta", "shadow"].into(),
        ..Desired::default()
    };
    let reference = &unnamed().virtual_services[0];
    let still = desired_spec(&object, reference, &unnamed(), &desired)
        .unwrap()
        .unwrap();
    assert_eq!(still["http"][0], header);
    assert_eq!(
        weights(&still["http"][1]),
        weights(&found[0]),
        "a mirror route follows the weights"
    );
    let removed = without_lane_routes(&object, reference, &unnamed()).unwrap();
    assert_eq!(removed["http"], json!([route]));

    let named = virtual_service(json!([primary(json!({"name": "beta"}))]));
    assert_eq!(
        without_lane_routes(&named, reference, &unnamed()),
        None,
        "an only route is the user's, whatever its name"
    );
}

#[test]
fn nothing_is_cloned_where_nothing_changes() {
    let object = with_protocol("tcp", json!([primary(json!({"name": null}))]));
    for split in [None, Some(Split::default())] {
        let desired = Desired {
            split: split.as_ref(),
            ..Desired::default()
        };
        let found = desired_spec(
            &object,
            &routing().virtual_services[0],
            &routing(),
            &desired,
        );
        assert_eq!(found.unwrap(), None);
    }
}
