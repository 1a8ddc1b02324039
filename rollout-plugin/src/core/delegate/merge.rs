//! How Istio merges a delegate's route with the route of the root that delegates to it: which matches conflict, so that
//! the route is left out, and whose mirrors count (istio 1.29.1 `pilot/pkg/model/virtualservice.go`, `mergeHTTPRoute`,
//! `mergeHTTPMatchRequests`, `hasConflict`; the module of August 2026 does the same).
//!
//! Of a route's other fields the delegate's counts where it has one, and the root's where it has none. A lane route has
//! the fields of its managed route, so that both get the same.

use serde_json::{Map, Value};

use crate::core::lane_route::mirrors_of;
use crate::core::routing::full_host;

/// One of two routes, and the namespace in which its short names are looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    pub(super) route: &'a Value,
    pub(super) namespace: &'a str,
}

/// The root's field that keeps an entry of the delegate's route from being merged, such as `match[0].uri`; Istio leaves
/// the delegate's route out then. `None` where each entry finds one of the root's.
pub(super) fn conflict(root: Side<'_>, own: Side<'_>) -> Option<String> {
    let (roots, leaves) = (entries(root.route), entries(own.route));
    let first = roots.first()?;
    let mut lost = leaves.iter().filter(|leaf| {
        let conflicts = |entry| conflict_of(entry, root.namespace, leaf, own.namespace).is_some();
        roots.iter().all(conflicts)
    });
    let leaf = lost.next()?;
    let field = conflict_of(first, root.namespace, leaf, own.namespace)?;
    Some(format!("match[0].{field}"))
}

/// A route's match entries; what is null has no fields.
pub(super) fn entries(route: &Value) -> &[Value] {
    let entries = route.get("match").and_then(Value::as_array);
    entries.map_or(&[], Vec::as_slice)
}

/// Istio's `hasConflict`: the first field that does.
fn conflict_of(
    root: &Value,
    root_namespace: &str,
    leaf: &Value,
    leaf_namespace: &str,
) -> Option<String> {
    for field in ["uri", "scheme", "method", "authority"] {
        if texts_conflict(root.get(field), leaf.get(field)) {
            return Some(field.to_owned());
        }
    }
    for field in ["headers", "withoutHeaders", "queryParams"] {
        for (name, value) in fields(leaf, field) {
            let of_root = root.get(field).and_then(|values| values.get(name));
            if texts_conflict(of_root, Some(value)) {
                return Some(format!("{field}[{name:?}]"));
            }
        }
    }
    if ignores_case(root) != ignores_case(leaf) {
        return Some("ignoreUriCase".to_owned());
    }
    let port = |entry: &Value| entry.get("port").and_then(Value::as_u64).unwrap_or(0);
    if port(root) > 0 && port(leaf) > 0 && port(root) != port(leaf) {
        return Some("port".to_owned());
    }
    let namespace = source_namespace(root);
    if !namespace.is_empty() && namespace != source_namespace(leaf) {
        return Some("sourceNamespace".to_owned());
    }
    for (name, value) in fields(leaf, "sourceLabels") {
        let of_root = root.get("sourceLabels").and_then(|labels| labels.get(name));
        if of_root.is_some_and(|found| found != value) {
            return Some(format!("sourceLabels[{name:?}]"));
        }
    }
    let (of_root, of_leaf) = (
        gateways(root, root_namespace),
        gateways(leaf, leaf_namespace),
    );
    let is_more = of_root.len() < of_leaf.len() || of_leaf.iter().any(|one| !of_root.contains(one));
    (!of_root.is_empty() && !of_leaf.is_empty() && is_more).then(|| "gateways".to_owned())
}

pub(super) fn ignores_case(entry: &Value) -> bool {
    entry.get("ignoreUriCase").and_then(Value::as_bool) == Some(true)
}

pub(super) fn source_namespace(entry: &Value) -> &str {
    let found = entry.get("sourceNamespace").and_then(Value::as_str);
    found.unwrap_or_default()
}

fn fields<'a>(entry: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let found = entry.get(field).and_then(Value::as_object);
    found.into_iter().flat_map(Map::iter)
}

/// Istio's `stringMatchConflict`: the delegate's has to be narrower, as far as Istio looks.
fn texts_conflict(root: Option<&Value>, leaf: Option<&Value>) -> bool {
    let (Some(root), Some(leaf)) = (root, leaf) else {
        return false;
    };
    if root.is_null() || leaf.is_null() {
        return false;
    }
    let text = |value: &Value, kind: &str| {
        let found = value.get(kind).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let is_any = |value: &Value| {
        ["regex", "prefix", "exact"]
            .iter()
            .any(|kind| !text(value, kind).is_empty())
    };
    if (!text(root, "regex").is_empty() && is_any(leaf))
        || (!text(leaf, "regex").is_empty() && is_any(root))
    {
        return true;
    }
    let (exact, prefix) = (text(leaf, "exact"), text(leaf, "prefix"));
    match (text(root, "exact"), text(root, "prefix")) {
        (root, _) if !root.is_empty() => !prefix.is_empty() || exact != root,
        (_, root) if !root.is_empty() && !prefix.is_empty() => !prefix.starts_with(&root),
        (_, root) if !root.is_empty() && !exact.is_empty() => !exact.starts_with(&root),
        _ => true,
    }
}

/// With their namespaces (istio 1.29.1 `resolveGatewayName`).
fn gateways(entry: &Value, namespace: &str) -> Vec<String> {
    let names = entry.get("gateways").and_then(Value::as_array);
    let names = names.into_iter().flatten().filter_map(Value::as_str);
    names
        .map(|name| match (name.split_once('/'), name.split_once('.')) {
            _ if name == "mesh" => name.to_owned(),
            (Some((".", name)), _) => format!("{namespace}/{name}"),
            (None, None) => format!("{namespace}/{name}"),
            (None, Some((name, rest))) => {
                let namespace = rest.split('.').next().unwrap_or_default();
                format!("{namespace}/{name}")
            }
            _ => name.to_owned(),
        })
        .collect()
}

/// All copies that a merged route makes: the delegate's mirrors, and the root's where the delegate's has none of that
/// kind. Hosts are full names; what copies no request is left out.
pub(super) fn copies(root: Side<'_>, own: Side<'_>) -> Vec<Value> {
    let mut merged = Map::new();
    for field in ["mirror", "mirrors", "mirrorPercent", "mirrorPercentage"] {
        let of = |side: Side<'_>| {
            let found = side.route.get(field).filter(|value| !is_empty(value))?;
            Some(with_full_hosts(found, side.namespace))
        };
        if let Some(value) = of(own).or_else(|| of(root)) {
            merged.insert(field.to_owned(), value);
        }
    }
    let mut copies = mirrors_of(&Value::Object(merged));
    let share = |mirror: &Value| mirror.pointer("/percentage/value").and_then(Value::as_f64);
    let is_none = |mirror: &Value| {
        mirror.get("percentage").is_some() && share(mirror).is_none_or(|share| share <= 0.0)
    };
    copies.retain(|mirror| !is_none(mirror));
    copies
}

/// To protobuf an empty list is as none.
fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn with_full_hosts(value: &Value, namespace: &str) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| match value.as_str() {
                Some(host) if name == "host" => {
                    (name.clone(), Value::from(full_host(host, namespace)))
                }
                _ => (name.clone(), with_full_hosts(value, namespace)),
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => {
            let items = items.iter();
            items.map(|item| with_full_hosts(item, namespace)).collect()
        }
        value => value.clone(),
    }
}
