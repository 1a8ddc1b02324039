//! Lane headers that come with a request.

use serde_json::json;

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
        // Twice; a rule takes the request too, but the route that it would have had is unknown.
        assert_eq!(
            bench.get(REVIEWS, &[SPOOFED, "x-beta: 1", SPOOFED]),
            "weights",
            "{trust} at {node}"
        );
        // Another Rollout's, which no route asks for, changes nothing.
        assert_eq!(
            bench.get(REVIEWS, &["x-rollout-lane.shop.cart: canary", "x-beta: 1"]),
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
    // A WasmPlugin and the TrafficExtension that is to take its place have the same policies.
    let copy = filter(
        "shop.copy",
        &policies(&[("shop/reviews", reviews(&beta("canary")))]),
    );
    for filters in [
        [first.clone(), second.clone()],
        [second, first.clone()],
        [first, copy],
    ] {
        let bench = start(GATEWAY, &filters);
        assert_eq!(bench.get(REVIEWS, &["x-beta: 1"]), "canary");
        assert_eq!(
            bench.get(REVIEWS, &["x-rollout-lane.shop.cart: stable", "x-beta: 1"]),
            "canary"
        );
        assert_eq!(bench.get(REVIEWS, &[SPOOFED]), "weights");
    }
}

#[test]
fn a_forged_lane_does_not_lead_a_request_of_another_route_into_one() {
    // Envoy has chosen web's lane route by the forged header when the filter is asked; without the
    // header it would have been `admin`, which comes before web's catch-all.
    for (routes, name) in [(json!(["primary"]), "primary"), (json!([]), "")] {
        let policy = json!({"hosts": ["shop.example.com"], "virtualServices": {"shop/web": routes}, "rules": beta("canary")});
        let web = filter("shop.web", &policies(&[("shop/web", policy)]));
        let other = filter("shop.other", "{}");
        let mut table = managed("web", "web", name, &json!({"prefix": "/"}));
        let at = table.len() - 1;
        let admin = json!({"prefix": "/admin"});
        table.insert(at, route("admin", "admin", &admin, "admin"));
        let hosts = [virtual_host(&["shop.example.com"], table)];
        // Alone, and behind a filter that has removed the header already.
        for filters in [vec![web.clone()], vec![other, web]] {
            let bench = Bench::start(GATEWAY, &[listener("main", &filters, &hosts)], &[]);
            let ask = |path: &str, lines: &[&str]| {
                let start = format!("GET {path}");
                bench.ask(&start, "shop.example.com", lines).body
            };
            let forged = "x-rollout-lane.shop.web: canary";
            let at = format!("{routes} behind {} filters", filters.len() - 1);
            assert_eq!(ask("/", &["x-beta: 1"]), "canary", "{at}");
            assert_eq!(ask("/admin", &["x-beta: 1"]), "admin", "{at}");
            assert_eq!(ask("/admin", &[forged]), "admin", "{at}");
            assert_eq!(ask("/admin", &[forged, "x-beta: 1"]), "admin", "{at}");
            // Which route it would have been can't be told any more: the weights decide.
            assert_eq!(ask("/", &[forged, "x-beta: 1"]), "weights", "{at}");
            // One that led Envoy nowhere takes nothing away.
            let unknown = "x-rollout-lane.shop.web: unknown";
            assert_eq!(ask("/", &[unknown, "x-beta: 1"]), "canary", "{at}");
        }
    }
}
