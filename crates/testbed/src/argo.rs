//! Stands in for the Argo Rollouts controller, v1.10.1: starts the plugin as it does, and walks canary Rollouts through
//! their steps in its order.
//!
//! What a reconciliation does, in order (`rollout/canary.go`, `rolloutCanary`; `rollout/trafficrouting.go`,
//! `reconcileTrafficRouting`; all names are of that version):
//!
//! 1. A new ReplicaSet for a new pod template (`createDesiredReplicaSet`), the conditions after a pause, a resumption or
//!    a retry (`checkPausedConditions`), the revision, a changed number of replicas (`isScalingEvent`), the first step
//!    of a changed template or changed steps (`PodTemplateOrStepsChanged`): each ends the reconciliation, without calls.
//! 2. The Services' selectors (`reconcileStableAndCanaryService`).
//! 3. The plugin: a ping, or its start and `InitPlugin` (`startPluginLocked`); `Type`; `RemoveManagedRoutes` where the
//!    update is complete, aborted, promoted in full, or the canary has no available pods; then, if the stable pods can
//!    take what is to be theirs (`checkReplicasAvailable`): the current step's `SetHeaderRoute` or `SetMirrorRoute`;
//!    `SetWeight` of 0 where the canary has lost all pods and still had weight; `UpdateHash`; `SetWeight`;
//!    `VerifyWeight`. A call that fails ends the reconciliation, which is retried; only `SetWeight` and `VerifyWeight`
//!    tell the user by an event, and a failing `VerifyWeight` doesn't end it.
//! 4. ReplicaSets are scaled (`reconcileCanaryReplicaSets`), a pause begins (`reconcileCanaryPause`), and the status is
//!    written (`syncRolloutStatusCanary`), whose change brings the next reconciliation.
//!
//! Steps 1, 2, 3 and 4 are decided without I/O (`reconcile`); `run` carries them out; `router` holds the plugin. Each
//! call carries the Rollout as it was read at the beginning of its reconciliation.
//!
//! Not there, and refused with the condition `InvalidSpec`: blue-green, canaries without traffic routing or with another
//! router than one plugin, `dynamicStableScale`, ping-pong Services, experiments, analysis, step plugins, `workloadRef`,
//! canary and stable metadata, anti-affinity, `rollbackWindow`, `restartAt`, `progressDeadlineAbort`. Not there either:
//! hash collisions, adoption of ReplicaSets, the periodic resynchronisation (15 minutes).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::apiserver::Store;

mod change;
mod conditions;
mod context;
mod keeper;
mod observe;
mod patience;
pub mod plugin;
mod queue;
mod reconcile;
mod router;
mod run;
mod scaling;
mod services;
mod status;
mod steps;
mod traffic;
mod validate;

use run::Engine;

pub use keeper::Keeper;
pub use patience::Patience;

/// One call of the plugin.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// When it began.
    pub at: Instant,
    /// `namespace/name` of the Rollout; empty for the `InitPlugin` at the controller's start.
    pub rollout: String,
    /// The method: `SetWeight`.
    pub method: &'static str,
    /// The weight (`10`), the managed route's name, or the hashes (`canary=abc stable=def`); empty for other methods.
    pub detail: String,
    /// From the call to its answer.
    pub took: Duration,
    /// The answer: empty for most methods, `verified`, `not verified` or `not implemented` for `VerifyWeight`, the type
    /// for `Type`. The error is the plugin's.
    pub outcome: Result<String, String>,
}

/// Told of each call after its answer, in the order of calls for one Rollout; those of several Rollouts come in between
/// each other. It must not block.
pub type CallObserver = Arc<dyn Fn(&CallRecord) + Send + Sync>;

/// A running controller. Dropping it ends its tasks and kills the plugin, without waiting for either.
pub struct Controller {
    engine: Engine<plugin::Plugin>,
}

impl Controller {
    /// Starts the plugin, initialises it, and begins with all Rollouts that the store holds.
    ///
    /// `log` gets the plugin's log and, in lines that begin with `argo: `, the errors that the real controller has in its
    /// log. Fails if the plugin doesn't start or refuses `InitPlugin`. The real controller starts its plugin at the first
    /// reconciliation only; one that ends later is started again at the next one, as by the real controller.
    pub async fn start(
        store: &Store,
        plugin: plugin::Plan,
        log: plugin::LogSink,
        calls: CallObserver,
    ) -> Result<Self, plugin::PluginError> {
        Self::start_with(store, plugin, log, calls, Patience::default()).await
    }

    /// Like [`start`](Self::start), with another patience for a plugin that doesn't answer.
    pub async fn start_with(
        store: &Store,
        plugin: plugin::Plan,
        log: plugin::LogSink,
        calls: CallObserver,
        patience: Patience,
    ) -> Result<Self, plugin::PluginError> {
        let engine = Engine::start(store, plugin, log, calls, patience).await?;
        Ok(Self { engine })
    }

    /// The plugin's process; none while it isn't running. A process that has died counts until the next reconciliation
    /// finds out.
    pub fn plugin_process(&self) -> Option<u32> {
        self.engine.host().process()
    }

    /// How often the plugin has been started.
    pub fn plugin_starts(&self) -> u64 {
        self.engine.host().starts()
    }

    /// As when the controller's node dies: all stops at once, in the middle of a reconciliation if there is one, and the
    /// plugin is killed, whatever calls are still out. When it returns nothing of it writes any more, and the plugin's
    /// process is reaped.
    pub async fn kill(self) {
        self.engine.kill().await;
    }
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller")
            .field("plugin_process", &self.plugin_process())
            .field("plugin_starts", &self.plugin_starts())
            .finish()
    }
}

#[cfg(test)]
mod tests;
