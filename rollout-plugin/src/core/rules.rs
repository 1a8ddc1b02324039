//! Which rules are in force: a function of the Rollout, so that nothing has to be remembered between calls.
//!
//! The controller calls `SetHeaderRoute` only while that step is current, and `RemoveManagedRoutes` whenever the
//! canary has no available pods (argo-rollouts v1.10.1 `rollout/trafficrouting.go`); with that alone a header route
//! is lost when canary pods restart. Computed from the steps it comes back with the pods.

use std::collections::{BTreeMap, BTreeSet};

use argo_rollouts::{
    CanaryStep, Rollout, SetHeaderRoute, SetMirrorRoute, StringMatch as WrittenMatch,
};
use traffic_policy::Lane;
use traffic_policy::config::{Match, Rule, StringMatch};

use crate::core::error::{CoreError, Fault};
use crate::core::history::{StepHistory, index_of};
use crate::core::routing::Routing;

/// One header or mirror step.
#[derive(Clone, Copy, Debug)]
pub enum RouteStep<'a> {
    /// `setHeaderRoute`.
    Header(&'a SetHeaderRoute),
    /// `setMirrorRoute`.
    Mirror(&'a SetMirrorRoute),
}

/// How it is known which steps have run.
#[derive(Clone, Copy, Debug)]
pub struct Ran<'a> {
    /// What calls have brought.
    pub history: &'a StepHistory,
    /// The names of the rules that the policy has.
    pub policy: &'a BTreeSet<&'a str>,
}

impl<'a> RouteStep<'a> {
    /// True if the step sets a rule; without a match it removes one.
    pub(crate) fn sets(self) -> bool {
        match self {
            Self::Header(step) => !step.matches.is_empty(),
            Self::Mirror(step) => !step.matches.is_empty(),
        }
    }

    /// The managed route's name.
    pub(crate) fn name(self) -> &'a str {
        match self {
            Self::Header(step) => &step.name,
            Self::Mirror(step) => &step.name,
        }
    }

    /// Its field below `at`.
    pub(crate) fn field(self, at: &str) -> String {
        match self {
            Self::Header(_) => format!("{at}.setHeaderRoute"),
            Self::Mirror(_) => format!("{at}.setMirrorRoute"),
        }
    }
}

/// The rules of the steps that have run, in the order of `managedRoutes`, with `current` on top where a call brings it.
/// Empty while there is no canary to route to: not reached, aborted, or promoted.
///
/// Behind the last step the weights route everything to the canary, and a mirrored request would reach it twice.
///
/// # Errors
/// A step whose match can't be understood, or whose name is not in `managedRoutes`.
pub fn rules_in_force(
    rollout: &Rollout,
    routing: &Routing,
    reaches_canary: bool,
    ran: Ran<'_>,
    current: Option<RouteStep<'_>>,
) -> Result<Vec<Rule>, CoreError> {
    if !has_canary(rollout) || !reaches_canary {
        return Ok(Vec::new());
    }
    let error = |fault| CoreError::Rollout {
        rollout: routing.rollout.clone(),
        fault,
    };
    let mut rules = BTreeMap::new();
    let reached = index_of(rollout);
    let is_behind = reached >= steps_of(rollout).len();
    for (index, step) in route_steps(rollout).take_while(|(index, _)| *index <= reached) {
        // A step without a match removes its rule.
        let is_in_policy = ran.policy.contains(step.name()) == step.sets();
        let is_needless = is_behind && matches!(step, RouteStep::Mirror(_));
        if is_needless || !ran.history.has_run(rollout, index, is_in_policy) {
            continue;
        }
        let at = step.field(&format!("spec.strategy.canary.steps[{index}]"));
        apply(&mut rules, routing, &at, step).map_err(error)?;
    }
    if let Some(step) = current {
        apply(&mut rules, routing, &step.field("the current step"), step).map_err(error)?;
    }
    Ok(rules.into_values().collect())
}

/// The Rollout's steps; none where it has no canary strategy.
pub(crate) fn steps_of(rollout: &Rollout) -> &[CanaryStep] {
    rollout.canary().map_or(&[], |canary| &canary.steps)
}

/// The header and mirror steps, each with its place among all steps.
pub(crate) fn route_steps(rollout: &Rollout) -> impl Iterator<Item = (usize, RouteStep<'_>)> {
    steps_of(rollout)
        .iter()
        .enumerate()
        .flat_map(|(index, step)| {
            let header = step.set_header_route.as_ref().map(RouteStep::Header);
            let mirror = step.set_mirror_route.as_ref().map(RouteStep::Mirror);
            let both = header.into_iter().chain(mirror);
            both.map(move |step| (index, step))
        })
}

/// The lanes that any of the Rollout's steps leads to, whichever is the current one, and those of its sticky users.
pub fn lanes_of_steps(rollout: &Rollout, routing: &Routing) -> BTreeSet<Lane> {
    let lanes = route_steps(rollout).filter_map(|(_, step)| match step {
        RouteStep::Header(step) => (!step.matches.is_empty()).then_some(Lane::Canary),
        RouteStep::Mirror(step) => (!step.matches.is_empty()).then_some(Lane::Mirror),
    });
    let mut lanes = lanes.collect();
    if routing.sticky.is_some() {
        add_sticky_lanes(&mut lanes);
    }
    lanes
}

/// The lanes of users who are told apart: both versions', and where requests are mirrored, that of those who see the
/// stable one. A mirror lane follows the weights, which say nothing about them.
pub(crate) fn add_sticky_lanes(lanes: &mut BTreeSet<Lane>) {
    lanes.extend([Lane::Canary, Lane::Stable]);
    if lanes.contains(&Lane::Mirror) {
        lanes.insert(Lane::StableMirror);
    }
}

/// True while the Rollout has two versions, on the way to the new one or back from it.
pub(crate) fn is_between(rollout: &Rollout) -> bool {
    let status = &rollout.status;
    !status.stable_rs.is_empty() && status.stable_rs != status.current_pod_hash
}

/// True on the way back to one version: after an abort, a rollback to the stable version or a promotion.
pub(crate) fn ends(rollout: &Rollout) -> bool {
    !is_between(rollout) || rollout.status.abort
}

/// True while the Rollout goes from one version to the next by its steps. The opposites are `IsFullyPromoted`,
/// `IsAborted` and `PromoteFull` of the controller, which calls RemoveManagedRoutes for each; one that has never been
/// stable has no canary.
pub fn has_canary(rollout: &Rollout) -> bool {
    is_between(rollout) && !rollout.status.abort && !rollout.status.promote_full
}

/// Sets, replaces or (without a match) removes one rule; the map's key is its place in `managedRoutes`. What the
/// configuration adds to a route is without effect while no step has switched it on.
pub(crate) fn apply(
    rules: &mut BTreeMap<usize, Rule>,
    routing: &Routing,
    at: &str,
    step: RouteStep<'_>,
) -> Result<(), Fault> {
    let (place, mut rule) = rule_of(step, routing, at)?;
    if rule.matches.is_empty() {
        rules.remove(&place);
        return Ok(());
    }
    if let Some(more) = routing.routes.get(&rule.name) {
        rule.matches.extend(more.matches.iter().cloned());
        rule.percent = rule.percent.or(more.percent);
        rule.keys.clone_from(&more.keys);
    }
    rules.insert(place, rule);
    Ok(())
}

/// What the step itself says, and the rule's place in `managedRoutes`. `at`: the step's field.
pub(crate) fn rule_of(
    step: RouteStep<'_>,
    routing: &Routing,
    at: &str,
) -> Result<(usize, Rule), Fault> {
    let (RouteStep::Header(SetHeaderRoute { name, .. })
    | RouteStep::Mirror(SetMirrorRoute { name, .. })) = step;
    let place = routing
        .managed_routes
        .iter()
        .position(|managed| managed == name)
        .ok_or_else(|| {
            Fault::new(
                format!("{at}.name"),
                format!("{name:?}"),
                format!(
                    "a name of spec.strategy.canary.trafficRouting.managedRoutes, which has {:?}",
                    routing.managed_routes
                ),
            )
        })?;
    let rule = match step {
        RouteStep::Header(step) => header_rule(step, at)?,
        RouteStep::Mirror(step) => mirror_rule(step, at)?,
    };
    Ok((place, rule))
}

/// Each entry is a match of its own, so entries are ORed (argo-rollouts v1.10.1 `istio.createHeaderRoute`).
fn header_rule(step: &SetHeaderRoute, at: &str) -> Result<Rule, Fault> {
    let matches = step.matches.iter().enumerate().map(|(index, entry)| {
        let at = format!("{at}.match[{index}]");
        if entry.header_name.is_empty() {
            return Err(Fault::new(
                format!("{at}.headerName"),
                "an empty name",
                "a header's name",
            ));
        }
        let at = format!("{at}.headerValue");
        let value = entry
            .header_value
            .as_ref()
            .ok_or_else(|| Fault::new(&at, "nothing", ONE_KIND))?;
        let value = string_match(value, &at)?;
        Ok(Match {
            headers: BTreeMap::from([(entry.header_name.clone(), value)]),
            ..Match::default()
        })
    });
    Ok(Rule {
        name: step.name.clone(),
        lane: Lane::Canary,
        percent: None,
        keys: Vec::new(),
        matches: matches.collect::<Result<_, _>>()?,
    })
}

/// Fields of an entry are ANDed, entries ORed (argo-rollouts v1.10.1 `istio.createMirrorRoute`).
fn mirror_rule(step: &SetMirrorRoute, at: &str) -> Result<Rule, Fault> {
    let matches = step.matches.iter().enumerate().map(|(index, entry)| {
        let at = format!("{at}.match[{index}]");
        let optional = |value: Option<&WrittenMatch>, field: &str| {
            value
                .map(|value| string_match(value, &format!("{at}.{field}")))
                .transpose()
        };
        let headers = entry.headers.iter().map(|(name, value)| {
            Ok((
                name.clone(),
                string_match(value, &format!("{at}.headers[{name:?}]"))?,
            ))
        });
        Ok(Match {
            method: optional(entry.method.as_ref(), "method")?,
            // Every request has a path, so "present" asks for nothing.
            path: optional(entry.path.as_ref(), "path")?
                .filter(|value| *value != StringMatch::Present),
            headers: headers.collect::<Result<_, _>>()?,
            ..Match::default()
        })
    });
    let matches = matches.collect::<Result<_, _>>()?;
    let percent = step.percentage.map(|percent| {
        u32::try_from(percent)
            .ok()
            .filter(|percent| *percent <= 100)
            .ok_or_else(|| {
                Fault::new(
                    format!("{at}.percentage"),
                    percent.to_string(),
                    "a number from 0 to 100",
                )
            })
    });
    Ok(Rule {
        name: step.name.clone(),
        lane: Lane::Mirror,
        percent: percent.transpose()?,
        keys: Vec::new(),
        matches,
    })
}

const ONE_KIND: &str = "one of exact, prefix and regex";

/// One of `exact`, `prefix` and `regex`; none of them means "present" to Istio.
fn string_match(written: &WrittenMatch, at: &str) -> Result<StringMatch, Fault> {
    let text = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
    match (
        text(&written.exact),
        text(&written.prefix),
        text(&written.regex),
    ) {
        (Some(value), None, None) => Ok(StringMatch::Exact(value)),
        (None, Some(value), None) => Ok(StringMatch::Prefix(value)),
        (None, None, Some(value)) => Ok(StringMatch::Regex(value)),
        (None, None, None) => Ok(StringMatch::Present),
        _ => Err(Fault::new(at, "several of them", ONE_KIND)),
    }
}

#[cfg(test)]
mod tests;
