//! The Rollout's own key in its filter objects: what it says, what it must say, and the merge patch between the two.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use traffic_policy::Lane;
use traffic_policy::config::{Lanes, Policy, Rule, Sticky};

use crate::config::{FilterKind, Protocol};
use crate::core::delegate;
use crate::core::edge;
use crate::core::error::{CoreError, Fault};
use crate::core::plan::{Observed, present};
use crate::core::routing::{RolloutKey, Routing, VirtualServiceRef};
use crate::core::rules::add_sticky_lanes;
use crate::core::virtual_service;
use crate::object::{Object, ObjectId};

mod hosts;
mod live;

pub(crate) use live::Policies;

/// The lanes that a policy, as it stands, sends requests to; a rule that can't be read counts for none, since no
/// filter takes it either.
pub fn lanes_of(policy: Option<&Value>) -> BTreeSet<Lane> {
    let names = rules_of(policy).filter_map(|rule| rule.get("lane")?.as_str());
    let mut lanes = names.filter_map(Lane::named).collect();
    if sticky_of(policy).is_some() {
        add_sticky_lanes(&mut lanes);
    }
    lanes
}

/// How a policy, as it stands, tells users apart; `None` where it doesn't, or not so that a filter could read it.
pub(crate) fn sticky_of(policy: Option<&Value>) -> Option<Sticky> {
    let sticky = policy?.get("sticky")?;
    serde_json::from_value(sticky.clone()).ok()
}

/// A policy as it stands, with that share of the keys for the canary and no rules.
pub(crate) fn with_share(policy: &Value, share: u32) -> Value {
    let mut policy = policy.clone();
    if let Some(fields) = policy.as_object_mut() {
        fields.remove("rules");
    }
    if let Some(sticky) = policy.get_mut("sticky").and_then(Value::as_object_mut) {
        sticky.insert("canary".to_owned(), Value::from(share));
    }
    policy
}

/// The names of a policy's rules, as it stands.
pub(crate) fn rule_names(policy: Option<&Value>) -> BTreeSet<&str> {
    rules_of(policy)
        .filter_map(|rule| rule.get("name")?.as_str())
        .collect()
}

fn rules_of(policy: Option<&Value>) -> impl Iterator<Item = &Value> {
    let rules = policy.and_then(|policy| policy.get("rules")?.as_array());
    rules.into_iter().flatten()
}

/// True if a policy, as it stands, says that the lane routes are the user's: they outlive it, and their Rollout too.
pub fn declares_lanes(policy: Option<&Value>) -> bool {
    let lanes = policy.and_then(|policy| policy.get("lanes"));
    lanes.is_some_and(|lanes| {
        serde_json::from_value(lanes.clone()).is_ok_and(|lanes: Lanes| lanes == Lanes::Declared)
    })
}

/// The managed routes of that VirtualService that a policy, as it stands, sends requests of a lane to. Empty where it
/// names none, and for a delegate, whose roots it names.
pub(crate) fn routes_of(policy: Option<&Value>, virtual_service: &ObjectId) -> BTreeSet<String> {
    let key = key_of(virtual_service);
    let names = policy
        .and_then(|policy| policy.get("virtualServices")?.get(key)?.as_array())
        .into_iter()
        .flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The policy that `rules` and `sticky` make, checked as the filter will check it; `None` without either.
///
/// A VirtualService without HTTP routes has no part in it.
///
/// # Errors
/// A field that doesn't compile, a VirtualService without hosts, none with HTTP routes, or one in the mesh where users
/// are told apart by what an edge alone knows.
pub fn desired_policy(
    rules: Vec<Rule>,
    sticky: Option<Sticky>,
    routing: &Routing,
    observed: &Observed,
) -> Result<Option<Value>, CoreError> {
    if rules.is_empty() && sticky.is_none() {
        return Ok(None);
    }
    let policy = assembled(rules, sticky, routing, observed)?;
    let written = written(&policy, routing)?;
    // What stands there has been checked before; compiling at every reconcile would be most of its cost.
    let stands = Policies::live(routing, observed)
        .present()
        .any(|policy| *policy == written);
    if !stands {
        check(&policy, routing)?;
    }
    Ok(Some(written))
}

/// The policy as JSON.
///
/// # Errors
/// It has no such form.
pub(crate) fn written(policy: &Policy, routing: &Routing) -> Result<Value, CoreError> {
    serde_json::to_value(policy).map_err(|source| CoreError::Unwritable {
        rollout: routing.rollout.clone(),
        source,
    })
}

/// Compiles the policy, as the filter will.
///
/// # Errors
/// The first field that doesn't compile.
pub(crate) fn check(policy: &Policy, routing: &Routing) -> Result<(), CoreError> {
    let compiled = traffic_policy::compile(&routing.rollout.to_string(), policy);
    compiled.map(drop).map_err(|source| CoreError::Policy {
        rollout: routing.rollout.clone(),
        source,
    })
}

/// The policy that `rules` and `sticky` make with what the objects say, not compiled.
///
/// # Errors
/// As [`desired_policy`], but for what compiling finds.
pub(crate) fn assembled(
    rules: Vec<Rule>,
    sticky: Option<Sticky>,
    routing: &Routing,
    observed: &Observed,
) -> Result<Policy, CoreError> {
    check_edge(routing, observed)?;
    let mut places = Places::default();
    for (reference, object) in with_http(routing, observed)? {
        let names = virtual_service::managed_route_names(object, reference, routing)?;
        if delegate::is_delegate(object) {
            let roots = delegate::roots_of(object, &observed.roots)
                .map_err(|fault| fault.of(&object.id))?;
            for root in roots {
                places.add(
                    root.object,
                    merged_names(&root.route_names(), &names),
                    observed,
                );
            }
        } else {
            places.add(object, names, observed);
        }
    }
    Ok(Policy {
        hosts: if places.hosts.contains(hosts::ANY) {
            vec![hosts::ANY.to_owned()]
        } else {
            places.hosts.into_iter().collect()
        },
        virtual_services: Some(places.virtual_services),
        lanes: routing.lanes,
        rules,
        sticky,
        entry_hosts: routing.entry_hosts.clone(),
        secret: routing.lane_secret.clone(),
    })
}

/// Refuses VirtualServices of the mesh where the configuration tells users apart by what an edge alone knows, be it in
/// a route that no step has switched on yet.
///
/// # Errors
/// The first VirtualService that is one, with the gateways found.
pub(crate) fn check_edge(routing: &Routing, observed: &Observed) -> Result<(), CoreError> {
    let of_routes = routing.routes.values().flat_map(|route| &route.keys);
    let of_sticky = routing.sticky.iter().flat_map(|sticky| &sticky.keys);
    let Some(key) = edge::of_keys(of_routes.chain(of_sticky), routing) else {
        return Ok(());
    };
    for (_, object) in with_http(routing, observed)? {
        if delegate::is_delegate(object) {
            let roots = delegate::roots_of(object, &observed.roots)
                .map_err(|fault| fault.of(&object.id))?;
            for root in roots {
                edge::check(root.object, key)?;
            }
        } else {
            edge::check(object, key)?;
        }
    }
    Ok(())
}

/// Where requests reach the managed routes.
#[derive(Default)]
struct Places {
    hosts: BTreeSet<String>,
    virtual_services: BTreeMap<String, Vec<String>>,
}

impl Places {
    /// `names`: of the routes; none means every route of it.
    fn add(&mut self, object: &Object, names: Vec<String>, observed: &Observed) {
        self.hosts
            .extend(hosts::hosts_of(object, &observed.services));
        match self.virtual_services.entry(key_of(&object.id)) {
            Entry::Vacant(place) => {
                place.insert(names);
            }
            // One VirtualService can delegate to several of the Rollout's.
            Entry::Occupied(mut place) => {
                let standing = place.get_mut();
                if names.is_empty() || standing.is_empty() {
                    standing.clear();
                } else {
                    let more = names.into_iter().filter(|name| !standing.contains(name));
                    standing.extend(more.collect::<Vec<_>>());
                }
            }
        }
    }
}

/// The names that a delegate's managed routes have in a root. None if one of them has no name there: then every route
/// of the root counts, and those that lead elsewhere match no lane route.
fn merged_names(root: &[&str], own: &[String]) -> Vec<String> {
    let own: Vec<&str> = match own {
        [] => vec![""],
        own => own.iter().map(String::as_str).collect(),
    };
    let mut names = Vec::new();
    for root in root {
        for own in &own {
            let name = delegate::merged_name(root, own);
            if name.is_empty() {
                return Vec::new();
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// The VirtualServices that rules can have an effect on: TLS and TCP routes know nothing of headers
/// (argo-rollouts v1.10.1 `istio.SetHeaderRoute` is an error for each VirtualService without HTTP routes).
fn with_http<'a>(
    routing: &'a Routing,
    observed: &'a Observed,
) -> Result<Vec<(&'a VirtualServiceRef, &'a Arc<Object>)>, CoreError> {
    let all: Vec<_> = present(routing, observed).collect();
    let http: Vec<_> = all
        .iter()
        .copied()
        .filter(|(reference, object)| {
            reference.manages(Protocol::Http) && virtual_service::has_http(object)
        })
        .collect();
    let Some((reference, object)) = all.first().filter(|_| http.is_empty()) else {
        return Ok(http);
    };
    let found = if virtual_service::has_http(object) {
        format!("routes that {} leaves out", reference.field_of("protocols"))
    } else {
        "nothing".to_owned()
    };
    let expected = "at least one HTTP route: TLS and TCP routes have neither headers nor mirrors";
    Err(Fault::new("spec.http", found, expected).of(&object.id))
}

/// The namespaces of the Services behind the hosts of these VirtualServices and of their roots.
pub fn service_namespaces(
    objects: &[Option<Arc<Object>>],
    roots: &[Arc<Object>],
) -> BTreeSet<String> {
    let mut services = Vec::new();
    for object in objects.iter().flatten() {
        if delegate::is_delegate(object) {
            let roots = delegate::roots_of(object, roots).unwrap_or_default();
            services.extend(
                roots
                    .iter()
                    .flat_map(|root| hosts::services_of(root.object)),
            );
        } else {
            services.extend(hosts::services_of(object));
        }
    }
    services
        .into_iter()
        .map(|service| service.namespace)
        .collect()
}

/// True if any of these takes its hosts from roots, which may be in any namespace.
pub fn needs_roots(objects: &[Option<Arc<Object>>]) -> bool {
    objects
        .iter()
        .flatten()
        .any(|object| delegate::is_delegate(object) && virtual_service::has_http(object))
}

fn key_of(virtual_service: &ObjectId) -> String {
    format!("{}/{}", virtual_service.namespace, virtual_service.name)
}

/// The merge patch of a filter object that turns the Rollout's key from `observed` into `desired`, or `None` when it already
/// is.
///
/// A merge patch leaves out what it doesn't name, so what has to go is named with null; other Rollouts' keys and the
/// user's settings are not in it.
pub fn merge_patch(
    filter: FilterKind,
    rollout: &RolloutKey,
    observed: Option<&Value>,
    desired: Option<&Value>,
) -> Option<Value> {
    let change = match (observed, desired) {
        (None, None) => return None,
        (Some(_), None) => Value::Null,
        (None, Some(desired)) => desired.clone(),
        (Some(observed), Some(desired)) if observed == desired => return None,
        (Some(observed), Some(desired)) => merge_difference(observed, desired),
    };
    Some(filter.patch(rollout, change))
}

/// RFC 7396: objects merge field by field, everything else is replaced whole.
fn merge_difference(observed: &Value, desired: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (observed, desired) else {
        return desired.clone();
    };
    let gone = old
        .keys()
        .filter(|key| !new.contains_key(*key))
        .map(|key| (key.clone(), Value::Null));
    let changed = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(*value))
        .map(|(key, value)| {
            (
                key.clone(),
                old.get(key)
                    .map_or_else(|| value.clone(), |before| merge_difference(before, value)),
            )
        });
    Value::Object(gone.chain(changed).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests;
