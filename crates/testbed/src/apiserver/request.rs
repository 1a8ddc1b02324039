//! From method, path and query to what is asked of which resource.
//!
//! Follows `RequestInfoFactory.NewRequestInfo` of `k8s.io/apiserver/pkg/endpoints/request`.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use http::Method;

use super::resource::Resource;
use super::selector::Selector;
use super::status::{InvalidField, Status};
use super::store::list::ListOptions;

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

/// The query of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(HashMap<String, String>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// True for `1`, `true` and a bare key, as Go's query conversion reads booleans.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.0
            .get(key)
            .is_some_and(|value| !matches!(value.as_str(), "0" | "false"))
    }

    /// `dryRun=All`.
    pub(super) fn dry_run(&self) -> bool {
        self.text("dryRun") == "All"
    }

    pub(super) fn selector(&self, resource: &Resource) -> Result<Selector, Status> {
        Selector::parse(
            resource,
            self.text("labelSelector"),
            self.text("fieldSelector"),
        )
    }

    /// Options of a list, checked as `ValidateListOptions` does.
    pub(super) fn list_options(&self, resource: &Resource) -> Result<ListOptions, Status> {
        let matching = self.text("resourceVersionMatch");
        let version = self.text("resourceVersion");
        let forbidden = |field: &str, expected: &str| {
            let cause = InvalidField::forbidden(field, expected);
            Err(Status::invalid_kind(
                "meta.k8s.io",
                "ListOptions",
                "",
                &cause,
            ))
        };
        if !matching.is_empty() && version.is_empty() {
            return forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            );
        }
        if matching == "Exact" && version == "0" {
            return forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            );
        }
        if self.0.contains_key("sendInitialEvents") {
            return forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            );
        }
        let limit = self.number("limit")?;
        let revision = self.number("resourceVersion")?;
        Ok(ListOptions {
            selector: self.selector(resource)?,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            continue_from: self.text("continue").to_owned(),
            revision,
            exact: matching == "Exact" || (matching.is_empty() && limit > 0 && revision > 0),
        })
    }

    /// Options of a watch, checked as `validateWatchOptions` does.
    pub(super) fn watch_options(&self, resource: &Resource) -> Result<WatchOptions, Status> {
        let matching = self.text("resourceVersionMatch");
        let asked = self.0.contains_key("sendInitialEvents");
        let expected = match (asked, matching) {
            (true, "NotOlderThan") | (false, "") => None,
            (true, _) => {
                Some("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
            }
            (false, _) => Some(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ),
        };
        if let Some(expected) = expected {
            let cause = InvalidField::forbidden("resourceVersionMatch", expected);
            return Err(Status::invalid_kind(
                "meta.k8s.io",
                "ListOptions",
                "",
                &cause,
            ));
        }
        let revision = self.number("resourceVersion")?;
        let initial = self.flag("sendInitialEvents");
        let send_initial = initial || (revision == 0 && !asked);
        Ok(WatchOptions {
            selector: self.selector(resource)?,
            from: Some(revision).filter(|revision| *revision > 0 && !send_initial),
            not_older_than: revision,
            send_initial,
            bookmarks: self.flag("allowWatchBookmarks"),
            initial_end: initial && self.flag("allowWatchBookmarks"),
            timeout: match self.number("timeoutSeconds")? {
                0 => WatchOptions::DEFAULT_TIMEOUT,
                seconds => Duration::from_secs(seconds),
            },
        })
    }

    fn number(&self, key: &str) -> Result<u64, Status> {
        match self.text(key) {
            "" => Ok(0),
            text => text.parse().map_err(|_bad| {
                Status::bad_request(if key == "resourceVersion" {
                    format!(
                        "invalid resource version: resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"
                    )
                } else {
                    format!("strconv.ParseInt: parsing \"{text}\": invalid syntax")
                })
            }),
        }
    }
}

/// What a watch asks for.
#[derive(Debug, Clone)]
pub(super) struct WatchOptions {
    pub(super) selector: Selector,
    /// Start after this revision; none is now.
    pub(super) from: Option<u64>,
    /// What is there is refused if this is still to come.
    pub(super) not_older_than: u64,
    /// Begin with everything that is there.
    pub(super) send_initial: bool,
    /// The client understands bookmarks.
    pub(super) bookmarks: bool,
    /// A bookmark tells where what is there ends.
    pub(super) initial_end: bool,
    pub(super) timeout: Duration,
}

impl WatchOptions {
    /// `--min-request-timeout` of kube-apiserver.
    const DEFAULT_TIMEOUT: Duration = Duration::from_mins(30);
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
