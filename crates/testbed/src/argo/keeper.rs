//! Keeps one controller running, and replaces it by another when it is to be killed: never two at once, and none only
//! between the two.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync;
use tokio::task::AbortHandle;

use super::plugin::{LogSink, Plan, PluginError};
use super::{CallObserver, Controller};
use crate::apiserver::Store;

/// A place for one controller. Dropping it drops the controller, also one that is being started.
pub struct Keeper {
    place: Arc<Place>,
    restarts: Mutex<Vec<AbortHandle>>,
}

struct Place {
    store: Store,
    plan: Plan,
    log: LogSink,
    calls: CallObserver,
    /// Locked for no longer than it takes to look or to replace.
    controller: sync::Mutex<Option<Controller>>,
    /// Locked from the end of one controller to the start of the next.
    restarting: sync::Mutex<()>,
}

impl Keeper {
    /// Starts the first controller; see [`Controller::start`].
    pub async fn start(
        store: &Store,
        plan: Plan,
        log: LogSink,
        calls: CallObserver,
    ) -> Result<Self, PluginError> {
        let place = Place {
            store: store.clone(),
            plan,
            log,
            calls,
            controller: sync::Mutex::new(None),
            restarting: sync::Mutex::new(()),
        };
        place.fill().await?;
        Ok(Self {
            place: Arc::new(place),
            restarts: Mutex::default(),
        })
    }

    /// The plugin's process, and how often it has been started by this controller; none and 0 between two controllers.
    pub async fn plugin(&self) -> (Option<u32>, u64) {
        let controller = self.place.controller.lock().await;
        controller.as_ref().map_or((None, 0), |controller| {
            (controller.plugin_process(), controller.plugin_starts())
        })
    }

    /// Kills the controller and its plugin ([`Controller::kill`]), and starts both again after `pause`. One restart
    /// comes after the other. Dropping the future gives up the answer, not the restart. After an error there is no
    /// controller until the next restart.
    pub async fn restart(&self, pause: Duration) -> Result<(), PluginError> {
        let place = Arc::clone(&self.place);
        let restart = tokio::spawn(async move { place.restart(pause).await });
        {
            let mut restarts = self.restarts();
            restarts.retain(|one| !one.is_finished());
            restarts.push(restart.abort_handle());
        }
        match restart.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panicked) => std::panic::resume_unwind(panicked),
                // Only the end of the runtime aborts it while this is borrowed, and with it ends the caller.
                Err(_) => std::future::pending().await,
            },
        }
    }

    fn restarts(&self) -> std::sync::MutexGuard<'_, Vec<AbortHandle>> {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        for restart in self.restarts().drain(..) {
            restart.abort();
        }
        // Where a restart has the lock just now, the controller goes with it.
        if let Ok(mut controller) = self.place.controller.try_lock() {
            drop(controller.take());
        }
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl Place {
    async fn restart(&self, pause: Duration) -> Result<(), PluginError> {
        let _one_at_a_time = self.restarting.lock().await;
        let controller = self.controller.lock().await.take();
        if let Some(controller) = controller {
            controller.kill().await;
        }
        tokio::time::sleep(pause).await;
        self.fill().await
    }

    async fn fill(&self) -> Result<(), PluginError> {
        let (log, calls) = (Arc::clone(&self.log), Arc::clone(&self.calls));
        let controller = Controller::start(&self.store, self.plan.clone(), log, calls).await?;
        *self.controller.lock().await = Some(controller);
        Ok(())
    }
}
