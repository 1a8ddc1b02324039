//! From a call and the observed objects to the next write.
//!
//! The shell asks for the next write, carries it out, observes again and asks again, until there is none. So a
//! conflict needs no special treatment, and the order below holds whatever else happens in between:
//! subsets first, then lane routes, then the policy that uses them; and lane routes go only when the observed policy
//! has stopped using them.

use std::sync::Arc;

use argo_rollouts::Rollout;
use serde_json::Value;

use crate::core::destination_rule::{self, Hashes};
use crate::core::error::{CoreError, Fault};
use crate::core::policy;
use crate::core::routing::{CONFIG_FIELD, Routing};
use crate::core::rules::{RouteStep, rules_in_force};
use crate::core::virtual_service;
use crate::object::{Object, ObjectId, POD_TEMPLATE_HASH};

/// What the controller asks for.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// Subsets follow these hashes.
    UpdateHash {
        /// The canary's pod hash; empty where there is none.
        canary: &'a str,
        /// The stable version's pod hash.
        stable: &'a str,
    },
    /// The canary gets this weight out of `maxTrafficWeight`.
    SetWeight(i32),
    /// A header or mirror step is current.
    SetRoute(RouteStep<'a>),
    /// No header or mirror route shall be left.
    RemoveManagedRoutes,
    /// The policy stays as it is, and lane routes that it doesn't use go: what is left to do when a policy couldn't
    /// be written.
    DropUnusedLanes,
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

/// The next write that brings the objects to where `call` wants them, or `None` when they are there.
///
/// Everything is checked before anything is returned, so an error means that this call has found the objects wrong
/// before its first write.
///
/// # Errors
/// [`CoreError`]: a missing or unsuitable object, or a step that can't be understood.
pub fn next_write(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    call: Call<'_>,
) -> Result<Option<Write>, CoreError> {
    if let Call::UpdateHash { canary, stable } = call {
        let hashes = Hashes {
            canary: Some(canary),
            stable: Some(stable),
        };
        return subsets(routing, observed, hashes);
    }
    let versions = Versions::of(&observed.replica_sets);
    let current = &*rollout.status.current_pod_hash;
    let weight = match call {
        Call::SetWeight(weight) => Some(checked_weight(routing, weight)?),
        _ => None,
    };
    let observed_policy =
        policy::observed_policy(observed.wasm_plugin.as_deref(), &routing.rollout);
    let removes_only = matches!(call, Call::RemoveManagedRoutes | Call::DropUnusedLanes);
    let mut rules = Vec::new();
    if !removes_only {
        check_present(routing, observed)?;
        if routing.may_need_policy() {
            let step = if let Call::SetRoute(step) = call {
                Some(step)
            } else {
                None
            };
            rules = rules_in_force(rollout, routing, versions.has_pods(current), step)?;
        }
    }
    let sends_to_canary = weight.is_some_and(|weight| weight > 0) || !rules.is_empty();
    let desired_policy = match call {
        Call::DropUnusedLanes => observed_policy.cloned(),
        _ => policy::desired_policy(rules, routing, observed)?,
    };
    if desired_policy.is_some() && observed.wasm_plugin.is_none() {
        return Err(missing(
            routing,
            &routing.wasm_plugin,
            &format!("{CONFIG_FIELD}.wasmPlugin"),
        ));
    }

    let subset_write = if sends_to_canary && current != rollout.status.stable_rs {
        subsets(
            routing,
            observed,
            Hashes {
                canary: Some(current),
                stable: None,
            },
        )?
    } else {
        None
    };
    if sends_to_canary && subset_write.is_none() {
        check_canary_subset(rollout, routing, observed)?;
    }

    let mut lanes = policy::lanes_of(observed_policy);
    lanes.extend(policy::lanes_of(desired_policy.as_ref()));

    let mut writes = subset_write.into_iter().collect::<Vec<_>>();
    for (reference, object) in routing
        .virtual_services
        .iter()
        .zip(&observed.virtual_services)
    {
        let Some(object) = object else { continue };
        // A removal must not stumble over a VirtualService that has nothing of ours.
        if removes_only && !virtual_service::has_lane_routes(object, routing) {
            continue;
        }
        let spec = virtual_service::desired_spec(object, reference, routing, weight, &lanes)?;
        if spec != object.spec {
            writes.push(Write::Spec {
                object: Arc::clone(object),
                spec,
            });
        }
    }
    if let Some(patch) =
        policy::merge_patch(&routing.rollout, observed_policy, desired_policy.as_ref())
    {
        writes.push(Write::Policy {
            object: routing.wasm_plugin.clone(),
            patch,
        });
    }
    Ok(writes.into_iter().next())
}

/// True if the live objects carry that weight: every managed route, and a canary subset whose version has pods.
///
/// # Errors
/// As [`next_write`].
pub fn weight_is_live(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    weight: i32,
) -> Result<bool, CoreError> {
    if weight > 0 && check_canary_subset(rollout, routing, observed).is_err() {
        return Ok(false);
    }
    Ok(next_write(rollout, routing, observed, Call::SetWeight(weight))?.is_none())
}

fn checked_weight(routing: &Routing, weight: i32) -> Result<u32, CoreError> {
    u32::try_from(weight)
        .ok()
        .filter(|weight| *weight <= routing.max_weight)
        .ok_or_else(|| CoreError::Rollout {
            rollout: routing.rollout.clone(),
            fault: Fault::new(
                "the desired weight",
                weight.to_string(),
                format!("a number from 0 to {}", routing.max_weight),
            ),
        })
}

fn check_present(routing: &Routing, observed: &Observed) -> Result<(), CoreError> {
    let mut found = observed.virtual_services.iter();
    match routing
        .virtual_services
        .iter()
        .find(|_| found.next().is_none_or(Option::is_none))
    {
        Some(reference) => Err(missing(routing, &reference.id, &reference.field)),
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
    Ok((spec != object.spec).then(|| Write::Spec {
        object: Arc::clone(object),
        spec,
    }))
}

/// Traffic may only go to a subset that has pods behind it, and to the canary's own: a subset that still is at an
/// older version would take the canary's share to it. In a rollback to stable the older version is what is meant.
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
    let found = destination_rule::hash_of(object, &reference.canary_subset);
    let wanted = if status.current_pod_hash == status.stable_rs {
        found
    } else {
        Some(&*status.current_pod_hash)
    };
    let Some(wanted) = wanted else { return Ok(()) };
    if found == Some(wanted) && Versions::of(&observed.replica_sets).has_pods(wanted) {
        return Ok(());
    }
    Err(CoreError::NoPods {
        object: object.id.clone(),
        subset: reference.canary_subset.clone(),
        hash: wanted.to_owned(),
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
