//! Routes and steps in, what is out of reach out.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::core::fixtures::{observed, primary, rollout, virtual_service};
use crate::object::{Kind, Object, ObjectId};

/// A canary before its header step on `x-beta: 1`.
fn canary(change: Value) -> Rollout {
    let mut object = json!({"spec": {"strategy": {"canary": {"steps": [
        {"setWeight": 20},
        {"setHeaderRoute": {"name": "beta", "match": [{"headerName": "X-Beta", "headerValue": {"exact": "1"}}]}},
    ]}}}});
    json_patch::merge(&mut object, &change);
    rollout(object)
}

fn with_config(config: Value) -> Rollout {
    canary(
        json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": config}}}}}}),
    )
}

/// The error's text, and the warnings'.
fn found(rollout: &Rollout, observed: &Observed) -> (Option<String>, Vec<String>) {
    let reach = reach(rollout, &Routing::of(rollout).unwrap(), observed);
    let warnings = reach.warnings.into_iter().map(|warning| warning.message);
    (
        reach.blocked.map(|error| error.to_string()),
        warnings.collect(),
    )
}

fn matching(entries: Value) -> Value {
    primary(json!({ "match": entries }))
}

fn above(entries: Value) -> Value {
    json!([{"name": "pinned", "match": entries, "route": [{"destination": {"host": "other"}}]}, primary(json!({}))])
}

const RULE: &str = r#"rule "beta" of rollout shop/reviews (spec.strategy.canary.steps[1].setHeaderRoute.match[0])"#;

#[test]
fn what_keeps_all_requests_from_the_managed_route_is_an_error() {
    let asks = format!(
        r#"what a request of {RULE} can satisfy, which asks for header "x-beta" {{exact: "1"}}: no such request gets to route "primary", and so none to the canary"#
    );
    let excluded = |field: &str, shown: &str| {
        format!(
            "VirtualService shop/reviews: spec.http[0].match[0].{field}: found {shown}, expected {asks}"
        )
    };
    let taken = format!(
        r#"VirtualService shop/reviews: spec.http[0]: found route "pinned", which takes all requests of {RULE}, expected it below route "primary": as it is, none of them gets to the canary"#
    );
    let field = r#"withoutHeaders["x-beta"]"#;
    let cases = [
        (
            json!([matching(json!([{"withoutHeaders": {"x-beta": {}}}]))]),
            excluded(field, "{}"),
        ),
        (
            json!([matching(json!([{"withoutHeaders": {"x-beta": null}}]))]),
            excluded(field, "{}"),
        ),
        (
            json!([matching(
                json!([{"withoutHeaders": {"x-beta": {"exact": "1"}}}])
            )]),
            excluded(field, r#"{exact: "1"}"#),
        ),
        (
            json!([matching(
                json!([{"withoutHeaders": {"x-beta": {"regex": "[0-9]"}}}])
            )]),
            excluded(field, r#"{regex: "[0-9]"}"#),
        ),
        (
            json!([matching(json!([{"headers": {"X-BETA": {"exact": "2"}}}]))]),
            excluded(r#"headers["X-BETA"]"#, r#"{exact: "2"}"#),
        ),
        (
            json!([matching(json!([{"headers": {"x-beta": {"regex": "b.*"}}}]))]),
            excluded(r#"headers["x-beta"]"#, r#"{regex: "b.*"}"#),
        ),
        (
            json!([matching(json!([{"gateways": ["edge"]}]))]),
            format!(
                r#"VirtualService shop/reviews: spec.http[0].match[0]: found gateways {{"shop/edge"}}, expected one of {{"mesh"}}, where the VirtualService counts: no request gets to route "primary", where {RULE} would send it to the canary"#
            ),
        ),
        (above(json!([])), taken.clone()),
        (above(json!([{}])), taken.clone()),
        (above(json!([{"uri": {"prefix": "/"}}])), taken.clone()),
        (
            above(json!([{"headers": {"x-beta": {"exact": "1"}}}])),
            taken.clone(),
        ),
        (
            above(json!([{"headers": {"x-beta": {"prefix": "1"}}}])),
            taken.clone(),
        ),
        (above(json!([{"headers": {"x-beta": {}}}])), taken.clone()),
        (
            above(
                json!([{"uri": {"prefix": "/a"}}, {"headers": {"x-beta": {"regex": "1|2"}}, "withoutHeaders": {"x-beta": {"exact": "2"}}}]),
            ),
            taken.clone(),
        ),
    ];
    for (http, expected) in cases {
        let observed = observed(http.clone());
        let (error, warnings) = found(&canary(json!({})), &observed);
        assert_eq!(error, Some(expected), "{http}");
        assert_eq!(warnings, [""; 0]);
        // A weighted canary doesn't care, nor one that is past the step.
        let weighted = json!({"spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}]}}}});
        assert_eq!(found(&canary(weighted), &observed), (None, vec![]));
        let past = json!({"status": {"currentStepIndex": 2}});
        assert_eq!(found(&canary(past), &observed), (None, vec![]));
        // Where it is decided further out, a request without the header arrives.
        let ahead = with_config(json!({"entryHosts": ["shop.example.com"]}));
        let of_header = http.to_string().contains("beta") || http.to_string().contains("BETA");
        assert_eq!(found(&ahead, &observed).0.is_none(), of_header, "{http}");
    }
}

#[test]
fn what_lets_some_requests_through_is_none() {
    let good = [
        json!([primary(json!({}))]),
        json!([primary(json!({"match": []}))]),
        json!([matching(
            json!([{"uri": {"prefix": "/a"}}, {"headers": {"x-beta": {"exact": "1"}}}])
        )]),
        json!([matching(
            json!([{"withoutHeaders": {"x-beta": {}}}, {"uri": {"prefix": "/a"}}])
        )]),
        json!([matching(
            json!([{"withoutHeaders": {"x-beta": {"exact": "2"}}}])
        )]),
        json!([matching(
            json!([{"withoutHeaders": {"x-other": {}}, "gateways": ["mesh"]}])
        )]),
        json!([matching(
            json!([{"headers": {"x-beta": {"prefix": "1"}}, "method": {"exact": "GET"}}])
        )]),
        above(json!([{"uri": {"prefix": "/admin"}}])),
        above(json!([{"headers": {"x-beta": {"exact": "2"}}}])),
        above(json!([{"sourceLabels": {"app": "web"}}])),
        above(json!([{"port": 8080}])),
        above(json!([{"gateways": ["edge"]}])),
        above(json!([{"withoutHeaders": {"x-beta": {}}}])),
        above(json!([{"sourceNamespace": "far"}])),
        json!([primary(json!({})), {"name": "below", "route": [{"destination": {"host": "other"}}]}]),
        json!([{"name": "root", "delegate": {"name": "other"}}, primary(json!({}))]),
        json!([
            {"name": "serin-shop.other.canary", "match": [{"headers": {"x-beta": {"exact": "1"}, "x-rollout-lane.shop.other": {"exact": "canary"}}}]},
            primary(json!({})),
        ]),
    ];
    for http in good {
        assert_eq!(
            found(&canary(json!({})), &observed(http.clone())),
            (None, vec![]),
            "{http}"
        );
    }
}

#[test]
fn a_route_above_that_looks_at_the_same_is_a_warning() {
    let (error, warnings) = found(
        &canary(json!({})),
        &observed(above(
            json!([{"headers": {"x-beta": {"exact": "1"}}, "uri": {"prefix": "/admin"}}]),
        )),
    );
    assert_eq!(error, None);
    assert_eq!(
        warnings,
        [
            r#"VirtualService shop/reviews: spec.http[0].match[0].headers["x-beta"]: found {exact: "1"} in route "pinned", above route "primary", expected no route above that takes requests of rule "beta" (spec.strategy.canary.steps[1].setHeaderRoute.match[0]): those that it takes don't get to the canary"#
        ]
    );
    // A narrower path above a wider one is what routes are for; a wider one above takes requests of the rule.
    let config = json!({"routes": {"beta": {"match": [{"path": {"prefix": "/api"}}]}}});
    let warned = |uri: &str| {
        let http = above(json!([{"uri": {"prefix": uri}, "method": {"exact": "GET"}}]));
        found(&with_config(config.clone()), &observed(http)).1.len()
    };
    assert_eq!(
        (warned("/api/v1"), warned("/api"), warned("/a"), warned("/")),
        (0, 1, 1, 0)
    );
}

#[test]
fn an_entry_of_several_that_no_route_takes_is_a_warning() {
    let config = json!({"routes": {"beta": {"match": [{"method": {"exact": "POST"}}, {"path": {"prefix": "/api"}}]}}});
    let http = json!([matching(json!([{"method": {"exact": "GET"}}]))]);
    let (error, warnings) = found(&with_config(config.clone()), &observed(http));
    assert_eq!(error, None);
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    assert!(
        warning.contains(
            "routes[\"beta\"].match[0]) can satisfy, which asks for a method {exact: POST}"
        ),
        "{warning}"
    );
    // Of several managed routes one is enough.
    let mut change = config;
    json_patch::merge(
        &mut change,
        &json!({"virtualService": {"routes": ["primary", "second"]}}),
    );
    let http = json!([
        matching(json!([{"method": {"exact": "GET"}}])),
        primary(json!({"name": "second", "match": [{"method": {"exact": "POST"}}]})),
    ]);
    assert_eq!(found(&with_config(change), &observed(http)), (None, vec![]));
}

#[test]
fn a_rule_in_force_is_warned_of_and_not_refused() {
    let mut observed = observed(json!([matching(
        json!([{"withoutHeaders": {"x-beta": {}}}])
    )]));
    let plugin = Arc::make_mut(observed.filters[0].as_mut().unwrap());
    plugin.spec["pluginConfig"]["rollouts"]["shop/reviews"] =
        json!({"rules": [{"name": "beta", "lane": "canary"}]});
    let (error, warnings) = found(&canary(json!({})), &observed);
    assert_eq!((error, warnings.len()), (None, 1));
}

#[test]
fn what_the_built_in_has_left_above_takes_no_request_for_good() {
    let header = json!([{"headers": {"x-beta": {"exact": "1"}}}]);
    let left = json!([
        {"name": "beta", "match": header, "route": [{"destination": {"host": "reviews", "subset": "canary"}}]},
        primary(json!({})),
    ]);
    assert_eq!(
        found(&canary(json!({})), &observed(left)),
        (None, Vec::new())
    );
}

#[test]
fn a_delegates_matches_are_merged_with_its_roots() {
    let root = |http: Value| Object {
        id: ObjectId::new(Kind::VirtualService, "edge", "root"),
        ..virtual_service(http)
    };
    let case = |root_http: Value, own: Value| {
        let mut observed = observed(json!([own]));
        let object = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
        object.spec["hosts"] = Value::Null;
        observed.roots = vec![Arc::new(root(root_http))];
        found(&canary(json!({})), &observed)
    };
    let delegating = |entries: Value| json!({"name": "r", "match": entries, "delegate": {"name": "reviews", "namespace": "shop"}});
    let plain = primary(json!({}));
    assert_eq!(
        case(
            json!([delegating(json!([{"uri": {"prefix": "/"}}]))]),
            plain.clone()
        ),
        (None, vec![])
    );
    let (error, _) = case(
        json!([delegating(json!([{"withoutHeaders": {"x-beta": {}}}]))]),
        plain.clone(),
    );
    let start = r#"VirtualService edge/root: spec.http[0].match[0].withoutHeaders["x-beta"]: found {}, expected what"#;
    assert!(error.unwrap().starts_with(start));
    let first =
        json!({"name": "first", "match": [{"headers": {"x-beta": {"exact": "1"}}}], "route": []});
    let (error, _) = case(json!([first, delegating(json!([]))]), plain.clone());
    assert!(
        error
            .unwrap()
            .starts_with(r#"VirtualService edge/root: spec.http[0]: found route "first", which"#)
    );
    // Of the two the delegate's counts.
    let own = matching(json!([{"withoutHeaders": {"x-beta": {"exact": "2"}}}]));
    assert_eq!(
        case(
            json!([delegating(
                json!([{"withoutHeaders": {"x-beta": {"regex": ".*"}}}])
            )]),
            own
        ),
        (None, vec![])
    );
}

mod properties;
