//! One Rollout's policy, compiled: made at configure, asked per request.

use crate::config::{Issue, Policy};
use crate::error::{Fault, PolicyError};
use crate::generation;
use crate::host::MatchHost;
use crate::key::Surroundings;
use crate::lane::{
    Carried, LANE_HEADER_PREFIX, Lane, WEIGHTS, header_value, lane_header, lane_route_prefix,
};
use crate::matcher::MatchRules;
use crate::needed::Needed;
use crate::pace::{self, Pace};
use crate::place::{ChosenRoute, Places, split_key};
use crate::request::{Headers, Request};
use crate::sticky::Split;

/// The longest secret: what a header can carry beside the rest, and a person can compare.
const MAX_SECRET: usize = 128;

/// The most rules of one Rollout. More than one object in the cluster can hold with matches of a usual length, so what is
/// above it was not meant; compiling it would hold requests up in every worker of every proxy.
pub const MAX_RULES: usize = 10_000;

/// What compiling takes besides the rules, in units of [`Pace`].
const POLICY_UNITS: usize = 400;

/// A policy with its regular expressions built and its fields checked.
#[derive(Debug)]
pub struct CompiledPolicy {
    rollout: Box<str>,
    generation: u32,
    header: Box<str>,
    pub(crate) hosts: Box<[MatchHost]>,
    pub(crate) entry_hosts: Box<[MatchHost]>,
    places: Places,
    rules: MatchRules,
    sticky: Option<Split>,
    /// What stands in headers for each of [`Lane::ALL`].
    values: [Box<str>; Lane::ALL.len()],
    /// Whether any request may be given each of [`Lane::ALL`].
    leads: [bool; Lane::ALL.len()],
    /// What stands in [`crate::LANES_HEADER`] for no lane.
    weights: Box<str>,
    issue: Option<(Box<str>, Issue)>,
}

/// What a policy says of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Where the request goes. `None`: where the weights send it, since a rule that matches has left it out of its share.
    pub lane: Option<Lane>,
    /// The number of the rule that says so ([`CompiledPolicy::rule_name`]). `None`: the key does
    /// ([`crate::config::Sticky`]).
    pub rule: Option<u32>,
}

/// Checks and compiles the policy of the Rollout `rollout`, which is its key, `<namespace>/<name>`.
///
/// # Errors
/// The first field that is wrong, in the order of the written policy.
pub fn compile(rollout: &str, policy: &Policy) -> Result<CompiledPolicy, PolicyError> {
    pace::all(compile_in_slices(rollout, policy, &Pace::at_once()))
}

/// As [`compile`], with pauses.
///
/// # Errors
/// As those of [`compile`].
pub async fn compile_in_slices(
    rollout: &str,
    policy: &Policy,
    pace: &Pace,
) -> Result<CompiledPolicy, PolicyError> {
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
    let hosts = compile_hosts(rollout, "hosts", &policy.hosts)?;
    let places = Places::compile(
        rollout,
        policy.virtual_services.as_ref(),
        lane_route_prefix(namespace, name),
    )?;
    if policy.rules.len() > MAX_RULES {
        let found = policy.rules.len();
        return Err(PolicyError::new(rollout, "rules", Fault::TooMany { found }));
    }
    pace.spend(POLICY_UNITS).await;
    let rules = MatchRules::compile(rollout, &policy.rules, pace).await?;
    let sticky = policy
        .sticky
        .as_ref()
        .map(|sticky| Split::compile(rollout, sticky))
        .transpose()?;
    let entry_hosts = compile_hosts(rollout, "entryHosts", &policy.entry_hosts)?;
    if let Some(secret) = &policy.secret {
        check_secret(secret).map_err(|fault| PolicyError::new(rollout, "secret", fault))?;
    }
    Ok(CompiledPolicy {
        rollout: rollout.into(),
        generation: generation::in_slices(policy, pace).await,
        header: lane_header(namespace, name).into(),
        hosts,
        entry_hosts,
        places,
        issue: issued(rollout, &rules, sticky.as_ref())?,
        leads: Lane::ALL.map(|lane| leads_to(lane, &rules, sticky.as_ref())),
        rules,
        sticky,
        values: Lane::ALL.map(|lane| header_value(lane.as_str(), policy.secret.as_deref()).into()),
        weights: header_value(WEIGHTS, policy.secret.as_deref()).into(),
    })
}

fn compile_hosts(
    rollout: &str,
    field: &str,
    hosts: &[String],
) -> Result<Box<[MatchHost]>, PolicyError> {
    let compile = |(at, host): (usize, &String)| {
        MatchHost::compile(host)
            .map_err(|fault| PolicyError::new(rollout, format_args!("{field}[{at}]"), fault))
    };
    hosts.iter().enumerate().map(compile).collect()
}

/// A secret stands in a header between a dot and a comma.
fn check_secret(secret: &str) -> Result<(), Fault> {
    let good = (1..=MAX_SECRET).contains(&secret.len())
        && secret
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
    let bytes = secret.len();
    good.then_some(()).ok_or(Fault::Secret { bytes })
}

/// The one cookie that the policy issues. Several places may ask for it, if they mean the same.
fn issued(
    rollout: &str,
    rules: &MatchRules,
    sticky: Option<&Split>,
) -> Result<Option<(Box<str>, Issue)>, PolicyError> {
    let of_rules = rules.iter().flat_map(|(at, rule)| {
        let issues = rule.keys.issues();
        issues.map(move |issue| (Some(at), issue))
    });
    let of_sticky = sticky.iter().flat_map(|sticky| sticky.keys.issues());
    let mut all = of_rules.chain(of_sticky.map(|issue| (None, issue)));
    let Some((_, first)) = all.next() else {
        return Ok(None);
    };
    for (rule, other) in all {
        if other != first {
            let fault = Fault::SecondIssue {
                first: first.0.to_owned(),
                value: other.0.to_owned(),
            };
            return Err(match rule {
                Some(at) => PolicyError::new(rollout, format_args!("rules[{at}].keys"), fault),
                None => PolicyError::new(rollout, "sticky.keys", fault),
            });
        }
    }
    Ok(Some((first.0.into(), first.1.clone())))
}

/// True if any request may be given `lane`.
fn leads_to(lane: Lane, rules: &MatchRules, sticky: Option<&Split>) -> bool {
    match lane {
        Lane::Canary | Lane::Stable => {
            rules.lead_to(lane) || sticky.is_some_and(|sticky| sticky.leads_to(lane))
        }
        Lane::Mirror => rules.lead_to(lane),
        Lane::StableMirror => sticky.is_some() && rules.lead_to(Lane::Mirror),
    }
}

impl CompiledPolicy {
    /// The Rollout's key, `<namespace>/<name>`.
    pub fn rollout(&self) -> &str {
        &self.rollout
    }

    /// Which policy this is: [`generation`] of what was written.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The header that carries this Rollout's lane.
    pub fn lane_header(&self) -> &str {
        &self.header
    }

    /// `<namespace>.<name>`: how the Rollout is called in [`crate::LANES_HEADER`].
    pub fn carried_name(&self) -> &str {
        self.header
            .strip_prefix(LANE_HEADER_PREFIX)
            .unwrap_or_default()
    }

    /// True if lanes are carried along in [`crate::LANES_HEADER`].
    pub fn carries_lanes(&self) -> bool {
        !self.entry_hosts.is_empty()
    }

    /// What stands for `lane` in headers: the lane, with the policy's secret behind it if it has one.
    pub fn lane_value(&self, lane: Lane) -> &str {
        let at = Lane::ALL.iter().position(|other| *other == lane);
        at.and_then(|at| self.values.get(at))
            .map_or(lane.as_str(), |value| value)
    }

    /// The lane of a header's value, which has to be what [`Self::lane_value`] gives.
    pub fn lane_of(&self, value: &[u8]) -> Option<Lane> {
        let matches = |lane: &Lane| self.lane_value(*lane).as_bytes() == value;
        Lane::ALL.into_iter().find(matches)
    }

    /// Adds headers of which a request has one if this policy has a say in it. Lanes that came with a request stand anyway,
    /// and those that no lane route matches lead nowhere.
    pub(crate) fn needs(&self, needed: &mut Needed) {
        self.rules.needs(needed);
        if let Some(sticky) = &self.sticky {
            sticky.keys.needs(needed);
        }
        if self.carries_lanes() {
            needed.lanes();
        }
    }

    /// What stands for a decision in [`crate::LANES_HEADER`]: as [`Self::lane_value`], or `weights` in the lane's place.
    pub fn carried_value(&self, carried: Carried) -> &str {
        match carried {
            Carried::Lane(lane) => self.lane_value(lane),
            Carried::Weights => &self.weights,
        }
    }

    /// The decision of an entry's value, which has to be what [`Self::carried_value`] gives, if the policy still leads there:
    /// who keeps an entry longer than the policy is not led where nobody is led any more.
    pub fn carried(&self, value: &[u8]) -> Option<Carried> {
        if value == self.weights.as_bytes() {
            return Some(Carried::Weights);
        }
        let lane = self.lane_of(value)?;
        let mut leads = Lane::ALL.into_iter().zip(self.leads);
        let leads = leads.any(|one| one == (lane, true));
        leads.then_some(Carried::Lane(lane))
    }

    /// How many entries its rules have.
    pub(crate) fn entries(&self) -> usize {
        self.rules.entries()
    }

    /// The name of a rule by its number in a [`Decision`].
    pub fn rule_name(&self, rule: u32) -> Option<&str> {
        Some(&self.rules.get(rule)?.name)
    }

    /// The cookie that this policy issues to requests without a key, and how.
    pub fn issue(&self) -> Option<(&str, &Issue)> {
        self.issue.as_ref().map(|(name, issue)| (&**name, issue))
    }

    /// The lane of one request, or `None` where the policy has no say. The host has been looked at
    /// already ([`crate::PolicySet::candidates`]); the route has not ([`Self::may_set_lane_on`]).
    ///
    /// The first rule that matches is the last one looked at. If it has a `percent`, the request's key
    /// or a random number says whether it is drawn. One that is not gets what it would get without any
    /// rule. That is what becomes of a request on an Argo mirror route outside of its `percentage`
    /// (argo-rollouts v1.10.1 `createMirrorRoute` writes `mirrorPercentage`; Envoy draws after the
    /// route has been chosen).
    ///
    /// What no rule has sent anywhere is split by key. So is what is mirrored: a request whose key says
    /// canary goes there and needs no copy.
    pub fn decide<H: Headers + ?Sized>(
        &self,
        request: &Request<'_, H>,
        surroundings: &mut impl Surroundings,
    ) -> Option<Decision> {
        let matched = self.rules.first(request);
        let rule = matched
            .filter(|(_, rule)| rule.draws(request, surroundings))
            .map(|(number, rule)| (rule.lane, number));
        let by_key = |surroundings: &mut _| {
            let sticky = self.sticky.as_ref()?;
            sticky.lane(request, surroundings)
        };
        let (lane, rule) = match rule {
            Some((Lane::Mirror, rule)) => match by_key(surroundings) {
                Some(Lane::Canary) => (Lane::Canary, None),
                Some(_) => (Lane::StableMirror, Some(rule)),
                None => (Lane::Mirror, Some(rule)),
            },
            Some((lane, rule)) => (lane, Some(rule)),
            None => match (by_key(surroundings), matched) {
                (Some(lane), _) => (lane, None),
                (None, Some((rule, _))) => {
                    let (lane, rule) = (None, Some(rule));
                    return Some(Decision { lane, rule });
                }
                (None, None) => return None,
            },
        };
        let lane = Some(lane);
        Some(Decision { lane, rule })
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

#[cfg(test)]
mod tests;
