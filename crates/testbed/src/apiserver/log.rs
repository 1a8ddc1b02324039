//! What was asked of the server, for tests that count what a client costs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

use super::request::Verb;

/// One request, in the order in which the answers were ready (a watch: in which it began).
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// When the answer was ready; of a watch, when it began.
    pub at: Instant,
    /// What it did.
    pub verb: Verb,
    /// API group; empty for the core group and for paths that are no resource.
    pub group: String,
    /// Plural of the resource; empty for paths that are no resource.
    pub resource: String,
    /// Namespace; empty for all or none.
    pub namespace: String,
    /// Name; empty for the collection.
    pub name: String,
    /// `status`, or empty.
    pub subresource: String,
    /// Path and query as they were sent.
    pub path: String,
    /// Media type of the body without parameters; empty if none was told.
    pub content_type: String,
    /// The body: a patch, an object, options of a delete. Null if there was none, or no JSON.
    pub body: Value,
    /// `User-Agent`.
    pub user_agent: String,
    /// HTTP status of the answer; none if a fault took the connection away.
    pub status: Option<u16>,
}

/// The log of one server; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Request>>>);

impl Log {
    pub(super) fn push(&self, mut request: Request) {
        request.at = Instant::now();
        self.lock().push(request);
    }

    pub(super) fn all(&self) -> Vec<Request> {
        self.lock().clone()
    }

    pub(super) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
