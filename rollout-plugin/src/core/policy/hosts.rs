//! The hosts at which a policy is asked: every domain that istiod gives to a VirtualService's routes, in any proxy
//! (istio 1.29.1 `pilot/pkg/networking/core/httproute.go`, `generateVirtualHostDomains`,
//! `getVirtualHostsForSniffedServicePort`; `route/route.go`, `separateVSHostsAndServices`). The filter adds the short
//! forms of full names. A policy names its VirtualServices, and the chosen route says whose a request is: a wider host
//! costs a look and does no harm.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::core::edge;
use crate::core::host;
use crate::core::routing::{CLUSTER_DOMAIN, full_host, full_name};
use crate::object::{Kind, Object, ObjectId};

/// Every host; beside it others say nothing more.
pub(super) const ANY: &str = "*";

/// All of a VirtualService's hosts, with those that come from the Services behind them. None for one without hosts.
pub(super) fn hosts_of(object: &Object, services: &[Arc<Object>]) -> BTreeSet<String> {
    let written = written(object);
    let mut hosts: BTreeSet<String> = written.iter().cloned().collect();
    if edge::is_in_mesh(object) {
        for host in &written {
            if may_be_services(host) {
                hosts.insert(ANY.to_owned());
            }
            let service = service_of(host);
            let found = services
                .iter()
                .find(|one| Some(&one.id) == service.as_ref());
            if let Some(service) = found {
                add_service(&mut hosts, host, service, services);
            }
        }
    }
    hosts
}

/// The Services behind a VirtualService's hosts. Beside each may be others that point at it.
pub(super) fn services_of(object: &Object) -> Vec<ObjectId> {
    if !edge::is_in_mesh(object) {
        return Vec::new();
    }
    let hosts = written(object);
    hosts.iter().filter_map(|host| service_of(host)).collect()
}

/// As written in the VirtualService, as full names: a host without a dot is a Service of its own namespace.
fn written(object: &Object) -> Vec<String> {
    let hosts = object.spec.get("hosts").and_then(Value::as_array);
    let names = hosts.into_iter().flatten().filter_map(Value::as_str);
    names
        .map(|host| full_host(host, &object.id.namespace))
        .collect()
}

fn service_of(host: &str) -> Option<ObjectId> {
    let (name, namespace) = host::service_of(host)?;
    Some(ObjectId::new(Kind::Service, namespace, name))
}

/// True for a wildcard that takes in Services: their short names and addresses are domains of its routes too.
fn may_be_services(host: &str) -> bool {
    let Some(suffix) = host.strip_prefix('*') else {
        return false;
    };
    let services = format!(".svc.{CLUSTER_DOMAIN}");
    let in_namespace = suffix.strip_suffix(&services);
    services.ends_with(suffix) || in_namespace.is_some_and(|rest| rest.matches('.').count() <= 1)
}

/// The domains of a Service's routes beside its name: those of the Services that are aliases of it, its pods' where it is
/// headless, its addresses, and any at all where it has a port whose protocol is not declared.
fn add_service(
    hosts: &mut BTreeSet<String>,
    host: &str,
    service: &Object,
    services: &[Arc<Object>],
) {
    let names = with_aliases(host, services);
    if is_headless(service) {
        hosts.extend(names.iter().map(|name| format!("*.{name}")));
        // The filter makes no short form of it without the namespace.
        let short = names.iter().filter_map(|name| name.split('.').next());
        hosts.extend(short.map(|name| format!("*.{name}")));
    }
    hosts.extend(names);
    hosts.extend(addresses(service));
    if list(service, "ports").any(is_sniffed) {
        hosts.insert(ANY.to_owned());
    }
}

/// A Service's name, and those of the ExternalName Services that lead to it, in steps too
/// (istio 1.29.1 `push_context.go`, `resolveServiceAliases`).
fn with_aliases(host: &str, services: &[Arc<Object>]) -> Vec<String> {
    let mut names = vec![host.to_owned()];
    let mut next = 0;
    while let Some(name) = names.get(next).cloned() {
        next += 1;
        for service in services {
            let text = |field: &str| service.spec.get(field).and_then(Value::as_str);
            if text("type") != Some("ExternalName") || text("externalName") != Some(&name) {
                continue;
            }
            let alias = full_name(&service.id.name, &service.id.namespace);
            if !names.contains(&alias) {
                names.push(alias);
            }
        }
    }
    names
}

fn is_headless(service: &Object) -> bool {
    service.spec.get("clusterIP").and_then(Value::as_str) == Some("None")
}

/// A Service's cluster addresses, as an authority writes them; a headless one has none.
fn addresses(service: &Object) -> Vec<String> {
    let bracketed = |ip: &str| {
        if ip.contains(':') {
            format!("[{ip}]")
        } else {
            ip.to_owned()
        }
    };
    list(service, "clusterIPs")
        .filter_map(Value::as_str)
        .filter(|address| !address.is_empty() && *address != "None")
        .map(bracketed)
        .collect()
}

fn list<'a>(service: &'a Object, field: &str) -> impl Iterator<Item = &'a Value> {
    let found = service.spec.get(field).and_then(Value::as_array);
    found.into_iter().flatten()
}

/// Ports that istiod never sniffs (istio 1.29.1 `pkg/config/kube/conversion.go`, `wellKnownPorts`).
const NEVER_SNIFFED: [u64; 4] = [25, 53, 3306, 27017];

/// What declares a port's protocol, in lower case (istio 1.29.1 `pkg/config/protocol/instance.go`, `Parse`).
const PROTOCOLS: [&str; 11] = [
    "tcp",
    "udp",
    "grpc",
    "http",
    "http_proxy",
    "http2",
    "https",
    "tls",
    "mongo",
    "redis",
    "mysql",
];

/// True for a port whose protocol istiod leaves to the proxy to find out (istio 1.29.1
/// `pkg/config/kube/conversion.go`, `ConvertProtocol`).
fn is_sniffed(port: &Value) -> bool {
    let text = |field: &str| port.get(field).and_then(Value::as_str);
    let number = port.get("port").and_then(Value::as_u64);
    if text("protocol") == Some("UDP") || number.is_some_and(|port| NEVER_SNIFFED.contains(&port)) {
        return false;
    }
    let own = text("appProtocol");
    if matches!(
        own,
        Some("kubernetes.io/h2c" | "kubernetes.io/ws" | "kubernetes.io/wss")
    ) {
        return false;
    }
    let name = own
        .or_else(|| text("name"))
        .unwrap_or_default()
        .to_ascii_lowercase();
    let declared = name.split('-').next().unwrap_or_default();
    !PROTOCOLS.contains(&declared)
}
