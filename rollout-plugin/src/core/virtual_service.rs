//! The routes that a VirtualService must have: the user's own with the weights moved, and lane routes above the
//! managed HTTP ones.
//!
//! Everything else in the object is the user's and comes back as it was, unknown fields too.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use traffic_policy::Lane;
use traffic_policy::config::Lanes;

use crate::core::delegate::Delegation;
use crate::core::error::{CoreError, Fault};
use crate::core::lane_route::{self, LaneRoute};
use crate::core::managed_routes::{ManagedRoutes, Protocol, has_both_sides, is_leftover};
use crate::core::policy::Policies;
use crate::core::routing::{Routing, VirtualServiceRef};
use crate::core::weights::{Split, desired_destinations, missing_stable, receivers, weight_of};
use crate::object::Object;

pub(crate) use crate::core::managed_routes::route_name;
pub(crate) use crate::core::weights::{Side, destinations, side_of};

/// What a VirtualService shall be like.
#[derive(Clone, Debug, Default)]
pub struct Desired<'a> {
    /// The managed routes' weights; `None` leaves them alone.
    pub split: Option<&'a Split<'a>>,
    /// Which lane routes stand above each managed HTTP route.
    pub lanes: BTreeSet<Lane>,
    /// Names of `managedRoutes` whose routes, left over from the built-in reconciler, are still needed.
    pub leftovers: BTreeSet<&'a str>,
    /// The policies before: lane routes of routes that one names stay until none names them any more.
    pub(crate) live: Policies<'a>,
    /// VirtualServices that may delegate to this one.
    pub roots: &'a [Arc<Object>],
    /// Lane routes and `leftovers` stay as they are, whatever the routes below them say now.
    pub keeps_lanes: bool,
}

/// The `spec` that `object` must have; `None` when it has it.
///
/// Declared lane routes are the user's: all stay as they are, but that the mirror lane's follow the weights.
///
/// A route of the built-in reconciler's that mirrors follows the weights as long as it stands
/// (argo-rollouts v1.10.1 `istio.generateVirtualServicePatches`).
///
/// # Errors
/// A managed route that is missing, is no weighted route (redirect, direct response, delegate), or lacks one side.
pub fn desired_spec(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
    desired: &Desired<'_>,
) -> Result<Option<Value>, CoreError> {
    let managed = ManagedRoutes::of(object, reference, routing)
        .map_err(|fault: Fault| fault.of(&object.id))?;
    Ok(spec_of(object, reference, routing, desired, &managed))
}

/// The `spec` for a VirtualService that is no longer as the Rollout needs it, with its traffic taken off the canary as
/// far as that can be told; `None` where there is nothing to change. `rule`: the DestinationRule of a subset-level split.
///
/// Lane routes that are still needed are left as they are.
pub(crate) fn rescued_spec(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
    desired: &Desired<'_>,
    rule: Option<&Object>,
) -> Option<Value> {
    let managed = ManagedRoutes::rescued(object, reference, routing, rule);
    let rescued = with_stable_sides(object, routing, &managed);
    let desired = Desired {
        keeps_lanes: desired.keeps_lanes || !desired.lanes.is_empty(),
        ..desired.clone()
    };
    let complete = rescued.as_ref().unwrap_or(object);
    spec_of(complete, reference, routing, &desired, &managed)
        .or_else(|| rescued.map(|rescued| rescued.spec))
}

/// `object` with a stable destination in each of the managed routes that has lost it; `None` where all have one.
fn with_stable_sides(
    object: &Object,
    routing: &Routing,
    managed: &ManagedRoutes,
) -> Option<Object> {
    let mut changed = None;
    for protocol in Protocol::ALL {
        for &index in managed.indexes(protocol) {
            let route = protocol.routes(object).get(index);
            let Some(stable) =
                route.and_then(|route| missing_stable(&object.id.namespace, route, routing))
            else {
                continue;
            };
            let target = changed.get_or_insert_with(|| object.clone());
            let routes = target.spec.get_mut(protocol.field());
            let destinations =
                routes.and_then(|routes| routes.get_mut(index)?.get_mut("route")?.as_array_mut());
            if let Some(destinations) = destinations {
                destinations.push(stable);
            }
        }
    }
    changed
}

fn spec_of(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
    desired: &Desired<'_>,
    managed: &ManagedRoutes,
) -> Option<Value> {
    let mut changes = Vec::new();
    for protocol in Protocol::ALL {
        let indexes = managed.indexes(protocol);
        let routes = match protocol {
            Protocol::Http => http_routes(object, reference, routing, desired, indexes),
            Protocol::Tls | Protocol::Tcp => {
                let routes = protocol.routes(object).iter().enumerate();
                let moved = routes
                    .map(|(index, route)| {
                        let split = desired.split.filter(|_| indexes.contains(&index));
                        with_weights(&object.id.namespace, route, routing, split)
                    })
                    .collect();
                changed(protocol.routes(object), moved)
            }
        };
        changes.extend(routes.map(|routes| (protocol, routes)));
    }
    with_routes(object, changes)
}

/// The HTTP routes with weights, lane routes and without what is left over; `None` where they are so.
fn http_routes(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
    desired: &Desired<'_>,
    managed: &[usize],
) -> Option<Vec<Value>> {
    let observed = Protocol::Http.routes(object);
    let keeps_lanes = desired.keeps_lanes || routing.lanes == Lanes::Declared;
    let mut routes: Vec<Cow<'_, Value>> = Vec::with_capacity(observed.len());
    let mut places = Vec::with_capacity(managed.len());
    for (index, route) in observed.iter().enumerate() {
        let lane = lane_route::lane_of(route_name(route), &routing.rollout);
        if !keeps_lanes && lane_route::is_lane_of(route, &routing.rollout) {
            continue;
        }
        let mut split = desired.split;
        if managed.contains(&index) {
            places.push(routes.len());
        } else if lane.is_some() {
            split = split.filter(|_| lane == Some(Lane::Mirror));
        } else if is_leftover(route, observed, reference, routing) {
            if !desired.keeps_lanes && !desired.leftovers.contains(route_name(route)) {
                continue;
            }
            let mirrors = route.get("mirror").is_some()
                && has_both_sides(&object.id.namespace, route, routing);
            split = split.filter(|_| mirrors);
        } else {
            split = None;
        }
        routes.push(with_weights(&object.id.namespace, route, routing, split));
    }
    if keeps_lanes {
        return changed(observed, routes);
    }
    let delegation = Delegation::of(object, desired.roots);
    let leaving = leaving_lanes(object, &routes, &places, routing, desired);
    // From the last to the first, so that indexes stay valid while lane routes go in.
    for &place in places.iter().rev() {
        let Some(route) = routes.get(place) else {
            continue;
        };
        let clones = desired
            .lanes
            .iter()
            .map(|lane| {
                let clone = LaneRoute {
                    rollout: &routing.rollout,
                    namespace: &object.id.namespace,
                    lane: *lane,
                    several: places.len() > 1,
                };
                Cow::Owned(delegation.lane_route(&clone, route, routing))
            })
            .collect::<Vec<_>>();
        insert_above(&mut routes, place, clones);
    }
    for (name, clones) in leaving {
        if let Some(place) = routes.iter().position(|route| route_name(route) == name) {
            insert_above(&mut routes, place, clones);
        }
    }
    changed(observed, routes)
}

/// The lane routes, as they stand, of routes that the policy still names and the configuration no longer does. They
/// go when the policy has changed. A route that is gone has no use for them.
fn leaving_lanes<'a>(
    object: &'a Object,
    routes: &[Cow<'_, Value>],
    managed: &[usize],
    routing: &Routing,
    desired: &Desired<'_>,
) -> Vec<(String, Vec<Cow<'a, Value>>)> {
    let is_managed = |name: &str| {
        let mut managed = managed.iter().filter_map(|place| routes.get(*place));
        managed.any(|route| route_name(route) == name)
    };
    let lanes_of = |name: &str| {
        let lanes = Protocol::Http.routes(object).iter().filter(|route| {
            let found = route_name(route);
            lane_route::belongs_to(found, &routing.rollout)
                && lane_route::route_of(found) == Some(name)
        });
        lanes.map(Cow::Borrowed).collect()
    };
    let named = desired.live.routes_of(&object.id);
    named
        .into_iter()
        .filter(|name| !is_managed(name))
        .map(|name| {
            let lanes = lanes_of(&name);
            (name, lanes)
        })
        .collect()
}

fn with_weights<'a>(
    namespace: &str,
    route: &'a Value,
    routing: &Routing,
    split: Option<&Split<'_>>,
) -> Cow<'a, Value> {
    let moved = split.and_then(|split| desired_destinations(namespace, route, routing, split));
    let Some(moved) = moved else {
        return Cow::Borrowed(route);
    };
    let mut route = route.clone();
    if let Some(fields) = route.as_object_mut() {
        fields.insert("route".to_owned(), Value::Array(moved));
    }
    Cow::Owned(route)
}

fn changed(observed: &[Value], desired: Vec<Cow<'_, Value>>) -> Option<Vec<Value>> {
    let equal = observed.len() == desired.len()
        && observed
            .iter()
            .zip(&desired)
            .all(|(observed, desired)| match desired {
                Cow::Borrowed(desired) if std::ptr::eq(observed, *desired) => true,
                desired => observed == &**desired,
            });
    (!equal).then(|| desired.into_iter().map(Cow::into_owned).collect())
}

fn with_routes(object: &Object, mut changes: Vec<(Protocol, Vec<Value>)>) -> Option<Value> {
    if changes.is_empty() {
        return None;
    }
    let fields = object.spec.as_object()?.iter().map(|(field, value)| {
        let change = changes
            .iter_mut()
            .find(|(protocol, _)| protocol.field() == field);
        let value = match change {
            Some((_, routes)) => Value::Array(std::mem::take(routes)),
            None => value.clone(),
        };
        (field.clone(), value)
    });
    Some(fields.collect())
}

/// The names of the managed routes, as the filter finds them in Envoy's route names; empty for an unnamed only route.
///
/// # Errors
/// As [`desired_spec`], and a VirtualService without HTTP routes, which are the only ones that a lane can be set for.
pub fn managed_route_names(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
) -> Result<Vec<String>, CoreError> {
    let managed =
        ManagedRoutes::of(object, reference, routing).map_err(|fault| fault.of(&object.id))?;
    if managed.http.is_empty() {
        let expected =
            "at least one HTTP route: TLS and TCP routes have neither headers nor mirrors";
        return Err(Fault::new("spec.http", "nothing", expected).of(&object.id));
    }
    let routes = Protocol::Http.routes(object);
    let names = managed
        .http
        .iter()
        .filter_map(|index| routes.get(*index))
        .map(route_name);
    Ok(names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// What the sides of one route get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SideWeights {
    pub(crate) canary: u64,
    pub(crate) stable: u64,
}

/// The weights of the managed HTTP routes as they stand; `None` where those can't be told.
pub(crate) fn live_weights(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
) -> Option<Vec<SideWeights>> {
    let managed = ManagedRoutes::of(object, reference, routing).ok()?;
    let routes = Protocol::Http.routes(object);
    let managed = managed.http.iter().filter_map(|index| routes.get(*index));
    let of_side = |route: &Value, side: Side| {
        let of_side = |one: &&Value| side_of(&object.id.namespace, one, routing) == Some(side);
        destinations(route)
            .iter()
            .filter(of_side)
            .map(weight_of)
            .sum()
    };
    let weights = managed.map(|route| SideWeights {
        canary: of_side(route, Side::Canary),
        stable: of_side(route, Side::Stable),
    });
    Some(weights.collect())
}

/// True if a lane route of the canary's sends requests to the stable side.
pub(crate) fn canary_lane_leads_to_stable(object: &Object, routing: &Routing) -> bool {
    Protocol::Http.routes(object).iter().any(|route| {
        lane_route::lane_of(route_name(route), &routing.rollout) == Some(Lane::Canary)
            && receivers(route)
                .any(|one| side_of(&object.id.namespace, one, routing) == Some(Side::Stable))
    })
}

/// True if `object` has HTTP routes at all.
pub(crate) fn has_http(object: &Object) -> bool {
    !Protocol::Http.routes(object).is_empty()
}

/// The `spec` of `object` without any lane route of this Rollout that is Serin's, and without what the built-in reconciler has left
/// over; `None` where neither stands. The managed routes need not be in order for it.
pub fn without_lane_routes(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
) -> Option<Value> {
    let observed = Protocol::Http.routes(object);
    let stays = |route: &&Value| {
        let is_own =
            routing.lanes == Lanes::Managed && lane_route::is_lane_of(route, &routing.rollout);
        !is_own && !is_leftover(route, observed, reference, routing)
    };
    let left = observed.iter().filter(stays).map(Cow::Borrowed).collect();
    let changes = changed(observed, left).map(|routes| (Protocol::Http, routes));
    with_routes(object, changes.into_iter().collect())
}

/// True if any lane route of this Rollout stands in `object`.
pub fn has_lane_routes(object: &Object, routing: &Routing) -> bool {
    Protocol::Http
        .routes(object)
        .iter()
        .any(|route| lane_route::is_lane_of(route, &routing.rollout))
}

/// Puts `clones` directly above the route at `index`, into the block of lane routes that other Rollouts keep there:
/// each above the first that comes after it by name, so that two Rollouts never move each other's, not even declared
/// ones in another order.
fn insert_above<'a>(routes: &mut Vec<Cow<'a, Value>>, index: usize, clones: Vec<Cow<'a, Value>>) {
    if clones.is_empty() {
        return;
    }
    let above = routes.get(..index).unwrap_or_default();
    let foreign = above
        .iter()
        .rev()
        .take_while(|route| lane_route::is_lane_route(route_name(route)))
        .count();
    let start = index - foreign;
    let mut block: Vec<Cow<'a, Value>> = routes.splice(start..index, []).collect();
    for clone in clones {
        let place = block
            .iter()
            .position(|route| route_name(route) > route_name(&clone))
            .unwrap_or(block.len());
        block.insert(place, clone);
    }
    routes.splice(start..start, block);
}

#[cfg(test)]
mod tests;
