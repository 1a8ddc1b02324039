//! Objects and a Rollout before its header step in, what is missing out.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::core::fixtures::{observed, primary, rollout};

/// Weight first, then a header and a mirror step; the step of that index is current.
fn canary(current: Value, change: Value) -> Rollout {
    let mut object = json!({
        "spec": {"strategy": {"canary": {"steps": [
            {"setWeight": 20},
            {"pause": {}},
            {"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"exact": "1"}}]}},
            {"setMirrorRoute": {"name": "shadow", "percentage": 10, "match": [{"path": {"prefix": "/"}}]}},
            {"setHeaderRoute": {"name": "beta"}},
        ]}}},
        "status": {"currentStepIndex": current},
    });
    json_patch::merge(&mut object, &change);
    rollout(object)
}

fn found(rollout: &Rollout, observed: &Observed) -> Result<Option<Value>, String> {
    let routing = Routing::of(rollout).unwrap();
    let to_come = policy_to_come(rollout, &routing, observed).map_err(|error| error.to_string())?;
    let Some(to_come) = to_come else {
        return Ok(None);
    };
    to_come.check(&routing).map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", source.unwrap_or_default())
    })?;
    Ok(Some(to_come.written))
}

fn with_spec(spec: Value) -> Observed {
    let mut observed = observed(json!([]));
    let object = observed.virtual_services[0].as_mut().unwrap();
    Arc::make_mut(object).spec = spec;
    observed
}

#[test]
fn a_later_step_finds_all_that_it_needs() {
    let policy = found(
        &canary(json!(0), json!({})),
        &observed(json!([primary(json!({}))])),
    );
    let policy = policy.unwrap().unwrap();
    let names: Vec<_> = policy["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["name"])
        .collect();
    assert_eq!(names, ["beta", "shadow"]);
    assert_eq!(policy["hosts"], json!(["reviews.shop.svc.cluster.local"]));
}

#[test]
fn what_a_later_step_lacks_is_said_before_it() {
    let good = || observed(json!([primary(json!({}))]));
    let no_plugin = Observed {
        filters: vec![None],
        ..good()
    };
    let delegate = with_spec(json!({"http": [primary(json!({}))]}));
    let tls = with_spec(
        json!({"hosts": ["reviews"], "tls": [{"match": [{"sniHosts": ["reviews"]}], "route": primary(json!({}))["route"]}]}),
    );
    let bad_host = with_spec(json!({"hosts": ["re views"], "http": [primary(json!({}))]}));
    let cases = [
        (
            &no_plugin,
            "WasmPlugin istio-system/serin: not found; create it or correct spec.strategy.canary.trafficRouting.plugins[\"serin/istio\"].wasmPlugin of rollout shop/reviews",
        ),
        (
            &delegate,
            "VirtualService shop/reviews: spec.hosts: found nothing, expected hosts, or another VirtualService that has hosts and http[].delegate {name: reviews, namespace: shop}",
        ),
        (
            &tls,
            "VirtualService shop/reviews: spec.http: found nothing, expected at least one HTTP route: TLS and TCP routes have neither headers nor mirrors",
        ),
        (
            &bad_host,
            "rollout shop/reviews: its steps and the plugin's configuration make no valid policy: ",
        ),
    ];
    let without =
        json!({"spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}}});
    for (observed, expected) in cases {
        for step in [json!(null), json!(0), json!(1), json!(2)] {
            let error = found(&canary(step, json!({})), observed).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        // Past such steps, or without any, nothing of it matters.
        for step in [4, 5, 99] {
            assert_eq!(
                found(&canary(json!(step), json!({})), observed),
                Ok(None),
                "{step}"
            );
        }
        assert_eq!(
            found(&canary(json!(0), without.clone()), observed),
            Ok(None)
        );
    }
}
