//! The event stream of a watch.
//!
//! Follows `k8s.io/apiserver/pkg/storage/cacher`: what is there first where it was asked for, an
//! `ERROR` event with `410` when the history has gone, bookmarks, and the end after the timeout. An
//! object that enters or leaves the selector shows as added or deleted.

use std::collections::VecDeque;
use std::time::Duration;

use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::object;
use super::query::WatchOptions;
use super::request::Target;
use super::status::Status;
use super::store::{Change, ChangeKind, State, Store};

/// Between bookmarks, as the real server has it.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);

/// The connection ends here because a fault asked for it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("connection dropped: a fault asked for it")]
pub(super) struct Dropped;

/// Faults that this watch has met.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trouble {
    pub(super) cut_after: Option<usize>,
    pub(super) lag: Duration,
}

/// One open watch.
#[derive(Debug)]
pub(super) struct Watch {
    store: Store,
    target: Target,
    options: WatchOptions,
    newest: tokio::sync::watch::Receiver<u64>,
    cuts: tokio::sync::watch::Receiver<u64>,
    trouble: Trouble,
    /// Changes up to here are in `pending` or sent.
    cursor: u64,
    pending: VecDeque<(Instant, Value)>,
    sent: usize,
    deadline: Instant,
    bookmark: Instant,
    ended: bool,
}

impl Watch {
    pub(super) fn start(
        store: &Store,
        target: Target,
        options: WatchOptions,
        cuts: tokio::sync::watch::Receiver<u64>,
        trouble: Trouble,
    ) -> Result<Self, Status> {
        let now = Instant::now();
        let newest = store.newest();
        let (revision, initial) = store.read(|state| {
            let revision = state.revision();
            // Events from a revision that is still to come are waited for.
            if options.send_initial && options.not_older_than > revision {
                return Err(Status::too_large(options.not_older_than, revision));
            }
            Ok((revision, first_events(state, &target, &options)))
        })?;
        Ok(Self {
            store: store.clone(),
            cursor: options.from.unwrap_or(revision),
            pending: initial.into_iter().map(|event| (now, event)).collect(),
            deadline: now + options.timeout,
            bookmark: now + BOOKMARK_EVERY,
            target,
            options,
            newest,
            cuts,
            trouble,
            sent: 0,
            ended: false,
        })
    }

    /// The next piece of the body; none at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Frame<Bytes>, Dropped>> {
        loop {
            if self
                .trouble
                .cut_after
                .is_some_and(|after| self.sent >= after)
            {
                // Lets hyper flush what it holds: an error throws that away.
                tokio::task::yield_now().await;
                return Some(Err(Dropped));
            }
            self.collect();
            let now = Instant::now();
            if let Some((_, event)) = self.pending.pop_front_if(|(due, _)| *due <= now) {
                self.sent += 1;
                self.bookmark = now + BOOKMARK_EVERY;
                return Some(Ok(frame(&event)));
            }
            if self.pending.is_empty() && self.ended {
                return None;
            }
            if now >= self.deadline {
                self.ended = true;
                if self.options.bookmarks && self.pending.is_empty() {
                    self.pending.push_back((now, self.bookmark_event()));
                    continue;
                }
                return None;
            }
            if self.options.bookmarks && now >= self.bookmark && self.pending.is_empty() {
                self.pending.push_back((now, self.bookmark_event()));
                continue;
            }
            let wake = match self.pending.front() {
                Some((due, _)) => *due,
                None if self.options.bookmarks => self.bookmark,
                None => self.deadline,
            };
            tokio::select! {
                _ = self.newest.changed(), if !self.ended => {}
                _ = self.cuts.changed() => return Some(Err(Dropped)),
                () = tokio::time::sleep_until(wake.min(self.deadline)) => {}
            }
        }
    }

    /// Takes what has happened since the last look.
    fn collect(&mut self) {
        if self.ended {
            return;
        }
        self.newest.borrow_and_update();
        match self.store.read(|state| state.since(self.cursor)) {
            Ok(changes) => {
                for change in changes {
                    self.cursor = change.revision;
                    if let Some(event) = event_of(&change, &self.target, &self.options) {
                        let due = Instant::from_std(change.at) + self.trouble.lag;
                        self.pending.push_back((due, event));
                    }
                }
            }
            Err(gone) => {
                let error = json!({"type": "ERROR", "object": gone.to_json()});
                self.pending.push_back((Instant::now(), error));
                self.ended = true;
            }
        }
    }

    fn bookmark_event(&self) -> Value {
        bookmark(&self.target, self.cursor, false)
    }
}

fn first_events(state: &State, target: &Target, options: &WatchOptions) -> Vec<Value> {
    let mut events = Vec::new();
    if options.send_initial {
        events.extend(
            state
                .objects(&target.resource, &target.namespace)
                .filter(|(_, object)| options.selector.matches(object))
                .map(|(_, object)| event("ADDED", object, target)),
        );
    }
    if options.initial_end {
        events.push(bookmark(target, state.revision(), true));
    }
    events
}

fn event_of(change: &Change, target: &Target, options: &WatchOptions) -> Option<Value> {
    let namespace = object::meta(&change.object, "namespace");
    if change.resource != target.resource
        || !(target.namespace.is_empty() || target.namespace == namespace)
    {
        return None;
    }
    let before = change
        .previous
        .as_deref()
        .is_some_and(|previous| options.selector.matches(previous));
    let after = change.kind != ChangeKind::Deleted && options.selector.matches(&change.object);
    Some(match (before, after) {
        (false, true) => event("ADDED", &change.object, target),
        (true, true) => event("MODIFIED", &change.object, target),
        // As it was last selected, but at the version at which it left.
        (true, false) => {
            let mut last = Value::clone(change.previous.as_ref()?);
            object::copy_meta(&change.object, &mut last, "resourceVersion");
            event("DELETED", &last, target)
        }
        (false, false) => return None,
    })
}

fn event(kind: &str, object: &Value, target: &Target) -> Value {
    let api_version = target.resource.api_version(&target.version);
    json!({"type": kind, "object": object::at_version(object, &api_version)})
}

/// An event that only tells how far the stream is.
fn bookmark(target: &Target, revision: u64, initial_end: bool) -> Value {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if let (true, Some(map)) = (initial_end, metadata.as_object_mut()) {
        map.insert(
            "annotations".to_owned(),
            json!({"k8s.io/initial-events-end": "true"}),
        );
    }
    json!({
        "type": "BOOKMARK",
        "object": {
            "kind": target.resource.kind,
            "apiVersion": target.resource.api_version(&target.version),
            "metadata": metadata,
        },
    })
}

fn frame(event: &Value) -> Frame<Bytes> {
    Frame::data(Bytes::from(format!("{event}\n")))
}
