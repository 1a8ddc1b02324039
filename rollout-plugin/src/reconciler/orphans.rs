//! Policies whose Rollouts were deleted, or moved elsewhere, while no plugin ran.
//!
//! A policy names the VirtualServices of its lane routes, so it is all that is needed to find them. Lane routes without
//! a policy do nothing, and can't be told from those that a user has declared: they stay.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use argo_rollouts::go_plugin::Chain;
use tracing::debug;

use super::{Listed, Next};
use crate::cluster::{ClusterError, Found, instance_of};
use crate::config::FilterKind;
use crate::core::filter::{DEFAULT_FILTER, policies};
use crate::core::routing::{RolloutKey, Routing};
use crate::keeper::Keeper;
use crate::leftover::Leftover;
use crate::object::ObjectId;
use crate::router::CallError;

/// The wait before a sweep that has failed is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Removes what is left of Rollouts that are gone, in the filter objects that Rollouts name and those of either kind that have
/// the default's name. Others may be another cluster's, whose Rollouts can't be seen from here.
pub(super) async fn sweep(keeper: &Arc<Keeper>, listed: &Listed) -> Next {
    let mut next = Next::Never;
    for id in filters(keeper) {
        let swept = sweep_one(keeper, listed, &id).await;
        let again = swept.unwrap_or_else(|error| {
            debug!(object = %id, error = %Chain(&error), "not searched for policies without a rollout");
            match error {
                // Without the permission, or the kind, it will be no different later.
                CallError::Cluster(
                    ClusterError::Forbidden { .. } | ClusterError::NotServed { .. },
                ) => Next::Never,
                _ => Next::In(AFTER_FAILURE),
            }
        });
        if again != Next::Never {
            next = again;
        }
    }
    next
}

fn filters(keeper: &Keeper) -> BTreeSet<ObjectId> {
    let (namespace, name) = DEFAULT_FILTER;
    let mut filters: BTreeSet<ObjectId> = FilterKind::ALL
        .map(|kind| ObjectId::new(kind.kind(), namespace, name))
        .into();
    for (_, entry) in keeper.entries.all() {
        let state = entry.state();
        let named = state.routing.iter().flat_map(Routing::filter_ids);
        filters.extend(named.cloned());
    }
    filters
}

async fn sweep_one(keeper: &Keeper, listed: &Listed, id: &ObjectId) -> Result<Next, CallError> {
    let Some(object) = keeper.cluster.cache.look_up(id).await? else {
        return Ok(Next::Never);
    };
    for (key, policy) in policies(&object).into_iter().flatten() {
        // A key that is no Rollout's is not ours, and where Rollouts can't be listed nothing is known.
        let Some(key) = RolloutKey::parse(key).filter(|key| listed.covers(&key.namespace)) else {
            continue;
        };
        let known = keeper.entries.find(&key).is_some_and(|entry| {
            let state = entry.state();
            // Its entry sees to it, be it there or just gone.
            state.gone.is_some() || uses(state.routing.as_ref(), id)
        });
        if known {
            continue;
        }
        let routing = match keeper.look_up(&key).await? {
            Found::BlueGreen(_) | Found::Neither => None,
            Found::Ours(rollout) => match Routing::of(&rollout) {
                Ok(routing) if !routing.has_filter(id) => Some(routing),
                // It uses this one, or what it uses can't be told.
                _ => continue,
            },
        };
        match leads(keeper).await {
            Some(true) => {}
            Some(false) => return Ok(Next::Never),
            None => return Ok(Next::In(AFTER_FAILURE)),
        }
        let left = Leftover::of_policy(key, id, policy, routing.as_ref());
        keeper.remove(&left).await?;
    }
    Ok(Next::Never)
}

fn uses(routing: Option<&Routing>, id: &ObjectId) -> bool {
    routing.is_some_and(|routing| routing.has_filter(id))
}

/// Whose a Rollout was that is gone can't be told: it is enough that the parent leads anything.
async fn leads(keeper: &Keeper) -> Option<bool> {
    let entries = keeper.entries.all();
    let mut instances = BTreeSet::from([String::new()]);
    for (_, entry) in entries {
        let rollout = entry.state().rollout.clone();
        instances.extend(rollout.map(|rollout| instance_of(&rollout).to_owned()));
    }
    let mut told = Some(false);
    for instance in instances {
        match keeper.leadership.leads(&instance).await {
            Some(true) => return Some(true),
            Some(false) => {}
            None => told = None,
        }
    }
    told
}
