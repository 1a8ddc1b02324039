//! What earlier calls have brought about, kept while the controller is silent.

use argo_rollouts::Rollout;

use crate::core::error::CoreError;
use crate::core::plan::shares::Shares;
use crate::core::plan::{
    Aim, Observed, PodHashes, Standing, Write, all_of, check_canary_subset, routes, subsets,
};
use crate::core::routing::Routing;

/// Subsets first, then weights, lanes and policy. What no longer fits the Rollout is left alone until the controller
/// calls again, which it does at once: weights where the canary subset has no pods of its own behind it, or where the
/// ping-pong Services have swapped sides since.
pub(super) fn keep(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    standing: Standing<'_>,
) -> Result<Vec<Write>, CoreError> {
    if let Some(hashes) = standing.hashes
        && let Some(subsets) = subsets(rollout, routing, observed, all_of(hashes))?
    {
        return Ok(vec![subsets]);
    }
    let swapped = standing
        .hashes
        .is_some_and(|hashes| has_swapped(rollout, hashes));
    let unfounded = check_canary_subset(rollout, routing, observed).is_err();
    let weights = standing
        .weights
        .filter(|weights| !swapped && (weights.canary <= 0 || !unfounded));
    let weights = weights.map(|weights| Shares::of(routing, weights));
    let aim = Aim {
        weights: weights.transpose()?,
        step: None,
        canary: standing.hashes.map(|hashes| hashes.canary),
        additional: standing.hashes.map_or(&[], |hashes| hashes.additional),
        keeps_lanes: false,
        rescues: false,
    };
    routes(rollout, routing, observed, &aim).whole()
}

/// True if the version that was the canary at the last UpdateHash has become the stable one behind ping-pong Services.
fn has_swapped(rollout: &Rollout, hashes: PodHashes<'_>) -> bool {
    let canary = rollout.spec.strategy.canary.as_ref();
    canary.is_some_and(|canary| canary.ping_pong.is_some())
        && hashes.canary == rollout.status.stable_rs
        && hashes.stable != rollout.status.stable_rs
}
