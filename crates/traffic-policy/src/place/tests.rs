//! Managed routes among the others.

use super::*;

fn places(json: &str) -> Places {
    let virtual_services = serde_json::from_str(json).unwrap();
    Places::compile(
        "shop/reviews",
        Some(&virtual_services),
        "serin-shop.reviews.".into(),
    )
    .unwrap()
}

fn route<'a>(name: &'a str, config: &'a str) -> ChosenRoute<'a> {
    ChosenRoute {
        name: name.as_bytes(),
        config: config.as_bytes(),
    }
}

const REVIEWS: &str = "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews";

#[test]
fn only_managed_routes_and_own_lane_routes_take_a_lane() {
    let places = places(r#"{"shop/reviews": ["primary"]}"#);
    for (name, managed) in [
        ("primary", true),
        ("primary.by-path", true),
        ("primary-2", false),
        ("secondary", false),
        ("", false),
        ("serin-shop.reviews.canary", true),
        ("serin-shop.reviews-2.canary", false),
    ] {
        assert_eq!(places.has(route(name, REVIEWS)), managed, "{name}");
    }
}

#[test]
fn without_names_every_route_of_the_virtual_service_is_managed() {
    let places = places(r#"{"shop/reviews": []}"#);
    assert!(places.has(route("", REVIEWS)));
    assert!(places.has(route("anything", REVIEWS)));
    assert!(!places.everywhere());
}

#[test]
fn another_virtual_service_is_never_managed() {
    let places = places(r#"{"shop/reviews": []}"#);
    for config in [
        "/apis/networking.istio.io/v1/namespaces/cart/virtual-service/reviews",
        "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews-2",
        "/apis/networking.istio.io/v1/namespaces/shop/destination-rule/reviews",
        "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews/x",
        "/apis/other.io/v1/namespaces/shop/virtual-service/reviews",
        "",
    ] {
        assert!(!places.has(route("primary", config)), "{config}");
    }
}

#[test]
fn no_virtual_services_is_not_the_same_as_an_empty_list() {
    let anywhere = Places::compile("a/b", None, "serin-a.b.".into()).unwrap();
    assert!(anywhere.everywhere());
    assert!(anywhere.has(route("", "")));
    assert!(!places("{}").has(route("primary", REVIEWS)));
}
