//! Precedence of hosts.

use super::*;

/// An index of policies that name no VirtualServices, one for each host.
fn index(hosts: &[&str]) -> HostIndex {
    let mut index = HostIndex::default();
    for (host, number) in hosts.iter().zip(0..) {
        index.insert(&MatchHost::compile(host).unwrap(), number, Say::Anywhere);
    }
    index
}

fn find(index: &HostIndex, host: &str) -> Vec<u32> {
    let mut found = vec![Found {
        policy: 99,
        at_host: true,
        at_entry: true,
    }];
    index.find(host.as_bytes(), &mut found);
    assert!(found.iter().all(|found| found.at_host && !found.at_entry));
    found.iter().map(|found| found.policy).collect()
}

#[test]
fn exact_then_suffix_then_prefix_then_any() {
    let index = index(&[
        "*",
        "shop.*",
        "*.example.com",
        "shop.example.com",
        "*-b.example.com",
        "shop.example.*",
    ]);
    for (host, found) in [
        ("shop.example.com", 3),
        ("a-b.example.com", 4),
        ("cart.example.com", 2),
        (".example.com", 0),
        ("shop.example.org", 5),
        ("shop.org", 1),
        ("shop.", 0),
        ("else", 0),
        ("", 0),
    ] {
        assert_eq!(find(&index, host), [found], "{host}");
    }
}

#[test]
fn one_host_leads_to_all_its_policies_in_their_order() {
    let index = index(&[
        "shop.example.com",
        "SHOP.example.com.",
        "*.example.com",
        "shop.example.com",
    ]);
    assert_eq!(find(&index, "shop.example.com"), [0, 1, 3]);
}

#[test]
fn policies_that_name_their_virtual_services_are_asked_at_every_host_that_matches() {
    let mut index = index(&["*.com", "*.example.com"]);
    for (host, policy) in [
        ("shop.example.com", 2),
        ("*.example.com", 3),
        ("shop.*", 4),
        ("*", 5),
        // By two of its hosts, and asked once.
        ("*.com", 2),
        ("else.example.com", 6),
    ] {
        index.insert(&MatchHost::compile(host).unwrap(), policy, Say::Placed);
    }
    assert_eq!(find(&index, "shop.example.com"), [1, 2, 3, 4, 5]);
    assert_eq!(find(&index, "shop.org"), [4, 5]);
    assert_eq!(find(&index, "example.com"), [0, 2, 5]);
}

#[test]
fn a_policy_is_told_which_of_its_hosts_it_is_asked_at() {
    let mut index = HostIndex::default();
    for (host, policy, say) in [
        ("a.example.com", 0, Say::Placed),
        ("b.example.com", 0, Say::Entry),
        ("*.example.com", 1, Say::Entry),
        ("a.example.com", 1, Say::Anywhere),
        ("a.example.com", 2, Say::Entry),
    ] {
        index.insert(&MatchHost::compile(host).unwrap(), policy, say);
    }
    let find = |host: &str| {
        let mut found = Vec::new();
        index.find(host.as_bytes(), &mut found);
        let found = found
            .iter()
            .map(|found| (found.policy, found.at_host, found.at_entry));
        found.collect::<Vec<_>>()
    };
    assert_eq!(
        find("a.example.com"),
        [(0, true, false), (1, true, true), (2, false, true)]
    );
    assert_eq!(find("b.example.com"), [(0, false, true), (1, false, true)]);
    assert_eq!(find("c.example.com"), [(1, false, true)]);
    assert_eq!(find("example.com"), []);
}

#[test]
fn what_envoy_could_not_match_is_refused() {
    for host in [
        "",
        "a*b",
        "**",
        "*.*",
        "shop:80",
        "a b",
        "[fd00::1",
        "é.example",
        "a/b",
    ] {
        assert_eq!(
            MatchHost::compile(host),
            Err(Fault::Host {
                value: host.to_owned()
            }),
        );
    }
}
