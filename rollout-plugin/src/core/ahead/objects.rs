//! What the header and mirror steps to come need of the objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use argo_rollouts::Rollout;
use serde_json::Value;
use traffic_policy::config::Policy;

use crate::core::error::CoreError;
use crate::core::plan::{Observed, Write, policy_changes, unusable_filters};
use crate::core::policy::{self, Policies};
use crate::core::routing::Routing;
use crate::core::rules::{RouteStep, apply, route_steps};

/// The policy that a canary will have with all of its header and mirror steps.
#[derive(Debug)]
pub(crate) struct ToCome {
    policy: Policy,
    /// It, as it will be written.
    pub(crate) written: Value,
    /// The writes that make it so, of each filter object where it isn't so already.
    pub(crate) writes: Vec<Write>,
}

impl ToCome {
    /// Compiles it, as the filter will.
    ///
    /// # Errors
    /// The first field that doesn't compile.
    pub(crate) fn check(&self, routing: &Routing) -> Result<(), CoreError> {
        policy::check(&self.policy, routing)
    }
}

/// The policy that the canary will have, `None` where no header or mirror step is to come: a weighted canary needs no
/// filter object, nor does one that is past such steps and has skipped them.
///
/// # Errors
/// What a step to come will find missing or unsuitable: a filter object, HTTP routes, a root of a delegate, hosts.
pub(crate) fn policy_to_come(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
) -> Result<Option<ToCome>, CoreError> {
    let current = rollout.status.current_step_index;
    let current = current.map_or(0, |index| usize::try_from(index).unwrap_or(0));
    let sets = |step: RouteStep<'_>| match step {
        RouteStep::Header(step) => !step.matches.is_empty(),
        RouteStep::Mirror(step) => !step.matches.is_empty(),
    };
    if !route_steps(rollout).any(|(index, step)| index >= current && sets(step)) {
        return Ok(None);
    }
    if let Some((_, problem)) = unusable_filters(routing, observed, |_| true).next() {
        return Err(problem);
    }
    let mut rules = BTreeMap::new();
    for (index, step) in route_steps(rollout).filter(|(_, step)| sets(*step)) {
        let at = step.field(&format!("spec.strategy.canary.steps[{index}]"));
        apply(&mut rules, routing, &at, step).map_err(|fault| CoreError::Rollout {
            rollout: routing.rollout.clone(),
            fault,
        })?;
    }
    let live = Policies::live(routing, observed);
    let sticky = live.sticky();
    let rules = rules.into_values().collect();
    let policy = policy::assembled(rules, sticky, routing, observed)?;
    let written = policy::written(&policy, routing)?;
    let everywhere = vec![Some(Arc::new(written.clone())); routing.filters.len()];
    let writes = policy_changes(routing, &live, &Policies::wanted(&everywhere)).collect();
    Ok(Some(ToCome {
        policy,
        written,
        writes,
    }))
}

#[cfg(test)]
mod tests;
