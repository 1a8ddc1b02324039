//! What is said to be out of reach, held to requests: a small matcher of Envoy's own way looks for one that gets there.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::{canary, found};
use crate::core::fixtures::{observed, primary};

/// Headers and query parameters have few names and values, so that conditions meet.
#[derive(Clone, Debug)]
struct Request {
    path: &'static str,
    method: &'static str,
    headers: BTreeMap<&'static str, &'static str>,
    query: BTreeMap<&'static str, &'static str>,
    port: u64,
    app: &'static str,
}

const VALUES: [&str; 4] = ["", "a", "ab", "B"];
const PATHS: [&str; 5] = ["/", "/a", "/A/b", "/ab", "/c"];
const NAMES: [&str; 2] = ["x", "y"];

fn text() -> impl Strategy<Value = Value> {
    let kind = select(vec!["exact", "prefix", "regex"]);
    prop_oneof![
        1 => Just(json!({})),
        1 => select(vec!["*", ".*", "a.*", "[^a]*", "b|ab"]).prop_map(|text| json!({ "regex": text })),
        5 => (kind, select(vec!["a", "ab", "B", "/a", "/", "/A"])).prop_map(|(kind, text)| json!({ kind: text })),
    ]
}

fn texts() -> impl Strategy<Value = Value> {
    let entries = proptest::collection::vec((select(NAMES.to_vec()), text()), 0..2);
    entries.prop_map(|entries| {
        entries
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text))
            .collect()
    })
}

fn entry() -> impl Strategy<Value = Value> {
    let uri = proptest::option::weighted(0.3, text());
    let method = proptest::option::weighted(0.2, text());
    let ports = proptest::option::weighted(0.15, select(vec![80, 81]));
    let apps = proptest::option::weighted(0.15, select(vec!["web", "job"]));
    let gateways = proptest::option::weighted(0.1, select(vec![json!(["mesh"]), json!(["edge"])]));
    let texts = (texts(), texts(), texts());
    (uri, method, texts, ports, apps, gateways, any::<bool>()).prop_map(
        |(uri, method, (headers, without, query), port, app, gateways, ignores)| {
            let mut entry = Map::new();
            let mut put = |name: &str, value: Option<Value>| {
                entry.extend(value.map(|value| (name.to_owned(), value)));
            };
            put("uri", uri.filter(|uri| *uri != json!({"regex": "*"})));
            put("method", method);
            put("headers", Some(headers));
            put("withoutHeaders", Some(without));
            put("queryParams", Some(query));
            put("port", port.map(Value::from));
            put("sourceLabels", app.map(|app| json!({ "app": app })));
            put("gateways", gateways);
            put("ignoreUriCase", ignores.then_some(Value::Bool(true)));
            Value::Object(entry)
        },
    )
}

/// As Envoy does, of a value that is there.
fn satisfies(text: &Value, value: &str, ignores_case: bool) -> bool {
    let Some((kind, wanted)) = text.as_object().and_then(|kinds| kinds.iter().next()) else {
        return true;
    };
    let wanted = wanted.as_str().unwrap();
    let (mut value, mut lower) = (value.to_owned(), wanted.to_owned());
    if ignores_case {
        value.make_ascii_lowercase();
        lower.make_ascii_lowercase();
    }
    match (&**kind, wanted) {
        ("exact", _) => value == lower,
        ("prefix", _) => value.starts_with(&lower),
        (_, "*" | ".*") => true,
        (_, "a.*") => value.starts_with('a'),
        (_, "[^a]*") => !value.contains('a'),
        (_, "b|ab") => value == "b" || value == "ab",
        (_, plain) => value == plain,
    }
}

fn takes(entry: &Value, request: &Request) -> bool {
    let is_present = |text: &Value| {
        text.as_object().is_some_and(Map::is_empty) || *text == json!({"regex": "*"})
    };
    let ignores_case = entry["ignoreUriCase"] == json!(true);
    let of = |field: &str| entry[field].as_object().cloned().unwrap_or_default();
    let named = |field: &str, values: &BTreeMap<&str, &str>| {
        of(field).iter().all(|(name, text)| {
            values
                .get(&**name)
                .is_some_and(|value| satisfies(text, value, false))
        })
    };
    let without = of("withoutHeaders").iter().all(|(name, text)| {
        let value = request.headers.get(&**name);
        if is_present(text) {
            value.is_none()
        } else {
            !satisfies(text, value.unwrap_or(&""), false)
        }
    });
    let is_regex = entry["uri"].get("regex").is_some();
    let in_proxy = match &entry["gateways"] {
        Value::Null => entry["sourceLabels"]
            .get("app")
            .is_none_or(|app| app == request.app),
        gateways => gateways == &json!(["mesh"]),
    };
    in_proxy
        && without
        && (entry["uri"].is_null()
            || satisfies(&entry["uri"], request.path, ignores_case && !is_regex))
        && (entry["method"].is_null() || satisfies(&entry["method"], request.method, false))
        && named("headers", &request.headers)
        && named("queryParams", &request.query)
        && (entry["port"].is_null() || entry["port"] == request.port)
}

fn route_takes(route: &Value, request: &Request) -> bool {
    let entries = route["match"].as_array().unwrap();
    entries.is_empty() || entries.iter().any(|entry| takes(entry, request))
}

/// All requests there can be, but for those that no condition can tell from another.
fn requests() -> Vec<Request> {
    let mut values: Vec<Option<&str>> = VALUES.iter().copied().map(Some).collect();
    values.push(None);
    let pairs = |values: &[Option<&'static str>]| -> Vec<BTreeMap<&'static str, &'static str>> {
        let all = values
            .iter()
            .flat_map(|one| values.iter().map(move |other| (*one, *other)));
        let named = all.map(|(x, y)| [("x", x), ("y", y)]);
        let present = named.map(|pair| {
            pair.into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect()
        });
        present.collect()
    };
    let mut requests = Vec::new();
    for path in PATHS {
        for headers in pairs(&values) {
            for query in pairs(&[None, Some("a")]) {
                for (port, app, method) in [(80, "web", "a"), (81, "job", "ab"), (82, "other", "B")]
                {
                    let (headers, query) = (headers.clone(), query.clone());
                    requests.push(Request {
                        path,
                        method,
                        headers,
                        query,
                        port,
                        app,
                    });
                }
            }
        }
    }
    requests
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// The rule asks for a header `x`, a path and a method, as a mirror step does.
    #[test]
    fn no_request_gets_to_a_route_that_is_out_of_reach(
        above in proptest::collection::vec(proptest::collection::vec(entry(), 0..3), 0..3),
        own in proptest::collection::vec(entry(), 0..3),
        asked in (text(), proptest::option::of(text()), proptest::option::of(text())),
    ) {
        let (header, path, method) = asked;
        let mut entry = json!({"headers": {"x": header}});
        for (name, text) in [("path", &path), ("method", &method)] {
            if let Some(text) = text.as_ref().filter(|text| text.get("regex").is_none_or(|text| text != "*")) {
                entry[name] = text.clone();
            }
        }
        let step = json!({"setMirrorRoute": {"name": "shadow", "match": [entry]}});
        let change = json!({"spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}, step]}}}});
        let above = above.into_iter().map(|entries| json!({"name": "above", "match": entries}));
        let mut http: Vec<Value> = above.collect();
        http.push(primary(json!({ "match": own })));
        let (error, _) = found(&canary(change), &observed(Value::from(http.clone())));
        let Some(error) = error else { return Ok(()) };
        let gets_there = requests().into_iter().find(|request| {
            let is_asked = |name: &str, value: &str| {
                entry[name].is_null() || satisfies(&entry[name], value, false)
            };
            let header = request.headers.get("x");
            header.is_some_and(|value| satisfies(&entry["headers"]["x"], value, false))
                && is_asked("path", request.path)
                && is_asked("method", request.method)
                && http.iter().find(|route| route_takes(route, request)).is_some_and(|route| route["name"] == "primary")
        });
        prop_assert!(gets_there.is_none(), "{error}\n{gets_there:?}");
    }
}
