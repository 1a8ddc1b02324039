//! Aggregated discovery: all resources of the core group in one answer, all others in another.
//!
//! `apidiscovery.k8s.io/v2`, as `k8s.io/apiserver/pkg/endpoints/discovery/aggregated` serves it. For
//! other versions of it the plain form is served, which clients name as the second choice.

use serde_json::{Map, Value, json};

use super::{STATUS_VERBS, VERBS, names_of_groups, versions_of};
use crate::apiserver::resource::Resource;

/// Media type of the answer, and what a client names in `Accept` to get it.
pub(super) const MEDIA_TYPE: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Whether a client takes this form. `accept`: the header, empty if there is none.
pub(super) fn is_wanted(accept: &str) -> bool {
    accept.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let mut expected = MEDIA_TYPE.split(';');
        parts.next() == expected.next() && {
            let parameters: Vec<&str> = parts.collect();
            expected.all(|parameter| parameters.contains(&parameter))
        }
    })
}

/// The answer, for the two paths that have this form.
pub(super) fn answer(resources: &[Resource], path: &str) -> Option<Value> {
    let groups = match path.trim_end_matches('/') {
        "/api" => vec![""],
        "/apis" => names_of_groups(resources),
        _ => return None,
    };
    let items: Vec<Value> = groups
        .into_iter()
        .map(|group| group_of(resources, group))
        .collect();
    Some(json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }))
}

fn group_of(resources: &[Resource], group: &str) -> Value {
    let mut metadata = Map::new();
    if !group.is_empty() {
        metadata.insert("name".to_owned(), Value::from(group));
    }
    let versions = versions_of(resources, group).into_iter().map(|version| {
        let served = resources
            .iter()
            .filter(|one| one.group == group && one.versions.contains(&version));
        let served: Vec<Value> = served.map(|one| resource_of(one, version)).collect();
        json!({"version": version, "resources": served, "freshness": "Current"})
    });
    let versions: Vec<Value> = versions.collect();
    json!({"metadata": metadata, "versions": versions})
}

fn resource_of(resource: &Resource, version: &str) -> Value {
    // The real server leaves both out for what is built in.
    let (group, version) = if resource.custom {
        (resource.group, version)
    } else {
        ("", "")
    };
    let kind = json!({"group": group, "version": version, "kind": resource.kind});
    let mut row = json!({
        "resource": resource.plural,
        "responseKind": kind,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.kind.to_lowercase(),
        "verbs": VERBS,
        "shortNames": resource.short_names,
    });
    if let (true, Some(row)) = (resource.status, row.as_object_mut()) {
        row.insert(
            "subresources".to_owned(),
            json!([{"subresource": "status", "responseKind": kind, "verbs": STATUS_VERBS}]),
        );
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_given_to_those_who_ask_for_it() {
        for (accept, expected) in [
            ("", false),
            ("application/json", false),
            (MEDIA_TYPE, true),
            (
                "application/json, application/json; v=v2; as=APIGroupDiscoveryList; g=apidiscovery.k8s.io",
                true,
            ),
            (
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
                false,
            ),
            (
                "application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                false,
            ),
        ] {
            assert_eq!(is_wanted(accept), expected, "{accept}");
        }
    }
}
