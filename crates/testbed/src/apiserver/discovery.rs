//! What the server says of itself: versions, groups, resources.
//!
//! Both forms of discovery: the plain one (`discovery.rs`), and the aggregated one, which is all of it
//! in two answers (`discovery/aggregated.rs`).

use serde_json::{Value, json};

use super::resource::Resource;

mod aggregated;

/// What can be done with a resource.
const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// What can be done with its `/status`.
const STATUS_VERBS: &[&str] = &["get", "patch", "update"];

/// The answer to a path that is no resource, if there is one, and its media type. `accept`: the header.
pub(super) fn answer(
    resources: &[Resource],
    path: &str,
    accept: &str,
) -> Option<(&'static str, Value)> {
    if aggregated::is_wanted(accept)
        && let Some(body) = aggregated::answer(resources, path)
    {
        return Some((aggregated::MEDIA_TYPE, body));
    }
    plain(resources, path).map(|body| ("application/json", body))
}

fn plain(resources: &[Resource], path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["version"] => Some(version()),
        ["api"] => Some(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        })),
        ["apis"] => Some(groups(resources)),
        ["apis", group] => one_group(resources, group),
        ["api", version] => of_version(resources, "", version),
        ["apis", group, version] => of_version(resources, group, version),
        _ => None,
    }
}

/// Whether the path asks if the server is up; the answer is `ok`.
pub(super) fn is_health(path: &str) -> bool {
    matches!(path, "/readyz" | "/livez" | "/healthz")
}

/// Whether the path is in a group that is part of Kubernetes: there, unlike anywhere else, the real
/// server answers with a `Status` when it finds nothing.
pub(super) fn is_built_in(resources: &[Resource], path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    let group = match (parts.next(), parts.next()) {
        (Some("api"), Some(_)) => "",
        (Some("apis"), Some(group)) => group,
        _ => return false,
    };
    resources
        .iter()
        .any(|one| one.group == group && !one.custom)
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": "v1.36.3",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": "",
        "compiler": "",
        "platform": "embedded",
    })
}

fn groups(resources: &[Resource]) -> Value {
    let groups: Vec<Value> = names_of_groups(resources)
        .into_iter()
        .filter_map(|group| one_group(resources, group))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// All groups but the core group.
fn names_of_groups(resources: &[Resource]) -> Vec<&'static str> {
    let mut names: Vec<&str> = resources
        .iter()
        .map(|one| one.group)
        .filter(|group| !group.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The versions of a group, the preferred one first.
fn versions_of(resources: &[Resource], group: &str) -> Vec<&'static str> {
    let mut versions: Vec<&str> = Vec::new();
    for one in resources.iter().filter(|one| one.group == group) {
        for version in one.versions {
            if !versions.contains(version) {
                versions.push(version);
            }
        }
    }
    versions
}

fn one_group(resources: &[Resource], group: &str) -> Option<Value> {
    let versions = versions_of(resources, group);
    let named: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    let preferred = named.first()?.clone();
    Some(json!({
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": group,
        "versions": named,
        "preferredVersion": preferred,
    }))
}

fn of_version(resources: &[Resource], group: &str, version: &str) -> Option<Value> {
    let mut rows = Vec::new();
    let mut served = None;
    for one in resources
        .iter()
        .filter(|one| one.group == group && one.versions.contains(&version))
    {
        served = Some(one.api_version(version));
        rows.push(json!({
            "name": one.plural,
            "singularName": one.kind.to_lowercase(),
            "namespaced": one.namespaced,
            "kind": one.kind,
            "shortNames": one.short_names,
            "verbs": VERBS,
        }));
        if one.status {
            rows.push(json!({
                "name": format!("{}/status", one.plural),
                "singularName": "",
                "namespaced": one.namespaced,
                "kind": one.kind,
                "verbs": STATUS_VERBS,
            }));
        }
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": served?,
        "resources": rows,
    }))
}
