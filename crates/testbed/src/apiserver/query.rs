//! What the query of a request asks for.

use std::collections::HashMap;
use std::time::Duration;

use super::resource::Resource;
use super::selector::Selector;
use super::status::{InvalidField, Status};
use super::store::list::ListOptions;

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

    /// Whether a patch is forced (`force`, for an apply), checked as `ValidatePatchOptions` does.
    pub(super) fn patch_options(&self, apply: bool) -> Result<bool, Status> {
        let cause = if apply && self.text("fieldManager").is_empty() {
            InvalidField::required("fieldManager", "is required for apply patch")
        } else if !apply && self.0.contains_key("force") {
            InvalidField::forbidden("force", "may not be specified for non-apply patch")
        } else {
            return Ok(self.flag("force"));
        };
        Err(Status::invalid_patch_options(&cause))
    }

    /// Who writes: `fieldManager`, else the program that `User-Agent` names (Go
    /// `managerOrUserAgent`).
    pub(super) fn manager<'a>(&'a self, user_agent: &'a str) -> &'a str {
        let program = user_agent.split('/').next().unwrap_or_default();
        [self.text("fieldManager"), program]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or("unknown")
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
