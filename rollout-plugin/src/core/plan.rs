//! From a call and the observed objects to the writes.
//!
//! The shell carries the first one out, observes again and asks again, until there is none. So a
//! conflict needs no special treatment, and the order below holds whatever else happens in between:
//! subsets first, then lane routes, then the policy that uses them; and lane routes go only when the observed policy
//! has stopped using them.

use std::collections::BTreeSet;
use std::sync::Arc;

use argo_rollouts::{Rollout, WeightDestination};
use serde_json::Value;

use traffic_policy::config::Lanes;

use crate::core::declared;
use crate::core::destination_rule::{self, Hashes};
use crate::core::error::CoreError;
use crate::core::policy;
use crate::core::routing::{CONFIG_FIELD, Routing, VirtualServiceRef};
use crate::core::rules::{RouteStep, has_canary, lanes_of_steps, rules_in_force};
use crate::core::virtual_service::{self, Desired};
use crate::object::{Object, ObjectId, POD_TEMPLATE_HASH};

use shares::Shares;

mod keep;
mod shares;

/// What the controller asks for.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// Subsets follow these hashes.
    UpdateHash(PodHashes<'a>),
    /// The managed routes get these weights.
    SetWeight(Weights<'a>),
    /// A header or mirror step is current.
    SetRoute(RouteStep<'a>),
    /// No header or mirror route shall be left.
    RemoveManagedRoutes,
    /// Nothing new: what earlier calls have brought about shall stand. Not the controller's, but Serin's own.
    Keep(Standing<'a>),
}

/// The pod hashes that subsets shall be at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PodHashes<'a> {
    /// The canary's; empty where there is none.
    pub canary: &'a str,
    /// The stable version's.
    pub stable: &'a str,
    /// Experiments' Services, each with its own hash.
    pub additional: &'a [WeightDestination],
}

/// How a managed route's weight is split.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weights<'a> {
    /// The canary's, out of `maxTrafficWeight`.
    pub canary: i32,
    /// Experiments' Services, whose weights come off the stable version's.
    pub additional: &'a [WeightDestination],
}

/// What earlier calls have brought about; `None` where there has been no such call, or where it failed.
///
/// It is to be kept for a Rollout no older than the one that the last call carried: with an older one, lanes that the
/// call has brought would go again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing<'a> {
    /// By the last UpdateHash.
    pub hashes: Option<PodHashes<'a>>,
    /// By the last SetWeight.
    pub weights: Option<Weights<'a>>,
}

/// The objects as last seen.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// In the order of `Routing::virtual_services`; `None` is one that doesn't exist.
    pub virtual_services: Vec<Option<Arc<Object>>>,
    /// `None` where the Rollout names none, or where it doesn't exist.
    pub destination_rule: Option<Arc<Object>>,
    /// `None` where no policy is needed, or where it doesn't exist.
    pub wasm_plugin: Option<Arc<Object>>,
    /// The Rollout's namespace's.
    pub replica_sets: Vec<Arc<Object>>,
    /// Those behind the VirtualServices' hosts.
    pub services: Vec<Arc<Object>>,
    /// VirtualServices of all namespaces, which may delegate to one of the above. Empty where none of those needs a
    /// root.
    pub roots: Vec<Arc<Object>>,
}

/// The versions that have pods.
#[derive(Clone, Copy, Debug)]
pub struct Versions<'a>(&'a [Arc<Object>]);

impl<'a> Versions<'a> {
    /// The versions of these ReplicaSets.
    pub fn of(replica_sets: &'a [Arc<Object>]) -> Self {
        Self(replica_sets)
    }

    /// True if a ReplicaSet of that pod hash has available pods.
    pub fn has_pods(&self, hash: &str) -> bool {
        self.0.iter().any(|set| {
            set.available_replicas > 0
                && set
                    .labels
                    .get(POD_TEMPLATE_HASH)
                    .is_some_and(|found| found == hash)
        })
    }
}

/// One write. Everything in it was derived from the version of the object that it carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// `spec` in place of the object's, guarded by its resourceVersion.
    Spec {
        /// The object as observed.
        object: Arc<Object>,
        /// What its `spec` becomes.
        spec: Value,
    },
    /// A merge patch of the Rollout's own policy key, which nobody else writes.
    Policy {
        /// The WasmPlugin.
        object: ObjectId,
        /// The patch.
        patch: Value,
    },
}

/// The writes that bring the objects to where `call` wants them, in their order; none when they are there.
///
/// Only the first may be carried out as it is: each was derived from the objects as observed, and the ones behind it
/// tell what it will lead to.
///
/// # Errors
/// [`CoreError`]: a missing or unsuitable object, or a step that can't be understood. Everything is checked before
/// anything is returned.
pub fn writes(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    call: Call<'_>,
) -> Result<Vec<Write>, CoreError> {
    match call {
        Call::UpdateHash(hashes) => {
            let subsets = subsets(routing, observed, all_of(hashes))?;
            Ok(subsets.into_iter().collect())
        }
        Call::SetWeight(weights) => {
            let aim = Aim {
                weights: Some(Shares::of(routing, weights)?),
                ..Aim::default()
            };
            routes(rollout, routing, observed, &aim)
        }
        Call::SetRoute(step) => {
            let aim = Aim {
                step: Some(step),
                ..Aim::default()
            };
            routes(rollout, routing, observed, &aim)
        }
        Call::RemoveManagedRoutes => Ok(removal(routing, observed)),
        Call::Keep(standing) => keep::keep(rollout, routing, observed, standing),
    }
}

/// What [`routes`] shall bring about.
#[derive(Clone, Debug, Default)]
struct Aim<'a> {
    /// `None` leaves the weights alone.
    weights: Option<Shares<'a>>,
    /// The step that a call brings.
    step: Option<RouteStep<'a>>,
    /// The canary's pod hash where the subset is to stay at it; `None` brings the canary subset to the Rollout's
    /// current version where traffic is sent there.
    canary: Option<&'a str>,
    /// Experiments whose subsets stay though they have no weight yet.
    additional: &'a [WeightDestination],
}

/// All subsets' hashes.
fn all_of(hashes: PodHashes<'_>) -> Hashes<'_> {
    Hashes {
        canary: Some(hashes.canary),
        stable: Some(hashes.stable),
        additional: hashes.additional,
    }
}

/// Weights, lanes and policy as the Rollout's steps want them.
fn routes(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    aim: &Aim<'_>,
) -> Result<Vec<Write>, CoreError> {
    check_present(routing, observed)?;
    let current = &*rollout.status.current_pod_hash;
    // Where the subset is to stay at another version, no rule may send anything to it.
    let is_canary = aim.canary.is_none_or(|canary| canary == current);
    let rules = if routing.may_need_policy() && is_canary {
        let has_pods = Versions::of(&observed.replica_sets).has_pods(current);
        rules_in_force(rollout, routing, has_pods, aim.step)?
    } else {
        Vec::new()
    };
    let split = aim.weights.as_ref().map(|weights| &weights.split);
    let sends_to_canary = split.is_some_and(|split| split.canary > 0) || !rules.is_empty();
    let observed_policy =
        policy::observed_policy(observed.wasm_plugin.as_deref(), &routing.rollout);
    let standing_rules = policy::rule_names(observed_policy);
    let leftovers = rules
        .iter()
        .map(|rule| rule.name.clone())
        .filter(|name| !standing_rules.contains(&**name))
        .collect::<BTreeSet<String>>();
    let desired_policy = policy::desired_policy(rules, routing, observed)?;
    if desired_policy.is_some() && observed.wasm_plugin.is_none() {
        let field = format!("{CONFIG_FIELD}.wasmPlugin");
        return Err(missing(routing, &routing.wasm_plugin, &field));
    }

    let additional = aim
        .weights
        .as_ref()
        .map_or(&[][..], |weights| weights.additional);
    let moves = sends_to_canary && aim.canary.is_none() && current != rollout.status.stable_rs;
    let mut writes = Vec::new();
    if moves || !additional.is_empty() {
        let hashes = Hashes {
            canary: moves.then_some(current),
            stable: None,
            additional,
        };
        writes.extend(subsets(routing, observed, hashes)?);
    }
    if sends_to_canary && writes.is_empty() {
        check_canary_subset(rollout, routing, observed)?;
    }
    // Those of the policy that goes too: they go when no filter sends anything to them any more.
    let mut lanes = policy::lanes_of(observed_policy);
    lanes.extend(policy::lanes_of(desired_policy.as_ref()));
    // All that will be needed, so that it is told before the first step and not at the last.
    let mut declared = lanes_of_steps(rollout);
    declared.extend(policy::lanes_of(desired_policy.as_ref()));
    // Without a canary nothing is sent to them, and an abort has to get through.
    let checked = routing.lanes == Lanes::Declared && has_canary(rollout);
    let desired = Desired {
        split,
        lanes,
        leftovers: leftovers.iter().map(String::as_str).collect(),
        observed_policy,
    };
    for (reference, object) in present(routing, observed) {
        if checked && virtual_service::has_http(object) {
            declared::check(object, reference, routing, &declared)?;
        }
        let spec = virtual_service::desired_spec(object, reference, routing, &desired)?;
        writes.extend(change(object, spec));
    }
    // Of an experiment that has ended: after the routes, and not in a plan that writes the same object already.
    if aim.weights.is_some()
        && let (Some(reference), Some(object)) =
            (&routing.destination_rule, &observed.destination_rule)
        && !writes
            .iter()
            .any(|write| matches!(write, Write::Spec { object, .. } if object.id == reference.id))
    {
        let current = additional
            .iter()
            .chain(aim.additional)
            .map(|experiment| &*experiment.service_name)
            .collect();
        let spec = destination_rule::without_leftovers(object, reference, routing, &current);
        writes.extend(change(object, spec));
    }
    writes.extend(policy_change(
        routing,
        observed_policy,
        desired_policy.as_ref(),
    ));
    Ok(writes)
}

/// The policy goes, then all lane routes that are Serin's, whatever else has become of the objects: a removal must not
/// stumble over a VirtualService that has lost its managed route.
fn removal(routing: &Routing, observed: &Observed) -> Vec<Write> {
    let observed_policy =
        policy::observed_policy(observed.wasm_plugin.as_deref(), &routing.rollout);
    let lane_routes = present(routing, observed).filter_map(|(reference, object)| {
        let spec = virtual_service::without_lane_routes(object, reference, routing);
        change(object, spec)
    });
    policy_change(routing, observed_policy, None)
        .into_iter()
        .chain(lane_routes)
        .collect()
}

/// The VirtualServices that exist, each with what the Rollout says of it.
pub(crate) fn present<'a>(
    routing: &'a Routing,
    observed: &'a Observed,
) -> impl Iterator<Item = (&'a VirtualServiceRef, &'a Arc<Object>)> {
    let objects = &observed.virtual_services;
    let pairs = routing.virtual_services.iter().zip(objects);
    pairs.filter_map(|(reference, object)| Some((reference, object.as_ref()?)))
}

fn change(object: &Arc<Object>, spec: Option<Value>) -> Option<Write> {
    Some(Write::Spec {
        object: Arc::clone(object),
        spec: spec?,
    })
}

fn policy_change(
    routing: &Routing,
    observed: Option<&Value>,
    desired: Option<&Value>,
) -> Option<Write> {
    let patch = policy::merge_patch(&routing.rollout, observed, desired)?;
    Some(Write::Policy {
        object: routing.wasm_plugin.clone(),
        patch,
    })
}

/// True if the live objects carry that weight: every managed route, and a canary subset whose version has pods.
///
/// # Errors
/// As [`writes`].
pub fn weight_is_live(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    weights: Weights<'_>,
) -> Result<bool, CoreError> {
    match writes(rollout, routing, observed, Call::SetWeight(weights)) {
        Err(CoreError::NoPods { .. }) => Ok(false),
        writes => Ok(writes?.is_empty()),
    }
}

fn check_present(routing: &Routing, observed: &Observed) -> Result<(), CoreError> {
    let mut pairs = routing
        .virtual_services
        .iter()
        .zip(&observed.virtual_services);
    match pairs.find(|(_, object)| object.is_none()) {
        Some((reference, _)) => Err(missing(routing, &reference.id, &reference.field)),
        None => Ok(()),
    }
}

fn subsets(
    routing: &Routing,
    observed: &Observed,
    hashes: Hashes<'_>,
) -> Result<Option<Write>, CoreError> {
    let Some(reference) = &routing.destination_rule else {
        return Ok(None);
    };
    let object = observed.destination_rule.as_ref().ok_or_else(|| {
        missing(
            routing,
            &reference.id,
            &format!("{CONFIG_FIELD}.destinationRule.name"),
        )
    })?;
    let spec = destination_rule::desired_spec(
        object,
        reference,
        hashes,
        &Versions::of(&observed.replica_sets),
    )?;
    Ok(change(object, spec))
}

/// Traffic may only go to a subset that has pods behind it, and to the canary's own: a subset that still is at an
/// older version would take the canary's share to it.
///
/// On the way back to stable the controller lowers a weight that is live already, and brings the stable pods up only
/// after the call has succeeded; refusing would keep the traffic on a dead canary for ever.
fn check_canary_subset(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
) -> Result<(), CoreError> {
    let (Some(reference), Some(object)) = (&routing.destination_rule, &observed.destination_rule)
    else {
        return Ok(());
    };
    let status = &rollout.status;
    let wanted = &*status.current_pod_hash;
    if status.abort || wanted == status.stable_rs {
        return Ok(());
    }
    let found = destination_rule::hash_of(object, &reference.canary_subset);
    if found == Some(wanted) && Versions::of(&observed.replica_sets).has_pods(wanted) {
        return Ok(());
    }
    Err(CoreError::NoPods {
        object: object.id.clone(),
        subset: reference.canary_subset.clone(),
        hash: wanted.to_owned(),
        rollout: routing.rollout.clone(),
    })
}

fn missing(routing: &Routing, object: &ObjectId, field: &str) -> CoreError {
    CoreError::Missing {
        object: object.clone(),
        field: field.to_owned(),
        rollout: routing.rollout.clone(),
    }
}

#[cfg(test)]
mod tests;
