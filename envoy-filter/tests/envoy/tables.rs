//! The tables of `traffic-policy`, with Envoy's own routing as the judge: the same requests go to
//! routes that match as istiod would have it, and to the filter.

use serde::Deserialize;
use serde_json::{Value, json};
use testbed::envoy::{Connection, EnvoyError};

use crate::bench::*;

#[derive(Deserialize)]
struct Table<C> {
    case: Vec<C>,
}

fn table<C: serde::de::DeserializeOwned>(text: &str) -> Vec<C> {
    toml::from_str::<Table<C>>(text).unwrap().case
}

#[derive(Deserialize)]
struct MatchCase {
    name: String,
    r#match: Vec<Value>,
    takes: Vec<Vec<String>>,
    leaves: Vec<Vec<String>>,
    /// False where routes can't judge; the table says why.
    #[serde(default = "yes")]
    envoy: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct RulesCase {
    name: String,
    rules: Value,
    requests: Vec<RequestCase>,
}

#[derive(Deserialize)]
struct RequestCase {
    lines: Vec<String>,
    lane: Option<String>,
}

/// Sends a request that is written as lines.
fn send(connection: &mut Connection, authority: &str, lines: &[String]) -> String {
    let start = lines
        .first()
        .filter(|line| !line.contains(':') || line.contains(" /"));
    let host = format!("host: {authority}");
    let mut rest = vec![host.as_str()];
    rest.extend(
        lines
            .iter()
            .skip(usize::from(start.is_some()))
            .map(String::as_str),
    );
    let reply = connection
        .send(start.map_or("GET /", String::as_str), &rest)
        .unwrap();
    assert_eq!(reply.status, 200, "{authority}: {lines:?}: {reply:?}");
    reply.body
}

/// One condition on a header as istiod translates it (Istio 1.29.1
/// `pilot/pkg/networking/core/route/route.go`, `translateHeaderMatch`).
fn header(name: &str, text: &Value) -> Value {
    match kind(text) {
        ("regex", "*") => json!({"name": name, "present_match": true}),
        ("regex", pattern) => {
            json!({"name": name, "string_match": {"safe_regex": {"regex": pattern}}})
        }
        (kind, value) => json!({"name": name, "string_match": {kind: value}}),
    }
}

/// A match entry as istiod translates it (`TranslateRouteMatch` there), with cookies as Envoy has them.
fn native(entry: &Value) -> Value {
    let mut matches = match entry.get("path").map(kind) {
        None => json!({"prefix": "/"}),
        Some(("exact", value)) => json!({"path": value}),
        Some(("prefix", value)) => json!({"prefix": value}),
        Some((_, value)) => json!({"safe_regex": {"regex": value}}),
    };
    let named = |field: &str| -> Vec<Value> {
        let named = entry.get(field).and_then(Value::as_object);
        let named = named.into_iter().flatten();
        named.map(|(name, text)| header(name, text)).collect()
    };
    let mut headers = named("headers");
    headers.extend(entry.get("method").map(|text| header(":method", text)));
    matches["headers"] = headers.into();
    matches["query_parameters"] = named("queryParams").into();
    matches["cookies"] = named("cookies").into();
    matches
}

fn kind(text: &Value) -> (&str, &str) {
    let (kind, value) = text
        .as_object()
        .and_then(|fields| fields.iter().next())
        .unwrap();
    (kind, value.as_str().unwrap())
}

#[test]
fn the_filter_matches_as_envoys_routes_do() {
    let mut cases: Vec<MatchCase> = table(include_str!(
        "../../../crates/traffic-policy/tests/data/match.toml"
    ));
    // One is written for this authority.
    for case in &mut cases {
        if case.name == "the-authority-goes-by-two-names" {
            case.name = "the-authority".to_owned();
        }
    }
    let mut configured = Vec::new();
    let (mut lanes, mut natives) = (Vec::new(), Vec::new());
    for case in &cases {
        let rules = json!([{"name": "r", "lane": "canary", "match": case.r#match}]);
        let rollout = format!("shop/{}", case.name);
        configured.push((rollout, json!({"hosts": [case.name], "rules": rules})));
        lanes.push(virtual_host(
            &[&case.name],
            managed(&case.name, "reviews", "primary", &json!({"prefix": "/"})),
        ));
        let mut routes: Vec<Value> = case
            .r#match
            .iter()
            .map(|entry| route("", "reviews", &native(entry), "canary"))
            .collect();
        routes.push(route("", "reviews", &json!({"prefix": "/"}), "weights"));
        natives.push(virtual_host(&[&case.name], routes));
    }
    let configured: Vec<(&str, Value)> = configured
        .iter()
        .map(|(key, policy)| (key.as_str(), policy.clone()))
        .collect();
    let filters = [filter("istio-system.serin", &policies(&configured))];
    let bench = Bench::start(
        SIDECAR,
        &[
            listener("main", &filters, &lanes),
            listener("native", &[], &natives),
        ],
        &[],
    );
    assert_eq!(bench.said(), [""; 0]);
    let (mut through_filter, mut through_routes) = (bench.connect("main"), bench.connect("native"));
    for case in &cases {
        let takes = case.takes.iter().map(|lines| (lines, "canary"));
        let leaves = case.leaves.iter().map(|lines| (lines, "weights"));
        for (lines, expected) in takes.chain(leaves) {
            let found = send(&mut through_filter, &case.name, lines);
            assert_eq!(found, expected, "the filter, {}: {lines:?}", case.name);
            if case.envoy {
                let found = send(&mut through_routes, &case.name, lines);
                assert_eq!(found, expected, "envoy, {}: {lines:?}", case.name);
            }
        }
    }
}

#[test]
fn rules_decide_in_order() {
    let cases: Vec<RulesCase> = table(include_str!(
        "../../../crates/traffic-policy/tests/data/rules.toml"
    ));
    let keys: Vec<String> = cases
        .iter()
        .map(|case| format!("shop/{}", case.name))
        .collect();
    let configured: Vec<(&str, Value)> = cases
        .iter()
        .zip(&keys)
        .map(|(case, key)| {
            (
                key.as_str(),
                json!({"hosts": [case.name], "rules": case.rules}),
            )
        })
        .collect();
    let hosts: Vec<Value> = cases
        .iter()
        .map(|case| {
            virtual_host(
                &[&case.name],
                managed(&case.name, "reviews", "primary", &json!({"prefix": "/"})),
            )
        })
        .collect();
    let filters = [filter("istio-system.serin", &policies(&configured))];
    let bench = Bench::start(GATEWAY, &[listener("main", &filters, &hosts)], &[]);
    let mut connection = bench.connect("main");
    for case in &cases {
        for request in &case.requests {
            let expected = request.lane.as_deref().unwrap_or("weights");
            let found = send(&mut connection, &case.name, &request.lines);
            assert_eq!(found, expected, "{}: {:?}", case.name, request.lines);
        }
    }
}

/// Patterns that the filter refuses because RE2 does: Envoy has to refuse them in a route.
#[test]
fn what_is_refused_as_foreign_is_refused_by_envoy() {
    for pattern in ["(?x)a # c", "b(?i-x:a)", "a)(b", "(?R)a", "*", "a{2,1001}"] {
        let routes = vec![route(
            "",
            "reviews",
            &json!({"safe_regex": {"regex": pattern}}),
            "canary",
        )];
        let folder = tempfile::tempdir().unwrap();
        let listeners = [listener("main", &[], &[virtual_host(&["*"], routes)])];
        let refused = envoy(folder.path(), bootstrap(SIDECAR, &listeners, &[], None));
        assert!(
            matches!(refused, Err(EnvoyError::Ended { .. })),
            "{pattern}"
        );
    }
}
