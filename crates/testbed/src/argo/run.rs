//! The shell: follows the store, carries out what the reconciliations decide, and calls the plugin.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::change::Change;
use super::observe::{Key, Observed};
use super::plugin::{Answer, LogSink};
use super::queue::Queue;
use super::reconcile::{Verdict, finish, prepare};
use super::router::{Host, Router};
use super::scaling::sooner;
use super::traffic::{Route, RouterCall};
use super::{CallObserver, observe, services, validate};
use crate::apiserver;
use crate::apiserver::Store;
use crate::workloads::write::{controller, meta};

/// Why a reconciliation is tried again.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Store(#[from] apiserver::Status),
    #[error("failed to get traffic router plugin: unable to start plugin system: {0}")]
    Plugin(String),
    #[error("{0}")]
    Call(String),
    #[error("end of rollout, desired weight {0} not yet verified")]
    Unverified(i32),
}

/// A running controller, whatever its plugin is. Dropping it ends the task and lets go of the plugin.
pub(super) struct Engine<R: Router> {
    host: Arc<Host<R>>,
    task: JoinHandle<()>,
}

impl<R: Router> Engine<R> {
    pub(super) async fn start(
        store: &Store,
        plan: R::Plan,
        log: LogSink,
        calls: CallObserver,
    ) -> Result<Self, R::Error> {
        let host = Arc::new(Host::new(plan, log, calls));
        host.start().await?;
        let shared = Arc::new(Shared {
            store: store.clone(),
            host: Arc::clone(&host),
        });
        Ok(Self {
            host,
            task: tokio::spawn(run(shared)),
        })
    }

    pub(super) fn host(&self) -> &Host<R> {
        &self.host
    }

    pub(super) async fn kill(mut self) {
        self.task.abort();
        // The only way for this task to end is the abort; then no call holds the plugin.
        drop((&mut self.task).await);
        self.host.kill().await;
    }
}

impl<R: Router> Drop for Engine<R> {
    fn drop(&mut self) {
        self.task.abort();
        self.host.release();
    }
}

struct Shared<R: Router> {
    store: Store,
    host: Arc<Host<R>>,
}

async fn run<R: Router>(shared: Arc<Shared<R>>) {
    let mut queue = Queue::default();
    let mut running = JoinSet::new();
    let mut changes = shared.store.subscribe();
    add_all(&shared.store, &mut queue);
    loop {
        for key in queue.take(Instant::now()) {
            let shared = Arc::clone(&shared);
            running.spawn(async move {
                let done = shared.reconcile(&key).await;
                (key, done)
            });
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
            Some(ended) = running.join_next() => match ended {
                Ok((key, Ok(Some(done)))) => queue.done(&key, done.again_after, Instant::now()),
                Ok((key, Ok(None))) => queue.forget(&key, Instant::now()),
                Ok((key, Err(failure))) => {
                    shared.host.say(&format!("argo: rollout {key}: {failure}"));
                    queue.failed(&key, Instant::now());
                }
                Err(panicked) => {
                    if let Ok(panicked) = panicked.try_into_panic() {
                        std::panic::resume_unwind(panicked);
                    }
                }
            },
            () = tokio::time::sleep_until(next) => {}
        }
    }
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

/// A reconciliation that has ended well.
struct Done {
    again_after: Option<Duration>,
}

impl<R: Router> Shared<R> {
    /// None if the Rollout is gone.
    async fn reconcile(&self, key: &Key) -> Result<Option<Done>, Failure> {
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
        let router = host
            .ready(&observed.key.to_string())
            .await
            .map_err(Failure::Plugin)?;
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
