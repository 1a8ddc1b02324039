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

/// A route that is all there; `asked` is whether for its name.
struct Known<'a> {
    name: &'a str,
    config: &'a str,
    forged: bool,
    asked: bool,
}

impl ChosenRoute for Known<'_> {
    fn config(&mut self) -> &[u8] {
        self.config.as_bytes()
    }

    fn name(&mut self) -> &[u8] {
        self.asked = true;
        self.name.as_bytes()
    }

    fn may_be_forged(&self) -> bool {
        self.forged
    }
}

fn route<'a>(name: &'a str, config: &'a str) -> Known<'a> {
    Known {
        name,
        config,
        forged: false,
        asked: false,
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
        assert_eq!(places.has(&mut route(name, REVIEWS)), managed, "{name}");
    }
}

#[test]
fn without_names_every_route_of_the_virtual_service_is_managed() {
    let places = places(r#"{"shop/reviews": []}"#);
    assert!(places.has(&mut route("", REVIEWS)));
    assert!(places.has(&mut route("anything", REVIEWS)));
    let mut other = route("primary", REVIEWS);
    assert!(places.has(&mut other));
    assert!(!other.asked);
}

#[test]
fn where_it_may_be_forged_a_lane_route_takes_no_lane() {
    for json in [
        r#"{"shop/reviews": ["primary"]}"#,
        r#"{"shop/reviews": []}"#,
    ] {
        let places = places(json);
        for (name, managed) in [
            ("primary", true),
            ("serin-shop.reviews.canary", false),
            ("serin-shop.other.canary", false),
            ("root-serin-shop.reviews.canary", false),
        ] {
            let mut route = route(name, REVIEWS);
            route.forged = true;
            assert_eq!(places.has(&mut route), managed, "{name} for {json}");
        }
    }
    let anywhere = Places::compile("a/b", None, "serin-a.b.".into()).unwrap();
    let mut route = route("serin-a.b.canary", "");
    route.forged = true;
    assert!(anywhere.has(&mut route));
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
        assert!(!places.has(&mut route("primary", config)), "{config}");
    }
}

#[test]
fn no_virtual_services_is_not_the_same_as_an_empty_list() {
    let anywhere = Places::compile("a/b", None, "serin-a.b.".into()).unwrap();
    assert!(anywhere.has(&mut route("", "")));
    assert!(!places("{}").has(&mut route("primary", REVIEWS)));
}
