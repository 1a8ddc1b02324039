//! The routes of a VirtualService in their order, those of delegates in their roots' places.

use std::collections::BTreeSet;

use serde_json::Value;

use super::entry::{At, Entry, gateway_names};
use crate::core::delegate::{is_delegate, roots_of};
use crate::core::lane_route::is_lane_route;
use crate::core::managed_routes::{ManagedRoutes, Protocol, is_leftover, route_name};
use crate::core::plan::{Observed, present};
use crate::core::routing::Routing;
use crate::object::{Object, ObjectId};

/// One route.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) at: At,
    pub(super) name: String,
    /// Any of them will do; `None` where it can't be told what the route takes.
    pub(super) entries: Option<Vec<Entry>>,
    pub(super) is_managed: bool,
    pub(super) is_lane: bool,
}

/// The HTTP routes that a request meets, in their order.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) object: ObjectId,
    /// Where they count.
    pub(super) gateways: BTreeSet<String>,
    pub(super) rows: Vec<Row>,
}

/// One for each VirtualService with managed HTTP routes; for a delegate one for each of its roots.
pub(super) fn tables(routing: &Routing, observed: &Observed) -> Vec<Table> {
    let mut tables = Vec::new();
    for (reference, object) in present(routing, observed) {
        let Ok(managed) = ManagedRoutes::of(object, reference, routing) else {
            continue;
        };
        if managed.http.is_empty() {
            continue;
        }
        // A header or mirror route of the built-in reconciler is removed when its step's policy is there.
        let routes = Protocol::Http.routes(object);
        let is_users = |route: &Value| !is_leftover(route, routes, reference, routing);
        let own = rows(object, &managed.http, is_users);
        if is_delegate(object) {
            let roots = roots_of(object, &observed.roots).unwrap_or_default();
            tables.extend(roots.iter().map(|root| Table {
                object: object.id.clone(),
                gateways: gateways_of(root.object),
                rows: merged_rows(root.object, object, &own),
            }));
        } else {
            tables.push(Table {
                object: object.id.clone(),
                gateways: gateways_of(object),
                rows: own,
            });
        }
    }
    tables
}

/// Without `gateways` it counts in the mesh.
fn gateways_of(object: &Object) -> BTreeSet<String> {
    let mut names = gateway_names(object.spec.get("gateways"), &object.id.namespace);
    if names.is_empty() {
        names.insert("mesh".to_owned());
    }
    names
}

fn rows(object: &Object, managed: &[usize], counts: impl Fn(&Value) -> bool) -> Vec<Row> {
    let routes = Protocol::Http.routes(object).iter().enumerate();
    routes
        .filter(|(_, route)| counts(route))
        .map(|(index, route)| {
            let at = At {
                object: Some(object.id.clone()),
                field: format!("spec.http[{index}]"),
            };
            let entries = (!is_set(route, "delegate")).then(|| entries(object, route, &at));
            Row {
                name: route_name(route).to_owned(),
                is_managed: managed.contains(&index),
                is_lane: is_lane_route(route_name(route)),
                entries,
                at,
            }
        })
        .collect()
}

fn is_set(route: &Value, field: &str) -> bool {
    route.get(field).is_some_and(|value| !value.is_null())
}

fn entries(object: &Object, route: &Value, at: &At) -> Vec<Entry> {
    let written = route.get("match").and_then(Value::as_array);
    let written = written.filter(|entries| !entries.is_empty());
    let Some(written) = written else {
        return vec![Entry::any(at.clone())];
    };
    let all = written.iter().enumerate().map(|(index, entry)| {
        let at = at.below(&format!(".match[{index}]"));
        Entry::of_route(entry, at, &object.id.namespace)
    });
    all.collect()
}

/// A root's routes, with the delegate's in place of each that delegates to it. Pairs of entries that Istio finds in conflict
/// are there too: they take nothing away from what is proven.
fn merged_rows(root: &Object, delegate: &Object, own: &[Row]) -> Vec<Row> {
    let mut merged = Vec::new();
    for (row, route) in rows(root, &[], |_| true)
        .into_iter()
        .zip(Protocol::Http.routes(root))
    {
        let target = route.get("delegate");
        let text = |field: &str| {
            let found = target.and_then(|target| target.get(field));
            found.and_then(Value::as_str).unwrap_or_default()
        };
        let namespace = match text("namespace") {
            "" => &*root.id.namespace,
            namespace => namespace,
        };
        if text("name") != delegate.id.name || namespace != delegate.id.namespace {
            merged.push(row);
            continue;
        }
        let of_root = entries(root, route, &row.at);
        for own in own.iter().cloned() {
            let pairs = own.entries.as_ref().map(|own| {
                let pairs = own
                    .iter()
                    .flat_map(|own| of_root.iter().map(|root| own.merged(root)));
                pairs.collect()
            });
            merged.push(Row {
                entries: pairs,
                ..own
            });
        }
    }
    merged
}
