//! Stands in for the controllers of Deployments and ReplicaSets, the garbage collector, and the nodes.
//!
//! A ReplicaSet gets its pods, a Deployment its ReplicaSet, and each pod an [`Echo`](crate::echo::Echo) per container
//! port on a free port of 127.0.0.1, which the annotation [`SERVED_AT`] tells. What is wanted is decided without I/O
//! (`plan`), a pod's life is in `node`. It works on the embedded server's store; `tests/real-stack`'s kubelet does the
//! nodes' part on a real cluster.
//!
//! Not there: scheduling, resources, probes, restarts, `maxSurge` and `maxUnavailable` of Deployments (old pods go once
//! all new ones are available), orphans that are adopted, deletion in the foreground.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use crate::apiserver::{Changes, Store};
use crate::echo;

pub(crate) mod hash;
mod node;
mod plan;
pub(crate) mod write;

use node::Node;
use plan::Cluster;

/// Annotation of a pod: where each container port is served, `8080=127.0.0.1:40123`, comma separated for several, in
/// the order of the containers' ports. A pod without ports has none.
pub const SERVED_AT: &str = "testbed/served-at";

/// How pods behave.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// From a pod's start to its readiness.
    pub ready_after: Duration,
    /// How long a pod serves after it has been deleted, as with a `preStop` sleep. The store deletes at once, so for
    /// this long there is an echo without a pod.
    pub serves_on: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            ready_after: Duration::from_millis(200),
            serves_on: Duration::from_secs(1),
        }
    }
}

/// How long until what was refused, or has failed by a panic, is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The running controllers and the node. Dropping it ends them and every echo at once.
#[derive(Debug)]
pub struct Workloads {
    _task: AbortOnDropHandle<()>,
}

impl Workloads {
    /// Begins with what the store holds and follows it from there. Needs a tokio runtime with I/O and time.
    ///
    /// `observer` sees every request that a pod gets. What goes wrong shows where it does in a cluster: condition
    /// `ReplicaFailure` of a ReplicaSet, phase `Failed` of a pod.
    pub fn start(store: &Store, manners: Manners, observer: echo::Observer) -> Self {
        let mut node = Node::new(manners, observer);
        let run = run(store.clone(), move |store| look(store, &mut node));
        Self {
            _task: AbortOnDropHandle::new(tokio::spawn(run)),
        }
    }
}

/// Looks, then looks again after each change, and when the look has asked for it. A look that panics, which has been
/// printed then, is not the last one.
async fn run(store: Store, mut look: impl FnMut(&Store) -> Option<Duration>) {
    loop {
        // Subscribed before the objects are read, so nothing is missed; what was written meanwhile is read once more.
        let mut changes = store.subscribe();
        let looked = std::panic::catch_unwind(AssertUnwindSafe(|| look(&store)));
        let Ok(again) = looked else {
            // Not woken by what it has written itself.
            tokio::time::sleep(RETRY).await;
            continue;
        };
        tokio::select! {
            () = change(&mut changes) => {}
            () = tokio::time::sleep(again.unwrap_or(Duration::MAX)) => {}
        }
    }
}

/// Does what is to be done now; when to look again although nothing has changed.
fn look(store: &Store, node: &mut Node) -> Option<Duration> {
    let cluster = Cluster::read(store);
    let mut plan = plan::plan(&cluster, Timestamp::now());
    for write in std::mem::take(&mut plan.writes) {
        if let Err(refused) = write.apply(store) {
            // It may be gone meanwhile, or be let in later.
            plan.again(RETRY);
            if let Some(report) = plan::failed(&write, &refused, Timestamp::now()) {
                drop(report.apply(store));
            }
        }
    }
    node.follow(store, &cluster.pods);
    plan.again_after
}

/// Waits for a change of something that counts here. Lost history counts as one.
async fn change(changes: &mut Changes) {
    while let Ok(change) = changes.next().await {
        let plural = change.resource.plural;
        if ["deployments", "replicasets", "pods", "rollouts"].contains(&plural) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
