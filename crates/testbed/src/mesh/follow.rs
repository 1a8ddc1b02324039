//! Follows the store: gathers what has changed for a moment, translates all of it, and gives it to both Envoys.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::front::{ApplyError, Front};
use super::translate::{self, Objects, Proxy};
use crate::apiserver::{Change, Changes, Store};

/// How long there must be no change before what came is taken; istiod waits for 100 ms.
const QUIET: Duration = Duration::from_millis(5);
/// After how long it is taken all the same.
const AT_MOST: Duration = Duration::from_millis(50);
/// How long clusters stay that are no longer wanted: long enough for a request that a fault delays or that is retried.
const KEEP_OLD: Duration = Duration::from_secs(3);
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

/// How far the Envoys are.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Everything up to this revision is live, or has failed; 0 before the first time.
    pub(super) revision: u64,
    /// What isn't translated.
    pub(super) problems: Vec<String>,
    /// What went wrong last time.
    pub(super) failure: Option<ApplyError>,
}

/// Runs until it is aborted.
pub(super) async fn follow(
    store: Store,
    mut changes: Changes,
    fronts: [Front; 2],
    state: watch::Sender<State>,
) {
    let [mut sidecar, mut gateway] = fronts;
    loop {
        let (objects, revision) = read(&store);
        let to = translate::translate(&objects, &Proxy::of(sidecar.via));
        let and = translate::translate(&objects, &Proxy::of(gateway.via));
        let (one, other) = tokio::join!(
            sidecar.apply(&to.configuration),
            gateway.apply(&and.configuration)
        );
        let problems: BTreeSet<_> = to.problems.union(&and.problems).collect();
        state.send_replace(State {
            revision,
            problems: problems.into_iter().map(ToString::to_string).collect(),
            failure: one.and(other).err(),
        });
        let old = Instant::now() + KEEP_OLD;
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
                () = tokio::time::sleep_until(old), if sidecar.has_old() || gateway.has_old() => {
                    let (one, other) = tokio::join!(sidecar.remove_old(), gateway.remove_old());
                    if let Err(failure) = one.and(other) {
                        state.send_modify(|state| state.failure = Some(failure));
                        break;
                    }
                }
            }
        }
        let until = Instant::now() + AT_MOST;
        while Instant::now() < until {
            match tokio::time::timeout(QUIET, changes.next()).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => changes = store.subscribe(),
                Err(_) => break,
            }
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
