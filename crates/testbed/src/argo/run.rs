//! The shell: follows the store, carries out what the reconciliations decide, and calls the plugin.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::{self, JoinSet};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::change::Change;
use super::observe::{Key, Observed};
use super::patience::Patience;
use super::plugin::{Answer, LogSink};
use super::queue::Queue;
use super::reconcile::{Verdict, finish, prepare};
use super::router::{Host, Router};
use super::scaling::sooner;
use super::traffic::{Route, RouterCall};
use super::{CallObserver, observe, services, validate};
use crate::apiserver;
use crate::apiserver::Store;
use crate::apiserver::object::{controller, meta};

/// Why a reconciliation is tried again.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Store(#[from] apiserver::Status),
    #[error("failed to get traffic router plugin {name}: unable to start plugin system: {reason}")]
    Plugin { name: String, reason: String },
    #[error("{0}")]
    Call(String),
    #[error("end of rollout, desired weight {0} not yet verified")]
    Unverified(i32),
}

/// A running controller, whatever its plugin is. Dropping it ends the task and lets go of the plugin, without waiting.
pub(super) struct Engine<R: Router> {
    host: Arc<Host<R>>,
    task: AbortOnDropHandle<()>,
    /// Ends the task when it is dropped.
    stop: oneshot::Sender<()>,
}

impl<R: Router> Engine<R> {
    pub(super) async fn start(
        store: &Store,
        plan: R::Plan,
        log: LogSink,
        calls: CallObserver,
        patience: Patience,
    ) -> Result<Self, R::Error> {
        let host = Arc::new(Host::new(plan, log, calls, patience));
        host.start().await?;
        let shared = Arc::new(Shared {
            store: store.clone(),
            host: Arc::clone(&host),
        });
        let (stop, stopped) = oneshot::channel();
        Ok(Self {
            host,
            task: AbortOnDropHandle::new(tokio::spawn(run(shared, stopped))),
            stop,
        })
    }

    pub(super) fn host(&self) -> &Host<R> {
        &self.host
    }

    /// Ends all reconciliations where they are, then the plugin. Returns when all are gone.
    pub(super) async fn kill(self) {
        let Self { host, task, stop } = self;
        drop(stop);
        // Its panic has been printed; here it matters only that it has ended.
        drop(task.await);
        host.kill().await;
    }
}

struct Shared<R: Router> {
    store: Store,
    host: Arc<Host<R>>,
}

/// What a reconciliation has come to; nothing if its Rollout is gone.
type Ended = Result<Option<Done>, Failure>;

/// Reconciles until the sender of `stopped` is dropped, and returns when the last reconciliation has ended.
async fn run<R: Router>(shared: Arc<Shared<R>>, stopped: oneshot::Receiver<()>) {
    let mut running = JoinSet::new();
    tokio::select! {
        // Nothing is ever sent.
        _ = stopped => {}
        never = follow(&shared, &mut running) => match never {},
    }
    // Dropping the set would only ask them to end.
    running.shutdown().await;
}

async fn follow<R: Router>(shared: &Arc<Shared<R>>, running: &mut JoinSet<Ended>) -> Infallible {
    let mut queue = Queue::default();
    let mut keys = HashMap::new();
    let mut changes = shared.store.subscribe();
    add_all(&shared.store, &mut queue);
    loop {
        for key in queue.take(Instant::now()) {
            let (shared, of) = (Arc::clone(shared), key.clone());
            let task = running.spawn(async move {
                let ended = shared.reconcile(&of).await;
                if let Err(failure) = &ended {
                    shared.host.say(&format!("argo: rollout {of}: {failure}"));
                }
                ended
            });
            keys.insert(task.id(), key);
        }
        // Nothing due: a change wakes it.
        let far = Instant::now() + Duration::from_hours(1);
        let next = queue.next().unwrap_or(far);
        tokio::select! {
            change = changes.next() => if let Ok(change) = change {
                for key in concerned(&shared.store, &change) {
                    queue.add(key, Instant::now());
                }
            } else {
                // Too far behind.
                changes = shared.store.subscribe();
                add_all(&shared.store, &mut queue);
            },
            Some(ended) = running.join_next_with_id() => {
                let id = ended.as_ref().map_or_else(task::JoinError::id, |(id, _)| *id);
                let Some(key) = keys.remove(&id) else {
                    continue;
                };
                match ended {
                    Ok((_, Ok(Some(done)))) => queue.done(&key, done.again_after, Instant::now()),
                    Ok((_, Ok(None))) => queue.forget(&key, Instant::now()),
                    Ok((_, Err(_))) => queue.failed(&key, Instant::now()),
                    Err(error) => {
                        // As `processNextWorkItem` does (`utils/controller/controller.go`).
                        let panicked = recovered(error);
                        shared.host.say(&format!("argo: rollout {key}: recovered from panic: {panicked}"));
                        queue.failed(&key, Instant::now());
                    }
                }
            },
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// What a panic said.
fn recovered(error: task::JoinError) -> String {
    let Ok(panicked) = error.try_into_panic() else {
        return "it was aborted".to_owned();
    };
    let text = panicked.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panicked.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}

fn add_all(store: &Store, queue: &mut Queue) {
    for rollout in store.list("rollouts", "").unwrap_or_default() {
        queue.add(Key::of(&rollout), Instant::now());
    }
}

/// The Rollouts that a change is about.
fn concerned(store: &Store, change: &apiserver::Change) -> Vec<Key> {
    let object = &*change.object;
    let namespace = meta(object, "namespace");
    let rollouts = || store.list("rollouts", namespace).unwrap_or_default();
    match (change.resource.group, change.resource.plural) {
        ("argoproj.io", "rollouts") => vec![Key::of(object)],
        ("apps", "replicasets") => {
            let Some(("Rollout", owner)) = controller(object) else {
                return Vec::new();
            };
            let all = rollouts();
            let owners = all.iter().filter(|rollout| meta(rollout, "uid") == owner);
            owners.map(Key::of).collect()
        }
        ("", "services") => {
            let name = meta(object, "name");
            let names = |rollout: &&Value| {
                ["stableService", "canaryService"].iter().any(|field| {
                    let pointer = format!("/spec/strategy/canary/{field}");
                    rollout.pointer(&pointer).and_then(Value::as_str) == Some(name)
                })
            };
            rollouts().iter().filter(names).map(Key::of).collect()
        }
        _ => Vec::new(),
    }
}

/// The one plugin that a checked Rollout names.
fn plugin_name(observed: &Observed) -> String {
    let canary = observed.rollout.canary();
    let routing = canary.and_then(|canary| canary.traffic_routing.as_ref());
    let name = routing.and_then(|routing| routing.plugins.keys().next());
    name.cloned().unwrap_or_default()
}

/// A reconciliation that has ended well.
struct Done {
    again_after: Option<Duration>,
}

impl<R: Router> Shared<R> {
    async fn reconcile(&self, key: &Key) -> Ended {
        let Some(object) = self.store.get(&key.reference()) else {
            self.release_services(key, &[])?;
            return Ok(None);
        };
        let observed = match Observed::read(&self.store, object.clone(), Timestamp::now()) {
            Ok(observed) => observed,
            Err(why) => {
                let patch = validate::refuse_unreadable(key, &object, &why);
                self.store.patch(&key.reference(), &patch)?;
                return Ok(Some(Done { again_after: None }));
            }
        };
        let named: Vec<&str> = services::named(&observed.rollout).collect();
        self.release_services(key, &named)?;
        let prepared = prepare(&observed);
        self.apply(&prepared.changes, &observed)?;
        let mut again_after = prepared.again_after;
        if let Some(route) = &prepared.route {
            let verdict = self.route(&observed, route).await?;
            let finished = finish(&observed, route, &verdict);
            self.apply(&finished.changes, &observed)?;
            if let Some(weight) = finished.unverified {
                return Err(Failure::Unverified(weight));
            }
            again_after = sooner(again_after, finished.again_after);
        }
        Ok(Some(Done { again_after }))
    }

    async fn route(&self, observed: &Observed, route: &Route) -> Result<Verdict, Failure> {
        let host = &self.host;
        let name = plugin_name(observed);
        let router = host
            .ready(&observed.key.to_string(), &name)
            .await
            .map_err(|reason| Failure::Plugin {
                name: name.clone(),
                reason,
            })?;
        host.type_of(&router, &observed.object).await;
        self.apply(&route.changes, observed)?;
        let mut verdict = Ok(None);
        for call in &route.calls {
            let answer = host.route(&router, &observed.object, call).await;
            match (call, answer) {
                (RouterCall::VerifyWeight(_), answer) => {
                    verdict = answer.map(|answer| match answer {
                        Answer::Verified(verified) => verified,
                        Answer::Done | Answer::Text(_) => None,
                    });
                }
                (_, Ok(_)) => {}
                (call, Err(message)) => {
                    if matches!(call, RouterCall::SetWeight(_)) {
                        let event = Change::warning("TrafficRoutingError", message.clone());
                        self.apply(&[event], observed)?;
                    }
                    return Err(Failure::Call(message));
                }
            }
        }
        Ok(verdict)
    }

    fn apply(&self, changes: &[Change], observed: &Observed) -> Result<(), Failure> {
        for change in changes {
            change.apply(&self.store, observed)?;
        }
        Ok(())
    }

    /// Takes the hash out of Services that this Rollout has adopted and doesn't name.
    fn release_services(&self, key: &Key, named: &[&str]) -> Result<(), Failure> {
        for object in self.store.list("services", &key.namespace)? {
            let name = meta(&object, "name");
            let service = observe::service(&object);
            let change = services::release(key, name, &service, named.contains(&name));
            if let Some(Change::Write(write)) = change {
                write.apply(&self.store)?;
            }
        }
        Ok(())
    }
}
