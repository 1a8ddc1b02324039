//! Which routes of a VirtualService the Rollout manages, by protocol, and what is wrong where it can't.

use serde_json::Value;

use crate::core::error::Fault;
use crate::core::lane_route;
use crate::core::routing::{CONFIG_FIELD, Routing, VirtualServiceRef, full_host};
use crate::core::weights::{
    Side, destinations, host_of, service_host, side_of, subset_of, weight_of,
};
use crate::object::Object;

mod by_match;

pub(crate) use crate::config::Protocol;

impl Protocol {
    pub(crate) const ALL: [Self; 3] = [Self::Http, Self::Tls, Self::Tcp];

    /// The field of `spec`.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Tcp => "tcp",
        }
    }

    /// The configuration's field that lists managed routes.
    pub(crate) const fn listed_in(self) -> &'static str {
        match self {
            Self::Http => "routes",
            Self::Tls => "tlsRoutes",
            Self::Tcp => "tcpRoutes",
        }
    }

    /// The routes of that protocol, as they stand; none where the field is absent.
    pub(crate) fn routes(self, object: &Object) -> &[Value] {
        object
            .spec
            .get(self.field())
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }
}

/// The managed routes' indexes in their lists, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ManagedRoutes {
    pub(crate) http: Vec<usize>,
    pub(crate) tls: Vec<usize>,
    pub(crate) tcp: Vec<usize>,
}

impl ManagedRoutes {
    /// All protocols that the VirtualService has are managed, listed in the configuration or not, unless `protocols`
    /// leaves them out: moving one half of a split would be worse than refusing. What is listed of a protocol that it
    /// lacks counts for nothing (argo-rollouts v1.10.1 `istio.reconcileVirtualService`).
    ///
    /// # Errors
    /// A listed route that isn't there, several of a protocol and none listed, or a route without both sides.
    pub(crate) fn of(
        object: &Object,
        reference: &VirtualServiceRef,
        routing: &Routing,
    ) -> Result<Self, Fault> {
        let mut managed = Self::default();
        for protocol in Protocol::ALL {
            let found = checked(object, reference, routing, protocol).map_err(|fault| {
                let expected = match (protocol, listed(reference, protocol)) {
                    // It may be another service's.
                    (Protocol::Tls | Protocol::Tcp, 0) => {
                        let protocols = reference.field_of("protocols");
                        format!(
                            "{}, or {protocols} without {}",
                            fault.expected,
                            protocol.field()
                        )
                    }
                    _ => fault.expected,
                };
                Fault { expected, ..fault }
            })?;
            match protocol {
                Protocol::Http => managed.http = found,
                Protocol::Tls => managed.tls = found,
                Protocol::Tcp => managed.tcp = found,
            }
        }
        if managed == Self::default() {
            return Err(no_route(reference));
        }
        Ok(managed)
    }

    /// The routes that traffic has to be taken off the canary in, of a VirtualService that [`Self::of`] refuses.
    ///
    /// They are the routes that the configuration still names, where they have destinations of the Rollout's. In a list
    /// that is not as the configuration says, they are those too that split between both sides and give the canary
    /// weight: a managed route may have got another name. A subset's name alone is no evidence there, since the routes of
    /// one gateway share such names: the destination has to be at the DestinationRule's host.
    pub(crate) fn rescued(
        object: &Object,
        reference: &VirtualServiceRef,
        routing: &Routing,
        rule: Option<&Object>,
    ) -> Self {
        let of = |protocol: Protocol| {
            let routes = protocol.routes(object);
            let listed = indexes(object, reference, routing, protocol);
            let named = |route: &Value| {
                protocol == Protocol::Http
                    && reference
                        .routes
                        .iter()
                        .any(|name| name == route_name(route))
            };
            let is_managed = |(index, route): &(usize, &Value)| match &listed {
                Ok(listed) => listed.contains(index),
                Err(_) => named(route) || splits(object, route, routing, rule),
            };
            let found = routes.iter().enumerate().filter(is_managed);
            let movable = found.filter(|(_, route)| {
                let is_lane = protocol == Protocol::Http
                    && (lane_route::is_lane_route(route_name(route))
                        || lane_route::is_lane_of(route, &routing.rollout));
                !is_lane
                    && answer_of(protocol, route).is_none()
                    && has_a_side(&object.id.namespace, route, routing)
            });
            movable.map(|(index, _)| index).collect()
        };
        Self {
            http: of(Protocol::Http),
            tls: of(Protocol::Tls),
            tcp: of(Protocol::Tcp),
        }
    }

    /// The indexes of that protocol.
    pub(crate) fn indexes(&self, protocol: Protocol) -> &[usize] {
        match protocol {
            Protocol::Http => &self.http,
            Protocol::Tls => &self.tls,
            Protocol::Tcp => &self.tcp,
        }
    }
}

fn no_route(reference: &VirtualServiceRef) -> Fault {
    let fields = reference.protocols.iter().map(|protocol| protocol.field());
    let names: Vec<String> = fields.clone().map(str::to_uppercase).collect();
    let expected = match names.split_last() {
        Some((last, others)) if !others.is_empty() => {
            format!("at least one {} or {last} route", others.join(", "))
        }
        _ => format!("at least one {} route", names.concat()),
    };
    let field = format!("spec.{}", fields.take(1).collect::<String>());
    Fault::new(field, "nothing", expected)
}

/// How many routes of that protocol the configuration lists.
fn listed(reference: &VirtualServiceRef, protocol: Protocol) -> usize {
    match protocol {
        Protocol::Http => reference.routes.len(),
        Protocol::Tls => reference.tls_routes.len(),
        Protocol::Tcp => reference.tcp_routes.len(),
    }
}

fn checked(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
    protocol: Protocol,
) -> Result<Vec<usize>, Fault> {
    let found = indexes(object, reference, routing, protocol)?;
    for &index in &found {
        if let Some(route) = protocol.routes(object).get(index) {
            check_route(&object.id.namespace, protocol, index, route, routing)?;
        }
    }
    Ok(found)
}

fn indexes(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
    protocol: Protocol,
) -> Result<Vec<usize>, Fault> {
    let routes = protocol.routes(object);
    let mut found = match protocol {
        _ if routes.is_empty() || !reference.manages(protocol) => Vec::new(),
        _ if listed(reference, protocol) == 0 => {
            vec![only_route(routes, reference, routing, protocol)?]
        }
        Protocol::Http => {
            let by_name = |name: &String| named_route(routes, routing, name);
            reference
                .routes
                .iter()
                .map(by_name)
                .collect::<Result<_, _>>()?
        }
        Protocol::Tls => {
            let by_match = |wanted| by_match::tls_routes(routes, wanted);
            reference
                .tls_routes
                .iter()
                .map(by_match)
                .collect::<Result<Vec<_>, _>>()?
                .concat()
        }
        Protocol::Tcp => {
            let by_match = |wanted| by_match::tcp_routes(routes, wanted);
            reference
                .tcp_routes
                .iter()
                .map(by_match)
                .collect::<Result<Vec<_>, _>>()?
                .concat()
        }
    };
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// A VirtualService with one route needs no name for it; lane routes don't count, nor does what a `managedRoutes` name
/// says the built-in reconciler has put there (argo-rollouts v1.10.1 `istio.ValidateHTTPRoutes`).
fn only_route(
    routes: &[Value],
    reference: &VirtualServiceRef,
    routing: &Routing,
    protocol: Protocol,
) -> Result<usize, Fault> {
    let users: Vec<usize> = routes
        .iter()
        .enumerate()
        .filter(|(_, route)| {
            !(protocol == Protocol::Http
                && (lane_route::is_lane_route(route_name(route))
                    || is_leftover(route, routes, reference, routing)))
        })
        .map(|(index, _)| index)
        .collect();
    match users[..] {
        [only] => Ok(only),
        _ => Err(Fault::new(
            format!("spec.{}", protocol.field()),
            format!("{} routes", users.len()),
            format!(
                "exactly one where {CONFIG_FIELD}.virtualService.{} is left out",
                protocol.listed_in()
            ),
        )),
    }
}

fn named_route(routes: &[Value], routing: &Routing, name: &str) -> Result<usize, Fault> {
    let own = |route: &Value| lane_route::belongs_to(route_name(route), &routing.rollout);
    routes
        .iter()
        .position(|route| route_name(route) == name && !own(route))
        .ok_or_else(|| {
            let names = routes
                .iter()
                .filter(|route| !own(route))
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

/// Names of listed routes that several routes have. As the built-in, Serin moves the first (argo-rollouts v1.10.1
/// `istio.searchHttpRoute`), while Istio routes to all of them.
///
/// Without indexes: those change as lane routes come and go.
pub(crate) fn shared_names(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
) -> Vec<Fault> {
    let routes = Protocol::Http.routes(object).iter();
    let users = routes.filter(|route| !lane_route::belongs_to(route_name(route), &routing.rollout));
    let names: Vec<&str> = users.map(route_name).collect();
    let shared = |name: &String| {
        let count = names.iter().filter(|found| *found == name).count();
        (count > 1).then(|| {
            let expected = format!(
                "one route of that name: only the first gets the canary's weight and lanes; name the others otherwise, and list in {} those that belong to the canary too",
                reference.field_of("routes")
            );
            Fault::new("spec.http[].name", format!("{name:?} {count} times"), expected)
        })
    };
    let listed = reference
        .routes
        .iter()
        .filter(|_| reference.manages(Protocol::Http));
    listed.filter_map(shared).collect()
}

/// True for a route that carries the name of a `managedRoutes` entry and is not a managed one of the user's: the
/// built-in reconciler's header or mirror route, left over where a Rollout was moved in mid-canary. Such names are
/// the controller's to add and remove, and Serin's own lane routes never carry them.
pub(crate) fn is_leftover(
    route: &Value,
    routes: &[Value],
    reference: &VirtualServiceRef,
    routing: &Routing,
) -> bool {
    let managed = |name: &str| !name.is_empty() && routing.managed_routes.iter().any(|n| n == name);
    let name = route_name(route);
    if !managed(name) || reference.routes.iter().any(|listed| listed == name) {
        return false;
    }
    // Where no route is listed, an only route is the user's, whatever its name.
    let is_users = |route: &&Value| {
        let name = route_name(route);
        !lane_route::is_lane_route(name) && !managed(name)
    };
    !reference.routes.is_empty() || routes.iter().any(|route| is_users(&route))
}

/// What answers a request in place of a route's destinations.
pub(crate) const ANSWERS: [&str; 3] = ["redirect", "directResponse", "delegate"];

/// The field of `route` that answers in place of its destinations.
fn answer_of(protocol: Protocol, route: &Value) -> Option<&'static str> {
    let mut answers = ANSWERS.into_iter();
    answers.find(|answer| protocol == Protocol::Http && route.get(answer).is_some())
}

/// True if any destination of `route` is the canary's or the stable version's.
fn has_a_side(namespace: &str, route: &Value, routing: &Routing) -> bool {
    let mut all = destinations(route).iter();
    all.any(|one| side_of(namespace, one, routing).is_some())
}

/// True if `route` splits between both sides, at `rule`'s host in a subset-level split, and gives the canary weight.
fn splits(object: &Object, route: &Value, routing: &Routing, rule: Option<&Object>) -> bool {
    let host_of = |field: &Value| {
        let host = field.as_str().unwrap_or_default();
        full_host(host, &object.id.namespace)
    };
    let is_at_rule = |one: &Value| {
        let Some(rule) = rule else {
            return routing.destination_rule.is_none();
        };
        let host = rule.spec.get("host").and_then(Value::as_str);
        let host = full_host(host.unwrap_or_default(), &rule.id.namespace);
        one.pointer("/destination/host")
            .is_some_and(|found| host_of(found) == host)
    };
    let namespace = &object.id.namespace;
    has_both_sides(namespace, route, routing)
        && destinations(route).iter().any(|one| {
            side_of(namespace, one, routing) == Some(Side::Canary)
                && weight_of(one) > 0
                && is_at_rule(one)
        })
}

/// A managed route has destinations for both sides, by subset where the Rollout names a DestinationRule and by Service
/// where it names none (argo-rollouts v1.10.1 `istio.validateVirtualServiceRouteDestinations`), and nothing that
/// answers in their place.
pub(crate) fn check_route(
    namespace: &str,
    protocol: Protocol,
    index: usize,
    route: &Value,
    routing: &Routing,
) -> Result<(), Fault> {
    let field = protocol.field();
    if let Some(answer) = answer_of(protocol, route) {
        return Err(Fault::new(
            format!("spec.{field}[{index}].{answer}"),
            format!("a {answer} in managed route {:?}", route_name(route)),
            "route destinations",
        ));
    }
    if has_both_sides(namespace, route, routing) {
        return Ok(());
    }
    let expected = match &routing.destination_rule {
        Some(rule) => {
            format!(
                "destinations for the subsets {:?} and {:?}",
                rule.stable_subset, rule.canary_subset
            )
        }
        None => format!(
            "destinations for the services {:?} and {:?}",
            service_host(namespace, &routing.stable_service, routing),
            service_host(namespace, &routing.canary_service, routing),
        ),
    };
    Err(Fault::new(
        format!("spec.{field}[{index}].route"),
        describe_destinations(route),
        expected,
    ))
}

/// True if the weights of `route` can be moved.
pub(crate) fn has_both_sides(namespace: &str, route: &Value, routing: &Routing) -> bool {
    [Side::Stable, Side::Canary].into_iter().all(|side| {
        destinations(route).iter().any(|destination| {
            let by_subset = match (&routing.destination_rule, side) {
                (Some(rule), Side::Stable) => subset_of(destination) == rule.stable_subset,
                (Some(rule), Side::Canary) => subset_of(destination) == rule.canary_subset,
                (None, _) => true,
            };
            by_subset && side_of(namespace, destination, routing) == Some(side)
        })
    })
}

pub(crate) fn route_name(route: &Value) -> &str {
    route
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(crate) fn describe_destinations(route: &Value) -> String {
    let found: Vec<_> = destinations(route)
        .iter()
        .map(describe_destination)
        .collect();
    format!("[{}]", found.join(", "))
}

pub(crate) fn describe_destination(destination: &Value) -> String {
    let host = host_of(destination);
    match subset_of(destination) {
        "" => format!("host {host:?}"),
        subset => format!("host {host:?} subset {subset:?}"),
    }
}

#[cfg(test)]
mod tests;
