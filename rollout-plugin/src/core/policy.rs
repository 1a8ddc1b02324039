//! The Rollout's own key in the WasmPlugin: what it says, what it must say, and the merge patch between the two.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use traffic_policy::Lane;
use traffic_policy::config::{Policy, Rule};

use crate::core::error::{CoreError, Fault};
use crate::core::plan::{Observed, present};
use crate::core::routing::{RolloutKey, Routing};
use crate::core::virtual_service;
use crate::object::{Kind, Object, ObjectId};

/// Istio's default domain; hosts of Services are full names in it.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// What the WasmPlugin says of this Rollout now.
pub fn observed_policy<'a>(
    wasm_plugin: Option<&'a Object>,
    rollout: &RolloutKey,
) -> Option<&'a Value> {
    wasm_plugin?
        .spec
        .get("pluginConfig")?
        .get("rollouts")?
        .get(rollout.to_string())
}

/// The lanes that a policy, as it stands, sends requests to; a rule that can't be read counts for none, since no
/// filter takes it either.
pub fn lanes_of(policy: Option<&Value>) -> BTreeSet<Lane> {
    let rules = policy
        .and_then(|policy| policy.get("rules"))
        .and_then(Value::as_array);
    let names = rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule.get("lane")?.as_str());
    names.filter_map(Lane::named).collect()
}

/// The policy that `rules` make, checked as the filter will check it; `None` without rules.
///
/// # Errors
/// A rule that doesn't compile, or a VirtualService without hosts.
pub fn desired_policy(
    rules: Vec<Rule>,
    routing: &Routing,
    observed: &Observed,
) -> Result<Option<Value>, CoreError> {
    if rules.is_empty() {
        return Ok(None);
    }
    let mut hosts = BTreeSet::new();
    let mut virtual_services = BTreeMap::new();
    for (reference, object) in present(routing, observed) {
        let found = hosts_of(object);
        if found.is_empty() {
            return Err(Fault::new(
                "spec.hosts",
                "nothing",
                "the hosts whose requests are routed",
            )
            .of(&object.id));
        }
        for host in found {
            if let Some(service) = service_of(&host) {
                hosts.extend(
                    observed
                        .services
                        .iter()
                        .filter(|object| object.id == service)
                        .flat_map(|object| addresses(object)),
                );
            }
            hosts.insert(host);
        }
        let names = virtual_service::managed_route_names(object, reference, routing)?;
        virtual_services.insert(format!("{}/{}", object.id.namespace, object.id.name), names);
    }
    let policy = Policy {
        hosts: hosts.into_iter().collect(),
        virtual_services: Some(virtual_services),
        rules,
    };
    let error = |source| CoreError::Unwritable {
        rollout: routing.rollout.clone(),
        source,
    };
    let written = serde_json::to_value(&policy).map_err(error)?;
    // What stands there has been checked before; compiling at every reconcile would be most of its cost.
    if observed_policy(observed.wasm_plugin.as_deref(), &routing.rollout) != Some(&written) {
        traffic_policy::compile(&routing.rollout.to_string(), &policy).map_err(|source| {
            CoreError::Policy {
                rollout: routing.rollout.clone(),
                source,
            }
        })?;
    }
    Ok(Some(written))
}

/// The Services behind a VirtualService's hosts, whose cluster addresses are hosts too.
pub fn services_of(object: &Object) -> Vec<ObjectId> {
    hosts_of(object)
        .iter()
        .filter_map(|host| service_of(host))
        .collect()
}

/// Full names: a host without a dot is a Service of the VirtualService's own namespace
/// (istio `pilot/pkg/model` `ResolveShortnameToFQDN`).
fn hosts_of(object: &Object) -> Vec<String> {
    let hosts = object.spec.get("hosts").and_then(Value::as_array);
    let names = hosts.into_iter().flatten().filter_map(Value::as_str);
    names
        .map(|host| {
            if host.contains('.') || host.contains('*') {
                host.to_ascii_lowercase()
            } else {
                format!(
                    "{}.{}.svc.{CLUSTER_DOMAIN}",
                    host.to_ascii_lowercase(),
                    object.id.namespace
                )
            }
        })
        .collect()
}

fn service_of(host: &str) -> Option<ObjectId> {
    let (name, namespace) = host
        .strip_suffix(CLUSTER_DOMAIN)?
        .strip_suffix(".svc.")?
        .split_once('.')?;
    Some(ObjectId::new(Kind::Service, namespace, name))
}

/// A Service's cluster addresses, as an authority writes them; a headless one has none.
fn addresses(service: &Object) -> Vec<String> {
    let found = service.spec.get("clusterIPs").and_then(Value::as_array);
    let found = found.into_iter().flatten().filter_map(Value::as_str);
    let bracketed = |ip: &str| {
        if ip.contains(':') {
            format!("[{ip}]")
        } else {
            ip.to_owned()
        }
    };
    found
        .filter(|address| !address.is_empty() && *address != "None")
        .map(bracketed)
        .collect()
}

/// The merge patch that turns the Rollout's key from `observed` into `desired`, or `None` when it already is.
///
/// A merge patch leaves out what it doesn't name, so what has to go is named with null; other Rollouts' keys and the
/// user's settings are not in it.
pub fn merge_patch(
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
    Some(json!({ "spec": { "pluginConfig": { "rollouts": { rollout.to_string(): change } } } }))
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
