//! The policy's hosts, and the merge patch that brings it there.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::core::fixtures::{observed, primary, routing};

#[test]
fn hosts_are_full_names_and_the_addresses_of_their_services() {
    let mut observed = observed(json!([primary(json!({}))]));
    let object = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
    object.spec["hosts"] = json!([
        "reviews",
        "Shop.example.com",
        "*.example.org",
        "other.far.svc.cluster.local"
    ]);
    assert_eq!(
        services_of(object),
        [
            ObjectId::new(Kind::Service, "shop", "reviews"),
            ObjectId::new(Kind::Service, "far", "other")
        ]
    );
    let service = |id: &ObjectId, addresses: Value| {
        Arc::new(Object {
            id: id.clone(),
            spec: json!({ "clusterIPs": addresses }),
            ..crate::core::fixtures::replica_set("", 0)
        })
    };
    let ids = services_of(object);
    observed.services = vec![
        service(&ids[0], json!(["10.96.3.4", "fd00::4"])),
        service(&ids[1], json!(["None"])),
    ];
    let rule = Rule {
        name: "beta".into(),
        lane: Lane::Canary,
        percent: None,
        matches: vec![traffic_policy::config::Match::default()],
    };
    let policy = desired_policy(vec![rule], &routing(), &observed)
        .unwrap()
        .unwrap();
    assert_eq!(
        policy,
        json!({
            "hosts": ["*.example.org", "10.96.3.4", "[fd00::4]", "other.far.svc.cluster.local", "reviews.shop.svc.cluster.local", "shop.example.com"],
            "virtualServices": {"shop/reviews": ["primary"]},
            "rules": [{"name": "beta", "lane": "canary", "match": [{}]}],
        })
    );
    assert_eq!(lanes_of(Some(&policy)), BTreeSet::from([Lane::Canary]));
}

#[test]
fn without_rules_there_is_no_policy_and_without_hosts_an_error() {
    let mut observed = observed(json!([primary(json!({}))]));
    assert_eq!(desired_policy(vec![], &routing(), &observed).unwrap(), None);
    let object = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
    object.spec["hosts"] = json!([]);
    let rule = Rule {
        name: "beta".into(),
        lane: Lane::Canary,
        percent: None,
        matches: vec![],
    };
    assert_eq!(
        desired_policy(vec![rule], &routing(), &observed)
            .unwrap_err()
            .to_string(),
        "VirtualService shop/reviews: spec.hosts: found nothing, expected the hosts whose requests are routed"
    );
}

#[test]
fn a_rule_that_no_filter_would_take_is_an_error() {
    let rule = Rule {
        name: "beta".into(),
        lane: Lane::Canary,
        percent: None,
        matches: vec![traffic_policy::config::Match {
            headers: BTreeMap::from([(
                "x".to_owned(),
                traffic_policy::config::StringMatch::Regex("(".to_owned()),
            )]),
            ..Default::default()
        }],
    };
    let error = desired_policy(
        vec![rule],
        &routing(),
        &observed(json!([primary(json!({}))])),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "rollout shop/reviews: its header and mirror routes are not a valid policy"
    );
    assert!(
        std::error::Error::source(&error)
            .is_some_and(|source| source.to_string().contains("rules[0]"))
    );
}

#[test]
fn the_merge_patch_turns_one_policy_into_the_other() {
    let key = routing().rollout;
    let a = json!({"hosts": ["a"], "virtualServices": {"shop/a": [], "shop/b": ["x"]}, "rules": [{"name": "r"}]});
    let b = json!({"hosts": ["a", "b"], "virtualServices": {"shop/a": ["y"]}, "rules": [{"name": "r"}], "sticky": {"of": 100}});
    for (observed, desired) in [
        (Some(&a), Some(&b)),
        (Some(&b), Some(&a)),
        (None, Some(&a)),
        (Some(&a), None),
    ] {
        let mut config = json!({"spec": {"pluginConfig": {"trust": "mesh", "rollouts": {"shop/other": {"hosts": []}}}}});
        let untouched = config.clone();
        if let Some(observed) = observed {
            config["spec"]["pluginConfig"]["rollouts"]["shop/reviews"] = observed.clone();
        }
        let patch = merge_patch(&key, observed, desired).unwrap();
        json_patch::merge(&mut config, &patch);
        let rollouts = config["spec"]["pluginConfig"]["rollouts"]
            .as_object_mut()
            .unwrap();
        assert_eq!(rollouts.remove("shop/reviews").as_ref(), desired);
        assert_eq!(config, untouched, "the rest of the WasmPlugin");
    }
    assert_eq!(merge_patch(&key, Some(&a), Some(&a)), None);
    assert_eq!(merge_patch(&key, None, None), None);
}
