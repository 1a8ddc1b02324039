//! Clusters: one for each port of each Service, and one more for each subset, with the pods that belong to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Proxy, ROOT_NAMESPACE, World, is_exported, is_subset, names, socket};
use crate::mesh::model::{
    DestinationRule, Named, Problem, Problems, Service, ServicePort, Subset, TrafficPolicy,
};

/// A group of endpoints and how load is spread over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mesh) struct Cluster {
    /// `Cluster.LbPolicy`.
    policy: &'static str,
    /// Its pods speak HTTP/2.
    http2: bool,
    /// Where its pods are served, by pod name.
    pub(in crate::mesh) endpoints: Vec<SocketAddr>,
}

impl Cluster {
    /// One with these endpoints and Istio's default policy.
    #[cfg(test)]
    pub(in crate::mesh) fn of(endpoints: Vec<SocketAddr>) -> Self {
        Self {
            policy: "LEAST_REQUEST",
            http2: false,
            endpoints,
        }
    }

    /// As Envoy's JSON. Limits are off, as istiod has them (Istio 1.29 `cluster_builder.go`,
    /// `getDefaultCircuitBreakerThresholds`).
    pub(in crate::mesh) fn to_json(&self, name: &str) -> Value {
        let endpoints: Vec<Value> = self
            .endpoints
            .iter()
            .map(|address| json!({"endpoint": {"address": socket(*address)}}))
            .collect();
        let mut cluster = json!({
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": name,
            "type": "STATIC",
            "connect_timeout": "10s",
            "lb_policy": self.policy,
            "circuit_breakers": {"thresholds": [{
                "max_connections": u32::MAX,
                "max_pending_requests": u32::MAX,
                "max_requests": u32::MAX,
                "max_retries": u32::MAX,
            }]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        });
        if let (true, Some(fields)) = (self.http2, cluster.as_object_mut()) {
            let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
            let value = json!({options: {
                "@type": format!("type.googleapis.com/{options}"),
                "explicit_http_config": {"http2_protocol_options": {}},
            }});
            fields.insert("typed_extension_protocol_options".to_owned(), value);
        }
        cluster
    }
}

/// All clusters, by name.
pub(super) fn clusters(
    world: &World,
    proxy: &Proxy,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Cluster> {
    for rule in &world.destination_rules {
        check(rule, problems);
    }
    let mut clusters = BTreeMap::new();
    for service in &world.services {
        if service.spec.kind == "ExternalName" {
            Problems::of("Service", &service.metadata, problems).value(
                "spec.type",
                "ExternalName",
                "ClusterIP",
            );
            continue;
        }
        let host = service.host();
        let rule = Rule::find(world, proxy, service);
        for port in &service.spec.ports {
            let mut add =
                |subset: &str, labels: &BTreeMap<String, String>, policy: &'static str| {
                    let endpoints = endpoints(world, service, port, labels);
                    let name = names::cluster(port.port, subset, &host);
                    let http2 = port.is_http2();
                    clusters.insert(
                        name,
                        Cluster {
                            policy,
                            http2,
                            endpoints,
                        },
                    );
                };
            add("", &BTreeMap::new(), policy(None, rule.policy));
            for subset in &rule.subsets {
                add(
                    &subset.name,
                    &subset.labels,
                    policy(subset.traffic_policy.as_ref(), rule.policy),
                );
            }
        }
    }
    clusters
}

/// The pods that `port` of `service` leads to, by name.
fn endpoints(
    world: &World,
    service: &Service,
    port: &ServicePort,
    labels: &BTreeMap<String, String>,
) -> Vec<SocketAddr> {
    // A Service without selector has no pods of its own.
    if service.spec.selector.is_empty() {
        return Vec::new();
    }
    let target = port.target();
    let endpoints: BTreeSet<(&str, SocketAddr)> = world
        .pods
        .iter()
        .filter(|pod| {
            let ready = pod.is_ready() || (service.spec.publish_not_ready_addresses && pod.stays());
            ready
                && pod.metadata.namespace == service.metadata.namespace
                && is_subset(&service.spec.selector, &pod.metadata.labels)
                && is_subset(labels, &pod.metadata.labels)
        })
        .filter_map(|pod| Some((pod.metadata.name.as_str(), pod.serves(&target)?)))
        .collect();
    endpoints.into_iter().map(|(_, address)| address).collect()
}

/// What DestinationRules say of one Service.
#[derive(Debug, Default)]
struct Rule<'a> {
    subsets: Vec<&'a Subset>,
    policy: Option<&'a TrafficPolicy>,
}

impl<'a> Rule<'a> {
    /// The DestinationRules of the first namespace that has any for this host: the proxy's own, the Service's, Istio's
    /// (Istio 1.29 `push_context.go`, `destinationRule`); an exact host comes before a wildcard. Those of one host are
    /// taken together, and the older one wins (`destination_rule.go`, `mergeDestinationRule`).
    fn find(world: &'a World, proxy: &Proxy, service: &Service) -> Self {
        let host = service.host();
        let own = (proxy.namespace != ROOT_NAMESPACE).then_some(proxy.namespace);
        let namespaces = own
            .into_iter()
            .chain([service.metadata.namespace.as_str(), ROOT_NAMESPACE]);
        for namespace in namespaces {
            let rules: Vec<(String, &Named<DestinationRule>)> = world
                .destination_rules
                .iter()
                .filter(|rule| {
                    rule.meta.namespace == namespace
                        && is_exported(&rule.spec.export_to, namespace, proxy.namespace)
                })
                .map(|rule| (names::full_host(&rule.spec.host, namespace), rule))
                .filter(|(pattern, _)| names::covers(pattern, &host))
                .collect();
            let Some(narrowest) = rules
                .iter()
                .map(|(pattern, _)| pattern)
                .max_by_key(|pattern| (!pattern.starts_with('*'), pattern.len()))
            else {
                continue;
            };
            let mut found = Self::default();
            for (_, rule) in rules.iter().filter(|(pattern, _)| pattern == narrowest) {
                for subset in &rule.spec.subsets {
                    if found.subsets.iter().all(|one| one.name != subset.name) {
                        found.subsets.push(subset);
                    }
                }
                found.policy = found.policy.or(rule.spec.traffic_policy.as_ref());
            }
            return found;
        }
        Self::default()
    }
}

/// The policy of a subset, where it says nothing that of the whole; `LEAST_REQUEST` is Istio's default
/// (`cluster_traffic_policy.go`, `applyLoadBalancer`).
fn policy(subset: Option<&TrafficPolicy>, whole: Option<&TrafficPolicy>) -> &'static str {
    let simple = |policy: &TrafficPolicy| policy.load_balancer.clone();
    let balancer = subset.and_then(simple).or_else(|| whole.and_then(simple));
    match balancer.and_then(|balancer| balancer.simple).as_deref() {
        Some("ROUND_ROBIN") => "ROUND_ROBIN",
        Some("RANDOM") => "RANDOM",
        _ => "LEAST_REQUEST",
    }
}

/// Notes values that are read and not followed.
fn check(rule: &Named<DestinationRule>, problems: &mut Vec<Problem>) {
    const SIMPLE: &str = "UNSPECIFIED, LEAST_REQUEST, LEAST_CONN, ROUND_ROBIN or RANDOM";
    let mut problems = Problems::of("DestinationRule", &rule.meta, problems);
    let subsets = rule.spec.subsets.iter().enumerate();
    let subsets =
        subsets.map(|(index, subset)| (format!("spec.subsets[{index}]"), &subset.traffic_policy));
    for (at, policy) in subsets.chain([("spec".to_owned(), &rule.spec.traffic_policy)]) {
        let Some(policy) = policy else { continue };
        if let Some(simple) = policy
            .load_balancer
            .as_ref()
            .and_then(|balancer| balancer.simple.as_ref())
            && !SIMPLE.split([' ', ',']).any(|known| known == simple)
        {
            problems.value(
                format!("{at}.trafficPolicy.loadBalancer.simple"),
                simple,
                SIMPLE,
            );
        }
        if let Some(tls) = &policy.tls
            && !["", "DISABLE"].contains(&tls.mode.as_str())
        {
            problems.value(format!("{at}.trafficPolicy.tls.mode"), &tls.mode, "DISABLE");
        }
    }
}
