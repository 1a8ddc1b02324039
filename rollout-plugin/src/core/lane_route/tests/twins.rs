//! Lane routes beside their managed routes, in what istiod makes of both: equal but for the name and the lane header.
//!
//! `tests/data/twins/fields.json` has the values that a field of an HTTP route can take. `objects.yaml` holds a
//! VirtualService for each value alone and as many more as it takes to have each two values together, as Serin writes
//! them at 100 % with the lanes of one side. `hosts.json` is what istiod's generator makes of them
//! (`crates/testbed/tests/mesh/istiod/istiod_test.go`; 1.29.1 and the module v0.0.0-20260827124520-eed52ebb66ad make the
//! same). Where the first is changed, or what Serin writes, a test says so; with `SERIN_WRITE` in its environment it
//! writes `objects.yaml` anew, and the generator has to be run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use traffic_policy::Lane;

use crate::core::fixtures::{rollout, virtual_service};
use crate::core::routing::Routing;
use crate::core::virtual_service::{Desired, desired_spec};
use crate::core::weights::Split;
use crate::object::{Kind, Object, ObjectId};

use rows::{fields, has, merged, pairs, rows};

mod rows;

const OBJECTS: &str = include_str!("../../../../tests/data/twins/objects.yaml");
const HOSTS: &str = include_str!("../../../../tests/data/twins/hosts.json");

fn routing() -> Routing {
    let config = json!({"virtualService": {"routes": null}, "destinationRule": {"additionalSubsetNames": ["pinned"]}});
    let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": config}}}}}});
    Routing::of(&rollout(change)).unwrap()
}

/// The VirtualService of one row: all of the weight on one side, and that side's lane, with a mirror lane too or without.
fn object(number: usize, mut said: Value, mirrors: bool) -> Value {
    let mut take = |name: &str| said.as_object_mut().unwrap().remove(name);
    let (side, gateways) = (take("side").unwrap(), take("gateways").unwrap());
    let change = take("destinations").unwrap_or_else(|| json!({}));
    let others = take("others").unwrap_or_else(|| json!([]));
    let mut route: Vec<Value> = ["stable", "canary"]
        .map(|subset| json!({"destination": {"host": "reviews.shop.svc.cluster.local", "subset": subset}}))
        .to_vec();
    route.extend(others.as_array().unwrap().iter().cloned());
    for one in &mut route[..2] {
        json_patch::merge(one, &change);
    }
    said["route"] = json!(route);
    let name = format!("c{number:03}");
    let object = Object {
        id: ObjectId::new(Kind::VirtualService, "shop", &*name),
        spec: json!({"hosts": [format!("{name}.example.com")], "gateways": gateways, "http": [said]}),
        ..virtual_service(json!([]))
    };
    let routing = routing();
    let (canary, lane, mirror) = match side.as_str() {
        Some("canary") => (100, Lane::Canary, Lane::Mirror),
        _ => (0, Lane::Stable, Lane::StableMirror),
    };
    // What a mirror is added to doesn't matter for it.
    let mirror = mirrors.then_some(mirror);
    let split = Split {
        canary,
        experiments: Vec::new(),
    };
    let desired = Desired {
        split: Some(&split),
        lanes: mirror.into_iter().chain([lane]).collect(),
        ..Desired::default()
    };
    let spec = desired_spec(&object, &routing.virtual_services[0], &routing, &desired).unwrap();
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec.unwrap(),
    })
}

/// What the VirtualServices need around them.
fn surroundings() -> Vec<Value> {
    let rule = |host: &str, subsets: Value| {
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": {"name": host, "namespace": "shop"}, "spec": {"host": format!("{host}.shop.svc.cluster.local"), "subsets": subsets},
        })
    };
    let service = |name: &str, address: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"clusterIP": address},
        })
    };
    let hash = |by: Value| json!({"loadBalancer": {"consistentHash": by}});
    let server =
        json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]});
    vec![
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "edge", "namespace": "shop"},
            "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
        }),
        service("reviews", "10.0.0.1"),
        service("hashed", "10.0.0.2"),
        service("tap", "10.0.0.3"),
        rule(
            "reviews",
            json!([{"name": "canary"}, {"name": "stable"}, {"name": "pinned"}]),
        ),
        rule("tap", json!([{"name": "second"}])),
        rule(
            "hashed",
            json!([
                {"name": "canary", "trafficPolicy": hash(json!({"httpHeaderName": "x-user"}))},
                {"name": "stable", "trafficPolicy": hash(json!({"httpCookie": {"name": "user", "ttl": "0s"}}))},
            ]),
        ),
    ]
}

fn written() -> String {
    let fields = fields();
    let sizes: Vec<usize> = fields.iter().map(Vec::len).collect();
    let rows = rows(&sizes);
    let numbered = rows.iter().enumerate();
    let services = numbered.map(|(number, row)| {
        let values = row.iter().filter(|value| **value > 0);
        object(number, merged(&fields, row), values.count() < 2)
    });
    let lines: Vec<String> = surroundings()
        .into_iter()
        .chain(services)
        .map(|object| object.to_string())
        .collect();
    lines.join("\n---\n") + "\n"
}

#[test]
fn the_objects_are_what_serin_writes() {
    let written = written();
    if std::env::var_os("SERIN_WRITE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/twins/objects.yaml");
        std::fs::write(path, &written).unwrap();
    }
    let differs = written
        .lines()
        .zip(OBJECTS.lines())
        .find(|(now, then)| now != then);
    assert_eq!(
        differs, None,
        "run it with SERIN_WRITE=1, then the generator"
    );
    assert_eq!(written.len(), OBJECTS.len());
}

#[test]
fn each_two_values_come_together() {
    let sizes: Vec<usize> = fields().iter().map(Vec::len).collect();
    let rows = rows(&sizes);
    for pair in pairs(&sizes) {
        assert!(rows.iter().any(|row| has(row, pair)), "{pair:?}");
    }
}

/// Envoy's routes of one VirtualService: its own, and those of each lane under the names of the first.
fn routes_of(host: &Value) -> (Vec<Value>, BTreeMap<String, Vec<Value>>) {
    let (mut own, mut lanes) = (Vec::new(), BTreeMap::<_, Vec<Value>>::new());
    for route in host["routes"].as_array().unwrap() {
        let name = route["name"].as_str().unwrap_or_default();
        match name.strip_prefix("serin-shop.reviews.") {
            None => own.push(route.clone()),
            Some(rest) => {
                let (lane, entry) = rest
                    .split_once('.')
                    .map_or((rest, None), |(lane, entry)| (lane, Some(entry)));
                let mut route = route.clone();
                take_lane_header(&mut route, lane);
                route["name"] = json!(entry);
                lanes.entry(lane.to_owned()).or_default().push(route);
            }
        }
    }
    for route in &mut own {
        let name = route["name"].as_str().unwrap_or_default();
        let entry = name.strip_prefix("primary").unwrap_or(name);
        route["name"] = json!(entry.strip_prefix('.'));
        without_default(&mut route["match"]);
    }
    (own, lanes)
}

/// istiod writes Envoy's default where there is a match entry, and leaves it out where there is none.
fn without_default(found: &mut Value) {
    if found["case_sensitive"] == json!(true) {
        found.as_object_mut().unwrap().remove("case_sensitive");
    }
}

/// Takes the match on the lane header off, which has to be there.
fn take_lane_header(route: &mut Value, lane: &str) {
    let expected = json!({"name": "x-rollout-lane.shop.reviews", "string_match": {"exact": lane}});
    without_default(&mut route["match"]);
    let fields = route["match"].as_object_mut().unwrap();
    let mut headers = fields.remove("headers").unwrap();
    let all = headers.as_array_mut().unwrap();
    let before = all.len();
    all.retain(|header| *header != expected);
    assert_eq!(all.len(), before - 1, "{lane}: {headers}");
    if headers
        .as_array()
        .is_some_and(|headers| !headers.is_empty())
    {
        fields.insert("headers".to_owned(), headers);
    }
}

/// What a mirror lane has beside its managed route: one copy of everything to the canary.
fn with_mirror(mut route: Value) -> Value {
    let canary = |policy: &Value| {
        policy["cluster"]
            .as_str()
            .unwrap()
            .starts_with("outbound|80|canary|")
    };
    let action = route["route"].as_object_mut().unwrap();
    let own = action.remove("request_mirror_policies");
    let mut mirrors: Vec<Value> = serde_json::from_value(own.unwrap_or_else(|| json!([]))).unwrap();
    mirrors.retain(|policy| !canary(policy));
    mirrors.iter_mut().for_each(in_parts_per_million);
    let weighted = &action["weighted_clusters"]["clusters"];
    let host = weighted[0]["name"]
        .as_str()
        .unwrap()
        .rsplit('|')
        .next()
        .unwrap();
    mirrors.push(json!({
        "cluster": format!("outbound|80|canary|{host}"),
        "runtime_fraction": {"default_value": {"numerator": 1_000_000}},
        "trace_sampled": false,
    }));
    action.insert("request_mirror_policies".to_owned(), json!(mirrors));
    route
}

/// `mirrorPercent` becomes one of a hundred parts, `percentage` one of a million.
fn in_parts_per_million(policy: &mut Value) {
    let fraction = policy["runtime_fraction"]["default_value"]
        .as_object_mut()
        .unwrap();
    if fraction.remove("denominator") != Some(json!("MILLION")) {
        fraction["numerator"] = json!(fraction["numerator"].as_u64().unwrap() * 10_000);
    }
}

#[test]
fn a_lane_route_is_its_managed_route_but_for_the_lane_header() {
    let tables: Value = serde_json::from_str(HOSTS).unwrap();
    let mut seen = BTreeSet::new();
    for host in ["80", "http.80"]
        .iter()
        .flat_map(|name| tables[*name].as_array().unwrap())
    {
        let domain = host["domains"][0].as_str().unwrap();
        if !domain.starts_with('c') || !domain.ends_with(".example.com") {
            continue;
        }
        seen.insert(domain);
        let (own, lanes) = routes_of(host);
        assert!(!own.is_empty() && !lanes.is_empty(), "{domain}: {lanes:?}");
        for (lane, routes) in lanes {
            // Behind a route that takes everything istiod writes no more.
            assert!(routes.len() >= own.len(), "{domain}, {lane}");
            for (mut route, own) in routes.into_iter().zip(&own) {
                let mut expected = own.clone();
                if lane.ends_with("mirror") {
                    expected = with_mirror(expected);
                    let policies = route["route"]["request_mirror_policies"].as_array_mut();
                    policies.unwrap().iter_mut().for_each(in_parts_per_million);
                }
                assert_eq!(route, expected, "{domain}, {lane}");
            }
        }
    }
    let objects = OBJECTS
        .lines()
        .filter(|line| line.contains("\"VirtualService\""));
    assert_eq!(seen.len(), objects.count());
}
