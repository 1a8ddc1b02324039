//! Faults that tests ask for: refusals, delays, dropped connections, watches that lag or break.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::request::Verb;
use super::status::Status;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The request is answered with this and does nothing else.
    Refuse(Status),
    /// The request is refused as RBAC would, in its words.
    Forbid,
    /// The request is served as usual, this much later.
    Delay(Duration),
    /// The connection is closed without an answer; the request did nothing.
    Drop,
    /// The request is carried out and the connection closed without an answer: the client can't
    /// know whether its write happened.
    DropAnswer,
    /// A watch breaks in the middle of its stream after this many events.
    CutWatch {
        /// Events that still arrive, the initial ones and bookmarks among them.
        after: usize,
    },
    /// Each later event of a watch arrives this long after it happened, so that a cache is stale.
    LagWatch(Duration),
}

/// Which requests go wrong, and how. Without conditions: all requests to resources.
#[derive(Debug, Clone)]
pub struct Fault {
    action: Action,
    verb: Option<Verb>,
    resource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    skip: usize,
    times: usize,
}

impl Fault {
    /// A fault that every request meets until conditions are added.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            verb: None,
            resource: None,
            namespace: None,
            name: None,
            skip: 0,
            times: usize::MAX,
        }
    }

    /// Only requests with this verb.
    #[must_use]
    pub fn verb(mut self, verb: Verb) -> Self {
        self.verb = Some(verb);
        self
    }

    /// Only requests to this resource (plural).
    #[must_use]
    pub fn resource(mut self, plural: &str) -> Self {
        self.resource = Some(plural.to_owned());
        self
    }

    /// Only requests in this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Only requests for the object of this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Lets the first `count` matching requests through.
    #[must_use]
    pub fn skip(mut self, count: usize) -> Self {
        self.skip = count;
        self
    }

    /// Is over after `count` requests.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.times = count;
        self
    }

    fn matches(&self, call: &Call<'_>) -> bool {
        let fits = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        self.verb.is_none_or(|verb| verb == call.verb)
            && fits(&self.resource, call.resource)
            && fits(&self.namespace, call.namespace)
            && fits(&self.name, call.name)
    }
}

/// A request, as far as faults look at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) verb: Verb,
    pub(super) resource: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

/// Names a fault that has been added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultId(u64);

/// The faults in force at one server; clones share them.
#[derive(Debug, Clone)]
pub struct Faults {
    rules: Arc<Mutex<Vec<Rule>>>,
    cuts: tokio::sync::watch::Sender<u64>,
}

#[derive(Debug)]
struct Rule {
    id: u64,
    fault: Fault,
    seen: usize,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self {
            rules: Arc::default(),
            cuts: tokio::sync::watch::Sender::new(0),
        }
    }

    /// Adds a fault; it is in force for requests that arrive from now on.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut rules = self.lock();
        let id = rules.last().map_or(1, |last| last.id + 1);
        rules.push(Rule { id, fault, seen: 0 });
        FaultId(id)
    }

    /// Ends a fault. Requests that met it already are not helped.
    pub fn remove(&self, id: FaultId) {
        self.lock().retain(|rule| rule.id != id.0);
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// How many requests have met the fault so far.
    pub fn hits(&self, id: FaultId) -> usize {
        self.lock()
            .iter()
            .find(|rule| rule.id == id.0)
            .map_or(0, |rule| {
                rule.seen
                    .saturating_sub(rule.fault.skip)
                    .min(rule.fault.times)
            })
    }

    /// Breaks every watch that is open now.
    pub fn cut_watches(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    pub(super) fn cuts(&self) -> tokio::sync::watch::Receiver<u64> {
        self.cuts.subscribe()
    }

    /// All that one request meets, in the order in which the faults were added.
    pub(super) fn meet(&self, call: &Call<'_>) -> Vec<Action> {
        self.lock()
            .iter_mut()
            .filter_map(|rule| {
                if !rule.fault.matches(call) {
                    return None;
                }
                rule.seen += 1;
                let turn = rule.seen.saturating_sub(rule.fault.skip);
                (turn > 0 && turn <= rule.fault.times).then(|| rule.fault.action.clone())
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meets_the_nth_request_that_matches() {
        let faults = Faults::new();
        let id = faults.add(
            Fault::new(Action::Drop)
                .verb(Verb::Patch)
                .resource("virtualservices")
                .skip(1)
                .times(2),
        );
        let call = |verb| Call {
            verb,
            resource: "virtualservices",
            namespace: "shop",
            name: "reviews",
        };
        let met: Vec<usize> = [
            Verb::Patch,
            Verb::Get,
            Verb::Patch,
            Verb::Patch,
            Verb::Patch,
        ]
        .into_iter()
        .map(|verb| faults.meet(&call(verb)).len())
        .collect();
        assert_eq!(met, [0, 0, 1, 1, 0]);
        assert_eq!(faults.hits(id), 2);
        faults.remove(id);
        assert_eq!(faults.hits(id), 0);
    }
}
