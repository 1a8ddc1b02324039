//! Requests get into their lanes, and only those that should.

use serde_json::json;

use crate::bench::*;

#[test]
fn every_lane_and_none() {
    let rules = json!([
        {"name": "c", "lane": "canary", "match": [{"headers": {"x-beta": {"exact": "1"}}}]},
        {"name": "s", "lane": "stable", "match": [{"headers": {"x-beta": {"prefix": "2"}}}]},
        {"name": "m", "lane": "mirror", "match": [{"path": {"prefix": "/search"}}]},
    ]);
    let configuration = policies(&[("shop/reviews", reviews(&rules))]);
    let bench = Bench::with_filter(SIDECAR, &configuration, &[reviews_host()]);
    // Full and short names, with and without port, in any case.
    for authority in [
        "reviews",
        "reviews:9080",
        "Reviews.shop",
        "reviews.shop.svc:80",
        REVIEWS,
        "reviews.shop.svc.cluster.local.",
    ] {
        assert_eq!(
            bench.get(authority, &["x-beta: 1"]),
            "canary",
            "{authority}"
        );
    }
    assert_eq!(bench.get(REVIEWS, &["x-beta: 22"]), "stable");
    assert_eq!(bench.ask("GET /search?q=1", REVIEWS, &[]).body, "mirror");
    assert_eq!(bench.get(REVIEWS, &[]), "weights");
    assert_eq!(bench.get(REVIEWS, &["x-beta: 3"]), "weights");
    assert_eq!(bench.get("ratings", &["x-beta: 1"]), "weights");
    assert_eq!(bench.said(), [""; 0]);
}

#[test]
fn two_rollouts_at_hosts_of_their_own_and_at_one_host() {
    let reviews = json!({"hosts": [REVIEWS, "shop.example.com"], "virtualServices": {"shop/reviews": ["primary"]}, "rules": beta("canary")});
    let cart = json!({"hosts": ["cart.shop.svc.cluster.local", "shop.example.com"], "virtualServices": {"shop/cart": []}, "rules": beta("stable")});
    let configuration = policies(&[("shop/reviews", reviews), ("shop/cart", cart)]);
    let mut merged = managed("cart", "cart", "", &json!({"prefix": "/cart"}));
    merged.extend(managed(
        "reviews",
        "reviews",
        "primary",
        &json!({"prefix": "/"}),
    ));
    let hosts = [
        virtual_host(
            &[REVIEWS],
            managed("reviews", "reviews", "primary", &json!({"prefix": "/"})),
        ),
        virtual_host(
            &["cart.shop.svc.cluster.local"],
            managed("cart", "cart", "", &json!({"prefix": "/"})),
        ),
        virtual_host(&["shop.example.com"], merged),
    ];
    let bench = Bench::with_filter(GATEWAY, &configuration, &hosts);
    assert_eq!(bench.get(REVIEWS, &["x-beta: 1"]), "canary");
    assert_eq!(
        bench.get("cart.shop.svc.cluster.local", &["x-beta: 1"]),
        "stable"
    );
    let at = |path: &str| {
        bench
            .ask(&format!("GET {path}"), "shop.example.com", &["x-beta: 1"])
            .body
    };
    assert_eq!(at("/cart/1"), "stable");
    assert_eq!(at("/other"), "canary");
}

#[test]
fn a_more_exact_host_of_another_route_table_takes_nothing_away() {
    // `exact` is bound to a gateway, so this proxy has the routes of `wide` only.
    let policy = |host: &str, virtual_service: &str| json!({"hosts": [host], "virtualServices": {virtual_service: ["primary"]}, "rules": beta("canary")});
    let configuration = policies(&[
        ("shop/exact", policy("shop.example.com", "shop/exact")),
        ("shop/wide", policy("*.example.com", "shop/wide")),
    ]);
    let routes = managed("wide", "wide", "primary", &json!({"prefix": "/"}));
    let bench = Bench::with_filter(
        SIDECAR,
        &configuration,
        &[virtual_host(&["*.example.com"], routes)],
    );
    assert_eq!(bench.get("shop.example.com", &["x-beta: 1"]), "canary");
    assert_eq!(bench.get("cart.example.com", &["x-beta: 1"]), "canary");
    assert_eq!(bench.get("shop.example.com", &[]), "weights");
}

#[test]
fn only_managed_routes_lead_to_lanes() {
    // The lane route of `primary` comes first, as it would at a gateway after istiod has moved the bare
    // catch-all of another VirtualService to the end.
    let lane = |virtual_service: &str| {
        let header =
            json!([{"name": "x-rollout-lane.shop.reviews", "string_match": {"exact": "canary"}}]);
        route(
            "serin-shop.reviews.canary",
            virtual_service,
            &json!({"prefix": "/", "headers": header}),
            "canary",
        )
    };
    let routes = vec![
        lane("reviews"),
        route(
            "by-hand",
            "reviews",
            &json!({"prefix": "/by-hand"}),
            "by-hand",
        ),
        route(
            "primary.entry",
            "reviews",
            &json!({"prefix": "/entry"}),
            "entry",
        ),
        route("primary", "others", &json!({"prefix": "/others"}), "others"),
        json!({"match": {"prefix": "/bare"}, "direct_response": {"status": 200, "body": {"inline_string": "bare"}}}),
        route("primary", "reviews", &json!({"prefix": "/"}), "weights"),
    ];
    let configuration = policies(&[("shop/reviews", reviews(&beta("canary")))]);
    let bench = Bench::with_filter(SIDECAR, &configuration, &[virtual_host(&["*"], routes)]);
    let at = |path: &str| {
        bench
            .ask(&format!("GET {path}"), "reviews", &["x-beta: 1"])
            .body
    };
    assert_eq!(at("/by-hand"), "by-hand");
    assert_eq!(at("/others"), "others");
    assert_eq!(at("/bare"), "bare");
    assert_eq!(at("/entry"), "canary");
    assert_eq!(at("/"), "canary");
}

#[test]
fn without_virtual_services_any_route_will_do() {
    let policy = json!({"hosts": [REVIEWS], "rules": beta("canary")});
    let configuration = policies(&[("shop/reviews", policy)]);
    let bench = Bench::with_filter(SIDECAR, &configuration, &[reviews_host()]);
    assert_eq!(bench.get("reviews", &["x-beta: 1"]), "canary");
}
