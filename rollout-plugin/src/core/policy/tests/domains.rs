//! The policy's hosts beside the domains under which istiod has the managed routes, in several proxies.
//!
//! `tests/data/hosts/objects.yaml`, and what istiod's generator made of them in `domains.json`
//! (`crates/testbed/tests/mesh/istiod/istiod_test.go`; 1.29.1, and the module v0.0.0-20260827124520-eed52ebb66ad makes the
//! same).

use traffic_policy::config::Match;
use traffic_policy::{HostSpace, PolicySet};

use super::*;
use crate::core::fixtures;

const OBJECTS: &str = include_str!("../../../../tests/data/hosts/objects.yaml");
const DOMAINS: &str = include_str!("../../../../tests/data/hosts/domains.json");

/// What the README's limits say: an alias in another namespace, and a ServiceEntry's address.
const LIMITS: [&str; 2] = ["abroad", "10.5.0.1"];

fn objects() -> Vec<Arc<Object>> {
    let documents = OBJECTS.split("\n---\n");
    let objects = documents.filter_map(|text| {
        let written: Value = serde_json::from_str(text).unwrap();
        let kind = match written["kind"].as_str() {
            Some("VirtualService") => Kind::VirtualService,
            Some("Service") => Kind::Service,
            _ => return None,
        };
        let text = |field: &str| written["metadata"][field].as_str().unwrap().to_owned();
        Some(Arc::new(Object {
            id: ObjectId::new(kind, text("namespace"), text("name")),
            spec: written["spec"].clone(),
            ..fixtures::virtual_service(json!([]))
        }))
    });
    objects.collect()
}

/// The policy for that VirtualService, of what would be observed for it.
fn policy(virtual_service: &str) -> Policy {
    let objects = objects();
    let is_named = |object: &&Arc<Object>| {
        object.id.kind == Kind::VirtualService && key_of(&object.id) == virtual_service
    };
    let managed = objects.iter().find(is_named).cloned();
    let mut routing = fixtures::routing();
    routing.virtual_services[0].id = managed.as_ref().unwrap().id.clone();
    let managed = vec![managed];
    let namespaces = service_namespaces(&managed, &[]);
    let is_listed = |object: &Arc<Object>| {
        object.id.kind == Kind::Service && namespaces.contains(&object.id.namespace)
    };
    let observed = Observed {
        virtual_services: managed,
        services: objects.into_iter().filter(is_listed).collect(),
        ..observed(json!([]))
    };
    let rule = Rule {
        name: "beta".into(),
        lane: Lane::Canary,
        percent: None,
        keys: Vec::new(),
        matches: vec![Match::default()],
    };
    let policy = desired_policy(vec![rule], None, &routing, &observed);
    serde_json::from_value(policy.unwrap().unwrap()).unwrap()
}

/// What a request for that domain carries.
fn authorities(domain: &str) -> Vec<String> {
    match domain.strip_prefix('*') {
        Some("") => vec!["anything.example.com".to_owned(), "[::1]:80".to_owned()],
        Some(rest) => vec![format!("some-0{rest}"), format!("a.b{rest}")],
        None => vec![domain.to_owned(), domain.to_ascii_uppercase()],
    }
}

/// Where the policies that are asked are not those whose routes are there.
fn unasked() -> (usize, BTreeSet<String>) {
    let tables: Value = serde_json::from_str(DOMAINS).unwrap();
    let (mut asked, mut unasked) = (0, BTreeSet::new());
    for (proxy, tables) in tables.as_object().unwrap() {
        let domain = proxy
            .strip_prefix("sidecar in ")
            .map(|namespace| format!("{namespace}.svc.cluster.local"));
        for (table, services) in tables.as_object().unwrap() {
            for (service, domains) in services.as_object().unwrap() {
                let compiled = traffic_policy::compile("shop/reviews", &policy(service)).unwrap();
                let set = PolicySet::new(vec![compiled], domain.as_deref());
                let mut space = HostSpace::default();
                for domain in domains.as_array().unwrap() {
                    for authority in authorities(domain.as_str().unwrap()) {
                        let mut found = set.candidates(authority.as_bytes(), &mut space);
                        if found.any(|candidate| candidate.at_host) {
                            asked += 1;
                        } else {
                            unasked.insert(format!("{authority}, {service} in {table} of {proxy}"));
                        }
                    }
                }
            }
        }
    }
    (asked, unasked)
}

#[test]
fn a_policy_is_asked_wherever_istiod_has_its_routes() {
    let (asked, unasked) = unasked();
    assert!(asked > 500, "{asked}");
    let is_limit = |found: &&String| {
        LIMITS
            .iter()
            .any(|limit| found.to_ascii_lowercase().starts_with(limit))
    };
    assert_eq!(unasked.iter().find(|found| !is_limit(found)), None);
    for limit in LIMITS {
        assert!(
            unasked.iter().any(|found| found.starts_with(limit)),
            "{limit} is none any more"
        );
    }
}

#[test]
fn hosts_are_no_wider_than_they_have_to_be() {
    let names = |names: &[&str]| -> Vec<String> {
        let full = |name: &&str| format!("{name}.shop.svc.cluster.local");
        names.iter().map(full).collect()
    };
    let mut reviews = vec!["10.0.0.1".to_owned()];
    reviews.extend(names(&["alias-of-alias", "alias", "reviews"]));
    let mut pods = vec!["*.alias-of-pods".to_owned(), "*.pods".to_owned()];
    pods.extend(names(&[
        "*.alias-of-pods",
        "*.pods",
        "alias-of-pods",
        "pods",
    ]));
    pods.sort();
    for (service, hosts) in [
        ("shop/reviews", reviews),
        ("shop/pods", pods),
        ("shop/some", vec!["*".to_owned()]),
        ("shop/raw", vec!["*".to_owned()]),
        ("wild/wild", vec!["*".to_owned()]),
        (
            "shop/edge-wild",
            vec![
                "*.narrow.example.com".to_owned(),
                "*.wild.example.com".to_owned(),
            ],
        ),
        (
            "shop/outside",
            vec![
                "*.outside.example.com".to_owned(),
                "api.example.com".to_owned(),
            ],
        ),
    ] {
        assert_eq!(policy(service).hosts, hosts, "{service}");
    }
    for declared in ["shop/plain", "shop/declared", "shop/database", "shop/both"] {
        assert!(
            !policy(declared).hosts.contains(&"*".to_owned()),
            "{declared}"
        );
    }
}
