//! TLS and TCP routes have no names: they are found by what they match.

use serde_json::Value;

use crate::config::{TcpRouteConfig, TlsRouteConfig};
use crate::core::error::Fault;

/// All TLS routes whose match entries have that one port and exactly these SNI hosts between them
/// (argo-rollouts v1.10.1 `istio.searchTlsRoute`).
pub(super) fn tls_routes(routes: &[Value], wanted: &TlsRouteConfig) -> Result<Vec<usize>, Fault> {
    let hosts = sorted(wanted.sni_hosts.iter().map(String::as_str));
    let fits =
        |route: &&Value| has_only_port(route, wanted.port) && sorted(sni_hosts(route)) == hosts;
    all(routes, fits).ok_or_else(|| {
        let found = routes.iter().map(|route| {
            let hosts = sorted(sni_hosts(route));
            format!("ports {:?} sniHosts {hosts:?}", ports(route))
        });
        Fault::new(
            "spec.tls[].match",
            format!("[{}]", found.collect::<Vec<_>>().join(", ")),
            format!(
                "a route with {} and exactly the sniHosts {hosts:?}",
                describe_port(wanted.port)
            ),
        )
    })
}

/// All TCP routes whose match entries have that one port (argo-rollouts v1.10.1 `istio.searchTcpRoute`).
pub(super) fn tcp_routes(routes: &[Value], wanted: &TcpRouteConfig) -> Result<Vec<usize>, Fault> {
    let fits = |route: &&Value| has_only_port(route, wanted.port);
    all(routes, fits).ok_or_else(|| {
        let found = routes
            .iter()
            .map(|route| format!("ports {:?}", ports(route)));
        Fault::new(
            "spec.tcp[].match",
            format!("[{}]", found.collect::<Vec<_>>().join(", ")),
            format!("a route with {}", describe_port(wanted.port)),
        )
    })
}

fn all(routes: &[Value], fits: impl Fn(&&Value) -> bool) -> Option<Vec<usize>> {
    let found: Vec<usize> = routes
        .iter()
        .enumerate()
        .filter(|(_, route)| fits(route))
        .map(|(index, _)| index)
        .collect();
    (!found.is_empty()).then_some(found)
}

/// A route without match entries, and one whose entries name no port, is at port 0.
fn has_only_port(route: &Value, port: u32) -> bool {
    match ports(route)[..] {
        [] => port == 0,
        [only] => only == u64::from(port),
        _ => false,
    }
}

/// The different ports of a route's match entries, 0 for an entry without.
fn ports(route: &Value) -> Vec<u64> {
    let port = |entry: &Value| entry.get("port").and_then(Value::as_u64).unwrap_or(0);
    let mut ports: Vec<u64> = entries(route).map(port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn sni_hosts(route: &Value) -> impl Iterator<Item = &str> {
    entries(route)
        .filter_map(|entry| entry.get("sniHosts")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
}

fn entries(route: &Value) -> impl Iterator<Item = &Value> {
    route
        .get("match")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn describe_port(port: u32) -> String {
    if port == 0 {
        "no port".to_owned()
    } else {
        format!("the one port {port}")
    }
}
