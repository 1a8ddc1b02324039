//! The short names by which a proxy's own workload may ask for a service.

use super::MatchHost;

/// The other names that Istio gives to `host` in the routes of a sidecar whose DNS domain is
/// `domain` (`shop.svc.cluster.local`): `reviews` in the service's own namespace, and everywhere
/// `reviews.shop` and `reviews.shop.svc`. Follows Istio 1.29.1
/// `pilot/pkg/networking/core/httproute.go`, `GenerateAltVirtualHosts` and
/// `generateAltVirtualHostsForKubernetesService`.
///
/// A wildcard over a namespace (`*.shop.svc.cluster.local`) gives the same with `*` for the service,
/// but for the bare `*`, which would be every host.
pub(crate) fn short_forms(host: &MatchHost, domain: &str) -> Vec<MatchHost> {
    let (name, make): (&str, fn(Box<str>) -> MatchHost) = match host {
        MatchHost::Exact(name) => (name, MatchHost::Exact),
        MatchHost::Suffix(part) => (part, MatchHost::Suffix),
        MatchHost::Prefix(_) | MatchHost::Any => return Vec::new(),
    };
    // Not split at `.svc.`: the search for strings in strings is 2 KB of module.
    let parts = domain.split_once('.');
    let Some((own, cluster)) =
        parts.and_then(|(own, rest)| Some((own, rest.strip_prefix("svc.")?)))
    else {
        return Vec::new();
    };
    let service = name
        .strip_suffix(cluster)
        .and_then(|rest| rest.strip_suffix(".svc."));
    let Some((service, namespace)) = service.and_then(|service| service.split_once('.')) else {
        return Vec::new();
    };
    let mut forms = vec![
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
    ];
    if namespace == own && !service.is_empty() {
        forms.push(service.to_owned());
    }
    forms.into_iter().map(|form| make(form.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(host: &str, domain: &str) -> Vec<String> {
        let host = MatchHost::compile(host).unwrap();
        let mut forms: Vec<_> = short_forms(&host, domain)
            .into_iter()
            .map(|form| match form {
                MatchHost::Exact(name) => name.into(),
                MatchHost::Suffix(part) => format!("*{part}"),
                other => panic!("{other:?} from {host:?}"),
            })
            .collect();
        forms.sort();
        forms
    }

    #[test]
    fn the_bare_name_is_for_the_services_own_namespace() {
        let host = "reviews.shop.svc.cluster.local";
        assert_eq!(
            forms(host, "shop.svc.cluster.local"),
            ["reviews", "reviews.shop", "reviews.shop.svc"]
        );
        assert_eq!(
            forms(host, "cart.svc.cluster.local"),
            ["reviews.shop", "reviews.shop.svc"]
        );
    }

    #[test]
    fn other_clusters_and_outside_hosts_have_none() {
        assert_eq!(
            forms("reviews.shop.svc.other", "shop.svc.cluster.local"),
            [""; 0]
        );
        assert_eq!(forms("shop.example.com", "shop.svc.cluster.local"), [""; 0]);
        assert_eq!(
            forms("reviews.shop.svc.cluster.local", "example.com"),
            [""; 0]
        );
        assert_eq!(forms("10.96.3.4", "shop.svc.cluster.local"), [""; 0]);
    }

    #[test]
    fn a_wildcard_never_becomes_every_host() {
        assert_eq!(
            forms("*.shop.svc.cluster.local", "shop.svc.cluster.local"),
            ["*.shop", "*.shop.svc"]
        );
    }
}
