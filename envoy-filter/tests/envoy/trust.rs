//! Lane headers that come with a request.

use crate::bench::*;

const SPOOFED: &str = "X-Rollout-Lane.shop.reviews: canary";

fn start(node: &str, filters: &[serde_json::Value]) -> Bench {
    Bench::start(node, &[listener("main", filters, &[reviews_host()])], &[])
}

fn with_trust(trust: &str) -> String {
    let configuration = policies(&[("shop/reviews", reviews(&beta("stable")))]);
    configuration.replacen('{', &format!(r#"{{"trust": "{trust}", "#), 1)
}

#[test]
fn at_an_edge_they_are_removed() {
    for (node, trust) in [(GATEWAY, "auto"), (GATEWAY, "edge"), (SIDECAR, "edge")] {
        let bench = start(node, &[filter("istio-system.serin", &with_trust(trust))]);
        assert_eq!(
            bench.get(REVIEWS, &[SPOOFED]),
            "weights",
            "{trust} at {node}"
        );
        assert_eq!(
            bench.get("unknown.example.com", &[SPOOFED]),
            "weights",
            "{trust} at {node}"
        );
        // Twice, and a rule that wants another lane.
        assert_eq!(
            bench.get(REVIEWS, &[SPOOFED, "x-beta: 1", SPOOFED]),
            "stable",
            "{trust} at {node}"
        );
    }
}

#[test]
fn in_the_mesh_they_stand() {
    for (node, trust) in [(SIDECAR, "auto"), (SIDECAR, "mesh"), (GATEWAY, "mesh")] {
        let bench = start(node, &[filter("istio-system.serin", &with_trust(trust))]);
        assert_eq!(
            bench.get(REVIEWS, &[SPOOFED]),
            "canary",
            "{trust} at {node}"
        );
        assert_eq!(
            bench.get(REVIEWS, &[SPOOFED, "x-beta: 1"]),
            "canary",
            "{trust} at {node}"
        );
    }
}

#[test]
fn an_edge_without_policies_is_one_too() {
    let bench = start(GATEWAY, &[filter("istio-system.serin", "")]);
    assert_eq!(bench.get(REVIEWS, &[SPOOFED]), "weights");
}

#[test]
fn two_plugins_in_one_chain_work_together() {
    // Same module, so one VM; the second must not take the first one's lane for a forged one.
    let first = filter(
        "shop.first",
        &policies(&[("shop/reviews", reviews(&beta("canary")))]),
    );
    let second = filter(
        "shop.second",
        &policies(&[("shop/other", reviews(&beta("canary")))]),
    );
    for filters in [[first.clone(), second.clone()], [second, first]] {
        let bench = start(GATEWAY, &filters);
        assert_eq!(bench.get(REVIEWS, &["x-beta: 1"]), "canary");
        assert_eq!(
            bench.get(
                REVIEWS,
                &["x-rollout-lane.shop.reviews: stable", "x-beta: 1"]
            ),
            "canary"
        );
        assert_eq!(bench.get(REVIEWS, &[SPOOFED]), "weights");
    }
}
