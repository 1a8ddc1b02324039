//! The destinations of one route, whatever its protocol: which version each leads to, and the weight it must have.

use serde_json::{Value, json};

use crate::core::host::names_service;
use crate::core::routing::{Routing, full_name};

/// Which side of the Rollout a destination leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Canary,
    Stable,
}

/// How the weight of a route is shared; what is left over is the stable version's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split<'a> {
    /// The canary's share of `maxTrafficWeight`.
    pub canary: u32,
    /// Experiments' Services, each once, with its share.
    pub experiments: Vec<(&'a str, u32)>,
}

/// What a destination is to the Rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Side(Side),
    /// Of a subset in `additionalSubsetNames`.
    Additional,
    /// Of the experiment at that place in [`Split::experiments`].
    Experiment(usize),
    Foreign,
}

/// The destinations that `route` must have; `None` when it has them.
///
/// The weights of a route's destinations add up to `maxTrafficWeight` (100 when absent), and none is below 0. They are
/// given out in this order, each at most what is left: subsets of `additionalSubsetNames` keep theirs, since it
/// stands nowhere but in the object and would be lost; then the canary; then experiments, in the controller's order;
/// the rest is the stable version's. So where canary and additional weights exceed the maximum the canary gets less
/// than was asked for, and experiments less still; the built-in reconciler (argo-rollouts v1.10.1
/// `istio.processRoutes`) lets the sum exceed the maximum instead. Several destinations of one side share its weight
/// evenly.
///
/// A destination of an experiment is added as `{host: <service>}` and, as with the built-in reconciler, without a
/// port: an experiment's Service has the ports of its containers (`experiments.createTemplateService`), not those of
/// the canary's Service, and Istio takes the only port of a Service where none is named. In a VirtualService of another
/// `namespace` than the Rollout's the host is a full name, since Istio looks for a short one beside the
/// VirtualService. A destination that is nobody's goes if it carries weight and stays at 0, unless it is an
/// experiment's that has ended.
pub(crate) fn desired_destinations(
    namespace: &str,
    route: &Value,
    routing: &Routing,
    split: &Split<'_>,
) -> Option<Vec<Value>> {
    let roles: Vec<(Role, &Value)> = roles(namespace, route, routing, split);
    let mut left = routing.max_weight;
    let mut take = |wanted: u32| {
        let taken = wanted.min(left);
        left -= taken;
        taken
    };
    let additional: Vec<u32> = roles
        .iter()
        .filter(|(role, _)| *role == Role::Additional)
        .map(|(_, destination)| take(u32::try_from(weight_of(destination)).unwrap_or(u32::MAX)))
        .collect();
    let mut additional = additional.into_iter();
    let of = |side| {
        let is = |(role, _): &&(Role, &Value)| *role == Role::Side(side);
        roles.iter().filter(is).count()
    };
    let mut canary = evenly(take(split.canary), of(Side::Canary));
    let experiments: Vec<u32> = split
        .experiments
        .iter()
        .map(|(_, weight)| take(*weight))
        .collect();
    let mut stable = evenly(left, of(Side::Stable));

    let mut changed = roles.len() != destinations(route).len();
    let mut desired = Vec::with_capacity(roles.len());
    for (role, destination) in &roles {
        let weight = match role {
            Role::Side(Side::Canary) => canary.next(),
            Role::Side(Side::Stable) => stable.next(),
            Role::Additional => additional.next(),
            Role::Experiment(index) => experiments.get(*index).copied(),
            Role::Foreign => None,
        };
        let weight = weight.filter(|weight| weight_of(destination) != u64::from(*weight));
        changed |= weight.is_some();
        desired.push((*destination, weight));
    }
    let missing: Vec<Value> = split
        .experiments
        .iter()
        .zip(&experiments)
        .enumerate()
        .filter(|(index, (_, weight))| {
            let present = |(role, _): &(Role, &Value)| *role == Role::Experiment(*index);
            **weight > 0 && !roles.iter().any(present)
        })
        .map(|(_, ((service, _), weight))| {
            let host = service_host(namespace, service, routing);
            json!({"destination": {"host": host}, "weight": weight})
        })
        .collect();
    if !changed && missing.is_empty() {
        return None;
    }
    let present = desired.into_iter().map(|(destination, weight)| {
        let mut destination = destination.clone();
        if let (Some(weight), Some(fields)) = (weight, destination.as_object_mut()) {
            fields.insert("weight".to_owned(), Value::from(weight));
        }
        destination
    });
    Some(present.chain(missing).collect())
}

/// The destinations that stay, each with its role.
fn roles<'a>(
    namespace: &str,
    route: &'a Value,
    routing: &Routing,
    split: &Split<'_>,
) -> Vec<(Role, &'a Value)> {
    let mut roles: Vec<(Role, &Value)> = Vec::new();
    for destination in destinations(route) {
        let role = role_of(namespace, destination, routing, split);
        let stays = match role {
            Role::Foreign => {
                let mut known = routing.known_experiments.iter();
                let ended = known.any(|name| leads_to(namespace, destination, name, routing));
                weight_of(destination) == 0 && !ended
            }
            // One is enough.
            Role::Experiment(_) => !roles.iter().any(|(earlier, _)| *earlier == role),
            Role::Side(_) | Role::Additional => true,
        };
        if stays {
            roles.push((role, destination));
        }
    }
    roles
}

fn role_of(namespace: &str, destination: &Value, routing: &Routing, split: &Split<'_>) -> Role {
    if let Some(side) = side_of(namespace, destination, routing) {
        return Role::Side(side);
    }
    if is_additional(subset_of(destination), routing) {
        return Role::Additional;
    }
    let mut experiments = split.experiments.iter();
    experiments
        .position(|(name, _)| leads_to(namespace, destination, name, routing))
        .map_or(Role::Foreign, Role::Experiment)
}

/// The stable destination for a route that leads to the canary alone, at weight 0; `None` where it has one, or none of the
/// canary's to make it of.
pub(crate) fn missing_stable(namespace: &str, route: &Value, routing: &Routing) -> Option<Value> {
    let sides = destinations(route);
    let of = |side| {
        sides
            .iter()
            .find(|one| side_of(namespace, one, routing) == Some(side))
    };
    if of(Side::Stable).is_some() {
        return None;
    }
    let mut stable = of(Side::Canary)?.clone();
    let destination = stable.get_mut("destination")?.as_object_mut()?;
    if let Some(rule) = &routing.destination_rule {
        destination.insert("subset".to_owned(), Value::from(&*rule.stable_subset));
    } else {
        let host = service_host(namespace, &routing.stable_service, routing);
        destination.insert("host".to_owned(), Value::from(host));
    }
    stable
        .as_object_mut()?
        .insert("weight".to_owned(), Value::from(0));
    Some(stable)
}

/// The shortest name of a Service beside the Rollout, in a VirtualService of `namespace`.
pub(crate) fn service_host(namespace: &str, service: &str, routing: &Routing) -> String {
    let own = &routing.rollout.namespace;
    if namespace == own || service.is_empty() {
        service.to_owned()
    } else {
        full_name(service, own)
    }
}

/// `total` in `count` parts that differ by at most one.
pub(crate) fn evenly(total: u32, count: usize) -> impl Iterator<Item = u32> {
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    let (each, more) = (total / count, total % count);
    (0..count).map(move |index| each + u32::from(index < more))
}

/// The side that a destination of a VirtualService in `namespace` leads to: by Service or by subset, the canary's
/// first (argo-rollouts v1.10.1 `istio.processRoutes`, which looks at the host's first label alone). A subset of
/// `additionalSubsetNames` is of no side, whatever its host: the built-in reconciler gives it a side's weight where it
/// is the side's Service, a second time.
pub(crate) fn side_of(namespace: &str, destination: &Value, routing: &Routing) -> Option<Side> {
    let subset = subset_of(destination);
    let is = |wanted: &str, found: &str| !wanted.is_empty() && wanted == found;
    let is_service = |service: &str| leads_to(namespace, destination, service, routing);
    let subsets = routing.destination_rule.as_ref();
    let canary_subset = subsets.is_some_and(|rule| is(&rule.canary_subset, subset));
    let stable_subset = subsets.is_some_and(|rule| is(&rule.stable_subset, subset));
    if !canary_subset && !stable_subset && is_additional(subset, routing) {
        None
    } else if canary_subset || is_service(&routing.canary_service) {
        Some(Side::Canary)
    } else if stable_subset || is_service(&routing.stable_service) {
        Some(Side::Stable)
    } else {
        None
    }
}

fn is_additional(subset: &str, routing: &Routing) -> bool {
    let rule = routing.destination_rule.as_ref();
    !subset.is_empty()
        && rule.is_some_and(|rule| rule.additional_subsets.iter().any(|name| name == subset))
}

pub(crate) fn destinations(route: &Value) -> &[Value] {
    route
        .get("route")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The destinations that requests get to: a single one whatever its weight, of several those with a weight (istio 1.29.1
/// `route.applyHTTPRouteDestination`).
pub(crate) fn receivers(route: &Value) -> impl Iterator<Item = &Value> {
    let all = destinations(route);
    let receives = |one: &&Value| all.len() == 1 || weight_of(one) > 0;
    all.iter().filter(receives)
}

/// True if a destination of a VirtualService in `namespace` leads to the Service of that name beside the Rollout.
pub(crate) fn leads_to(
    namespace: &str,
    destination: &Value,
    service: &str,
    routing: &Routing,
) -> bool {
    let own = &routing.rollout.namespace;
    names_service(host_of(destination), namespace, service, own)
}

/// As it is written.
pub(crate) fn host_of(destination: &Value) -> &str {
    destination
        .pointer("/destination/host")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(crate) fn subset_of(destination: &Value) -> &str {
    destination
        .pointer("/destination/subset")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// An absent weight is 0 (protobuf's default, which Istio reads).
pub(crate) fn weight_of(destination: &Value) -> u64 {
    destination
        .get("weight")
        .and_then(Value::as_u64)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
