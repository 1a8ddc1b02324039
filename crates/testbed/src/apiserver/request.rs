//! From method and path to what is asked of which resource.
//!
//! Follows `RequestInfoFactory.NewRequestInfo` of `k8s.io/apiserver/pkg/endpoints/request`.

use std::fmt;

use http::Method;

use super::query::Query;
use super::resource::Resource;
use super::status::Status;

/// What a request does, in RBAC's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Reads one object, or a path that is no resource.
    Get,
    /// Reads many.
    List,
    /// Follows the changes of many.
    Watch,
    /// Makes one.
    Create,
    /// Replaces one.
    Update,
    /// Changes a part of one.
    Patch,
    /// Deletes one.
    Delete,
    /// Deletes many.
    DeleteCollection,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        })
    }
}

/// What a path under `/api` or `/apis` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) resource: Resource,
    pub(super) version: String,
    /// Empty: all namespaces, or none.
    pub(super) namespace: String,
    /// Empty: the collection.
    pub(super) name: String,
    pub(super) subresource: String,
}

impl Target {
    /// None where the path names no resource that is served.
    pub(super) fn parse(resources: &[Resource], path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // What follows is inside the namespace, unless it is a subresource of its own.
            ["namespaces", namespace, rest @ ..]
                if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) =>
            {
                (*namespace, rest)
            }
            rest => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return None,
        };
        let resource = resources.iter().find(|one| {
            one.group == group && one.plural == plural && one.versions.contains(&version)
        })?;
        let served = match subresource {
            "" => true,
            "status" => resource.status,
            _ => false,
        };
        let scoped = resource.namespaced || namespace.is_empty();
        let complete = name.is_empty() || !resource.namespaced || !namespace.is_empty();
        (served && scoped && complete).then(|| Self {
            resource: *resource,
            version: version.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        })
    }

    /// The verb that a method means here.
    pub(super) fn verb(&self, method: &Method, query: &Query) -> Result<Verb, Status> {
        let many = self.name.is_empty();
        Ok(match method.as_str() {
            "GET" if many && query.flag("watch") => Verb::Watch,
            "GET" if many => Verb::List,
            "GET" => Verb::Get,
            "POST" if many => Verb::Create,
            "PUT" if !many => Verb::Update,
            "PATCH" if !many => Verb::Patch,
            "DELETE" if many => Verb::DeleteCollection,
            "DELETE" if self.subresource.is_empty() => Verb::Delete,
            _ => return Err(Status::method_not_allowed()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::resource::RESOURCES;

    #[test]
    fn reads_paths() {
        for (path, expected) in [
            ("/api/v1/pods", Some(("pods", "", "", ""))),
            ("/api/v1/namespaces", Some(("namespaces", "", "", ""))),
            (
                "/api/v1/namespaces/shop",
                Some(("namespaces", "", "shop", "")),
            ),
            (
                "/api/v1/namespaces/shop/status",
                Some(("namespaces", "", "shop", "status")),
            ),
            (
                "/api/v1/namespaces/shop/pods",
                Some(("pods", "shop", "", "")),
            ),
            (
                "/api/v1/namespaces/shop/pods/a/status",
                Some(("pods", "shop", "a", "status")),
            ),
            (
                "/apis/networking.istio.io/v1beta1/namespaces/shop/gateways/a",
                Some(("gateways", "shop", "a", "")),
            ),
            (
                "/apis/argoproj.io/v1alpha1/rollouts",
                Some(("rollouts", "", "", "")),
            ),
            ("/apis/argoproj.io/v1/rollouts", None),
            ("/apis/argoproj.io/v1alpha1/rollouts/a", None),
            ("/api/v1/namespaces/shop/configmaps/a/status", None),
            ("/api/v1/namespaces/shop/nodes/a", None),
            ("/healthz", None),
        ] {
            let found = Target::parse(RESOURCES, path);
            let found = found.as_ref().map(|one| {
                (
                    one.resource.plural,
                    one.namespace.as_str(),
                    one.name.as_str(),
                    one.subresource.as_str(),
                )
            });
            assert_eq!(found, expected, "{path}");
        }
    }
}
