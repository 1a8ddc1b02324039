//! Names of hosts, gateways and clusters: how a short one is completed, and which one is meant by which pattern.

use std::net::IpAddr;

/// The full name of a host that is named in an object of `namespace` (Istio 1.29 `pilot/pkg/model/config.go`,
/// `ResolveShortnameToFQDN`): one without a dot is a Service of that namespace.
pub(super) fn full_host(host: &str, namespace: &str) -> String {
    if host.is_empty() || host == "*" || host.contains('.') || host.parse::<IpAddr>().is_ok() {
        host.to_owned()
    } else {
        format!("{host}.{namespace}.svc.cluster.local")
    }
}

/// The `namespace/name` of a gateway that is named in an object of `namespace`; `mesh` stays (the same file,
/// `resolveGatewayName`).
pub(super) fn full_gateway(gateway: &str, namespace: &str) -> String {
    if gateway == "mesh" {
        return gateway.to_owned();
    }
    if let Some((before, name)) = gateway.split_once('/') {
        let before = if before == "." { namespace } else { before };
        return format!("{before}/{name}");
    }
    match gateway.split_once('.') {
        // The old way: name.namespace.svc.cluster.local.
        Some((name, rest)) => {
            let namespace = rest.split('.').next().unwrap_or_default();
            format!("{namespace}/{name}")
        }
        None => format!("{namespace}/{gateway}"),
    }
}

/// Istio's name of a cluster (`pilot/pkg/model/push_context.go`, `BuildSubsetKey`).
pub(super) fn cluster(port: u16, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// The short names of a Service's host for a proxy of `namespace` (`pilot/pkg/networking/core/httproute.go`,
/// `GenerateAltVirtualHosts`): the bare name only within its own namespace.
pub(super) fn short_hosts(name: &str, of: &str, namespace: &str) -> Vec<String> {
    let mut hosts = vec![
        format!("{name}.{of}.svc.cluster.local."),
        format!("{name}.{of}"),
        format!("{name}.{of}.svc"),
    ];
    if of == namespace {
        hosts.push(name.to_owned());
    }
    hosts
}

/// Whether every host that `narrow` stands for is one that `wide` stands for (`pkg/config/host/name.go`, `SubsetOf`).
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    match wide.strip_prefix('*') {
        Some(suffix) => narrow.strip_prefix('*').unwrap_or(narrow).ends_with(suffix),
        None => wide == narrow,
    }
}

/// The hosts that both lists stand for, the narrower of two that overlap (`pkg/config/host/names.go`, `Intersection`).
pub(super) fn common<'a>(left: &[&'a str], right: &[&'a str]) -> Vec<&'a str> {
    let mut common = Vec::new();
    for one in left {
        for other in right {
            let narrower = if covers(other, one) {
                one
            } else if covers(one, other) {
                other
            } else {
                continue;
            };
            if !common.contains(narrower) {
                common.push(*narrower);
            }
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_completed_within_their_namespace() {
        for (host, expected) in [
            ("web", "web.shop.svc.cluster.local"),
            ("web.other", "web.other"),
            ("*", "*"),
            ("10.96.0.7", "10.96.0.7"),
            ("*.example.com", "*.example.com"),
        ] {
            assert_eq!(full_host(host, "shop"), expected);
        }
        for (gateway, expected) in [
            ("mesh", "mesh"),
            ("edge", "shop/edge"),
            ("./edge", "shop/edge"),
            ("infra/edge", "infra/edge"),
            ("edge.infra", "infra/edge"),
            ("edge.infra.svc.cluster.local", "infra/edge"),
        ] {
            assert_eq!(full_gateway(gateway, "shop"), expected);
        }
    }

    #[test]
    fn of_two_overlapping_hosts_the_narrower_is_taken() {
        let cases: [(&str, &str, &[&str]); 6] = [
            ("*", "a.example.com", &["a.example.com"]),
            ("a.example.com", "*", &["a.example.com"]),
            ("*.example.com", "a.example.com", &["a.example.com"]),
            ("*.example.com", "*.a.example.com", &["*.a.example.com"]),
            ("*.example.com", "example.com", &[]),
            ("a.example.com", "b.example.com", &[]),
        ];
        for (one, other, expected) in cases {
            assert_eq!(common(&[one], &[other]), expected, "{one} {other}");
        }
    }
}
