//! Lists: pages, and the meaning of `resourceVersion`.
//!
//! Follows `GetList` of `k8s.io/apiserver/pkg/storage/etcd3/store.go`; a continued or exact list is
//! read from a snapshot made by undoing history.

use std::sync::Arc;

use serde_json::Value;

use super::{Key, State, in_scope};
use crate::apiserver::resource::Resource;
use crate::apiserver::selector::Selector;
use crate::apiserver::status::Status;

/// What a list asks for, as in `metav1.ListOptions`.
#[derive(Debug, Clone, Default)]
pub(in crate::apiserver) struct ListOptions {
    pub(in crate::apiserver) selector: Selector,
    /// Objects a page; 0 is all.
    pub(in crate::apiserver) limit: usize,
    /// Token of the page before.
    pub(in crate::apiserver) continue_from: String,
    pub(in crate::apiserver) revision: u64,
    /// `resourceVersionMatch=Exact`, or its older form: a limit with a version.
    pub(in crate::apiserver) exact: bool,
}

/// One page.
#[derive(Debug)]
pub(in crate::apiserver) struct Page {
    pub(in crate::apiserver) items: Vec<Arc<Value>>,
    pub(in crate::apiserver) revision: u64,
    /// Token for the next page.
    pub(in crate::apiserver) next: Option<String>,
    /// How many come after; not told when a selector would have to look at them.
    pub(in crate::apiserver) remaining: Option<usize>,
}

impl State {
    pub(in crate::apiserver) fn list(
        &self,
        resource: &Resource,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<Page, Status> {
        let current = self.revision();
        if options.revision > current {
            return Err(Status::too_large(options.revision, current));
        }
        let (revision, after) = if options.continue_from.is_empty() {
            (
                if options.exact {
                    options.revision
                } else {
                    current
                },
                None,
            )
        } else {
            let token = Token::parse(&options.continue_from)?;
            (token.revision, Some(token))
        };
        let snapshot;
        let objects = if revision == current {
            &self.objects
        } else {
            snapshot = self
                .snapshot(revision)
                .ok_or_else(|| expired(after.is_some()))?;
            &snapshot
        };

        let mut found = in_scope(objects, resource, namespace)
            .filter(|(key, _)| after.as_ref().is_none_or(|token| token.is_before(key)))
            .filter(|(_, object)| options.selector.matches(object))
            .peekable();
        let limit = if options.limit == 0 {
            usize::MAX
        } else {
            options.limit
        };
        let mut items = Vec::new();
        let mut last = None;
        while items.len() < limit
            && let Some((key, object)) = found.next()
        {
            items.push(Arc::clone(object));
            last = Some(key);
        }
        let next = found
            .peek()
            .and(last)
            .map(|key| Token::after(revision, key));
        let remaining = (next.is_some() && options.selector.is_empty()).then(|| found.count());
        Ok(Page {
            items,
            revision,
            next,
            remaining,
        })
    }
}

fn expired(continued: bool) -> Status {
    Status::expired(if continued {
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter."
    } else {
        "The resourceVersion for the provided list is too old."
    })
}

/// A continue token. Clients must not look into it, so it can be plain.
struct Token {
    revision: u64,
    namespace: String,
    name: String,
}

impl Token {
    fn after(revision: u64, key: &Key) -> String {
        format!("{revision}:{}/{}", key.namespace, key.name)
    }

    fn parse(token: &str) -> Result<Self, Status> {
        let parts = token
            .split_once(':')
            .and_then(|(revision, rest)| Some((revision.parse().ok()?, rest.split_once('/')?)));
        let Some((revision, (namespace, name))) = parts else {
            return Err(Status::bad_request(
                "invalid continue token: continue key is not valid: it is not one that this server made",
            ));
        };
        Ok(Self {
            revision,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    fn is_before(&self, key: &Key) -> bool {
        (&self.namespace, &self.name) < (&key.namespace, &key.name)
    }
}
