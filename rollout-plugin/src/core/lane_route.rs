//! A lane route: the clone of a managed route that takes the requests of one lane.

use serde_json::{Map, Value, json};
use traffic_policy::{LANE_ROUTE_PREFIX, Lane, lane_header, lane_route_prefix, lane_value};

use crate::core::routing::{RolloutKey, Routing, full_host};
use crate::core::weights::{Side, destinations, evenly, host_of, side_of, subset_of};

/// Stands between the lane and the managed route's own name; no Rollout's, namespace's or lane's name can hold it.
const ROUTE_SEPARATOR: char = ':';

/// Which clone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneRoute<'a> {
    /// Whose.
    pub(crate) rollout: &'a RolloutKey,
    /// That of the VirtualService.
    pub(crate) namespace: &'a str,
    /// For the requests of which lane.
    pub(crate) lane: Lane,
    /// True if the Rollout manages several routes of the VirtualService, so that names need the route's own.
    pub(crate) several: bool,
}

impl LaneRoute<'_> {
    /// `serin-<namespace>.<rollout>.<lane>`, with `:<route>` behind it where several routes are managed.
    pub(crate) fn name(&self, route: &str) -> String {
        let base = format!("{}{}", own_prefix(self.rollout), self.lane);
        if self.several {
            format!("{base}{ROUTE_SEPARATOR}{route}")
        } else {
            base
        }
    }

    /// The clone of `route`: all that the user said of it, for requests that carry the lane header, sent to the lane.
    pub(crate) fn clone_of(&self, route: &Value, routing: &Routing) -> Value {
        let mut clone = route.as_object().cloned().unwrap_or_default();
        let name = self.name(
            route
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        );
        clone.insert("name".to_owned(), Value::from(name));
        clone.insert("match".to_owned(), self.matches(route, routing));
        let namespace = self.namespace;
        match self.lane {
            Lane::Canary => set_destinations(namespace, &mut clone, route, routing, Side::Canary),
            Lane::Stable => set_destinations(namespace, &mut clone, route, routing, Side::Stable),
            Lane::Mirror => add_mirror(namespace, &mut clone, route, routing),
            Lane::StableMirror => {
                set_destinations(namespace, &mut clone, route, routing, Side::Stable);
                add_mirror(namespace, &mut clone, route, routing);
            }
        }
        Value::Object(clone)
    }

    /// Every match entry of the route, or one for any request, with the lane header added (fields of an entry are ANDed).
    fn matches(&self, route: &Value, routing: &Routing) -> Value {
        let header = lane_header(&self.rollout.namespace, &self.rollout.name);
        let value = json!({ "exact": lane_value(self.lane, routing.lane_secret.as_deref()) });
        let entries = route.get("match").and_then(Value::as_array);
        let entries = entries.filter(|entries| !entries.is_empty());
        let any = [Value::Null];
        let entries = entries.map_or(&any[..], Vec::as_slice).iter();
        let entries = entries
            .map(|entry| with_header(entry, &header, &value))
            .collect();
        Value::Array(entries)
    }
}

/// A match entry with the lane header added. What is no object counts for nothing: an entry without the lane header would
/// take requests that are in no lane.
fn with_header(entry: &Value, header: &str, value: &Value) -> Value {
    let object = |value: &Value| value.as_object().cloned();
    let mut fields = object(entry).unwrap_or_default();
    let mut headers = fields.get("headers").and_then(object).unwrap_or_default();
    headers.insert(header.to_owned(), value.clone());
    fields.insert("headers".to_owned(), Value::Object(headers));
    Value::Object(fields)
}

/// True if `name` is a lane route's, whosever: a user's own route may begin with the prefix too.
pub(crate) fn is_lane_route(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(LANE_ROUTE_PREFIX) else {
        return false;
    };
    without_route(rest)
        .rsplit_once('.')
        .is_some_and(|(_, lane)| Lane::named(lane).is_some())
}

/// True if `name` is that of one of this Rollout's lane routes.
///
/// Rollout names may hold dots, so what follows the prefix has to be a lane: `serin-ns.a.canary.canary` belongs to
/// the Rollout `a.canary`, not to `a`.
pub(crate) fn belongs_to(name: &str, rollout: &RolloutKey) -> bool {
    lane_of(name, rollout).is_some()
}

/// True if `route` takes nothing but requests of this Rollout's lanes: by its name, or because each of its match entries asks
/// for the lane header, where somebody has renamed it.
pub(crate) fn is_lane_of(route: &Value, rollout: &RolloutKey) -> bool {
    let name = route.get("name").and_then(Value::as_str);
    if belongs_to(name.unwrap_or_default(), rollout) {
        return true;
    }
    let entries = route.get("match").and_then(Value::as_array);
    let header = lane_header(&rollout.namespace, &rollout.name);
    let asks = |entry: &Value| {
        let headers = entry.get("headers");
        headers.is_some_and(|headers| headers.get(&header).is_some())
    };
    entries.is_some_and(|entries| !entries.is_empty() && entries.iter().all(asks))
}

/// The lane of this Rollout whose requests a route of that name takes.
pub(crate) fn lane_of(name: &str, rollout: &RolloutKey) -> Option<Lane> {
    let rest = name.strip_prefix(&own_prefix(rollout))?;
    Lane::named(without_route(rest))
}

/// The managed route behind the lane, in the name of a lane route.
pub(crate) fn route_of(name: &str) -> Option<&str> {
    name.split_once(ROUTE_SEPARATOR).map(|(_, route)| route)
}

fn without_route(name: &str) -> &str {
    name.split_once(ROUTE_SEPARATOR)
        .map_or(name, |(lane_route, _)| lane_route)
}

fn own_prefix(rollout: &RolloutKey) -> String {
    lane_route_prefix(&rollout.namespace, &rollout.name)
}

/// All of the lane's requests to the destinations of that side, evenly, as the managed route has them at the end of its
/// way there. The other side's stay, without weight: istiod treats the only destination of a list otherwise than several
/// (istio 1.29.1 `route.applyHTTPRouteDestination`). Those of neither side have no part in a lane: they come and go
/// with experiments.
fn set_destinations(
    namespace: &str,
    clone: &mut Map<String, Value>,
    route: &Value,
    routing: &Routing,
    side: Side,
) {
    let of_sides = || {
        let all = destinations(route).iter();
        all.filter_map(|one| Some((side_of(namespace, one, routing)?, one)))
    };
    let count = of_sides().filter(|(found, _)| *found == side).count();
    let mut weights = evenly(routing.max_weight, count);
    let weighted = of_sides().map(|(found, one)| {
        let weight = if found == side { weights.next() } else { None };
        let mut one = one.clone();
        if let Some(fields) = one.as_object_mut() {
            fields.insert("weight".to_owned(), Value::from(weight.unwrap_or(0)));
        }
        one
    });
    let weighted = weighted.collect();
    clone.insert("route".to_owned(), Value::Array(weighted));
}

/// The mirror lane keeps the route's weighted destinations and copies every request to the canary, once. The user's other
/// mirrors stay: Istio takes `mirror` or `mirrors`, not both (istio
/// `validation.validateHTTPRoute`), so a single one moves into the list. Which share of the requests is mirrored is the
/// policy's to say, not the route's.
fn add_mirror(namespace: &str, clone: &mut Map<String, Value>, route: &Value, routing: &Routing) {
    let mirrors = mirrored(namespace, mirrors_of(route), route, routing);
    for single in ["mirror", "mirrorPercent", "mirrorPercentage"] {
        clone.remove(single);
    }
    clone.insert("mirrors".to_owned(), Value::Array(mirrors));
}

/// These mirrors of a managed route's, with the canary for all of its requests. One that goes there by any of the
/// route's own destinations makes way.
pub(crate) fn mirrored(
    namespace: &str,
    mut mirrors: Vec<Value>,
    route: &Value,
    routing: &Routing,
) -> Vec<Value> {
    let is_canary = |one: &&Value| side_of(namespace, one, routing) == Some(Side::Canary);
    let canaries = || destinations(route).iter().filter(is_canary);
    let target = |one: &Value| {
        let host = full_host(host_of(one), namespace);
        (host, subset_of(one).to_owned())
    };
    mirrors.retain(|mirror| canaries().all(|canary| target(canary) != target(mirror)));
    let canary = canaries().next().and_then(|one| one.get("destination"));
    mirrors.extend(canary.map(|canary| json!({ "destination": canary })));
    mirrors
}

/// All mirrors of a route, in the form of `mirrors`.
pub(crate) fn mirrors_of(route: &Value) -> Vec<Value> {
    let field = |name: &str| route.get(name).filter(|value| !value.is_null());
    let single = field("mirror").map(|destination| {
        let mut mirror = json!({ "destination": destination });
        // `mirrorPercent` is the older form of `mirrorPercentage`.
        let older = || field("mirrorPercent").map(|percent| json!({ "value": percent }));
        let percentage = field("mirrorPercentage").cloned().or_else(older);
        if let (Some(percentage), Some(fields)) = (percentage, mirror.as_object_mut()) {
            fields.insert("percentage".to_owned(), percentage);
        }
        mirror
    });
    let several = field("mirrors").and_then(Value::as_array);
    let several = several.into_iter().flatten().cloned();
    single.into_iter().chain(several).collect()
}

#[cfg(test)]
mod tests;
