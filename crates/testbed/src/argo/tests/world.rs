//! A cluster with one Rollout, its pods, and a plugin that follows a script.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::scene::{hash, rollout, template};
use crate::apiserver::{ApiServer, ObjectRef, Store};
use crate::argo::CallRecord;
use crate::argo::patience::Patience;
use crate::argo::plugin::{Answer, Call, LogSink};
use crate::argo::router::{Router, RouterError};
use crate::argo::run::Engine;
use crate::workloads::{Manners, Workloads};

/// A test that waits longer has failed.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// What the plugin does, and what has become of it.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Errors still to come, by method.
    pub(super) errors: Mutex<HashMap<&'static str, Vec<&'static str>>>,
    pub(super) unverified: AtomicBool,
    /// Its connection is lost.
    pub(super) dead: AtomicBool,
    /// Its process has ended.
    pub(super) ended: AtomicBool,
    /// Those started before this one answer nothing.
    pub(super) silent_before: AtomicU32,
    /// The call that silences the one that gets it.
    pub(super) silenced_by: Mutex<Option<&'static str>>,
    /// Panics still to come, in calls of `SetWeight`.
    pub(super) panics: AtomicU32,
    started: AtomicU32,
    pub(super) alive: AtomicU32,
    /// The Rollouts' `status.currentStepIndex` that came with `SetWeight`.
    pub(super) steps: Mutex<Vec<(i32, Option<i64>)>>,
}

pub(super) struct Scripted {
    pub(super) script: Arc<Script>,
    process: u32,
}

#[derive(Debug)]
pub(super) struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refused {}

impl RouterError for Refused {
    fn unanswered(_: &'static str, _: Duration) -> Self {
        Self("no answer")
    }

    fn refusal(&self) -> Option<&str> {
        Some(self.0)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.script.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Router for Scripted {
    type Plan = Arc<Script>;
    type Error = Refused;

    async fn start(script: &Arc<Script>, _log: LogSink) -> Result<Self, Refused> {
        script.dead.store(false, Ordering::SeqCst);
        script.ended.store(false, Ordering::SeqCst);
        script.alive.fetch_add(1, Ordering::SeqCst);
        Ok(Self {
            script: Arc::clone(script),
            process: script.started.fetch_add(1, Ordering::SeqCst) + 1,
        })
    }

    fn process(&self) -> u32 {
        self.process
    }

    fn has_ended(&self) -> bool {
        self.script.ended.load(Ordering::SeqCst)
    }

    async fn ping(&self) -> Result<(), Refused> {
        self.answers().await;
        if self.script.dead.load(Ordering::SeqCst) {
            return Err(Refused("connection is shut down"));
        }
        Ok(())
    }

    async fn call(&self, call: &Call) -> Result<Answer, Refused> {
        if self
            .script
            .silenced_by
            .lock()
            .unwrap()
            .take_if(|method| *method == call.method())
            .is_some()
        {
            let next = self.process + 1;
            self.script.silent_before.store(next, Ordering::SeqCst);
        }
        self.answers().await;
        if let Some(errors) = self.script.errors.lock().unwrap().get_mut(call.method())
            && let Some(error) = errors.pop()
        {
            return Err(Refused(error));
        }
        if let Call::SetWeight {
            rollout,
            desired_weight,
        } = call
        {
            let panics = &self.script.panics;
            let one_less = |left: u32| left.checked_sub(1);
            let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
            assert!(
                panics.fetch_update(set, fetch, one_less).is_err(),
                "scripted"
            );
            let step = rollout["status"]["currentStepIndex"].as_i64();
            self.script
                .steps
                .lock()
                .unwrap()
                .push((*desired_weight, step));
        }
        Ok(match call {
            Call::Type => Answer::Text("scripted".to_owned()),
            Call::VerifyWeight { .. } => {
                Answer::Verified(Some(!self.script.unverified.load(Ordering::SeqCst)))
            }
            _ => Answer::Done,
        })
    }

    async fn kill(&self) {
        self.script.ended.store(true, Ordering::SeqCst);
    }
}

impl Scripted {
    async fn answers(&self) {
        if self.process < self.script.silent_before.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

/// A cluster with one Rollout in it.
pub(super) struct World {
    // Ends in this order: controller, pods, server.
    pub(super) engine: Engine<Scripted>,
    _workloads: Workloads,
    server: ApiServer,
    pub(super) script: Arc<Script>,
    calls: Arc<Mutex<Vec<CallRecord>>>,
    /// How many rounds a test has looked at.
    seen: usize,
    pub(super) log: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// A Rollout whose first image is healthy.
    pub(super) async fn new(steps: Value, more: Value) -> Self {
        Self::with_patience(steps, more, Patience::default()).await
    }

    /// The same, with a controller that doesn't wait as long for a silent plugin.
    pub(super) async fn with_patience(steps: Value, more: Value, patience: Patience) -> Self {
        let server = ApiServer::start().await.unwrap();
        let manners = Manners {
            ready_after: Duration::from_millis(20),
            serves_on: Duration::ZERO,
        };
        let workloads = Workloads::start(server.store(), manners, Arc::new(|_| {}));
        let script = Arc::new(Script::default());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::new(Mutex::new(Vec::new()));
        let (call_sink, log_sink) = (Arc::clone(&calls), Arc::clone(&log));
        let engine = Engine::start(
            server.store(),
            Arc::clone(&script),
            Arc::new(move |line: &str| log_sink.lock().unwrap().push(line.to_owned())),
            Arc::new(move |call: &CallRecord| call_sink.lock().unwrap().push(call.clone())),
            patience,
        )
        .await
        .unwrap();
        let world = Self {
            engine,
            _workloads: workloads,
            server,
            script,
            calls,
            seen: 0,
            log,
        };
        for name in ["web-stable", "web-canary"] {
            world
                .store()
                .put(json!({
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": name, "namespace": "shop"},
                    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
                }))
                .unwrap();
        }
        let mut object = rollout("web:1", &steps);
        json_patch::merge(&mut object, &more);
        world.store().put(object).unwrap();
        world.until(is_healthy).await;
        world
    }

    pub(super) fn store(&self) -> &Store {
        self.server.store()
    }

    pub(super) fn rollout(&self) -> Value {
        self.store().get(&at()).unwrap()
    }

    pub(super) fn patch(&self, patch: Value) {
        self.store().patch(&at(), &patch).unwrap();
    }

    pub(super) fn set_image(&self, image: &str) {
        self.patch(json!({"spec": {"template": template(image)}}));
    }

    /// As `kubectl argo rollouts promote` does at a pause.
    pub(super) fn promote(&self) {
        self.patch(json!({"status": {"pauseConditions": null}}));
    }

    pub(super) async fn until(&self, reached: impl Fn(&Value) -> bool) {
        let waits = async {
            loop {
                let mut changes = self.store().subscribe();
                if reached(&self.rollout()) {
                    return;
                }
                drop(changes.next().await);
            }
        };
        let in_time = tokio::time::timeout(LIMIT, waits).await;
        let status = &self.rollout()["status"];
        assert!(in_time.is_ok(), "{status:#}\n{:?}", self.log.lock());
    }

    pub(super) async fn until_paused_at(&self, index: i64) {
        self.until(|rollout| {
            let status = &rollout["status"];
            status["currentStepIndex"] == index
                && status["phase"] == "Paused"
                && !status["pauseConditions"].is_null()
        })
        .await;
    }

    /// The calls by reconciliation. One that does the same as the one before it is left out.
    pub(super) fn rounds(&self) -> Vec<Vec<String>> {
        let mut rounds: Vec<Vec<String>> = Vec::new();
        for call in self.calls.lock().unwrap().iter() {
            let text = format!("{} {}", call.method, call.detail)
                .trim_end()
                .replace(&hash("web:1"), "web:1")
                .replace(&hash("web:2"), "web:2")
                .replace("canary=", "")
                .replace("stable=", "");
            match rounds.last_mut() {
                _ if call.method == "Type" => rounds.push(Vec::new()),
                Some(round) if call.method != "InitPlugin" => round.push(text),
                _ => rounds.push(vec![text]),
            }
        }
        rounds.dedup();
        rounds
    }

    /// Waits until the rounds since the last time are these.
    pub(super) async fn expect(&mut self, expected: &[Vec<String>]) {
        let waits = async {
            while self.rounds().get(self.seen..) != Some(expected) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(LIMIT, waits).await;
        if in_time.is_err() {
            assert_eq!(self.rounds()[self.seen..], *expected);
        }
        self.seen += expected.len();
    }

    /// Waits until the newest round is this one, whatever came before it.
    pub(super) async fn expect_last(&mut self, expected: Vec<String>) {
        let waits = async {
            while self.rounds().last() != Some(&expected) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(LIMIT, waits).await;
        assert!(in_time.is_ok(), "{:?}", self.rounds());
        self.seen = self.rounds().len();
    }

    pub(super) fn events(&self, reason: &str) -> Vec<Value> {
        let mut events = self.store().list("events", "shop").unwrap();
        events.retain(|event| event["reason"] == reason);
        events
    }

    pub(super) fn selects(&self, service: &str) -> Value {
        let service = self
            .store()
            .get(&ObjectRef::new("services", "shop", service))
            .unwrap();
        service["spec"]["selector"]["rollouts-pod-template-hash"].clone()
    }

    pub(super) fn pods(&self, image: &str) -> usize {
        let pods = self.store().list("pods", "shop").unwrap();
        let of_image =
            |pod: &&Value| pod["metadata"]["labels"]["rollouts-pod-template-hash"] == hash(image);
        pods.iter().filter(of_image).count()
    }
}

pub(super) fn at() -> ObjectRef {
    ObjectRef::new("rollouts", "shop", "web")
}

pub(super) fn is_healthy(rollout: &Value) -> bool {
    let status = &rollout["status"];
    let generation = rollout["metadata"]["generation"].to_string();
    status["observedGeneration"] == generation.as_str()
        && status["phase"] == "Healthy"
        && status["stableRS"] == status["currentPodHash"]
}
