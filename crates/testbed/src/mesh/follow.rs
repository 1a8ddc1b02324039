//! Follows the store: gathers what has changed for a moment, translates all of it, and gives it to both Envoys.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::error::ApplyError;
use super::front::Front;
use super::translate::{self, Objects, Proxy};
use crate::apiserver::{Change, Changes, Store};

/// How long clusters stay that are no longer wanted: long enough for a request that a fault delays or that is retried.
const KEEP_OLD: Duration = Duration::from_secs(3);
/// After what time an Envoy that didn't take something is given it again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How many problems are remembered: more than a failed test shows, and no end to it on a long demo.
const REMEMBERED: usize = 100;
/// How often the store is read again if it changes meanwhile.
const READS: u32 = 100;

/// What is translated, by resource.
const RESOURCES: [&str; 6] = [
    "virtualservices.networking.istio.io",
    "destinationrules.networking.istio.io",
    "gateways.networking.istio.io",
    "wasmplugins.extensions.istio.io",
    "services",
    "pods",
];

/// How long changes are gathered before the Envoys get them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debounce {
    /// How long nothing more must have changed.
    pub quiet: Duration,
    /// How long after the first change they get them all the same.
    pub at_most: Duration,
}

impl Debounce {
    /// As good as at once.
    pub const QUICK: Self = Self {
        quiet: Duration::from_millis(5),
        at_most: Duration::from_millis(50),
    };
    /// istiod's (Istio 1.29 `pilot/pkg/features/tuning.go`, `PILOT_DEBOUNCE_AFTER` and `PILOT_DEBOUNCE_MAX`).
    pub const ISTIOD: Self = Self {
        quiet: Duration::from_millis(100),
        at_most: Duration::from_secs(10),
    };

    /// Until when to wait, with the first and the last change so far at these times.
    fn until(self, first: Instant, last: Instant) -> Instant {
        (last + self.quiet).min(first + self.at_most)
    }
}

/// How far the Envoys are.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Everything up to this revision is live, or has failed; 0 before the first time.
    pub(super) revision: u64,
    /// What was not translated or not taken since the start, up to [`REMEMBERED`] lines.
    pub(super) problems: BTreeSet<String>,
    /// What went wrong last time.
    pub(super) failure: Option<ApplyError>,
}

impl State {
    fn remember(&mut self, problem: String) {
        if self.problems.len() < REMEMBERED {
            self.problems.insert(problem);
        }
    }

    /// Notes what became of both Envoys; whether to try again.
    fn note(&mut self, outcomes: [Result<(), ApplyError>; 2]) -> bool {
        let mut again = false;
        let mut first = None;
        for error in outcomes.into_iter().filter_map(Result::err) {
            self.remember(error.line());
            again |= !matches!(error, ApplyError::Refused { .. });
            first.get_or_insert(error);
        }
        self.failure = first;
        again
    }
}

/// Runs until it is aborted.
pub(super) async fn follow(
    store: Store,
    mut changes: Changes,
    fronts: [Front; 2],
    debounce: Debounce,
    state: watch::Sender<State>,
) {
    let [mut sidecar, mut gateway] = fronts;
    loop {
        let (objects, revision) = read(&store);
        let to = translate::translate(&objects, &Proxy::of(sidecar.via));
        let and = translate::translate(&objects, &Proxy::of(gateway.via));
        let outcomes = tokio::join!(
            sidecar.apply(&to.configuration),
            gateway.apply(&and.configuration)
        );
        let mut again = false;
        state.send_modify(|state| {
            state.revision = revision;
            for problem in to.problems.union(&and.problems) {
                state.remember(problem.to_string());
            }
            again = state.note(outcomes.into());
        });
        let now = Instant::now();
        let (mut retry, old) = (now + RETRY_AFTER, now + KEEP_OLD);
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    Ok(change) if !is_ours(&change) => {
                        state.send_modify(|state| state.revision = state.revision.max(change.revision));
                    }
                    Ok(_) => break,
                    // Too slow for the store's memory: what is in it now is all that counts.
                    Err(_) => {
                        changes = store.subscribe();
                        break;
                    }
                },
                () = tokio::time::sleep_until(retry), if again => break,
                () = tokio::time::sleep_until(old), if sidecar.has_old() || gateway.has_old() => {
                    let outcomes = tokio::join!(sidecar.remove_old(), gateway.remove_old());
                    if outcomes.0.is_err() || outcomes.1.is_err() {
                        state.send_modify(|state| again |= state.note(outcomes.into()));
                        retry = Instant::now() + RETRY_AFTER;
                    }
                }
            }
        }
        gather(&store, &mut changes, debounce).await;
    }
}

/// Waits until the changes that are under way have come.
async fn gather(store: &Store, changes: &mut Changes, debounce: Debounce) {
    let first = Instant::now();
    let mut until = debounce.until(first, first);
    while Instant::now() < until {
        match tokio::time::timeout_at(until, changes.next()).await {
            // istiod knows nothing of the others.
            Ok(Ok(change)) if !is_ours(&change) => {}
            Ok(Ok(_)) => until = debounce.until(first, Instant::now()),
            Ok(Err(_)) => *changes = store.subscribe(),
            Err(_) => break,
        }
    }
}

fn is_ours(change: &Change) -> bool {
    RESOURCES.contains(&change.resource.qualified().as_str())
}

/// All objects as they were at one revision.
fn read(store: &Store) -> (Objects, u64) {
    // A resource that isn't served has no objects.
    let list = |resource| store.list(resource, "").unwrap_or_default();
    let mut left = READS;
    loop {
        let revision = store.revision();
        let [
            virtual_services,
            destination_rules,
            gateways,
            wasm_plugins,
            services,
            pods,
        ] = RESOURCES.map(list);
        left -= 1;
        // Lists that don't belong together can show a route without its subset.
        if store.revision() == revision || left == 0 {
            let objects = Objects {
                virtual_services,
                destination_rules,
                gateways,
                wasm_plugins,
                services,
                pods,
            };
            return (objects, revision);
        }
    }
}

#[cfg(test)]
mod tests;
