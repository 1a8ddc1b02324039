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
fn the_module_exports_what_is_used_and_the_abi_that_chooses_routes_again() {
    let module = std::fs::read(module()).unwrap();
    assert_eq!(
        exports(&module),
        [
            "memory",
            "proxy_abi_version_0_2_1",
            "proxy_on_configure",
            "proxy_on_context_create",
            "proxy_on_delete",
            "proxy_on_memory_allocate",
            "proxy_on_request_headers",
            "proxy_on_tick",
            "proxy_on_vm_start",
        ]
    );
}

/// The names in the module's export section, in order of the alphabet.
fn exports(module: &[u8]) -> Vec<String> {
    fn number(bytes: &mut &[u8]) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut rest = &module[8..];
    while !rest.is_empty() {
        let id = rest[0];
        rest = &rest[1..];
        let size = number(&mut rest);
        let (mut section, after) = rest.split_at(size);
        rest = after;
        if id != 7 {
            continue;
        }
        let mut names: Vec<String> = (0..number(&mut section))
            .map(|_| {
                let length = number(&mut section);
                let name = String::from_utf8(section[..length].to_vec()).unwrap();
                section = &section[length + 1..];
                number(&mut section);
                name
            })
            .collect();
        names.sort();
        return names;
    }
    Vec::new()
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
