//! The lane routes of a delegate, made so that Istio merges them with the roots as it does the managed routes, and what
//! can't be.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use traffic_policy::Lane;

use super::merge::{self, Side, entries};
use super::{Root, is_delegate, roots_of};
use crate::core::error::{CoreError, Fault};
use crate::core::lane_route::{LaneRoute, lane_of, mirrored};
use crate::core::managed_routes::{ManagedRoutes, Protocol, route_name};
use crate::core::routing::{Routing, VirtualServiceRef};
use crate::object::Object;

/// A VirtualService, and the roots that delegate to it; none where it has hosts of its own, and where no root is known.
#[derive(Debug)]
pub(crate) struct Delegation<'a> {
    object: &'a Object,
    roots: Vec<Root<'a>>,
}

/// A route that delegates, and where it is.
#[derive(Clone, Copy)]
struct RootRoute<'a> {
    object: &'a Object,
    index: usize,
    route: &'a Value,
}

impl<'a> RootRoute<'a> {
    fn side(self) -> Side<'a> {
        Side {
            route: self.route,
            namespace: &self.object.id.namespace,
        }
    }

    fn fault(self, field: &str, found: impl ToString, expected: String) -> CoreError {
        let field = format!("spec.http[{}].{field}", self.index);
        Fault::new(field, found.to_string(), expected).of(&self.object.id)
    }
}

impl<'a> Delegation<'a> {
    /// That of `object`, with its roots out of `candidates`.
    pub(crate) fn of(object: &'a Object, candidates: &'a [Arc<Object>]) -> Self {
        let mut roots = if is_delegate(object) {
            roots_of(object, candidates).unwrap_or_default()
        } else {
            Vec::new()
        };
        roots.sort_by(|one, other| one.object.id.cmp(&other.object.id));
        Self { object, roots }
    }

    fn routes(&self) -> impl Iterator<Item = RootRoute<'_>> {
        self.roots.iter().flat_map(|root| {
            let routes = root.routes.iter();
            routes.map(|(index, route)| RootRoute {
                object: root.object,
                index: *index,
                route,
            })
        })
    }

    fn own<'b>(&'b self, route: &'b Value) -> Side<'b> {
        Side {
            route,
            namespace: &self.object.id.namespace,
        }
    }

    /// The lane route of the managed route `route`.
    pub(crate) fn lane_route(
        &self,
        lane: &LaneRoute<'_>,
        route: &Value,
        routing: &Routing,
    ) -> Value {
        let mut clone = lane.clone_of(&self.with_entries(route), routing);
        if self.copies_alike(&clone, route, routing) {
            return clone;
        }
        // The root's count only where the lane route has none of that kind: it has all of them itself, and a share of
        // nothing for the root's `mirror`.
        let mut wanted = self.routes().map(|root| self.wanted(root, route, routing));
        if let (Some(first), Some(fields)) = (wanted.next(), clone.as_object_mut())
            && wanted.all(|other| is_same(&other, &first))
        {
            fields.insert("mirrors".to_owned(), Value::Array(first));
            fields.insert("mirrorPercentage".to_owned(), json!({"value": 0}));
        }
        clone
    }

    /// The route with match entries where it has none: Istio takes the root's as they are for it, and a lane route, which
    /// has one, has to agree with them in two fields.
    fn with_entries<'b>(&self, route: &'b Value) -> Cow<'b, Value> {
        if self.roots.is_empty() || !entries(route).is_empty() {
            return Cow::Borrowed(route);
        }
        let mut all: Vec<Value> = Vec::new();
        for root in self.routes() {
            let any = [Value::Null];
            let found = match entries(root.route) {
                [] => &any[..],
                entries => entries,
            };
            for entry in found.iter().map(agreeing) {
                if !all.contains(&entry) {
                    all.push(entry);
                }
            }
        }
        let mut route = route.clone();
        if let Some(fields) = route.as_object_mut() {
            fields.insert("match".to_owned(), Value::Array(all));
        }
        Cow::Owned(route)
    }

    /// What a mirror lane has to copy where that root is merged.
    fn wanted(&self, root: RootRoute<'_>, route: &Value, routing: &Routing) -> Vec<Value> {
        let copies = merge::copies(root.side(), self.own(route));
        mirrored(&self.object.id.namespace, copies, route, routing)
    }

    /// True if a lane route mirrors what it has to with every root, and if it mirrors nothing of its own.
    fn copies_alike(&self, clone: &Value, route: &Value, routing: &Routing) -> bool {
        self.copying_otherwise(clone, route, routing).is_none()
    }

    fn copying_otherwise(
        &self,
        clone: &Value,
        route: &Value,
        routing: &Routing,
    ) -> Option<RootRoute<'_>> {
        let is_mirror_lane = lane_of(route_name(clone), &routing.rollout)
            .is_some_and(|lane| matches!(lane, Lane::Mirror | Lane::StableMirror));
        let mut routes = self.routes().filter(|_| is_mirror_lane);
        routes.find(|root| {
            let found = merge::copies(root.side(), self.own(clone));
            let wanted = self.wanted(*root, route, routing);
            let wanted = merge::copies(
                self.own(&Value::Null),
                self.own(&json!({"mirrors": wanted})),
            );
            !is_same(&found, &wanted)
        })
    }

    /// Checks that Istio can merge the lane routes of these managed routes with the roots.
    ///
    /// # Errors
    /// The root's field that keeps it from that.
    pub(crate) fn check(
        &self,
        reference: &VirtualServiceRef,
        routing: &Routing,
        lanes: &BTreeSet<Lane>,
    ) -> Result<(), CoreError> {
        if self.roots.is_empty() || lanes.is_empty() {
            return Ok(());
        }
        let managed = ManagedRoutes::of(self.object, reference, routing)
            .map_err(|fault| fault.of(&self.object.id))?
            .http;
        let routes = Protocol::Http.routes(self.object);
        for route in managed.iter().filter_map(|index| routes.get(*index)) {
            self.check_route(route)?;
            for lane in lanes {
                let lane = LaneRoute {
                    rollout: &routing.rollout,
                    namespace: &self.object.id.namespace,
                    lane: *lane,
                    several: managed.len() > 1,
                };
                self.check_lane(&self.lane_route(&lane, route, routing), route, routing)?;
            }
        }
        Ok(())
    }

    /// A managed route has to get into one root at least, and not as an answer of the root's.
    fn check_route(&self, route: &Value) -> Result<(), CoreError> {
        let called = self.called(route);
        let mut first = None;
        for root in self.routes() {
            let answer = root
                .route
                .get("directResponse")
                .filter(|value| !value.is_null());
            if answer.is_some() {
                let expected =
                    format!("none: {called} would answer with it in place of its destinations");
                return Err(root.fault("directResponse", "a directResponse", expected));
            }
            let Some(field) = merge::conflict(root.side(), self.own(route)) else {
                return Ok(());
            };
            first.get_or_insert((root, field));
        }
        match first {
            Some((root, field)) => {
                let expected = format!(
                    "a match that {called} narrows: where the two conflict Istio leaves that route out, and no request gets to it"
                );
                Err(root.fault(&field, found(root, &field), expected))
            }
            None => Ok(()),
        }
    }

    fn check_lane(&self, clone: &Value, route: &Value, routing: &Routing) -> Result<(), CoreError> {
        let called = self.called(route);
        let is_merged =
            |root: &RootRoute<'_>| merge::conflict(root.side(), self.own(route)).is_none();
        for root in self.routes().filter(is_merged) {
            if let Some(field) = merge::conflict(root.side(), self.own(clone)) {
                let expected = format!(
                    "the same in all routes that delegate to {}, or a match in {called}: Istio leaves a lane route out that differs in it",
                    self.object.id
                );
                return Err(root.fault(&field, found(root, &field), expected));
            }
        }
        let Some(root) = self.copying_otherwise(clone, route, routing) else {
            return Ok(());
        };
        let is_set = |field: &&str| root.route.get(*field).is_some_and(|value| !value.is_null());
        let field = ["mirrors", "mirror", "mirrorPercentage", "mirrorPercent"]
            .into_iter()
            .find(is_set);
        let expected = format!(
            "the same mirrors in all routes that delegate to {}: a mirror lane can have but one list of them",
            self.object.id
        );
        let field = field.unwrap_or("mirror");
        Err(root.fault(field, found(root, field), expected))
    }

    fn called(&self, route: &Value) -> String {
        match route_name(route) {
            "" => format!("the managed route of {}", self.object.id),
            name => format!("route {name:?} of {}", self.object.id),
        }
    }
}

/// What an entry has to say to be merged with that one of a root, and nothing that narrows it.
fn agreeing(root: &Value) -> Value {
    let mut entry = Map::new();
    if merge::ignores_case(root) {
        entry.insert("ignoreUriCase".to_owned(), Value::from(true));
    }
    let namespace = merge::source_namespace(root);
    if !namespace.is_empty() {
        entry.insert("sourceNamespace".to_owned(), Value::from(namespace));
    }
    Value::Object(entry)
}

/// Mirrors come in no order.
fn is_same(one: &[Value], other: &[Value]) -> bool {
    let sorted = |list: &[Value]| {
        let mut list: Vec<String> = list.iter().map(Value::to_string).collect();
        list.sort_unstable();
        list
    };
    sorted(one) == sorted(other)
}

/// The root's field as it is, or what it lacks.
fn found(root: RootRoute<'_>, field: &str) -> String {
    let field = field.strip_prefix("match[0].").map_or_else(
        || root.route.get(field),
        |field| {
            root.route
                .get("match")?
                .get(0)?
                .get(field.split('[').next()?)
        },
    );
    field.map_or_else(|| "nothing".to_owned(), Value::to_string)
}
