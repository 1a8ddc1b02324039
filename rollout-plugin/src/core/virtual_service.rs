//! The HTTP routes that a VirtualService must have: the user's own with the weights moved, and lane routes above the
//! managed ones.
//!
//! Everything else in the object is the user's and comes back as it was, unknown fields too.

use std::collections::BTreeSet;

use serde_json::Value;
use traffic_policy::Lane;

use crate::core::error::{CoreError, Fault};
use crate::core::lane_route::{self, LaneRoute};
use crate::core::routing::{CONFIG_FIELD, Routing, VirtualServiceRef};
use crate::object::Object;

/// Which side of the Rollout a destination leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Canary,
    Stable,
}

/// The `spec` that `object` must have.
///
/// `canary_weight`: out of `routing.max_weight`; `None` leaves the weights alone. `lanes`: which lane routes stand
/// above each managed route. The result equals the observed `spec` when nothing has to change.
///
/// # Errors
/// A managed route that is missing, is no weighted route (redirect, direct response, delegate), or lacks one side.
pub fn desired_spec(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
    canary_weight: Option<u32>,
    lanes: &BTreeSet<Lane>,
) -> Result<Value, CoreError> {
    let (mut routes, managed) =
        users_routes(object, reference, routing).map_err(|fault| fault.of(&object.id))?;
    let several = managed.len() > 1;
    // From the last to the first, so that indexes stay valid while lane routes go in.
    for &index in managed.iter().rev() {
        let Some(route) = routes.get_mut(index) else {
            continue;
        };
        if let Some(weight) = canary_weight {
            set_weights(route, routing, weight);
        }
        let clones = lanes
            .iter()
            .map(|lane| {
                LaneRoute {
                    rollout: &routing.rollout,
                    lane: *lane,
                    several,
                }
                .clone_of(route, routing)
            })
            .collect::<Vec<_>>();
        insert_above(&mut routes, index, clones);
    }
    let mut spec = object.spec.clone();
    if let Some(http) = spec.get_mut("http") {
        *http = Value::Array(routes);
    }
    Ok(spec)
}

/// The names of the managed routes, as the filter finds them in Envoy's route names; empty for an unnamed only route.
///
/// # Errors
/// As [`desired_spec`].
pub fn managed_route_names(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
) -> Result<Vec<String>, CoreError> {
    let (routes, managed) =
        users_routes(object, reference, routing).map_err(|fault| fault.of(&object.id))?;
    let names = managed
        .iter()
        .filter_map(|index| routes.get(*index))
        .map(route_name);
    Ok(names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// The `spec` of `object` without any lane route of this Rollout.
pub fn without_lane_routes(object: &Object, routing: &Routing) -> Value {
    let mut spec = object.spec.clone();
    if let Some(routes) = spec.get_mut("http").and_then(Value::as_array_mut) {
        routes.retain(|route| !lane_route::belongs_to(route_name(route), &routing.rollout));
    }
    spec
}

/// True if any lane route of this Rollout stands in `object`.
pub fn has_lane_routes(object: &Object, routing: &Routing) -> bool {
    http_routes(object)
        .iter()
        .any(|route| lane_route::belongs_to(route_name(route), &routing.rollout))
}

/// The routes without this Rollout's lane routes, and the managed ones' indexes in them, ascending.
fn users_routes(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
) -> Result<(Vec<Value>, Vec<usize>), Fault> {
    if object.spec.get("http").and_then(Value::as_array).is_none() {
        return Err(Fault::new(
            "spec.http",
            "nothing",
            "at least one HTTP route",
        ));
    }
    check_other_protocols(object, routing)?;
    let routes: Vec<Value> = http_routes(object)
        .iter()
        .filter(|route| !lane_route::belongs_to(route_name(route), &routing.rollout))
        .cloned()
        .collect();
    let mut managed = if reference.routes.is_empty() {
        vec![only_route(&routes)?]
    } else {
        reference
            .routes
            .iter()
            .map(|name| named_route(&routes, name))
            .collect::<Result<_, _>>()?
    };
    managed.sort_unstable();
    managed.dedup();
    for &index in &managed {
        if let Some(route) = routes.get(index) {
            check_route(index, route, routing)?;
        }
    }
    Ok((routes, managed))
}

/// The built-in reconciler moves TLS and TCP routes too. Moving the HTTP half of a split alone would be worse than
/// refusing.
fn check_other_protocols(object: &Object, routing: &Routing) -> Result<(), Fault> {
    for protocol in ["tls", "tcp"] {
        let routes = object.spec.get(protocol).and_then(Value::as_array);
        for (index, route) in routes.into_iter().flatten().enumerate() {
            let ours = |destination| side_of(destination, routing).is_some();
            if destinations(route).iter().any(ours) {
                return Err(Fault::new(
                    format!("spec.{protocol}[{index}].route"),
                    "destinations of this rollout",
                    "them in HTTP routes only: the weights of TLS and TCP routes are not moved",
                ));
            }
        }
    }
    Ok(())
}

/// A VirtualService with one route needs no name for it; lane routes of other Rollouts don't count
/// (argo-rollouts v1.10.1 `istio.ValidateHTTPRoutes`).
fn only_route(routes: &[Value]) -> Result<usize, Fault> {
    let users: Vec<usize> = (0..)
        .zip(routes)
        .filter(|(_, route)| !lane_route::is_lane_route(route_name(route)))
        .map(|(index, _)| index)
        .collect();
    match users[..] {
        [only] => Ok(only),
        _ => Err(Fault::new(
            "spec.http",
            format!("{} routes", users.len()),
            format!("exactly one where {CONFIG_FIELD}.virtualService.routes is left out"),
        )),
    }
}

fn named_route(routes: &[Value], name: &str) -> Result<usize, Fault> {
    routes
        .iter()
        .position(|route| route_name(route) == name)
        .ok_or_else(|| {
            let names = routes
                .iter()
                .map(|route| format!("{:?}", route_name(route)))
                .collect::<Vec<_>>()
                .join(", ");
            Fault::new(
                "spec.http[].name",
                format!("[{names}]"),
                format!("a route named {name:?}"),
            )
        })
}

/// A managed route has destinations for both sides
/// (argo-rollouts v1.10.1 `istio.validateVirtualServiceRouteDestinations`), and nothing that answers in their place.
fn check_route(index: usize, route: &Value, routing: &Routing) -> Result<(), Fault> {
    for field in ["redirect", "directResponse", "delegate"] {
        if route.get(field).is_some() {
            return Err(Fault::new(
                format!("spec.http[{index}].{field}"),
                format!("a {field} in managed route {:?}", route_name(route)),
                "route destinations",
            ));
        }
    }
    let sides: Vec<_> = destinations(route)
        .iter()
        .filter_map(|destination| side_of(destination, routing))
        .collect();
    if sides.contains(&Side::Canary) && sides.contains(&Side::Stable) {
        return Ok(());
    }
    let found = destinations(route)
        .iter()
        .map(describe_destination)
        .collect::<Vec<_>>()
        .join(", ");
    let expected = match &routing.destination_rule {
        Some(rule) => {
            format!(
                "destinations for the subsets {:?} and {:?}",
                rule.stable_subset, rule.canary_subset
            )
        }
        None => format!(
            "destinations for the services {:?} and {:?}",
            routing.stable_service, routing.canary_service
        ),
    };
    Err(Fault::new(
        format!("spec.http[{index}].route"),
        format!("[{found}]"),
        expected,
    ))
}

/// The side that a destination leads to: by Service, whose name is the host's first label, or by subset
/// (argo-rollouts v1.10.1 `istio.processRoutes`).
pub(crate) fn side_of(destination: &Value, routing: &Routing) -> Option<Side> {
    let target = destination.get("destination")?;
    let host = target
        .get("host")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let service = host.split('.').next().unwrap_or_default();
    let subset = target
        .get("subset")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let is = |wanted: &str, found: &str| !wanted.is_empty() && wanted == found;
    let subsets = routing.destination_rule.as_ref();
    if is(&routing.canary_service, service)
        || subsets.is_some_and(|rule| is(&rule.canary_subset, subset))
    {
        Some(Side::Canary)
    } else if is(&routing.stable_service, service)
        || subsets.is_some_and(|rule| is(&rule.stable_subset, subset))
    {
        Some(Side::Stable)
    } else {
        None
    }
}

/// Canary gets `weight`, stable the rest. A destination of neither side goes if it carries weight and stays at 0
/// (as the built-in reconciler leaves it).
fn set_weights(route: &mut Value, routing: &Routing, weight: u32) {
    let Some(destinations) = route.get_mut("route").and_then(Value::as_array_mut) else {
        return;
    };
    destinations.retain(|destination| {
        side_of(destination, routing).is_some() || weight_of(destination) == 0
    });
    for destination in destinations {
        let wanted = match side_of(destination, routing) {
            Some(Side::Canary) => weight,
            Some(Side::Stable) => routing.max_weight.saturating_sub(weight),
            None => continue,
        };
        if weight_of(destination) != u64::from(wanted)
            && let Some(fields) = destination.as_object_mut()
        {
            fields.insert("weight".to_owned(), Value::from(wanted));
        }
    }
}

/// An absent weight is 0 (protobuf's default, which Istio reads).
fn weight_of(destination: &Value) -> u64 {
    destination
        .get("weight")
        .and_then(Value::as_u64)
        .unwrap_or(0)
}

/// Puts `clones` directly above the route at `index`. Lane routes that other Rollouts keep there stay in the same
/// block, ordered by name, so that two Rollouts on one route never push each other's away.
fn insert_above(routes: &mut Vec<Value>, index: usize, clones: Vec<Value>) {
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
    let mut block: Vec<Value> = routes.splice(start..index, []).chain(clones).collect();
    block.sort_by(|a, b| route_name(a).cmp(route_name(b)));
    routes.splice(start..start, block);
}

fn http_routes(object: &Object) -> &[Value] {
    object
        .spec
        .get("http")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(crate) fn destinations(route: &Value) -> &[Value] {
    route
        .get("route")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn route_name(route: &Value) -> &str {
    route
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn describe_destination(destination: &Value) -> String {
    let text = |field| {
        destination
            .pointer(field)
            .and_then(Value::as_str)
            .map(str::to_owned)
            .unwrap_or_default()
    };
    match (text("/destination/host"), text("/destination/subset")) {
        (host, subset) if subset.is_empty() => format!("host {host:?}"),
        (host, subset) => format!("host {host:?} subset {subset:?}"),
    }
}

#[cfg(test)]
mod tests;
