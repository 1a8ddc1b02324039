//! Objects in, configuration out. What Envoy makes of it is seen in `tests/mesh`.

use std::path::Path;

use serde_json::{Value, json};

use super::*;

mod clusters;
mod hosts;
mod istiod;
mod plugins;
mod routes;

/// An object of `kind` in the namespace `shop`, made later than those that were made before it in the alphabet.
fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

fn service(name: &str) -> Value {
    object(
        "Service",
        name,
        json!({"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}),
    )
}

/// The Gateway `edge` for one host.
fn edge(host: &str) -> Value {
    let servers =
        json!([{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [host]}]);
    object(
        "Gateway",
        "edge",
        json!({"selector": {"istio": "ingressgateway"}, "servers": servers}),
    )
}

/// A VirtualService for the Service of its name.
fn virtual_service(name: &str, http: Value) -> Value {
    object(
        "VirtualService",
        name,
        json!({"hosts": [name], "http": http}),
    )
}

/// The object in another namespace.
fn moved(mut object: Value, namespace: &str) -> Value {
    object["metadata"]["namespace"] = json!(namespace);
    object
}

fn sorted(list: impl IntoIterator<Item = Value>) -> Objects {
    let mut objects = Objects::default();
    for object in list {
        let list = match object["kind"].as_str().unwrap() {
            "VirtualService" => &mut objects.virtual_services,
            "DestinationRule" => &mut objects.destination_rules,
            "Gateway" => &mut objects.gateways,
            "WasmPlugin" => &mut objects.wasm_plugins,
            "Service" => &mut objects.services,
            "Pod" => &mut objects.pods,
            _ => continue,
        };
        list.push(object);
    }
    objects
}

fn of(via: Via, list: impl IntoIterator<Item = Value>) -> Translation {
    translate(&sorted(list), &Proxy::of(via))
}

/// The translation, which has to be complete.
fn whole(via: Via, list: impl IntoIterator<Item = Value>) -> Configuration {
    let translation = of(via, list);
    assert_eq!(problems(&translation), [""; 0]);
    translation.configuration
}

fn problems(translation: &Translation) -> Vec<String> {
    translation
        .problems
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The virtual host that has this domain.
fn host<'a>(configuration: &'a Configuration, domain: &str) -> Option<&'a Value> {
    let has = |host: &&Value| host["domains"].as_array().unwrap().contains(&json!(domain));
    configuration.hosts.iter().find(has)
}

/// The names of its routes.
fn names(configuration: &Configuration, domain: &str) -> Vec<String> {
    let routes = host(configuration, domain).map(|host| host["routes"].as_array().unwrap());
    let routes = routes.into_iter().flatten();
    routes
        .map(|route| route["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_scenario_is_translated_whole() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e");
    let mut seen = 0;
    for scenario in std::fs::read_dir(scenarios).unwrap() {
        let scenario = scenario.unwrap().path();
        let table = std::fs::read_to_string(scenario.join("scenario.toml")).unwrap_or_default();
        if table.lines().any(|line| line.starts_with("real-only")) {
            continue;
        }
        let name = scenario.file_name().unwrap().to_str().unwrap().to_owned();
        let Ok(files) = std::fs::read_dir(scenario.join("resources")) else {
            continue;
        };
        let mut objects = Vec::new();
        for file in files {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let read: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            objects.extend(read.into_iter().map(|object| moved(object, &name)));
        }
        for via in Via::ALL {
            let configuration = whole(via, objects.clone());
            assert!(!configuration.hosts.is_empty(), "{name} {via:?}");
            let clusters = configuration.clusters.keys();
            assert!(
                clusters.clone().any(|cluster| cluster.contains(&name)),
                "{name}: {clusters:?}"
            );
            // Each destination with weight leads to a cluster that is there.
            for host in &configuration.hosts {
                for route in host["routes"].as_array().unwrap() {
                    if let Some(cluster) = route["route"]["cluster"].as_str() {
                        assert!(
                            configuration.clusters.contains_key(cluster),
                            "{name}: {cluster}"
                        );
                    }
                }
            }
        }
        seen += 1;
    }
    assert!(seen >= 8, "{seen} scenarios");
}
