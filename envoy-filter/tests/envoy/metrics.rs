//! What Envoy says of requests and policies, with the tags that Istio's bootstrap reads out of names once it is told of them.

use serde_json::{Value, json};

use crate::bench::*;
use crate::live::{Discovered, eventually};

/// As Istio 1.29.1 writes them for `extraStatTags: [rollout, lane, rule]`, and a few of its own that stand beside them
/// (`tools/packaging/common/envoy_bootstrap.json`); the statistics that it lets through by default
/// (`pkg/bootstrap/config.go`, `requiredEnvoyStatsMatcherInclusionPrefixes`).
pub(crate) fn istio_stats() -> Value {
    let tag = |name: &str, regex: &str| json!({"tag_name": name, "regex": regex});
    let extra = |name: &str| tag(name, &format!(r"({name}=\.=(.*?);\.;)"));
    let prefixes = [
        // Not Istio's: the tests wait by it.
        "extension_config_discovery",
        "cluster_manager",
        "listener_manager",
        "server",
        "cluster.xds-grpc",
        "wasm",
    ];
    let patterns: Vec<Value> = prefixes
        .iter()
        .map(|prefix| json!({"prefix": prefix}))
        .collect();
    json!({
        "use_all_default_tags": false,
        "stats_tags": [
            tag("cluster_name", r"^cluster(\.(.+);)"),
            extra("rollout"), extra("lane"), extra("rule"),
            tag("cache", r"(cache\.(.+?)\.)"),
            tag("component", r"(component\.(.+?)\.)"),
            tag("tag", r"(tag\.(.+?);\.)"),
            tag("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
        ],
        "stats_matcher": {"inclusion_list": {"patterns": patterns}},
    })
}

/// The value of a series in Prometheus' format.
fn series(bench: &Bench, series: &str) -> Option<u64> {
    let all = bench.envoy.admin("/stats/prometheus").unwrap();
    let mut lines = all.lines().filter_map(|line| line.rsplit_once(' '));
    let found = lines.find(|(name, _)| *name == series);
    found.map(|(_, value)| value.parse().unwrap())
}

#[test]
fn requests_are_series_with_rollout_lane_and_rule() {
    let rules = json!([
        {"name": "beta", "lane": "canary", "match": [{"headers": {"x-beta": {"exact": "1"}}}]},
        {"name": "old/ones", "lane": "stable", "match": [{"headers": {"x-beta": {"exact": "2"}}}]},
        {"name": "never", "lane": "canary", "match": [{"headers": {"x-never": {"exact": "1"}}}]},
    ]);
    let configuration = policies(&[("shop/reviews", reviews(&rules))]);
    let filters = [filter("istio-system.serin", &configuration)];
    let listeners = [listener("main", &filters, &[reviews_host()])];
    let bench = Bench::start_with_stats(SIDECAR, &listeners, &istio_stats());
    // Each on a connection of its own, so that both workers count.
    for _ in 0..20 {
        assert_eq!(bench.get("reviews", &["x-beta: 1"]), "canary");
        assert_eq!(bench.get("reviews", &[]), "weights");
    }
    for _ in 0..5 {
        assert_eq!(bench.get("reviews", &["x-beta: 2"]), "stable");
    }
    let canary = r#"serin_requests_total{rollout="shop/reviews",lane="canary",rule="beta"}"#;
    let stable = r#"serin_requests_total{rollout="shop/reviews",lane="stable",rule="old/ones"}"#;
    eventually("all requests are counted", || {
        (series(&bench, canary), series(&bench, stable)) == (Some(20), Some(5))
    });
    let all = bench.envoy.admin("/stats/prometheus").unwrap();
    assert!(!all.contains("never"), "only what was met is there: {all}");
    assert!(all.contains("# TYPE serin_requests_total counter"), "{all}");
}

#[test]
fn the_generation_tells_which_policy_a_proxy_has() {
    let generation = |policy: &Value| {
        let policy = serde_json::from_value(policy.clone()).unwrap();
        Some(u64::from(traffic_policy::generation(&policy)))
    };
    let gauge = r#"serin_policy_generation{rollout="shop/reviews"}"#;
    let (one, other) = (reviews(&beta("canary")), reviews(&beta("stable")));
    let discovered =
        Discovered::start_with_stats(&policies(&[("shop/reviews", one.clone())]), &istio_stats());
    let says = |what: Option<u64>| series(&discovered.bench, gauge) == what;
    eventually("the first policy is in force", || says(generation(&one)));
    discovered.publish(&policies(&[("shop/reviews", other.clone())]));
    eventually("the second policy is in force", || says(generation(&other)));
    // One that is refused changes nothing.
    discovered.publish(&policies(&[("shop/reviews", json!({"host": []}))]));
    discovered.settle();
    assert_eq!(discovered.bench.counted("policies_refused"), 1);
    assert!(says(generation(&other)));
    discovered.publish("{}");
    eventually("there is none any more", || says(Some(0)));
}

#[test]
fn without_tags_the_names_say_it() {
    let configuration = policies(&[("shop/reviews", reviews(&beta("canary")))]);
    let bench = Bench::with_filter(SIDECAR, &configuration, &[reviews_host()]);
    assert_eq!(bench.get("reviews", &["x-beta: 1"]), "canary");
    let name =
        "wasmcustom.rollout=.=shop/reviews;.;lane=.=canary;.;rule=.=beta;.;serin_requests_total";
    eventually("the request is counted", || {
        bench.envoy.stat(name).unwrap() == Some(1)
    });
    let plain = "rollout___shop_reviews___lane___canary___rule___beta___serin_requests_total{}";
    assert_eq!(
        series(&bench, plain),
        Some(1),
        "{}",
        bench.envoy.admin("/stats/prometheus").unwrap()
    );
}
