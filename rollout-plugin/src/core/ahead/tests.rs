//! Steps and configurations in, the field that is wrong out.

use serde_json::{Value, json};

use super::*;
use crate::core::fixtures::rollout;

/// A Rollout before its first step, whose later steps set the routes `beta` and `shadow`.
fn with(config: Value, change: Value) -> Rollout {
    let mut object = json!({"spec": {"strategy": {"canary": {
        "steps": [
            {"setWeight": 5},
            {"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"exact": "1"}}]}},
            {"setMirrorRoute": {"name": "shadow", "percentage": 35, "match": [{"path": {"prefix": "/search"}}]}},
        ],
        "trafficRouting": {"plugins": {"serin/istio": config}},
    }}}});
    json_patch::merge(&mut object, &change);
    rollout(object)
}

fn found(rollout: &Rollout) -> Result<Checked, String> {
    let routing = Routing::of(rollout).unwrap();
    check(rollout, &routing).map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    })
}

fn steps(steps: Value) -> Value {
    json!({"spec": {"strategy": {"canary": {"steps": steps}}}})
}

#[test]
fn what_is_wrong_with_the_configuration_is_told_by_its_field() {
    let plugin =
        r#"rollout shop/reviews: spec.strategy.canary.trafficRouting.plugins["serin/istio"]"#;
    for (config, message) in [
        (
            json!({"routes": {"beta": {"match": [{"path": {"prefix": "/"}}, {"headers": {"x-a": {"regex": "("}}}]}}}),
            r#".routes["beta"].match[1].headers["x-a"].regex: "(" is no regular expression: "#,
        ),
        (
            json!({"routes": {"shadow": {"match": [{"headers": {"x a": {"exact": "1"}}}]}}}),
            r#".routes["shadow"].match[0].headers["x a"]: "x a" is no header name, expected"#,
        ),
        (
            json!({"routes": {"trial": {"match": [{"cookies": {"a;b": {"exact": "1"}}}]}}}),
            r#".routes["trial"].match[0].cookies["a;b"]: "a;b" is no cookie name, expected"#,
        ),
        (
            json!({"routes": {"beta": {"percent": 10, "keys": [{"header": "x"}, {"queryParam": "a&b"}]}}}),
            r#".routes["beta"].keys[1].queryParam: "a&b" is no parameter name, expected"#,
        ),
        (
            json!({"routes": {"beta": {"percent": 101}}}),
            r#".routes["beta"].percent: 101 is no share, expected 0 to 100"#,
        ),
        (
            json!({"sticky": {"keys": []}}),
            ".sticky.keys: the list is empty, expected at least one key",
        ),
        (
            json!({"sticky": {"keys": [{"header": "x"}, {"header": "X"}]}}),
            ".sticky.keys[1]: this key is in the list already",
        ),
        (
            json!({"sticky": {"keys": [{"cookie": "a", "issue": {}}]}, "routes": {"beta": {"percent": 1, "keys": [{"cookie": "b", "issue": {}}]}}}),
            r#".sticky.keys: the cookie "a" would be issued besides "b""#,
        ),
        (
            json!({"sticky": {"keys": [{"header": "x"}], "salt": ""}}),
            r#".sticky.salt: "" is no salt, expected"#,
        ),
        (
            json!({"entryHosts": ["a.example.com", "b.example.com:80"]}),
            r#".entryHosts[1]: "b.example.com:80" is no host: expected"#,
        ),
        (
            json!({"laneSecret": "with space"}),
            ".laneSecret: the value, of 10 bytes, is no secret: expected",
        ),
        (
            json!({"routes": {"beta": {"keys": [{"header": "x"}]}}}),
            r#".routes["beta"].keys: found keys without a share that they could draw, expected routes["beta"].percent, or the percentage of a mirror step"#,
        ),
        (
            json!({"routes": {"trial": {"keys": [{"header": "x"}]}}}),
            r#".routes["trial"].keys: found keys without a share"#,
        ),
    ] {
        let error = found(&with(config, json!({}))).unwrap_err();
        assert!(error.starts_with(&format!("{plugin}{message}")), "{error}");
    }
}

#[test]
fn what_is_wrong_with_a_step_is_told_by_its_field() {
    let header = |name: &str, value: Value| {
        json!([{}, {"setHeaderRoute": {"name": "beta", "match": [
            {"headerName": "x", "headerValue": {"exact": "1"}}, {"headerName": name, "headerValue": value},
        ]}}])
    };
    let mirror = |entry: Value| json!([{"setMirrorRoute": {"name": "shadow", "match": [entry]}}]);
    for (written, message) in [
        (
            header("x", json!({"regex": "["})),
            r#"steps[1].setHeaderRoute.match[1].headerValue.regex: "[" is no regular expression: "#,
        ),
        (
            header("x y", json!({"exact": "["})),
            r#"steps[1].setHeaderRoute.match[1].headerName: "x y" is no header name, expected"#,
        ),
        (
            header("x", json!({"exact": "a", "regex": "a"})),
            "steps[1].setHeaderRoute.match[1].headerValue: found several of them, expected one of",
        ),
        (
            mirror(json!({"path": {"regex": "*"}})),
            r#"steps[0].setMirrorRoute.match[0].path.regex: "*" is no regular expression: "#,
        ),
        (
            mirror(json!({"headers": {"x": {"regex": "("}}})),
            r#"steps[0].setMirrorRoute.match[0].headers["x"].regex: "(" is no regular expression: "#,
        ),
        (
            json!([{"setHeaderRoute": {"name": "gamma"}}]),
            r#"steps[0].setHeaderRoute.name: found "gamma", expected a name of"#,
        ),
    ] {
        let error = found(&with(json!({}), steps(written))).unwrap_err();
        let message = format!("rollout shop/reviews: spec.strategy.canary.{message}");
        assert!(error.starts_with(&message), "{error}");
    }
}

#[test]
fn keys_draw_the_percentage_of_a_mirror_step_too() {
    let config = json!({"routes": {"shadow": {"keys": [{"header": "x"}]}, "beta": {"percent": 100, "keys": [{"header": "x"}]}}});
    found(&with(config, json!({}))).unwrap();
}

#[test]
fn what_has_been_checked_is_not_checked_again() {
    let config = json!({"routes": {"beta": {"percent": 10}}, "sticky": {"keys": [{"header": "x"}]}, "entryHosts": ["a"], "laneSecret": "s"});
    let first = with(config, json!({}));
    let checked = found(&first).unwrap();
    let covers = |rollout: &Rollout| checked.covers(rollout, &Routing::of(rollout).unwrap());
    assert!(covers(&first));
    let mut later = first.clone();
    later.status.current_step_index = Some(2);
    later.metadata.resource_version = "9".to_owned();
    assert!(covers(&later));
    for change in [
        json!({"routes": {"beta": {"percent": 11}}}),
        json!({"sticky": {"salt": "x"}}),
        json!({"entryHosts": ["b"]}),
        json!({"laneSecret": "t"}),
    ] {
        let plugin = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": change}}}}}});
        let mut object = serde_json::to_value(&first).unwrap();
        json_patch::merge(&mut object, &plugin);
        assert!(
            !covers(&serde_json::from_value(object).unwrap()),
            "{change}"
        );
    }
    let mut other = first.clone();
    let canary = other.spec.strategy.canary.as_mut().unwrap();
    canary.steps.pop();
    assert!(!covers(&other));
}
