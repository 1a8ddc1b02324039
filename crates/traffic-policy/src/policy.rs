//! One Rollout's policy, compiled: made at configure, asked per request.

use crate::config::Policy;
use crate::error::{Fault, PolicyError};
use crate::host::MatchHost;
use crate::lane::{Lane, lane_header, lane_route_prefix};
use crate::matcher::MatchRule;
use crate::place::{ChosenRoute, Places, split_key};
use crate::request::{Headers, Request};

/// A policy with its regular expressions built and its fields checked.
#[derive(Debug)]
pub struct CompiledPolicy {
    rollout: Box<str>,
    header: Box<str>,
    pub(crate) hosts: Box<[MatchHost]>,
    places: Places,
    rules: Box<[MatchRule]>,
}

/// What a policy says of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'p> {
    /// Where the request goes.
    pub lane: Lane,
    /// The managed route that says so.
    pub rule: &'p str,
}

/// Checks and compiles the policy of the Rollout `rollout`, which is its key, `<namespace>/<name>`.
///
/// # Errors
/// The first field that is wrong, in the order of the written policy.
pub fn compile(rollout: &str, policy: &Policy) -> Result<CompiledPolicy, PolicyError> {
    let Some((namespace, name)) = split_key(rollout) else {
        let value = rollout.to_owned();
        return Err(PolicyError::new(
            rollout,
            "the key in rollouts",
            Fault::Key { value },
        ));
    };
    if policy.hosts.is_empty() {
        return Err(PolicyError::new(rollout, "hosts", Fault::NoHosts));
    }
    let hosts = policy
        .hosts
        .iter()
        .enumerate()
        .map(|(at, host)| {
            MatchHost::compile(host)
                .map_err(|fault| PolicyError::new(rollout, format_args!("hosts[{at}]"), fault))
        })
        .collect::<Result<_, _>>()?;
    let places = Places::compile(
        rollout,
        policy.virtual_services.as_ref(),
        lane_route_prefix(namespace, name),
    )?;
    let rules = policy
        .rules
        .iter()
        .enumerate()
        .map(|(at, rule)| MatchRule::compile(rollout, &format!("rules[{at}]"), rule))
        .collect::<Result<_, _>>()?;
    Ok(CompiledPolicy {
        rollout: rollout.into(),
        header: lane_header(namespace, name).into(),
        hosts,
        places,
        rules,
    })
}

impl CompiledPolicy {
    /// The Rollout's key, `<namespace>/<name>`.
    pub fn rollout(&self) -> &str {
        &self.rollout
    }

    /// The header that carries this Rollout's lane.
    pub fn lane_header(&self) -> &str {
        &self.header
    }

    /// The lane of one request, or `None` where the weights decide. The host has been looked at
    /// already ([`crate::PolicySet::candidates`]); the route has not ([`Self::may_set_lane_on`]).
    ///
    /// The first rule that matches is the last one looked at. If it has a `percent`, `random` is
    /// asked for a number, evenly spread over all of `u32`; a request that is not drawn gets no lane.
    /// That is what becomes of a request on an Argo mirror route outside of its `percentage`
    /// (argo-rollouts v1.10.1 `createMirrorRoute` writes `mirrorPercentage`; Envoy draws after the
    /// route has been chosen).
    pub fn decide<H: Headers + ?Sized>(
        &self,
        request: &Request<'_, H>,
        random: &mut impl FnMut() -> u32,
    ) -> Option<Decision<'_>> {
        let rule = self.rules.iter().find(|rule| rule.matches(request))?;
        let drawn = rule.percent == 100 || draw(random()) < rule.percent;
        drawn.then_some(Decision {
            lane: rule.lane,
            rule: &rule.name,
        })
    }

    /// True if lanes are set on routes of certain VirtualServices only.
    pub(crate) fn names_virtual_services(&self) -> bool {
        !self.places.everywhere()
    }

    /// True if `route` is a managed route of this Rollout or one of its lane routes.
    pub fn may_set_lane_on(&self, route: &mut impl ChosenRoute) -> bool {
        self.places.has(route)
    }
}

/// A random number as one of 0 to 99; their chances differ by less than 2^-25.
fn draw(random: u32) -> u32 {
    let scaled = (u64::from(random) * 100) >> 32;
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
