//! Roots and delegates: what is found, what is refused, and that Istio's own generator names the routes alike.

use serde_json::json;
use traffic_policy::config::{Match, Policy, Rule};
use traffic_policy::{ChosenRoute, Lane};

use super::*;
use crate::core::fixtures;
use crate::core::lane_route::LaneRoute;
use crate::core::plan::{Call, Observed, Weights, writes};
use crate::core::policy::{desired_policy, service_namespaces};
use crate::core::routing::Routing;
use crate::object::{Kind, ObjectId};

mod merging;

fn object(namespace: &str, name: &str, spec: Value) -> Arc<Object> {
    Arc::new(Object {
        id: ObjectId::new(Kind::VirtualService, namespace, name),
        spec,
        ..fixtures::virtual_service(json!([]))
    })
}

#[test]
fn names_are_merged_as_istio_does() {
    for (root, own, merged) in [
        ("team", "primary", "team-primary"),
        ("", "primary", "primary"),
        ("team", "", "team"),
        ("", "", ""),
    ] {
        assert_eq!(merged_name(root, own), merged);
    }
}

#[test]
fn a_root_is_found_by_name_and_namespace() {
    let delegate = object("shop", "reviews", json!({"http": []}));
    let to = |delegate: Value| json!({"hosts": ["a"], "http": [{"name": "r", "delegate": delegate}, {"name": "x", "route": []}]});
    let cases = [
        (
            "edge",
            to(json!({"name": "reviews", "namespace": "shop"})),
            true,
        ),
        ("shop", to(json!({"name": "reviews"})), true),
        ("edge", to(json!({"name": "reviews"})), false),
        (
            "shop",
            to(json!({"name": "reviews", "namespace": "edge"})),
            false,
        ),
        ("shop", to(json!({"name": "details"})), false),
        // Itself a delegate: Istio allows one level.
        (
            "shop",
            json!({"http": [{"delegate": {"name": "reviews"}}]}),
            false,
        ),
    ];
    for (namespace, spec, found) in cases {
        let roots = [object(namespace, "root", spec.clone())];
        let names = roots_of(&delegate, &roots).map(|roots| roots[0].route_names());
        assert_eq!(names.ok(), found.then(|| vec!["r"]), "{namespace}: {spec}");
    }
}

#[test]
fn a_delegate_without_a_usable_root_is_an_error() {
    let hidden = object("shop", "reviews", json!({"exportTo": ["."], "http": []}));
    assert_eq!(
        roots_of(&hidden, &[]).unwrap_err().to_string(),
        "spec.hosts: found nothing, expected hosts, or another VirtualService that has hosts and http[].delegate {name: reviews, namespace: shop}"
    );
    let delegate = json!({"name": "reviews", "namespace": "shop"});
    let root = json!({"hosts": ["a"], "http": [{"delegate": delegate}]});
    let roots = [object("edge", "root", root.clone())];
    assert_eq!(
        roots_of(&hidden, &roots).unwrap_err().to_string(),
        r#"spec.exportTo: found ["."], expected "*" or "edge", the namespace of VirtualService edge/root, which delegates to it"#
    );
    let roots = [
        object("edge", "root", root.clone()),
        object("shop", "near", root),
    ];
    let usable: Vec<_> = roots_of(&hidden, &roots).unwrap();
    assert_eq!(usable.len(), 1);
    assert_eq!(usable[0].object.id.name, "near");
}

#[test]
fn the_services_of_a_roots_hosts_count() {
    let delegate = object("shop", "reviews", json!({"http": [{}]}));
    let root = object(
        "edge",
        "root",
        json!({"hosts": ["front", "a.example.com"], "http": [{"delegate": {"name": "reviews", "namespace": "shop"}}]}),
    );
    let namespaces = service_namespaces(&[Some(delegate)], &[root]);
    assert_eq!(namespaces.into_iter().collect::<Vec<_>>(), ["edge"]);
}

/// The first call of a canary that has a header step ahead, or of its abort.
fn first_call(root: &Value, own: &Value, abort: bool) -> Result<(), String> {
    let step = json!({"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"exact": "1"}}]}});
    let rollout = fixtures::rollout(json!({
        "spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}, step]}}}, "status": {"abort": abort},
    }));
    let routing = Routing::of(&rollout).unwrap();
    let managed = fixtures::primary(own.clone());
    let mut to = json!({"name": "team", "delegate": {"name": "reviews", "namespace": "shop"}});
    json_patch::merge(&mut to, root);
    let http = json!([{"name": "static", "route": [{"destination": {"host": "static"}}]}, to]);
    let root = object(
        "edge",
        "root",
        json!({"hosts": ["x.example.com"], "http": http}),
    );
    let observed = Observed {
        virtual_services: vec![Some(object("shop", "reviews", json!({"http": [managed]})))],
        roots: vec![root],
        ..fixtures::observed(json!([]))
    };
    let call = Call::SetWeight(Weights::default());
    let writes = writes(&rollout, &routing, &observed, call);
    writes.map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn a_lane_that_istio_would_drop_is_the_first_calls_error() {
    let prefix = |prefix: &str| json!({"match": [{"uri": {"prefix": prefix}}]});
    let refused = r#"VirtualService edge/root: spec.http[1].match[0].uri: found {"prefix":"/a"}, expected a match that route "primary" of VirtualService shop/reviews narrows: where the two conflict Istio leaves that route out, and no request gets to it"#;
    for (root, own, expected) in [
        (prefix("/a"), prefix("/b"), Err(refused.to_owned())),
        (prefix("/a"), prefix("/a/b"), Ok(())),
        (json!({"match": [{"uri": {"prefix": "/a"}, "ignoreUriCase": true}]}), json!({}), Ok(())),
        (json!({"match": [{"sourceNamespace": "client"}]}), json!({}), Ok(())),
        (
            json!({"directResponse": {"status": 503}}),
            json!({}),
            Err(r#"VirtualService edge/root: spec.http[1].directResponse: found a directResponse, expected none: route "primary" of VirtualService shop/reviews would answer with it in place of its destinations"#.to_owned()),
        ),
    ] {
        assert_eq!(first_call(&root, &own, false), expected, "{root} {own}");
        assert_eq!(first_call(&root, &own, true), Ok(()), "an abort gets through");
    }
}

#[test]
fn a_lane_agrees_with_its_roots_where_its_managed_route_has_no_match() {
    let roots = [object(
        "edge",
        "root",
        json!({"hosts": ["x.example.com"], "http": [
            {"match": [{"uri": {"prefix": "/a"}, "ignoreUriCase": true}, {"sourceNamespace": "client"}], "delegate": {"name": "reviews", "namespace": "shop"}},
        ]}),
    )];
    let delegate = object("shop", "reviews", json!({"http": []}));
    let routing = fixtures::routing();
    let lane = LaneRoute {
        rollout: &routing.rollout,
        namespace: "shop",
        lane: Lane::Canary,
        several: false,
    };
    let route = fixtures::primary(json!({}));
    let header = json!({"x-rollout-lane.shop.reviews": {"exact": "canary"}});
    let merged = Delegation::of(&delegate, &roots).lane_route(&lane, &route, &routing);
    assert_eq!(
        merged["match"],
        json!([{"headers": header, "ignoreUriCase": true}, {"headers": header, "sourceNamespace": "client"}])
    );
    // One with hosts of its own has no roots.
    let own = object("shop", "reviews", json!({"hosts": ["reviews"], "http": []}));
    let alone = Delegation::of(&own, &roots).lane_route(&lane, &route, &routing);
    assert_eq!(alone["match"], json!([{"headers": header}]));
}

/// `tests/data/delegate`: objects, and the virtual hosts that istiod's generator made of them
/// (`crates/testbed/tests/mesh/istiod/istiod_test.go`, which takes both paths).
const OBJECTS: &str = include_str!("../../../tests/data/delegate/objects.yaml");
const HOSTS: &str = include_str!("../../../tests/data/delegate/hosts.json");

fn observed(delegate: &str) -> Observed {
    let roots: Vec<Arc<Object>> = OBJECTS
        .split("\n---\n")
        .map(|text| serde_json::from_str::<Value>(text).unwrap())
        .filter(|written| written["kind"] == "VirtualService")
        .map(|written| {
            let text = |field: &str| written["metadata"][field].as_str().unwrap().to_owned();
            object(&text("namespace"), &text("name"), written["spec"].clone())
        })
        .collect();
    let managed = roots.iter().find(|root| root.id.name == delegate).cloned();
    Observed {
        virtual_services: vec![Some(managed.unwrap())],
        roots,
        ..fixtures::observed(json!([]))
    }
}

fn policy(delegate: &str, routes: &[&str]) -> Value {
    let mut routing = fixtures::routing();
    routing.virtual_services[0].id.name = delegate.to_owned();
    routing.virtual_services[0].routes = routes.iter().map(|name| (*name).to_owned()).collect();
    let rule = Rule {
        name: "beta".to_owned(),
        lane: Lane::Canary,
        percent: None,
        keys: Vec::new(),
        matches: vec![Match::default()],
    };
    desired_policy(vec![rule], None, &routing, &observed(delegate))
        .unwrap()
        .unwrap()
}

/// One of Envoy's routes.
struct Chosen(Vec<u8>, Vec<u8>);

impl ChosenRoute for Chosen {
    fn config(&mut self) -> &[u8] {
        &self.0
    }

    fn name(&mut self) -> &[u8] {
        &self.1
    }

    fn may_be_forged(&self) -> bool {
        true
    }
}

/// The path prefixes of the routes in Istio's route tables that a policy sets a lane on.
fn taken(policy: &Value) -> Vec<String> {
    let policy: Policy = serde_json::from_value(policy.clone()).unwrap();
    let compiled = traffic_policy::compile("shop/reviews", &policy).unwrap();
    let tables: Value = serde_json::from_str(HOSTS).unwrap();
    let hosts = tables.as_object().unwrap().values();
    let routes = hosts
        .flat_map(|hosts| hosts.as_array().unwrap())
        .flat_map(|host| host["routes"].as_array().unwrap());
    let text = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str).unwrap_or_default();
        text.as_bytes().to_vec()
    };
    let taken = routes.filter(|route| {
        let config = route.pointer("/metadata/filter_metadata/istio/config");
        compiled.may_set_lane_on(&mut Chosen(text(config), text(route.get("name"))))
    });
    let mut prefixes: Vec<String> = taken
        .map(|route| route["match"]["prefix"].as_str().unwrap().to_owned())
        .collect();
    prefixes.sort();
    prefixes
}

#[test]
fn a_policy_finds_a_delegates_routes_where_istiod_puts_them() {
    let reviews = policy("reviews", &["primary"]);
    assert_eq!(
        reviews["virtualServices"],
        json!({"edge/shop": ["team-primary", "primary"], "shop/inside": ["all-primary"]})
    );
    assert_eq!(
        reviews["hosts"],
        json!(["reviews.shop.svc.cluster.local", "shop.example.com"])
    );
    assert_eq!(taken(&reviews), ["/", "/old", "/reviews"]);

    let hidden = policy("hidden", &["primary"]);
    assert_eq!(
        hidden["virtualServices"],
        json!({"shop/bare-inside": ["seen-primary"]}),
        "the other root may not use it"
    );
    assert_eq!(taken(&hidden), ["/seen"]);
}

#[test]
fn a_route_without_any_name_takes_every_route_of_its_root() {
    let bare = policy("bare", &[]);
    assert_eq!(
        bare["virtualServices"],
        json!({"edge/shop": [], "shop/bare-inside": ["named"]})
    );
    let taken = taken(&bare);
    for prefix in ["/bare", "/named"] {
        assert!(taken.iter().any(|taken| taken == prefix), "{taken:?}");
    }
    assert!(taken.iter().all(|prefix| prefix != "/seen"), "{taken:?}");
}

#[test]
fn one_root_can_delegate_to_several_of_a_rollouts_virtual_services() {
    let config = json!({"virtualService": null, "virtualServices": [{"name": "a", "routes": ["primary"]}, {"name": "b"}]});
    let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": config}}}}}});
    let routing = Routing::of(&fixtures::rollout(change)).unwrap();
    let route = fixtures::primary(json!({}));
    let root = json!({"hosts": ["x.example.com"], "http": [
        {"name": "one", "delegate": {"name": "a"}}, {"name": "two", "delegate": {"name": "b"}},
    ]});
    let delegates = ["a", "b"].map(|name| Some(object("shop", name, json!({"http": [route]}))));
    let observed = Observed {
        virtual_services: delegates.to_vec(),
        roots: vec![object("shop", "root", root)],
        ..fixtures::observed(json!([]))
    };
    let rule = Rule {
        name: "beta".to_owned(),
        lane: Lane::Canary,
        percent: None,
        keys: Vec::new(),
        matches: vec![Match::default()],
    };
    let policy = desired_policy(vec![rule], None, &routing, &observed)
        .unwrap()
        .unwrap();
    assert_eq!(
        policy["virtualServices"],
        json!({"shop/root": ["one-primary", "two-primary"]})
    );
}
