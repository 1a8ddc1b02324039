//! What the server says of itself: versions, groups, resources.
//!
//! The plain form of discovery, which kube's `Discovery` and `kubectl` fall back to when the
//! aggregated form is not offered.

use serde_json::{Value, json};

use super::resource::Resource;

/// The answer to a path that is no resource, if there is one.
pub(super) fn answer(resources: &[Resource], path: &str) -> Option<Value> {
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
    let mut names: Vec<&str> = resources
        .iter()
        .map(|one| one.group)
        .filter(|group| !group.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    let groups: Vec<Value> = names
        .into_iter()
        .filter_map(|group| one_group(resources, group))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn one_group(resources: &[Resource], group: &str) -> Option<Value> {
    let mut versions: Vec<&str> = Vec::new();
    for one in resources.iter().filter(|one| one.group == group) {
        for version in one.versions {
            if !versions.contains(version) {
                versions.push(version);
            }
        }
    }
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
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        }));
        if one.status {
            rows.push(json!({
                "name": format!("{}/status", one.plural),
                "singularName": "",
                "namespaced": one.namespaced,
                "kind": one.kind,
                "verbs": ["get", "patch", "update"],
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
