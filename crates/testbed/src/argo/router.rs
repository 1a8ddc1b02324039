//! The plugin as the controller holds it: started when needed, asked for a sign of life before each use, started again
//! when it is gone or doesn't answer.
//!
//! Follows argo-rollouts v1.10.1 `rollout/trafficrouting/plugin/client/client.go` (`startPluginLocked`) and
//! `plugin.go`, whose words its errors have.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argo_rollouts::go_plugin::Chain;
use serde_json::Value;
use tokio::sync::Mutex;

use super::patience::Patience;
use super::plugin::{Answer, Call, LogSink, Plan, Plugin, PluginError};
use super::traffic::RouterCall;
use super::{CallObserver, CallRecord};
use crate::apiserver::object::meta;

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
    /// True once its process has ended.
    fn has_ended(&self) -> bool;
    fn ping(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;
    fn call(&self, call: &Call) -> impl Future<Output = Result<Answer, Self::Error>> + Send;
    /// Ends its process at once, whoever still waits for an answer.
    fn kill(&self) -> impl Future<Output = ()> + Send;
}

/// What a call's failure says.
pub(super) trait RouterError: Error + Send + Sized + 'static {
    /// A call that had this time and no answer.
    fn unanswered(method: &'static str, within: Duration) -> Self;

    /// The plugin's own words where it has refused (`RpcError.ErrorString`).
    fn refusal(&self) -> Option<&str>;

    /// The refusal, else what has happened to the call, with its causes.
    fn message(&self) -> String {
        self.refusal()
            .map_or_else(|| Chain(self).to_string(), str::to_owned)
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

    fn has_ended(&self) -> bool {
        Self::has_ended(self)
    }

    async fn ping(&self) -> Result<(), PluginError> {
        Self::ping(self).await
    }

    async fn call(&self, call: &Call) -> Result<Answer, PluginError> {
        Self::call(self, call).await
    }

    async fn kill(&self) {
        Self::kill(self).await;
    }
}

impl RouterError for PluginError {
    fn unanswered(method: &'static str, within: Duration) -> Self {
        Self::Unanswered { method, within }
    }

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
    patience: Patience,
    running: Mutex<Option<Arc<R>>>,
    /// 0 if there is none.
    process: AtomicU32,
    starts: AtomicU64,
}

impl<R: Router> Host<R> {
    pub(super) fn new(
        plan: R::Plan,
        log: LogSink,
        calls: CallObserver,
        patience: Patience,
    ) -> Self {
        Self {
            plan,
            log,
            calls,
            patience,
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

    /// A line in the controller's log, where it says what it doesn't say in events. One who panics when told so isn't
    /// told: it must not end the controller.
    pub(super) fn say(&self, line: &str) {
        let told = AssertUnwindSafe(|| (self.log)(line));
        drop(std::panic::catch_unwind(told));
    }

    /// Starts the plugin for the first time.
    pub(super) async fn start(&self) -> Result<(), R::Error> {
        let mut running = self.running.lock().await;
        let router = self.launch().await?;
        if let Err(error) = self.call(&router, "", Call::InitPlugin).await {
            self.end(&router).await;
            return Err(error);
        }
        *running = Some(router);
        Ok(())
    }

    /// The plugin, alive a moment ago. `name` is the Rollout's for it.
    pub(super) async fn ready(&self, rollout: &str, name: &str) -> Result<Arc<R>, String> {
        let mut running = self.running.lock().await;
        if let Some(dead) = running.take_if(|router| router.has_ended()) {
            self.end(&dead).await;
        }
        let router = if let Some(router) = running.as_ref() {
            Arc::clone(router)
        } else {
            let router = self.launch().await.map_err(|error| {
                format!("unable to get plugin client ({name}): {}", error.message())
            })?;
            // One that refuses to be initialised is used all the same from the next time on, as by the real one.
            *running = Some(Arc::clone(&router));
            self.call(&router, rollout, Call::InitPlugin)
                .await
                .map_err(|error| {
                    format!(
                        "unable to initialize plugin via rpc ({name}): {}",
                        error.message()
                    )
                })?;
            router
        };
        let within = self.patience.total();
        let pinged = tokio::time::timeout(within, router.ping())
            .await
            .unwrap_or_else(|_| Err(R::Error::unanswered("Ping", within)));
        match pinged {
            Ok(()) => Ok(router),
            Err(error) => {
                // No other is started before it is gone.
                self.end(&router).await;
                *running = None;
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
            self.end(&router).await;
        }
    }

    async fn launch(&self) -> Result<Arc<R>, R::Error> {
        let router = R::start(&self.plan, Arc::clone(&self.log)).await?;
        self.process.store(router.process(), Ordering::Relaxed);
        self.starts.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(router))
    }

    async fn end(&self, router: &R) {
        // Another may have been started meanwhile.
        let (process, order) = (router.process(), Ordering::Relaxed);
        let _ = self.process.compare_exchange(process, 0, order, order);
        router.kill().await;
    }

    async fn call(&self, router: &R, rollout: &str, call: Call) -> Result<Answer, R::Error> {
        let at = Instant::now();
        let silent = async {
            match call {
                // All Rollouts wait for it.
                Call::InitPlugin => tokio::time::sleep(self.patience.total()).await,
                _ => self.silence(router).await,
            }
        };
        let answer = tokio::select! {
            biased;
            answer = router.call(&call) => answer,
            () = silent => {
                // It is started again with its next use.
                self.end(router).await;
                Err(R::Error::unanswered(call.method(), self.patience.total()))
            }
        };
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

    /// Ends when the plugin gives no sign of life, as the connection's keep-alive does in Go (hashicorp/yamux v0.1.2
    /// `session.go`, `keepalive`).
    async fn silence(&self, router: &R) {
        loop {
            tokio::time::sleep(self.patience.interval).await;
            let pinged = tokio::time::timeout(self.patience.answer, router.ping()).await;
            if !matches!(pinged, Ok(Ok(()))) {
                return;
            }
        }
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
