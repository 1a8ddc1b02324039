//! What the load and the pods saw, as plain records: the only input of `judge.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use testbed::echo::{Answer, Observer, Seen};
use testbed::load::{RequestError, Sample, Sink};

use crate::scenario::Stream;
use testbed::mesh::Via;

/// A header on every request that says which stream it belongs to, so that copies can be told apart.
pub(crate) const STREAM_HEADER: &str = "x-e2e-stream";
/// A header on every request that says which way it went.
pub(crate) const VIA_HEADER: &str = "x-e2e-via";

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// When it was sent.
    pub(crate) sent: Instant,
    /// From then to the end of the answer, or to the failure.
    pub(crate) took: Duration,
    /// Which way.
    pub(crate) via: Via,
    /// Index of its stream.
    pub(crate) stream: usize,
    /// The number of the user who sent it, in streams that have users.
    pub(crate) user: Option<u32>,
    /// The values of `set-cookie` that came with the answer.
    pub(crate) cookies: Vec<String>,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// A pod of the right application answered.
    Pod(Pod),
    /// Another application answered.
    Wrong(String),
    /// No good answer.
    Failed(RequestError),
}

/// The version of a pod.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// Its image.
    pub(crate) image: Arc<str>,
    /// Its label `rollouts-pod-template-hash`; none where no Rollout is involved.
    pub(crate) hash: Option<Arc<str>>,
}

/// A mirrored copy that a pod got.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    /// When.
    pub(crate) at: Instant,
    /// Which way the request had gone.
    pub(crate) via: String,
    /// Its stream.
    pub(crate) stream: String,
    /// The pod's image.
    pub(crate) image: String,
}

/// A scenario's records.
#[derive(Debug, Default)]
pub(crate) struct Records(Mutex<Vec<Record>>);

impl Records {
    /// Where the load of a stream puts its samples.
    pub(crate) fn sink(
        self: &Arc<Self>,
        namespace: &str,
        index: usize,
        stream: &Stream,
        via: Via,
    ) -> Sink {
        let records = Arc::clone(self);
        let namespace = namespace.to_owned();
        let (app, http2) = (stream.app.clone(), stream.http2_to_pods);
        Arc::new(move |sample: Sample| {
            let http1 = |answer: &Answer| http2 && !answer.http2;
            let outcome = match sample.outcome.as_deref().map(|answer| &answer.identity) {
                Ok(who) if sample.outcome.as_deref().is_ok_and(http1) => {
                    Outcome::Wrong(format!("{}/{} by HTTP/1.1", who.namespace, who.app))
                }
                Ok(who) if who.namespace == namespace && who.app == app => Outcome::Pod(Pod {
                    image: Arc::from(who.image.as_str()),
                    hash: who.hash.as_deref().map(Arc::from),
                }),
                Ok(who) => Outcome::Wrong(format!("{}/{}", who.namespace, who.app)),
                Err(error) => Outcome::Failed(error.clone()),
            };
            lock(&records.0).push(Record {
                sent: sample.sent,
                took: sample.took,
                via,
                stream: index,
                user: sample.user,
                cookies: sample.cookies,
                outcome,
            });
        })
    }

    /// All records, in the order of their completion.
    pub(crate) fn take(&self) -> Vec<Record> {
        std::mem::take(&mut lock(&self.0))
    }
}

/// The copies that pods got, by namespace.
#[derive(Debug, Default)]
pub struct Copies(Mutex<HashMap<String, Vec<Copy>>>);

impl Copies {
    /// What every pod tells of its requests.
    pub fn observer(self: &Arc<Self>) -> Observer {
        let copies = Arc::clone(self);
        Arc::new(move |seen: Seen<'_>| {
            if !seen.copy {
                return;
            }
            let header = |name: &str| {
                let value = seen.headers.get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            };
            let copy = Copy {
                at: Instant::now(),
                via: header(VIA_HEADER),
                stream: header(STREAM_HEADER),
                image: seen.identity.image.clone(),
            };
            let namespace = seen.identity.namespace.clone();
            lock(&copies.0).entry(namespace).or_default().push(copy);
        })
    }

    /// The copies that a namespace's pods got.
    pub(crate) fn take(&self, namespace: &str) -> Vec<Copy> {
        lock(&self.0).remove(namespace).unwrap_or_default()
    }
}

/// A holder that panicked left a whole vector: pushes don't break in the middle.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
