//! From a call and the observed objects to the writes.
//!
//! The shell carries the first one out, observes again and asks again, until there is none. So a
//! conflict needs no special treatment, and the order holds whatever else happens in between (`routes`).

use std::sync::Arc;

use argo_rollouts::{Rollout, WeightDestination};
use serde_json::Value;

use crate::config::FilterKind;
use crate::core::capacity::{self, Capacity};
use crate::core::destination_rule::{self, Hashes};
use crate::core::error::CoreError;
use crate::core::filter;
use crate::core::history::StepHistory;
use crate::core::policy::{self, Policies};
use crate::core::routing::{CONFIG_FIELD, DestinationRuleRef, Routing, VirtualServiceRef};
use crate::core::rules::RouteStep;
use crate::core::virtual_service::{self, Side};
use crate::object::{Object, ObjectId, POD_TEMPLATE_HASH};

use routes::{Aim, routes};
use shares::Shares;

mod back;
mod keep;
mod routes;
mod shares;
mod stages;

pub(crate) use back::had_traffic;
pub use back::{Plan, is_way_back, way_back};

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
    /// In the order of `Routing::filters`; `None` is one that doesn't exist. Empty where no policy is needed.
    pub filters: Vec<Option<Arc<Object>>>,
    /// The Rollout's namespace's.
    pub replica_sets: Vec<Arc<Object>>,
    /// Those of the namespaces that the VirtualServices' hosts are in.
    pub services: Vec<Arc<Object>>,
    /// VirtualServices of all namespaces, which may delegate to one of the above. Empty where none of those needs a
    /// root.
    pub roots: Vec<Arc<Object>>,
    /// Which steps of the canary have run.
    pub history: Arc<StepHistory>,
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
        /// The filter object.
        object: ObjectId,
        /// The patch.
        patch: Value,
    },
}

impl Write {
    /// The object that it changes.
    pub fn target(&self) -> &ObjectId {
        match self {
            Self::Spec { object, .. } => &object.id,
            Self::Policy { object, .. } => object,
        }
    }
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
            let subsets = subsets(rollout, routing, observed, all_of(hashes))?;
            Ok(subsets.into_iter().collect())
        }
        Call::SetWeight(weights) => {
            let shares = Shares::of(routing, weights)?;
            let aim = Aim {
                weights: Some(shares.clone()),
                ..Aim::default()
            };
            let writes = routes(rollout, routing, observed, &aim).whole()?;
            capacity::check_weight(rollout, routing, observed, weights, &shares.split)?;
            Ok(writes)
        }
        Call::SetRoute(step) => {
            let aim = Aim {
                step: Some(step),
                ..Aim::default()
            };
            routes(rollout, routing, observed, &aim).whole()
        }
        Call::RemoveManagedRoutes => Ok(removal(rollout, routing, observed)),
        Call::Keep(standing) => keep::keep(rollout, routing, observed, standing),
    }
}

/// All subsets' hashes.
fn all_of(hashes: PodHashes<'_>) -> Hashes<'_> {
    Hashes {
        canary: Some(hashes.canary),
        stable: Some(hashes.stable),
        additional: hashes.additional,
    }
}

/// The policy goes, then all lane routes that are Serin's, whatever else has become of the objects: a removal must not
/// stumble over a VirtualService that has lost its managed route. Where users are told apart the rules alone go, until
/// the weights have moved.
fn removal(rollout: &Rollout, routing: &Routing, observed: &Observed) -> Vec<Write> {
    let live = Policies::live(routing, observed);
    if let Some(left) = stages::left_by_removal(rollout, routing, observed) {
        return policy_changes(routing, &live, &Policies::wanted(&left)).collect();
    }
    let lane_routes = present(routing, observed).filter_map(|(reference, object)| {
        let spec = virtual_service::without_lane_routes(object, reference, routing);
        change(object, spec)
    });
    policy_changes(routing, &live, &Policies::default())
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

/// The writes that turn the policies in the filter objects from `from` into `to`.
pub(crate) fn policy_changes<'a>(
    routing: &'a Routing,
    from: &'a Policies<'_>,
    to: &'a Policies<'_>,
) -> impl Iterator<Item = Write> + 'a {
    let filters = routing.filter_ids().enumerate();
    filters.filter_map(|(place, object)| {
        let kind = FilterKind::of(object.kind)?;
        let patch = policy::merge_patch(kind, &routing.rollout, from.at(place), to.at(place))?;
        Some(Write::Policy {
            object: object.clone(),
            patch,
        })
    })
}

/// The filter objects of the Rollout at which `uses` is true that don't exist, or can't run the filter.
pub(crate) fn unusable_filters<'a>(
    routing: &'a Routing,
    observed: &'a Observed,
    uses: impl Fn(usize) -> bool + 'a,
) -> impl Iterator<Item = (usize, CoreError)> + 'a {
    let filters = routing.filters.iter().enumerate();
    filters
        .filter(move |(place, _)| uses(*place))
        .filter_map(|(place, filter)| {
            let problem = match observed.filters.get(place) {
                Some(Some(object)) => filter::check(object).err()?.of(&filter.id),
                _ => missing(routing, &filter.id, &filter.field),
            };
            Some((place, problem))
        })
}

/// True if the live objects carry that weight: every managed route, the policy's share where users are told apart, and
/// a canary subset whose version has pods.
///
/// # Errors
/// As [`writes`].
pub fn weight_is_live(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    weights: Weights<'_>,
) -> Result<bool, CoreError> {
    // Whoever is told apart is at the stable version as long as the canary has no pods.
    let versions = Versions::of(&observed.replica_sets);
    if routing.sticky.is_some()
        && weights.canary > 0
        && !versions.has_pods(&rollout.status.current_pod_hash)
    {
        return Ok(false);
    }
    match writes(rollout, routing, observed, Call::SetWeight(weights)) {
        Err(CoreError::NoPods { .. } | CoreError::FewPods { .. }) => Ok(false),
        writes => Ok(writes?.is_empty()),
    }
}

/// The VirtualServices that don't exist, each as an error.
fn absent(routing: &Routing, observed: &Observed) -> impl Iterator<Item = CoreError> {
    let references = routing.virtual_services.iter();
    references
        .zip(&observed.virtual_services)
        .filter(|(_, object)| object.is_none())
        .map(|(reference, _)| missing(routing, &reference.id, &reference.field))
}

/// The DestinationRule of a subset-level split, with what the Rollout says of it.
///
/// # Errors
/// The Rollout names one that doesn't exist.
fn subset_rule<'a>(
    routing: &'a Routing,
    observed: &'a Observed,
) -> Result<Option<(&'a DestinationRuleRef, &'a Arc<Object>)>, CoreError> {
    let Some(reference) = &routing.destination_rule else {
        return Ok(None);
    };
    if let Some(object) = &observed.destination_rule {
        return Ok(Some((reference, object)));
    }
    let field = format!("{CONFIG_FIELD}.destinationRule.name");
    Err(missing(routing, &reference.id, &field))
}

fn subsets(
    rollout: &Rollout,
    routing: &Routing,
    observed: &Observed,
    hashes: Hashes<'_>,
) -> Result<Option<Write>, CoreError> {
    let Some((reference, object)) = subset_rule(routing, observed)? else {
        return Ok(None);
    };
    let spec = destination_rule::desired_spec(
        object,
        reference,
        hashes,
        Capacity::of(rollout, &observed.replica_sets),
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
    let capacity = Capacity::of(rollout, &observed.replica_sets);
    if capacity.has_pods(wanted) {
        if found == Some(wanted) {
            return Ok(());
        }
        if !capacity.may_move(Side::Canary, wanted) {
            return Err(capacity.few(wanted));
        }
    }
    Err(CoreError::NoPods {
        object: object.id.clone(),
        subset: reference.canary_subset.clone(),
        hash: wanted.to_owned(),
        rollout: routing.rollout.clone(),
    })
}

pub(crate) fn missing(routing: &Routing, object: &ObjectId, field: &str) -> CoreError {
    CoreError::Missing {
        object: object.clone(),
        field: field.to_owned(),
        rollout: routing.rollout.clone(),
    }
}

#[cfg(test)]
mod tests;
