//! Declared lanes: the user keeps the lane routes in the manifest, and Serin checks them and writes none.
//!
//! What a lane route needs is checked: its place above the managed route, that route's matches with the lane header
//! added, and where it leads. The rest of it is the user's business. The error shows the lines as they should be, but
//! for the lane secret (`shown`).

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;
use traffic_policy::Lane;

use crate::core::delegate::Delegation;
use crate::core::error::{CoreError, Fault};
use crate::core::lane_route::{LaneRoute, mirrors_of};
use crate::core::managed_routes::{
    ANSWERS, ManagedRoutes, Protocol, check_route, describe_destination, route_name,
};
use crate::core::routing::{CONFIG_FIELD, Routing, VirtualServiceRef};
use crate::core::weights::{Side, destinations, receivers, side_of, weight_of};
use crate::object::Object;

use shown::{PLACEHOLDER, Shown};

mod shown;

/// A lane route that is missing or wrong.
struct Problem {
    fault: Fault,
    /// The lane route as it should be; where there is one, the user's own with what is wrong put right.
    corrected: Value,
}

/// Checks the lane routes of all managed routes of `object`, for each of `lanes`.
///
/// # Errors
/// The first that is missing or wrong, with the lines for all that are; or a managed route that is no good.
pub(crate) fn check(
    object: &Object,
    reference: &VirtualServiceRef,
    routing: &Routing,
    lanes: &BTreeSet<Lane>,
    delegation: &Delegation<'_>,
) -> Result<(), CoreError> {
    let managed = ManagedRoutes::of(object, reference, routing)
        .map_err(|fault| fault.of(&object.id))?
        .http;
    let routes = Protocol::Http.routes(object);
    let mut first = None;
    let mut yaml = String::new();
    if routing.lane_secret.is_some() {
        // Writing to a string can't fail.
        let _ = write!(
            yaml,
            "\n# for {PLACEHOLDER} put what {CONFIG_FIELD}.laneSecret of rollout {} says",
            routing.rollout
        );
    }
    for &index in &managed {
        let Some(route) = routes.get(index) else {
            continue;
        };
        let problems: Vec<Problem> = lanes
            .iter()
            .filter_map(|lane| {
                let lane_route = LaneRoute {
                    rollout: &routing.rollout,
                    namespace: &object.id.namespace,
                    lane: *lane,
                    several: managed.len() > 1,
                };
                let wanted = delegation.lane_route(&lane_route, route, routing);
                problem(routes, index, lane_route, wanted, routing)
            })
            .collect();
        if problems.is_empty() {
            continue;
        }
        let _ = write!(yaml, "\n# directly above {}", called(index, route));
        for Problem { fault, corrected } in problems {
            let value = &corrected;
            let _ = write!(yaml, "\n- {}", Shown { value, routing });
            first.get_or_insert(fault);
        }
    }
    match first {
        None => Ok(()),
        Some(fault) => Err(CoreError::Lanes {
            object: object.id.clone(),
            fault,
            lines: yaml,
        }),
    }
}

/// What is wrong with the lane route that should be as `wanted` and above the managed route at `index`.
fn problem(
    routes: &[Value],
    index: usize,
    LaneRoute {
        namespace, lane, ..
    }: LaneRoute<'_>,
    wanted: Value,
    routing: &Routing,
) -> Option<Problem> {
    let name = route_name(&wanted);
    let managed = called(index, routes.get(index)?);
    let Some((at, standing)) = (0..)
        .zip(routes)
        .find(|(_, route)| route_name(route) == name)
    else {
        let names: Vec<_> = routes.iter().map(route_name).collect();
        let fault = Fault::new(
            "spec.http[].name",
            format!("{names:?}"),
            format!("the {lane} lane's route {name:?} above {managed}"),
        );
        return Some(Problem {
            fault,
            corrected: wanted,
        });
    };
    let mut corrected = standing.clone();
    let mut faults = Vec::new();
    if at > index {
        faults.push(Fault::new(
            format!("spec.http[{at}]"),
            format!("{name:?}"),
            format!("it above {managed}, which takes its requests"),
        ));
    }
    let shown = |value: &Value| Shown { value, routing }.to_string();
    let (found, expected) = (standing.get("match"), wanted.get("match"));
    if !same_entries(found, expected) {
        faults.push(Fault::new(
            format!("spec.http[{at}].match of {name:?}"),
            found.map_or_else(|| "nothing".to_owned(), shown),
            format!(
                "the matches of {managed} with the lane header: {}",
                shown(expected.unwrap_or(&Value::Null))
            ),
        ));
        put(&mut corrected, &wanted, &["match"]);
    }
    if let Some(fault) = target_fault(at, standing, namespace, lane, routing) {
        faults.push(fault);
        put(
            &mut corrected,
            &wanted,
            &["route", "redirect", "directResponse", "delegate"],
        );
    }
    if matches!(lane, Lane::Mirror | Lane::StableMirror)
        && !mirrors_to_canary(standing, namespace, routing)
    {
        faults.push(Fault::new(
            format!("spec.http[{at}].mirrors of {name:?}"),
            "no mirror to the canary",
            "one",
        ));
        put(
            &mut corrected,
            &wanted,
            &["mirror", "mirrors", "mirrorPercentage", "mirrorPercent"],
        );
    }
    let fault = faults.into_iter().next()?;
    Some(Problem { fault, corrected })
}

/// Fields of `wanted` in place of the line's; those that it lacks go.
fn put(line: &mut Value, wanted: &Value, fields: &[&str]) {
    let Some(line) = line.as_object_mut() else {
        return;
    };
    for field in fields {
        match wanted.get(*field) {
            Some(value) => line.insert((*field).to_owned(), value.clone()),
            None => line.remove(*field),
        };
    }
}

/// Entries are ORed, so their order is of no interest.
fn same_entries(found: Option<&Value>, expected: Option<&Value>) -> bool {
    let entries = |value: Option<&Value>| {
        let entries = value.and_then(Value::as_array).cloned();
        let mut entries: Vec<String> = entries
            .unwrap_or_default()
            .iter()
            .map(Value::to_string)
            .collect();
        entries.sort_unstable();
        entries
    };
    entries(found) == entries(expected)
}

/// A lane's requests go to its version alone, those of the mirror lane where the weights say. A line with the one
/// destination that lanes had before is as good.
fn target_fault(
    at: usize,
    standing: &Value,
    namespace: &str,
    lane: Lane,
    routing: &Routing,
) -> Option<Fault> {
    let side = match lane {
        Lane::Mirror => return check_route(namespace, Protocol::Http, at, standing, routing).err(),
        Lane::Canary => Side::Canary,
        Lane::Stable | Lane::StableMirror => Side::Stable,
    };
    let name = route_name(standing);
    for field in ANSWERS {
        if standing.get(field).is_some_and(|value| !value.is_null()) {
            return Some(Fault::new(
                format!("spec.http[{at}].{field} of {name:?}"),
                format!("a {field}"),
                "route destinations",
            ));
        }
    }
    let mut sides = receivers(standing).map(|one| side_of(namespace, one, routing));
    let good = sides.next() == Some(Some(side)) && sides.all(|found| found == Some(side));
    (!good).then(|| {
        Fault::new(
            format!("spec.http[{at}].route of {name:?}"),
            describe_weights(standing),
            format!("all of the weight at the {lane}'s destination"),
        )
    })
}

fn describe_weights(route: &Value) -> String {
    let all = destinations(route);
    let found: Vec<String> = all
        .iter()
        .map(|one| match weight_of(one) {
            _ if all.len() == 1 => describe_destination(one),
            weight => format!("{} weight {weight}", describe_destination(one)),
        })
        .collect();
    format!("[{}]", found.join(", "))
}

fn mirrors_to_canary(standing: &Value, namespace: &str, routing: &Routing) -> bool {
    let mirrors = mirrors_of(standing);
    mirrors
        .iter()
        .any(|mirror| side_of(namespace, mirror, routing) == Some(Side::Canary))
}

fn called(index: usize, route: &Value) -> String {
    match route_name(route) {
        "" => format!("spec.http[{index}]"),
        name => format!("route {name:?}"),
    }
}

#[cfg(test)]
mod tests;
