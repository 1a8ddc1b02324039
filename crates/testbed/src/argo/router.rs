//! The plugin as the controller holds it: started when needed, asked for a sign of life before each use, started again
//! when it is gone.
//!
//! Follows argo-rollouts v1.10.1 `rollout/trafficrouting/plugin/client/client.go` (`startPluginLocked`) and
//! `plugin.go`, whose words its errors have.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value;
use tokio::sync::Mutex;

use super::plugin::{Answer, Call, LogSink, Plan, Plugin, PluginError};
use super::traffic::RouterCall;
use super::{CallObserver, CallRecord};
use crate::workloads::write::meta;

/// A running plugin; dropping it ends its process. The tests have one that follows a script.
pub(super) trait Router: Sized + Send + Sync + 'static {
    /// How it is started.
    type Plan: Send + Sync + 'static;
    /// What goes wrong.
    type Error: RouterError;

    fn start(
        plan: &Self::Plan,
        log: LogSink,
    ) -> impl Future<Output = Result<Self, Self::Error>> + Send;
    fn process(&self) -> u32;
    fn ping(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;
    fn call(&self, call: &Call) -> impl Future<Output = Result<Answer, Self::Error>> + Send;
    fn kill(self) -> impl Future<Output = ()> + Send;
}

/// What a call's failure says.
pub(super) trait RouterError: Error + Send {
    /// The plugin's own words where it has refused (`RpcError.ErrorString`).
    fn refusal(&self) -> Option<&str>;

    /// The refusal, else what has happened to the call, with its causes.
    fn message(&self) -> String {
        if let Some(refusal) = self.refusal() {
            return refusal.to_owned();
        }
        let mut message = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        message
    }
}

impl Router for Plugin {
    type Plan = Plan;
    type Error = PluginError;

    async fn start(plan: &Plan, log: LogSink) -> Result<Self, PluginError> {
        Self::start(plan, log).await
    }

    fn process(&self) -> u32 {
        Self::process(self)
    }

    async fn ping(&self) -> Result<(), PluginError> {
        Self::ping(self).await
    }

    async fn call(&self, call: &Call) -> Result<Answer, PluginError> {
        Self::call(self, call).await
    }

    async fn kill(self) {
        Self::kill(self).await;
    }
}

impl RouterError for PluginError {
    fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused { message, .. } => Some(message),
            _ => None,
        }
    }
}

/// Holds the plugin for all Rollouts.
pub(super) struct Host<R: Router> {
    plan: R::Plan,
    log: LogSink,
    calls: CallObserver,
    running: Mutex<Option<Arc<R>>>,
    /// 0 if there is none.
    process: AtomicU32,
    starts: AtomicU64,
}

impl<R: Router> Host<R> {
    pub(super) fn new(plan: R::Plan, log: LogSink, calls: CallObserver) -> Self {
        Self {
            plan,
            log,
            calls,
            running: Mutex::new(None),
            process: AtomicU32::new(0),
            starts: AtomicU64::new(0),
        }
    }

    pub(super) fn process(&self) -> Option<u32> {
        Some(self.process.load(Ordering::Relaxed)).filter(|process| *process != 0)
    }

    pub(super) fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    /// A line in the controller's log, where it says what it doesn't say in events.
    pub(super) fn say(&self, line: &str) {
        (self.log)(line);
    }

    /// Starts the plugin for the first time.
    pub(super) async fn start(&self) -> Result<(), R::Error> {
        let mut running = self.running.lock().await;
        let router = self.launch().await?;
        *running = Some(Arc::clone(&router));
        drop(running);
        self.call(&router, "", Call::InitPlugin).await.map(drop)
    }

    /// The plugin, alive a moment ago.
    pub(super) async fn ready(&self, rollout: &str) -> Result<Arc<R>, String> {
        let mut running = self.running.lock().await;
        let router = if let Some(router) = running.as_ref() {
            Arc::clone(router)
        } else {
            let router = self
                .launch()
                .await
                .map_err(|error| format!("unable to get plugin client: {}", error.message()))?;
            // One that refuses to be initialised is used all the same from the next time on, as by the real one.
            *running = Some(Arc::clone(&router));
            self.call(&router, rollout, Call::InitPlugin)
                .await
                .map_err(|error| {
                    format!("unable to initialize plugin via rpc: {}", error.message())
                })?;
            router
        };
        match router.ping().await {
            Ok(()) => Ok(router),
            Err(error) => {
                *running = None;
                drop(running);
                self.end(router).await;
                Err(format!(
                    "could not ping plugin will cleanup process so we can restart it next reconcile ({})",
                    error.message()
                ))
            }
        }
    }

    /// Makes one call for a Rollout. The error has the controller's words around the plugin's.
    pub(super) async fn route(
        &self,
        router: &R,
        rollout: &Value,
        call: &RouterCall,
    ) -> Result<Answer, String> {
        let object = rollout.clone();
        let (call, what) = match call.clone() {
            RouterCall::RemoveManagedRoutes => (
                Call::RemoveManagedRoutes { rollout: object },
                "remove managed routes",
            ),
            RouterCall::SetHeaderRoute(step) => (
                Call::SetHeaderRoute {
                    rollout: object,
                    set_header_route: step,
                },
                "set header route",
            ),
            RouterCall::SetMirrorRoute(step) => (
                Call::SetMirrorRoute {
                    rollout: object,
                    set_mirror_route: step,
                },
                "set mirror route",
            ),
            RouterCall::UpdateHash { canary, stable } => (
                Call::UpdateHash {
                    rollout: object,
                    canary_hash: canary,
                    stable_hash: stable,
                },
                "update hash",
            ),
            RouterCall::SetWeight(desired_weight) => (
                Call::SetWeight {
                    rollout: object,
                    desired_weight,
                },
                "set weight",
            ),
            RouterCall::VerifyWeight(desired_weight) => (
                Call::VerifyWeight {
                    rollout: object,
                    desired_weight,
                },
                "verify weight",
            ),
        };
        self.call(router, &name(rollout), call)
            .await
            .map_err(|error| format!("failed to {what} via plugin: {}", error.message()))
    }

    /// The router's type, which the controller asks for at each reconciliation to write it in its log; an error only
    /// goes there too.
    pub(super) async fn type_of(&self, router: &R, rollout: &Value) {
        drop(self.call(router, &name(rollout), Call::Type).await);
    }

    /// Ends the plugin's process, at once.
    pub(super) async fn kill(&self) {
        let running = self.running.lock().await.take();
        if let Some(router) = running {
            self.end(router).await;
        }
    }

    /// Lets go of the plugin without waiting.
    pub(super) fn release(&self) {
        if let Ok(mut running) = self.running.try_lock() {
            *running = None;
        }
    }

    async fn launch(&self) -> Result<Arc<R>, R::Error> {
        let router = R::start(&self.plan, Arc::clone(&self.log)).await?;
        self.process.store(router.process(), Ordering::Relaxed);
        self.starts.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(router))
    }

    async fn end(&self, router: Arc<R>) {
        self.process.store(0, Ordering::Relaxed);
        // Where a call is still out, the one that waits for it holds the plugin, and ends it by letting go.
        if let Ok(router) = Arc::try_unwrap(router) {
            router.kill().await;
        }
    }

    async fn call(&self, router: &R, rollout: &str, call: Call) -> Result<Answer, R::Error> {
        let at = Instant::now();
        let answer = router.call(&call).await;
        let record = CallRecord {
            at,
            rollout: rollout.to_owned(),
            method: call.method(),
            detail: detail(&call),
            took: at.elapsed(),
            outcome: match &answer {
                Ok(answer) => Ok(outcome(answer)),
                Err(error) => Err(error.message()),
            },
        };
        (self.calls)(&record);
        answer
    }
}

fn name(rollout: &Value) -> String {
    format!("{}/{}", meta(rollout, "namespace"), meta(rollout, "name"))
}

fn detail(call: &Call) -> String {
    let route = |step: &Value| {
        let name = step.get("name").and_then(Value::as_str);
        name.unwrap_or_default().to_owned()
    };
    match call {
        Call::InitPlugin | Call::Type | Call::RemoveManagedRoutes { .. } => String::new(),
        Call::UpdateHash {
            canary_hash,
            stable_hash,
            ..
        } => format!("canary={canary_hash} stable={stable_hash}"),
        Call::SetWeight { desired_weight, .. } | Call::VerifyWeight { desired_weight, .. } => {
            desired_weight.to_string()
        }
        Call::SetHeaderRoute {
            set_header_route, ..
        } => route(set_header_route),
        Call::SetMirrorRoute {
            set_mirror_route, ..
        } => route(set_mirror_route),
    }
}

fn outcome(answer: &Answer) -> String {
    match answer {
        Answer::Done => String::new(),
        Answer::Verified(Some(true)) => "verified".to_owned(),
        Answer::Verified(Some(false)) => "not verified".to_owned(),
        Answer::Verified(None) => "not implemented".to_owned(),
        Answer::Text(text) => text.clone(),
    }
}
