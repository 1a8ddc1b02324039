//! Which Service a host names.

use crate::core::routing::CLUSTER_DOMAIN;

/// True if `host`, in a VirtualService of the namespace `beside`, names the Service `service` of `namespace`.
///
/// Istio looks for a host without a dot beside the VirtualService, and takes every other one for a full name
/// (istio 1.29.1 `pilot/pkg/model` `ResolveShortnameToFQDN`). So the same first label is no evidence:
/// `web.legacy.svc.cluster.local` is another namespace's Service, and `web.example.com` a ServiceEntry's. The shorter
/// forms with the namespace, `web.shop` and `web.shop.svc`, count too, though istiod knows a host of such a name only
/// from a ServiceEntry: Kubernetes gives these names to the same Service, and users take them for it. Names are compared
/// as they are written: istiod finds no Service under another case.
pub(crate) fn names_service(host: &str, beside: &str, service: &str, namespace: &str) -> bool {
    let Some(rest) = host.strip_prefix(service).filter(|_| !service.is_empty()) else {
        return false;
    };
    if rest.is_empty() {
        return beside == namespace;
    }
    let domain = rest
        .strip_prefix('.')
        .and_then(|rest| rest.strip_prefix(namespace));
    domain.is_some_and(|domain| {
        domain.is_empty()
            || domain.strip_prefix(".svc").is_some_and(|domain| {
                domain.is_empty() || domain.strip_prefix('.') == Some(CLUSTER_DOMAIN)
            })
    })
}

/// Name and namespace of the Service that a full name is; `None` for a wildcard, a pod behind a headless Service, and
/// any host that is no Service's.
pub(crate) fn service_of(host: &str) -> Option<(&str, &str)> {
    let (name, namespace) = host
        .strip_suffix(CLUSTER_DOMAIN)?
        .strip_suffix(".svc.")?
        .split_once('.')?;
    let is_label = |part: &str| !part.is_empty() && !part.contains(['.', '*']);
    (is_label(name) && is_label(namespace)).then_some((name, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_its_names_and_no_others() {
        let own = ["web.shop", "web.shop.svc", "web.shop.svc.cluster.local"];
        let others = [
            "",
            "*",
            "Web",
            "webs",
            "web.",
            "web-canary",
            "my.web",
            "web.legacy",
            "web.shop2",
            "web.shop.example.com",
            "web.shop.",
            "web.shop.svcs",
            "web.shop.svc.cluster.localhost",
            "web.shop.svc.example.com",
            "web.legacy.svc.cluster.local",
            "web.example.com",
            "*.shop.svc.cluster.local",
            "pod.web.shop.svc.cluster.local",
        ];
        for beside in ["shop", "far"] {
            let is_web = |host: &&str| names_service(host, beside, "web", "shop");
            assert_eq!(own.iter().filter(|host| is_web(host)).count(), own.len());
            assert_eq!(others.iter().find(|host| is_web(host)), None);
            assert_eq!(is_web(&"web"), beside == "shop");
            assert!(!names_service("", beside, "", "shop"));
            assert!(!names_service(".shop", beside, "", "shop"));
        }
    }

    #[test]
    fn a_full_name_says_which_service() {
        assert_eq!(
            service_of("web.shop.svc.cluster.local"),
            Some(("web", "shop"))
        );
        for other in [
            "web",
            "web.shop",
            "web.example.com",
            "*.shop.svc.cluster.local",
            "web-0.web.shop.svc.cluster.local",
            ".shop.svc.cluster.local",
            "shop.svc.cluster.local",
        ] {
            assert_eq!(service_of(other), None, "{other}");
        }
    }
}
