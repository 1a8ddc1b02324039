//! Configurations that are wrong, on a running and on a fresh Envoy, and a module that is not there.

use serde_json::{Value, json};

use crate::bench::*;
use crate::live::{Discovered, eventually};

#[test]
fn a_bad_policy_is_left_out_said_once_and_counted() {
    let bad = json!({"hosts": ["bad.shop.svc.cluster.local"], "rules": [
        {"name": "r", "lane": "canary", "match": [{"headers": {"x-user": {"regex": "x-(beta"}}}]}]});
    let worse = json!({"host": ["worse.shop.svc.cluster.local"]});
    let configuration = policies(&[
        ("shop/bad", bad),
        ("shop/reviews", reviews(&beta("canary"))),
        ("shop/worse", worse),
    ]);
    let bench = Bench::with_filter(SIDECAR, &configuration, &[reviews_host()]);
    assert_eq!(bench.get("reviews", &["x-beta: 1"]), "canary");
    assert_eq!(
        bench.said(),
        [
            r#"plugin istio-system.serin: policy refused, the last good one of the Rollout stays in force: rollout shop/bad: rules[0].match[0].headers["x-user"].regex: "x-(beta" is no regular expression: found open group without closing ')'"#,
            "plugin istio-system.serin: policy refused, the last good one of the Rollout stays in force: rollout shop/worse: unknown field `host`, expected one of `hosts`, `virtualServices`, `lanes`, `rules`, `sticky`, `entryHosts`, `secret` at line 1 column 7",
        ]
    );
    assert_eq!(bench.counted("policies_refused"), 2);
    assert_eq!(bench.counted("configurations_refused"), 0);
}

#[test]
fn broken_json_on_a_fresh_envoy_leaves_it_to_the_weights() {
    for broken in [
        "{",
        "[]",
        r#"{"trsut": "edge"}"#,
        r#"{"rollouts": "none"}"#,
        "\u{7f}",
    ] {
        let bench = Bench::with_filter(GATEWAY, broken, &[reviews_host()]);
        assert_eq!(bench.get(REVIEWS, &["x-beta: 1"]), "weights", "{broken}");
        assert_eq!(
            bench.get(REVIEWS, &["x-rollout-lane.shop.reviews: canary"]),
            "weights",
            "{broken}"
        );
        assert_eq!(bench.counted("configurations_refused"), 1, "{broken}");
        assert_eq!(bench.said().len(), 1, "{broken}: {:?}", bench.said());
    }
}

#[test]
fn a_bad_field_on_a_fresh_envoy_takes_nothing_else_with_it() {
    let good = policies(&[("shop/reviews", reviews(&beta("stable")))]);
    for (bad, said) in [
        (r#"{"trust": "edge", "trsut": 1, "#, "unknown field `trsut`"),
        (r#"{"trust": "egde", "#, "trust: unknown variant `egde`"),
    ] {
        let configuration = good.replacen('{', bad, 1);
        let filters = [filter("istio-system.serin", &configuration)];
        let listeners = [listener("main", &filters, &[reviews_host()])];
        let bench = Bench::start(SIDECAR, &listeners, &[]);
        assert_eq!(bench.get(REVIEWS, &["x-beta: 1"]), "stable", "{bad}");
        let forged = "x-rollout-lane.shop.reviews: canary";
        assert_eq!(bench.get(REVIEWS, &[forged]), "weights", "{bad}");
        assert_eq!(bench.counted("configurations_refused"), 1, "{bad}");
        let lines = bench.said();
        let [line] = &lines[..] else {
            panic!("{bad}: {lines:?}");
        };
        assert!(line.contains(said), "{bad}: {line}");
    }
}

#[test]
fn broken_json_on_a_running_envoy_keeps_the_last_good_policy() {
    let discovered = Discovered::start(&policies(&[("shop/reviews", reviews(&beta("canary")))]));
    assert_eq!(discovered.bench.get("reviews", &["x-beta: 1"]), "canary");
    discovered.publish("{ no json");
    eventually("the fault is counted", || {
        discovered.bench.counted("configurations_refused") == 1
    });
    discovered.settle();
    for _ in 0..20 {
        assert_eq!(discovered.bench.get("reviews", &["x-beta: 1"]), "canary");
    }
    // And back to work.
    discovered.publish(&policies(&[("shop/reviews", reviews(&beta("stable")))]));
    eventually("the next good policy is in force", || {
        discovered.bench.get("reviews", &["x-beta: 1"]) == "stable"
    });
}

/// Policies of shop/reviews that are refused, and how the line about each goes on.
fn refused() -> Vec<(Value, &'static str)> {
    let with_path = |regex: &str| {
        let rule = json!({"name": "r", "lane": "stable", "match": [{"path": {"regex": regex}}]});
        reviews(&json!([rule]))
    };
    let rule = json!({"name": "r", "lane": "stable", "match": [{}]});
    let unknown = json!({"hosts": [REVIEWS], "rule": []});
    vec![
        (unknown, "unknown field `rule`"),
        (
            with_path(&"a".repeat(2_000)),
            "rules[0].match[0].path.regex: ",
        ),
        (
            with_path("((a{1,100}){1,100}){1,100}"),
            "rules[0].match[0].path.regex: ",
        ),
        (
            reviews(&json!(vec![rule; 10_001])),
            "rules: 10001 rules, expected at most 10000",
        ),
    ]
}

/// The one line about a policy that was refused, after `before` others.
fn assert_said(bench: &Bench, before: usize, said: &str) {
    let lines = bench.said();
    let (_, new) = lines.split_at(before);
    let [line] = new else {
        panic!("{said}: {new:?}");
    };
    let start = "plugin istio-system.serin: policy refused, the last good one of the Rollout stays in force: rollout shop/reviews: ";
    assert!(line.starts_with(&format!("{start}{said}")), "{line}");
}

#[test]
fn a_policy_that_is_refused_leaves_the_last_good_one_and_the_others_change() {
    let other = |lane: &str| json!({"hosts": ["other.shop.svc.cluster.local"], "rules": beta(lane), "virtualServices": {"shop/reviews": ["primary"]}});
    let discovered = Discovered::start(&policies(&[
        ("shop/reviews", reviews(&beta("canary"))),
        ("shop/other", other("canary")),
    ]));
    let bench = &discovered.bench;
    assert_eq!(bench.get("reviews", &["x-beta: 1"]), "canary");
    for (at, (policy, said)) in refused().into_iter().enumerate() {
        discovered.publish(&policies(&[
            ("shop/reviews", policy),
            ("shop/other", other("stable")),
        ]));
        discovered.settle();
        for _ in 0..10 {
            assert_eq!(bench.get("reviews", &["x-beta: 1"]), "canary", "{said}");
        }
        assert_said(bench, at, said);
        assert_eq!(
            bench.counted("policies_refused"),
            u64::try_from(at).unwrap() + 1
        );
    }
    // One that is gone is gone.
    discovered.publish(&policies(&[("shop/other", other("stable"))]));
    eventually("the policy is gone", || {
        bench.get("reviews", &["x-beta: 1"]) == "weights"
    });
}

#[test]
fn a_fresh_envoy_leaves_a_refused_policy_to_the_weights() {
    for (policy, said) in refused() {
        let good = json!({"hosts": ["good.example.com"], "virtualServices": {"shop/reviews": ["primary"]}, "rules": beta("stable")});
        let configuration = policies(&[("shop/reviews", policy), ("shop/good", good)]);
        let lanes = managed("good", "reviews", "primary", &json!({"prefix": "/"}));
        let hosts = [virtual_host(&["good.example.com"], lanes), reviews_host()];
        let bench = Bench::with_filter(SIDECAR, &configuration, &hosts);
        assert_eq!(bench.get("reviews", &["x-beta: 1"]), "weights", "{said}");
        assert_eq!(
            bench.get("good.example.com", &["x-beta: 1"]),
            "stable",
            "{said}"
        );
        assert_said(&bench, 0, said);
        assert_eq!(bench.counted("policies_refused"), 1, "{said}");
    }
}

#[test]
fn a_module_that_cannot_be_fetched_leaves_it_to_the_weights() {
    // The port of a listener that is gone: nobody answers there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut plugin = filter("istio-system.serin", "{}");
    plugin["typed_config"]["config"]["vm_config"]["code"] = json!({"remote": {
        "http_uri": {"uri": "http://modules/serin-filter.wasm", "cluster": "modules", "timeout": "1s"},
        "sha256": "0".repeat(64),
        "retry_policy": {"num_retries": 0},
    }});
    let modules = json!({
        "name": "modules",
        "load_assignment": {"cluster_name": "modules", "endpoints": [{"lb_endpoints": [{"endpoint": {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}]}]},
    });
    let bench = Bench::start(
        SIDECAR,
        &[listener("main", &[plugin], &[reviews_host()])],
        &[modules],
    );
    assert_eq!(bench.get("reviews", &["x-beta: 1"]), "weights");
    let failures = bench.envoy.stat("wasm.remote_load_fetch_failures").unwrap();
    assert_eq!(failures, Some(1));
}

#[test]
fn nothing_configured_is_no_fault() {
    for configuration in ["", "{}"] {
        let listeners: Vec<Value> = vec![listener(
            "main",
            &[filter("istio-system.serin", configuration)],
            &[reviews_host()],
        )];
        let bench = Bench::start(SIDECAR, &listeners, &[]);
        assert_eq!(bench.get("reviews", &["x-beta: 1"]), "weights");
        assert_eq!(bench.said(), [""; 0]);
        assert_eq!(bench.counted("configurations_refused"), 0);
    }
}
