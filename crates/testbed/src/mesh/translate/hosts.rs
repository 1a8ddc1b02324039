//! Virtual hosts: which names lead to which routes, at a sidecar and at a gateway.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::route::{self, Context, Translated};
use super::{PORT, Proxy, World, action, is_exported, names};
use crate::mesh::model::{Meta, Named, Problem, Problems, Service, VirtualService};

/// A sidecar's virtual hosts: those of VirtualServices for the mesh, oldest first, then a default route for every other
/// Service with an HTTP port 80 (Istio 1.29 `httproute.go`, `BuildSidecarOutboundVirtualHosts`; `route.go`,
/// `BuildSidecarVirtualHostWrapper`). Of two hosts of one name the first stands.
pub(super) fn sidecar(world: &World, proxy: &Proxy, problems: &mut Vec<Problem>) -> Vec<Value> {
    let context = Context {
        world,
        proxy,
        gateway: "mesh",
    };
    let services: BTreeMap<String, &Service> = world
        .services
        .iter()
        .filter(|service| service.spec.kind != "ExternalName" && service.http_port(PORT).is_some())
        .map(|service| (service.host(), service))
        .collect();
    let visible = visible(world, proxy, "mesh");
    let mut hosts = Hosts::default();
    let mut spoken_for = BTreeSet::new();
    for virtual_service in &visible {
        let routes = route::routes(context, virtual_service, problems);
        if routes.is_empty() {
            continue;
        }
        let (plain, known) = split(virtual_service, &visible, &services);
        for host in plain {
            hosts.add(&host, vec![host.clone()], &routes);
        }
        for service in known {
            hosts.add(&service.host(), domains(service, proxy), &routes);
            spoken_for.insert(service.host());
        }
    }
    for (host, service) in services {
        if !spoken_for.contains(&host) {
            let route = default_route(&host, &service.metadata, problems);
            hosts.add(&host, domains(service, proxy), &[route]);
        }
    }
    let mut hosts = hosts.sorted();
    hosts.push(json!({
        "name": "block_all",
        "domains": ["*"],
        "routes": [{"name": "block_all", "match": {"prefix": "/"}, "direct_response": {"status": 502}}],
    }));
    hosts
}

/// A gateway's virtual hosts: for each server that lets a host in, the routes of all VirtualServices that are bound to
/// its Gateway and have that host, oldest first, those that take every request at the end (`gateway.go`,
/// `buildGatewayHTTPRouteConfig`; `route.go`, `SortVHostRoutes`).
pub(super) fn gateway(world: &World, proxy: &Proxy, problems: &mut Vec<Problem>) -> Vec<Value> {
    let mut hosts: BTreeMap<String, Vec<Translated>> = BTreeMap::new();
    for gateway in world
        .gateways
        .iter()
        .filter(|gateway| proxy.has(&gateway.spec.selector))
    {
        let name = format!("{}/{}", gateway.meta.namespace, gateway.meta.name);
        let context = Context {
            world,
            proxy,
            gateway: &name,
        };
        let bound: Vec<(&Named<VirtualService>, Vec<Translated>)> = visible(world, proxy, &name)
            .into_iter()
            .map(|service| (service, route::routes(context, service, problems)))
            .filter(|(_, routes)| !routes.is_empty())
            .collect();
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let at = format!("spec.servers[{index}].port");
            let mut problems = Problems::of("Gateway", &gateway.meta, problems);
            if server.port.number != u32::from(PORT) {
                problems.value(format!("{at}.number"), server.port.number.to_string(), "80");
                continue;
            }
            if !["HTTP", "HTTP2", "GRPC"]
                .contains(&server.port.protocol.to_ascii_uppercase().as_str())
            {
                problems.value(format!("{at}.protocol"), &server.port.protocol, "HTTP");
                continue;
            }
            for (service, routes) in &bound {
                for host in admitted(&server.hosts, &gateway.meta, service) {
                    hosts
                        .entry(host.to_ascii_lowercase())
                        .or_default()
                        .extend(routes.iter().cloned());
                }
            }
        }
    }
    let hosts = hosts.into_iter().map(|(host, routes)| {
        let (all, others): (Vec<Translated>, Vec<Translated>) =
            routes.into_iter().partition(|route| route.all);
        virtual_host(
            &host,
            std::slice::from_ref(&host),
            others.iter().chain(&all),
        )
    });
    hosts.collect()
}

/// The VirtualServices for this proxy that are bound to `gateway`. One without a host is another's delegate.
fn visible<'a>(world: &'a World, proxy: &Proxy, gateway: &str) -> Vec<&'a Named<VirtualService>> {
    let bound = |service: &&Named<VirtualService>| {
        let Named { meta, spec } = service;
        let named = |one: &String| names::full_gateway(one, &meta.namespace) == gateway;
        let mesh = spec.gateways.is_empty() && gateway == "mesh";
        !spec.hosts.is_empty()
            && (mesh || spec.gateways.iter().any(named))
            && is_exported(&spec.export_to, &meta.namespace, proxy.namespace)
    };
    let mut visible: Vec<_> = world.virtual_services.iter().filter(bound).collect();
    if gateway != "mesh" {
        // Those that are exported to some namespaces only come first (`VirtualServicesForGateway`).
        visible.sort_by_key(|service| {
            let export_to = &service.spec.export_to;
            export_to.is_empty() || export_to.iter().any(|one| one == "*")
        });
    }
    visible
}

/// The hosts of a VirtualService that are no Services, and the Services that its hosts mean
/// (`separateVSHostsAndServices`). A wildcard means the Services that no narrower host of another VirtualService does.
fn split<'a>(
    of: &Named<VirtualService>,
    all: &[&Named<VirtualService>],
    services: &BTreeMap<String, &'a Service>,
) -> (Vec<String>, Vec<&'a Service>) {
    let full = |service: &Named<VirtualService>| -> Vec<String> {
        let hosts = service.spec.hosts.iter();
        hosts
            .map(|host| names::full_host(host, &service.meta.namespace).to_ascii_lowercase())
            .collect()
    };
    let (mut plain, mut known) = (Vec::new(), Vec::new());
    for host in full(of) {
        if !host.starts_with('*') {
            match services.get(&host) {
                Some(service) => known.push(*service),
                None => plain.push(host),
            }
            continue;
        }
        let mut found = false;
        for (name, service) in services
            .iter()
            .filter(|(name, _)| names::covers(&host, name))
        {
            found = true;
            let mut others = all.iter().flat_map(|other| full(other));
            let narrower = |other: &String| {
                *other != host && names::covers(other, name) && names::covers(&host, other)
            };
            if !others.any(|other| narrower(&other)) {
                known.push(*service);
            }
        }
        if !found {
            plain.push(host);
        }
    }
    (plain, known)
}

/// The names under which a proxy knows a Service.
fn domains(service: &Service, proxy: &Proxy) -> Vec<String> {
    let meta = &service.metadata;
    let mut domains = vec![service.host()];
    domains.extend(names::short_hosts(
        &meta.name,
        &meta.namespace,
        proxy.namespace,
    ));
    domains.extend(service.addresses().map(str::to_owned));
    domains
}

/// Where requests go that no VirtualService speaks for (`BuildDefaultHTTPOutboundRoute`).
fn default_route(host: &str, meta: &Meta, problems: &mut Vec<Problem>) -> Translated {
    let mut problems = Problems::of("Service", meta, problems);
    Translated {
        json: json!({
            "name": "default",
            "match": {"prefix": "/"},
            "route": {
                "cluster": names::cluster(PORT, "", host),
                "timeout": "0s",
                "retry_policy": action::retry(None, "", &mut problems),
            },
        }),
        all: true,
    }
}

/// The hosts of a VirtualService that a server lets in (`NamesForNamespace`).
fn admitted(server: &[String], gateway: &Meta, service: &Named<VirtualService>) -> Vec<String> {
    let namespace = service.meta.namespace.as_str();
    let server: Vec<&str> = server
        .iter()
        .filter_map(|host| match host.split_once('/') {
            Some((of, host)) => {
                let of = if of == "." {
                    gateway.namespace.as_str()
                } else {
                    of
                };
                (of == "*" || of == namespace).then_some(host)
            }
            None => Some(host.as_str()),
        })
        .collect();
    let own: Vec<String> = service
        .spec
        .hosts
        .iter()
        .map(|host| names::full_host(host, namespace))
        .collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    names::common(&server, &own)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// Virtual hosts so far. Envoy refuses all of them if a name or a domain comes twice.
#[derive(Debug, Default)]
struct Hosts {
    list: BTreeMap<String, Value>,
    domains: BTreeSet<String>,
}

impl Hosts {
    fn add(&mut self, name: &str, mut domains: Vec<String>, routes: &[Translated]) {
        let name = name.to_ascii_lowercase();
        if self.list.contains_key(&name) {
            return;
        }
        domains.retain(|domain| self.domains.insert(domain.to_ascii_lowercase()));
        if !domains.is_empty() {
            let host = virtual_host(&name, &domains, routes.iter());
            self.list.insert(name, host);
        }
    }

    fn sorted(self) -> Vec<Value> {
        self.list.into_values().collect()
    }
}

fn virtual_host<'a>(
    name: &str,
    domains: &[String],
    routes: impl Iterator<Item = &'a Translated>,
) -> Value {
    let routes: Vec<&Value> = routes.map(|route| &route.json).collect();
    json!({
        "name": format!("{name}:{PORT}"),
        "domains": domains,
        "routes": routes,
        "include_request_attempt_count": true,
    })
}
