//! Whether two filter objects can put the filter into the same listener of a proxy.
//!
//! Which proxies an object selects is Istio's `ShouldAttachPolicy` (Istio 1.29.1 and of August 2026
//! `pilot/pkg/model/policyattachment.go`); which of their listeners, its `match` (`matchTrafficSelectorCommon`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::core::filter::DEFAULT_FILTER;
use crate::object::Object;

/// The mesh's root namespace, whose objects select proxies of every namespace. Istio's default; the mesh configuration can
/// name another.
const ROOT_NAMESPACE: &str = DEFAULT_FILTER.0;

/// The label of the proxies of a Gateway of the Gateway API.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// True if some proxy could run both filters for one request.
pub(crate) fn may_meet(one: &Object, other: &Object) -> bool {
    let proxies = selections(one);
    let meets = |selection: &Selection<'_>| {
        let others = selections(other);
        others.iter().any(|other| selection.meets(other))
    };
    proxies.iter().any(meets) && listeners_meet(&one.spec, &other.spec)
}

/// Proxies that an object selects, by one of its ways.
#[derive(Debug)]
enum Selection<'a> {
    /// By labels, which select sidecars and gateways and never a waypoint.
    Labels {
        /// `None`: of every namespace.
        namespace: Option<&'a str>,
        labels: BTreeMap<&'a str, &'a str>,
    },
    /// What `targetRefs` names, a Gateway's labels among them: it may be a waypoint.
    Target {
        namespace: &'a str,
        kind: &'a str,
        name: &'a str,
    },
}

impl Selection<'_> {
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Labels { namespace, labels },
                Self::Labels {
                    namespace: other_namespace,
                    labels: other_labels,
                },
            ) => {
                let is_same_place = match (namespace, other_namespace) {
                    (Some(one), Some(other)) => one == other,
                    _ => true,
                };
                let excludes = |(key, value): (&&str, &&str)| {
                    other_labels.get(key).is_some_and(|other| other != value)
                };
                is_same_place && !labels.iter().any(excludes)
            }
            (
                Self::Labels { namespace, labels },
                Self::Target {
                    namespace: at,
                    kind,
                    name,
                },
            )
            | (
                Self::Target {
                    namespace: at,
                    kind,
                    name,
                },
                Self::Labels { namespace, labels },
            ) => {
                let has_label = labels.get(GATEWAY_NAME).is_none_or(|other| other == name);
                *kind == "Gateway" && namespace.is_none_or(|other| other == *at) && has_label
            }
            (
                Self::Target {
                    namespace,
                    kind,
                    name,
                },
                Self::Target {
                    namespace: other_namespace,
                    kind: other_kind,
                    name: other_name,
                },
            ) => match (*kind, *other_kind) {
                // The class takes in all waypoints.
                ("GatewayClass", _) | (_, "GatewayClass") => true,
                // A waypoint may be the Service's.
                ("Gateway", "Service" | "ServiceEntry")
                | ("Service" | "ServiceEntry", "Gateway") => namespace == other_namespace,
                _ => (namespace, kind, name) == (other_namespace, other_kind, other_name),
            },
        }
    }
}

fn selections(object: &Object) -> Vec<Selection<'_>> {
    let spec = &object.spec;
    let namespace = &*object.id.namespace;
    let several = spec.get("targetRefs").and_then(Value::as_array);
    let mut targets: Vec<&Value> = several.into_iter().flatten().collect();
    if targets.is_empty() {
        targets.extend(spec.get("targetRef").filter(|target| !target.is_null()));
    }
    if targets.is_empty() {
        let labels = spec
            .pointer("/selector/matchLabels")
            .and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        return vec![Selection::Labels {
            namespace: (namespace != ROOT_NAMESPACE).then_some(namespace),
            labels: labels
                .filter_map(|(key, value)| Some((&**key, value.as_str()?)))
                .collect(),
        }];
    }
    targets
        .into_iter()
        .map(|target| {
            let text = |name: &str| target.get(name).and_then(Value::as_str).unwrap_or_default();
            Selection::Target {
                namespace,
                kind: text("kind"),
                name: text("name"),
            }
        })
        .collect()
}

/// True if one request can pass both, by direction and port.
fn listeners_meet(one: &Value, other: &Value) -> bool {
    let (one, other) = (listeners(one), listeners(other));
    if one.is_empty() || other.is_empty() {
        return true;
    }
    one.iter()
        .any(|one| other.iter().any(|other| one.meets(other)))
}

/// An entry of `match`.
struct Listener<'a> {
    mode: &'a str,
    /// Empty: all.
    ports: Vec<u64>,
}

impl Listener<'_> {
    fn meets(&self, other: &Self) -> bool {
        let is_any = |mode: &str| !["CLIENT", "SERVER"].contains(&mode);
        let modes = is_any(self.mode) || is_any(other.mode) || self.mode == other.mode;
        let ports = self.ports.is_empty()
            || other.ports.is_empty()
            || self.ports.iter().any(|port| other.ports.contains(port));
        modes && ports
    }
}

fn listeners(spec: &Value) -> Vec<Listener<'_>> {
    let entries = spec.get("match").and_then(Value::as_array);
    let entries = entries.into_iter().flatten();
    entries
        .map(|entry| {
            let ports = entry.get("ports").and_then(Value::as_array);
            let ports = ports.into_iter().flatten();
            Listener {
                mode: entry
                    .get("mode")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
                ports: ports
                    .filter_map(|port| port.get("number")?.as_u64())
                    .collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
