//! Which filter objects are said to meet, and in which words.

use serde_json::json;

use super::*;
use crate::core::fixtures::{observed, primary, routing, traffic_extension, wasm_plugin};
use crate::object::{Kind, ObjectId};

fn object(kind: Kind, namespace: &str, name: &str, spec: serde_json::Value) -> Object {
    Object {
        id: ObjectId::new(kind, namespace, name),
        spec,
        ..wasm_plugin()
    }
}

fn said(own: &[Object], all: &[Object]) -> Vec<String> {
    let own: Vec<Arc<Object>> = own.iter().cloned().map(Arc::new).collect();
    let warnings = filters_that_meet(&own, all).into_iter();
    warnings
        .map(|warning| {
            assert_eq!(warning.reason, "FilterRunsTwice");
            warning.message
        })
        .collect()
}

#[test]
fn filter_objects_that_meet_are_named_once() {
    let both = [wasm_plugin(), traffic_extension()];
    let words = "each proxy selected once: there the filter runs twice for a request, which costs twice, and a percentage without keys is drawn twice; delete one of the objects, or let selector, targetRefs or match exclude each other";
    // Both are listed, or the other one is left over from a move.
    for own in [&both[..], &both[..1]] {
        assert_eq!(
            said(own, &both),
            [format!(
                "WasmPlugin istio-system/serin: spec.selector: found proxies that TrafficExtension istio-system/serin can select too, expected {words}"
            )]
        );
    }
    assert_eq!(said(&both[..1], &both[..1]), [""; 0]);
}

#[test]
fn other_filters_and_other_proxies_do_not_count() {
    let own = [wasm_plugin()];
    let foreign = object(
        Kind::WasmPlugin,
        "istio-system",
        "waf",
        json!({"url": "oci://waf", "pluginConfig": {"rules": []}}),
    );
    assert_eq!(said(&own, std::slice::from_ref(&foreign)), [""; 0]);
    // The label, the same module, or policies in it say that it is Serin's.
    let mut labelled = foreign.clone();
    labelled
        .labels
        .insert("app.kubernetes.io/name".to_owned(), "serin".to_owned());
    let mut same_module = foreign.clone();
    same_module.spec["url"] = own[0].spec["url"].clone();
    let mut with_policies = foreign.clone();
    with_policies.spec["pluginConfig"] = json!({"rollouts": {}});
    for other in [labelled, same_module, with_policies] {
        assert_eq!(
            said(&own, std::slice::from_ref(&other)).len(),
            1,
            "{other:?}"
        );
        let mut elsewhere = other;
        elsewhere.spec["match"] = json!([{"mode": "SERVER"}]);
        let mut client = own.clone();
        client[0].spec["match"] = json!([{"mode": "CLIENT"}]);
        assert_eq!(said(&client, &[elsewhere]), [""; 0]);
    }
    let script = object(
        Kind::TrafficExtension,
        "istio-system",
        "script",
        json!({"lua": {"inlineCode": "-- none"}}),
    );
    assert_eq!(said(&own, &[script]), [""; 0]);
}

#[test]
fn a_module_that_is_not_pinned_is_said_of_each_filter_object() {
    let mut observed = observed(json!([primary(json!({}))]));
    let pinned = |object: Object| {
        let mut object = object;
        let url = json!("oci://r.example/serin:1.0.0");
        match object.id.kind {
            Kind::WasmPlugin => object.spec["url"] = url,
            _ => object.spec["wasm"]["url"] = url,
        }
        Some(Arc::new(object))
    };
    let mut latest = traffic_extension();
    latest.spec["wasm"]["imagePullPolicy"] = json!("Always");
    latest.spec["wasm"]["failStrategy"] = json!("FAIL_OPEN");
    observed.filters = vec![pinned(wasm_plugin()), Some(Arc::new(latest))];
    let found = warnings(&routing(), &observed);
    assert_eq!(
        found,
        [Warning {
            reason: "FilterNotPinned",
            message: "TrafficExtension istio-system/serin: spec.wasm.imagePullPolicy: found Always, expected a digest, in spec.wasm.sha256 or behind an @ in spec.wasm.url: each step of a canary edits this object, each proxy then asks the registry again, and where that does not answer, the proxy replaces the filter by one that lets every request pass without a lane".to_owned(),
        }]
    );
    observed.filters = vec![pinned(wasm_plugin()), pinned(traffic_extension())];
    assert_eq!(warnings(&routing(), &observed), []);
}
