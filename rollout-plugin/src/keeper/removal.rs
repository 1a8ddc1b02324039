//! The removal of what a Rollout has left behind.

use std::sync::Arc;

use tracing::info;

use super::{Keeper, Looked, Next, UNTIL_ASKED_AGAIN, changed_fields};
use crate::cluster::{Found, instance_of};
use crate::core::plan::Observed;
use crate::core::routing::RolloutKey;
use crate::entry::Entry;
use crate::leftover::Leftover;
use crate::router::CallError;
use crate::settle::{MAX_TRIES, Setbacks};

impl Keeper {
    /// Removes what a Rollout that is gone has left behind, once the API server itself has said that it is.
    pub(super) async fn bury(
        &self,
        key: &RolloutKey,
        entry: &Entry,
        leads: bool,
    ) -> Result<Looked, CallError> {
        let (leftovers, rollout) = {
            let state = entry.state();
            (state.leftovers.clone(), state.rollout.clone())
        };
        let was_blue_green = entry.state().blue_green;
        let mut blue_green = None;
        if !leftovers.is_empty() || was_blue_green {
            if !leads {
                let instance = rollout.as_deref().map(instance_of).unwrap_or_default();
                return Ok(Looked::IfLeading(instance.to_owned()));
            }
            match self.look_up(key).await? {
                // It is back; the watch will tell.
                Found::Ours(_) => return Ok(Looked::Until(Next::In(UNTIL_ASKED_AGAIN))),
                Found::BlueGreen(rollout) => blue_green = Some(rollout),
                Found::Neither => {}
            }
        }
        for left in &leftovers {
            self.remove(left).await?;
        }
        if let (Some(now), Some(canary)) = (blue_green, rollout) {
            entry
                .state()
                .leftovers
                .retain(|left| !leftovers.contains(left));
            if !self.follow(key, entry, &now, &canary).await? {
                return Ok(Looked::Until(Next::Never));
            }
        }
        self.entries.forget(key, entry);
        Ok(Looked::Until(Next::Never))
    }

    /// True if the API server says that there is no such Rollout that uses the plugin.
    pub(super) async fn is_gone(&self, key: &RolloutKey) -> Result<bool, CallError> {
        let found = self.look_up(key).await?;
        Ok(!matches!(found, Found::Ours(_)))
    }

    /// The Rollout as the API server has it now.
    pub(crate) async fn look_up(&self, key: &RolloutKey) -> Result<Found, CallError> {
        let found = self.rollouts.look_up(key).await;
        found.map_err(|source| CallError::Lookup {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            source,
        })
    }

    /// Removes policy and lane routes, in that order.
    pub(crate) async fn remove(&self, left: &Leftover) -> Result<(), CallError> {
        let cache = &self.cluster.cache;
        let mut setbacks = Setbacks::default();
        for _ in 0..MAX_TRIES {
            let mut observed = Observed::default();
            for id in &left.virtual_services {
                let object = cache.look_up(id).await?;
                observed.virtual_services.push(object.map(Arc::new));
            }
            for id in &left.filters {
                observed
                    .filters
                    .push(cache.look_up(id).await?.map(Arc::new));
            }
            let pending = left.removal(&observed)?;
            let Some(first) = pending.first() else {
                return Ok(());
            };
            let written = self.cluster.carry_out(first).await?;
            if setbacks.take(&left.rollout, first, written).await? {
                let object = first.target();
                info!(rollout = %left.rollout, %object, fields = changed_fields(first), "removed what the rollout has left behind");
            }
        }
        Err(CallError::Overtaken {
            namespace: left.rollout.namespace.clone(),
            name: left.rollout.name.clone(),
        })
    }
}
