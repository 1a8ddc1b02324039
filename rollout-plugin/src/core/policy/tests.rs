//! The policy's hosts, and the merge patch that brings it there.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::core::fixtures::{observed, primary, routing};
use crate::object::Kind;

mod domains;

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
    let service = |namespace: &str, name: &str, addresses: Value| {
        Arc::new(Object {
            id: ObjectId::new(Kind::Service, namespace, name),
            spec: json!({ "clusterIPs": addresses }),
            ..crate::core::fixtures::replica_set("", 0)
        })
    };
    let namespaces = service_namespaces(&observed.virtual_services, &[]);
    assert_eq!(namespaces.into_iter().collect::<Vec<_>>(), ["far", "shop"]);
    observed.services = vec![
        service("shop", "reviews", json!(["10.96.3.4", "fd00::4"])),
        service("shop", "another", json!(["10.96.3.5"])),
        service("far", "other", json!(["None"])),
    ];
    let rule = Rule {
        name: "beta".into(),
        lane: Lane::Canary,
        percent: None,
        keys: Vec::new(),
        matches: vec![traffic_policy::config::Match::default()],
    };
    let policy = desired_policy(vec![rule], None, &routing(), &observed)
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
    assert_eq!(
        desired_policy(vec![], None, &routing(), &observed).unwrap(),
        None
    );
    let object = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
    object.spec["hosts"] = json!([]);
    let rule = Rule {
        name: "beta".into(),
        lane: Lane::Canary,
        percent: None,
        keys: Vec::new(),
        matches: vec![],
    };
    assert_eq!(
        desired_policy(vec![rule], None, &routing(), &observed)
            .unwrap_err()
            .to_string(),
        "VirtualService shop/reviews: spec.hosts: found nothing, expected hosts, or another VirtualService that has hosts and http[].delegate {name: reviews, namespace: shop}"
    );
}

#[test]
fn a_rule_that_no_filter_would_take_is_an_error() {
    let rule = Rule {
        name: "beta".into(),
        lane: Lane::Canary,
        percent: None,
        keys: Vec::new(),
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
        None,
        &routing(),
        &observed(json!([primary(json!({}))])),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "rollout shop/reviews: its steps and the plugin's configuration make no valid policy"
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
        let patch = merge_patch(FilterKind::WasmPlugin, &key, observed, desired).unwrap();
        json_patch::merge(&mut config, &patch);
        let rollouts = config["spec"]["pluginConfig"]["rollouts"]
            .as_object_mut()
            .unwrap();
        assert_eq!(rollouts.remove("shop/reviews").as_ref(), desired);
        assert_eq!(config, untouched, "the rest of the WasmPlugin");
    }
    assert_eq!(
        merge_patch(FilterKind::WasmPlugin, &key, Some(&a), Some(&a)),
        None
    );
    assert_eq!(merge_patch(FilterKind::WasmPlugin, &key, None, None), None);
}

fn any_rule() -> Vec<Rule> {
    vec![Rule {
        name: "beta".into(),
        lane: Lane::Canary,
        percent: None,
        keys: Vec::new(),
        matches: vec![traffic_policy::config::Match::default()],
    }]
}

#[test]
fn a_policy_tells_whose_the_lane_routes_are() {
    let mut routing = routing();
    let observed = observed(json!([primary(json!({}))]));
    let managed = desired_policy(any_rule(), None, &routing, &observed).unwrap();
    routing.lanes = Lanes::Declared;
    let declared = desired_policy(any_rule(), None, &routing, &observed).unwrap();
    assert!(declares_lanes(declared.as_ref()));
    assert!(!declares_lanes(managed.as_ref()) && !declares_lanes(None));
    let mut same = declared.unwrap();
    same.as_object_mut().unwrap().remove("lanes");
    assert_eq!(Some(same), managed);
}

#[test]
fn rules_need_http_routes() {
    let mut observed = observed(json!([]));
    let object = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
    object.spec = json!({"hosts": ["reviews"], "tls": [primary(json!({}))]});
    assert_eq!(
        desired_policy(any_rule(), None, &routing(), &observed)
            .unwrap_err()
            .to_string(),
        "VirtualService shop/reviews: spec.http: found nothing, expected at least one HTTP route: TLS and TCP routes have neither headers nor mirrors"
    );
    assert_eq!(
        desired_policy(vec![], None, &routing(), &observed).unwrap(),
        None
    );
}

#[test]
fn of_several_virtual_services_those_without_http_routes_have_no_part() {
    let mut routing = routing();
    let mut observed = observed(json!([primary(json!({}))]));
    let mut other = (**observed.virtual_services[0].as_ref().unwrap()).clone();
    other.id.name = "database".to_owned();
    other.spec = json!({"hosts": ["database"], "tcp": [primary(json!({}))]});
    routing.virtual_services.push(VirtualServiceRef {
        id: other.id.clone(),
        ..routing.virtual_services[0].clone()
    });
    observed.virtual_services.push(Some(Arc::new(other)));
    let policy = desired_policy(any_rule(), None, &routing, &observed)
        .unwrap()
        .unwrap();
    assert_eq!(
        policy["virtualServices"],
        json!({"shop/reviews": ["primary"]})
    );
    assert_eq!(policy["hosts"], json!(["reviews.shop.svc.cluster.local"]));
}

#[test]
fn http_routes_that_are_left_out_have_no_part() {
    let mut routing = routing();
    let mut observed = observed(json!([primary(json!({}))]));
    let mut other = (**observed.virtual_services[0].as_ref().unwrap()).clone();
    other.id.name = "database".to_owned();
    other.spec["hosts"] = json!(["database"]);
    other.spec["tcp"] = json!([primary(json!({}))]);
    routing.virtual_services.push(VirtualServiceRef {
        id: other.id.clone(),
        protocols: vec![Protocol::Tcp],
        ..routing.virtual_services[0].clone()
    });
    observed.virtual_services.push(Some(Arc::new(other)));
    let policy = desired_policy(any_rule(), None, &routing, &observed)
        .unwrap()
        .unwrap();
    assert_eq!(
        policy["virtualServices"],
        json!({"shop/reviews": ["primary"]})
    );
    routing.virtual_services[0].protocols = vec![Protocol::Tcp];
    let error = desired_policy(any_rule(), None, &routing, &observed).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"VirtualService shop/reviews: spec.http: found routes that spec.strategy.canary.trafficRouting.plugins["serin/istio"].virtualService.protocols leaves out, expected at least one HTTP route: TLS and TCP routes have neither headers nor mirrors"#
    );
}

#[test]
fn several_virtual_services_of_one_gateway_host_are_all_named() {
    let mut routing = routing();
    let mut observed = observed(json!([primary(json!({}))]));
    let mut other = (**observed.virtual_services[0].as_ref().unwrap()).clone();
    other.id.name = "search".to_owned();
    for object in [
        &mut other,
        Arc::make_mut(observed.virtual_services[0].as_mut().unwrap()),
    ] {
        object.spec["hosts"] = json!(["shop.example.com"]);
    }
    routing.virtual_services.push(VirtualServiceRef {
        id: other.id.clone(),
        routes: Vec::new(),
        ..routing.virtual_services[0].clone()
    });
    observed.virtual_services.push(Some(Arc::new(other)));
    let policy = desired_policy(any_rule(), None, &routing, &observed)
        .unwrap()
        .unwrap();
    assert_eq!(policy["hosts"], json!(["shop.example.com"]));
    assert_eq!(
        policy["virtualServices"],
        json!({"shop/reviews": ["primary"], "shop/search": ["primary"]})
    );
}
