//! Which requests a route is for (Istio 1.29 `route.go`, `TranslateRouteMatch`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::value::{map, string_match};
use crate::mesh::model::{Match, StringMatch};

/// Envoy's match, and whether it takes every request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RequestMatch {
    pub(super) json: Value,
    /// No condition on headers or query, and every path (`IsCatchAllRoute`).
    pub(super) all: bool,
}

impl RequestMatch {
    /// That of a route without conditions.
    pub(super) fn any() -> Self {
        Self {
            json: json!({"prefix": "/"}),
            all: true,
        }
    }

    pub(super) fn of(entry: &Match) -> Self {
        let uri = entry.uri.as_ref();
        let (mut json, all_paths) = match uri {
            Some(StringMatch {
                exact: Some(exact), ..
            }) => (json!({"path": exact}), false),
            // A plain prefix: `/api` takes `/apis` too. Only Ingress and the Gateway API end at a slash.
            Some(StringMatch {
                prefix: Some(prefix),
                ..
            }) => (json!({"prefix": prefix}), prefix == "/"),
            Some(StringMatch {
                regex: Some(regex), ..
            }) => (json!({"safe_regex": {"regex": regex}}), regex == ".*"),
            _ => (json!({"prefix": "/"}), true),
        };
        let mut headers: Vec<(&str, Value)> = Vec::new();
        for (name, rule) in &entry.headers {
            headers.push((name, header(name, rule)));
        }
        for (name, rule) in &entry.without_headers {
            let mut matcher = map(header(name, rule));
            matcher.insert("invert_match".to_owned(), Value::from(true));
            if !matcher.contains_key("present_match") {
                matcher.insert(
                    "treat_missing_header_as_empty".to_owned(),
                    Value::from(true),
                );
            }
            headers.push((name, Value::from(matcher)));
        }
        headers.sort_by_key(|(name, _)| *name);
        for (name, rule) in [
            (":method", &entry.method),
            (":authority", &entry.authority),
            (":scheme", &entry.scheme),
        ] {
            if let Some(rule) = rule {
                headers.push((name, header(name, rule)));
            }
        }
        let headers: Vec<Value> = headers.into_iter().map(|(_, matcher)| matcher).collect();
        let query = query(&entry.query_params);
        let all = all_paths && headers.is_empty() && query.is_empty();
        if let Some(fields) = json.as_object_mut() {
            fields.insert(
                "case_sensitive".to_owned(),
                Value::from(!entry.ignore_uri_case),
            );
            if !headers.is_empty() {
                fields.insert("headers".to_owned(), Value::from(headers));
            }
            if !query.is_empty() {
                fields.insert("query_parameters".to_owned(), Value::from(query));
            }
        }
        Self { json, all }
    }
}

fn header(name: &str, rule: &StringMatch) -> Value {
    match string_match(rule) {
        Some(rule) => json!({"name": name, "string_match": rule}),
        None => json!({"name": name, "present_match": true}),
    }
}

fn query(rules: &BTreeMap<String, StringMatch>) -> Vec<Value> {
    rules
        .iter()
        .map(|(name, rule)| header(name, rule))
        .collect()
}
