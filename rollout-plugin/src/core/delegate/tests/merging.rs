//! Lane routes of delegates beside their managed routes, in what istiod makes of both with their roots.
//!
//! `tests/data/delegate/cases.json` has the routes of a root that delegate, and the managed route of the delegate.
//! `cases.yaml` holds them as VirtualServices, with the lane routes that Serin writes; `cases.hosts.json` is what
//! istiod's generator makes of them (`crates/testbed/tests/mesh/istiod/istiod_test.go`; 1.29.1, and the module
//! v0.0.0-20260827124520-eed52ebb66ad makes the same). `SERIN_WRITE=1` in a test's environment writes `cases.yaml` anew.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use traffic_policy::Lane;

use super::*;
use crate::core::delegate::merge::{self, Side};
use crate::core::routing::Routing;
use crate::core::virtual_service::{Desired, desired_spec};

const CASES: &str = include_str!("../../../../tests/data/delegate/cases.json");
const OBJECTS: &str = include_str!("../../../../tests/data/delegate/cases.yaml");
const HOSTS: &str = include_str!("../../../../tests/data/delegate/cases.hosts.json");

/// A root, and the delegate of its routes.
struct Case {
    root: Arc<Object>,
    delegate: Arc<Object>,
    routing: Routing,
    lanes: BTreeSet<Lane>,
}

impl Case {
    fn of(number: usize, written: &Value) -> Self {
        let (root, own) = (format!("r{number:03}"), format!("d{number:03}"));
        let routes = written["roots"].as_array().unwrap().iter().zip(0..);
        let routes = routes.map(|(route, index)| {
            let mut all = json!({"name": format!("r{index}"), "delegate": {"name": own}});
            json_patch::merge(&mut all, route);
            all
        });
        let routes: Vec<Value> = routes.collect();
        let gateways: &[&str] = if written.to_string().contains("edge") {
            &["mesh", "edge"]
        } else {
            &["mesh"]
        };
        let subset = |subset: &str| json!({"destination": {"host": "reviews.shop.svc.cluster.local", "subset": subset}});
        let (mut stable, mut canary) = (subset("stable"), subset("canary"));
        (stable["weight"], canary["weight"]) = (json!(0), json!(100));
        let mut managed = json!({"name": "primary", "route": [stable, canary]});
        json_patch::merge(&mut managed, &written["own"]);
        let mut routing = fixtures::routing();
        routing.virtual_services[0].id.name.clone_from(&own);
        routing.virtual_services[0].routes.clear();
        let lanes = if written["mirrors"] == true {
            [Lane::Canary, Lane::Mirror].into()
        } else {
            [Lane::Canary].into()
        };
        let spec =
            json!({"hosts": [format!("{root}.example.com")], "gateways": gateways, "http": routes});
        Self {
            root: object("shop", &root, spec),
            delegate: object("shop", &own, json!({"http": [managed]})),
            routing,
            lanes,
        }
    }

    fn roots(&self) -> [Arc<Object>; 1] {
        [Arc::clone(&self.root)]
    }

    fn managed(&self) -> &Value {
        &self.delegate.spec["http"][0]
    }

    /// The delegate as Serin writes it.
    fn with_lanes(&self) -> Value {
        let desired = Desired {
            lanes: self.lanes.clone(),
            roots: &self.roots(),
            ..Desired::default()
        };
        let reference = &self.routing.virtual_services[0];
        desired_spec(&self.delegate, reference, &self.routing, &desired)
            .unwrap()
            .unwrap()
    }

    fn check(&self) -> Result<(), String> {
        let roots = self.roots();
        let delegation = Delegation::of(&self.delegate, &roots);
        let reference = &self.routing.virtual_services[0];
        let checked = delegation.check(reference, &self.routing, &self.lanes);
        checked.map_err(|error| error.to_string())
    }
}

fn cases() -> Vec<(Value, Case)> {
    let written: Vec<Value> = serde_json::from_str(CASES).unwrap();
    let cases = written.into_iter().enumerate();
    cases
        .map(|(number, written)| (written.clone(), Case::of(number, &written)))
        .collect()
}

fn document(object: &Object, spec: &Value) -> String {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": object.id.name, "namespace": object.id.namespace},
        "spec": spec,
    })
    .to_string()
}

#[test]
fn the_objects_are_what_serin_writes() {
    let server =
        json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]});
    let gateway = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "edge", "namespace": "shop"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
    });
    let service = |name: &str, address: &str| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": {"clusterIP": address}});
    let mut documents = vec![
        gateway.to_string(),
        service("reviews", "10.0.0.1").to_string(),
        service("tap", "10.0.0.2").to_string(),
    ];
    for (_, case) in cases() {
        documents.push(document(&case.root, &case.root.spec));
        documents.push(document(&case.delegate, &case.with_lanes()));
    }
    let written = documents.join("\n---\n") + "\n";
    if std::env::var_os("SERIN_WRITE").is_some() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/delegate/cases.yaml"
        );
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

/// Envoy's routes of one case by the name of the VirtualService's, without what tells a lane route from its managed one.
fn routes(tables: &Value, root: &str, name: &str, lane: Option<&str>) -> BTreeSet<String> {
    let domain = format!("{root}.example.com");
    let hosts = tables.as_object().unwrap().values();
    let hosts = hosts.flat_map(|hosts| hosts.as_array().unwrap());
    let hosts = hosts.filter(|host| host["domains"][0] == *domain);
    let mut found = BTreeSet::new();
    for route in hosts.flat_map(|host| host["routes"].as_array().unwrap()) {
        let mut route = route.clone();
        let full = route["name"].as_str().unwrap_or_default().to_owned();
        let rest = match full.strip_prefix(name) {
            Some(rest) if rest.is_empty() || rest.starts_with('.') => rest.to_owned(),
            _ => continue,
        };
        route["name"] = json!(rest);
        let matched = route["match"].as_object_mut().unwrap();
        if matched.get("case_sensitive") == Some(&json!(true)) {
            matched.remove("case_sensitive");
        }
        if let Some(lane) = lane {
            let header =
                json!({"name": "x-rollout-lane.shop.reviews", "string_match": {"exact": lane}});
            let mut headers = matched.remove("headers").unwrap();
            headers.as_array_mut().unwrap().retain(|one| *one != header);
            if headers != json!([]) {
                matched.insert("headers".to_owned(), headers);
            }
        }
        let mirrors = route["route"]
            .as_object_mut()
            .and_then(|action| action.remove("request_mirror_policies"));
        let mut mirrors: Vec<String> = mirrors
            .iter()
            .filter_map(Value::as_array)
            .flatten()
            .map(copied)
            .collect();
        if lane != Some("canary") && lane.is_some() {
            assert!(
                mirrors
                    .iter()
                    .filter(|mirror| mirror.contains("|canary|"))
                    .eq([CANARY]),
                "{mirrors:?}"
            );
            mirrors.retain(|mirror| !mirror.contains("|canary|"));
        }
        mirrors.sort();
        found.insert(format!("{route} {mirrors:?}"));
    }
    found
}

const CANARY: &str = "outbound|80|canary|reviews.shop.svc.cluster.local 1000000";

/// A mirror's cluster and its share in parts per million.
fn copied(policy: &Value) -> String {
    let fraction = &policy["runtime_fraction"]["default_value"];
    let number = fraction["numerator"].as_u64().unwrap_or(0);
    let number = if fraction["denominator"] == "MILLION" {
        number
    } else {
        number * 10_000
    };
    format!("{} {number}", policy["cluster"].as_str().unwrap())
}

#[test]
fn what_is_checked_is_what_istiod_merges() {
    let tables: Value = serde_json::from_str(HOSTS).unwrap();
    let (mut good, mut refused) = (0, 0);
    for (written, case) in cases() {
        let root = &case.root.id.name;
        let own_name = case.managed()["name"].as_str().unwrap_or_default();
        let mut differing = Vec::new();
        let mut present = 0;
        for route in case.root.spec["http"].as_array().unwrap() {
            let name = route_name(route);
            let managed = routes(&tables, root, &merged_name(name, own_name), None);
            let side = |route| Side {
                route,
                namespace: "shop",
            };
            let conflict = merge::conflict(side(route), side(case.managed()));
            // What names another port, proxy or gateway is in none of the two tables.
            let elsewhere = ["8080", "\"other\""]
                .iter()
                .any(|one| written.to_string().contains(one));
            let is_merged = !managed.is_empty();
            assert!(conflict.is_none() || !is_merged, "{written}: {conflict:?}");
            assert!(conflict.is_some() || is_merged || elsewhere, "{written}");
            present += usize::from(
                is_merged
                    && !managed
                        .iter()
                        .any(|route| route.contains("direct_response")),
            );
            for lane in &case.lanes {
                let lane_name = merged_name(name, &format!("serin-shop.reviews.{lane}"));
                let found = routes(&tables, root, &lane_name, Some(lane.as_str()));
                let mut expected = managed.clone();
                if *lane == Lane::Mirror {
                    // A mirror of the user's to the canary makes way.
                    expected = managed.iter().map(|route| without_canary(route)).collect();
                }
                if found != expected {
                    differing.push(format!("{name} {lane}: {found:?} is not {expected:?}"));
                }
            }
        }
        match case.check() {
            Ok(()) => {
                good += 1;
                assert_eq!(differing, [""; 0], "{written}");
            }
            Err(error) => {
                refused += 1;
                assert!(
                    error.starts_with(&format!("VirtualService shop/{root}: spec.http[")),
                    "{error}"
                );
                assert!(!differing.is_empty() || present == 0, "{written}: {error}");
            }
        }
    }
    assert!(good > 100 && refused > 20, "{good}, {refused}");
}

fn without_canary(route: &str) -> String {
    let (route, mirrors) = route.rsplit_once(" [").unwrap();
    let mirrors = mirrors.trim_end_matches(']').split(", ");
    let mirrors: Vec<&str> = mirrors
        .filter(|mirror| !mirror.contains("|canary|"))
        .collect();
    format!("{route} [{}]", mirrors.join(", "))
}
