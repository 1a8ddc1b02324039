//! istiod's own virtual hosts for the same objects: `tests/mesh/istiod`, where the program is that writes them.

use serde_json::{Map, Value};

use super::*;

const OBJECTS: &str = include_str!("../../../../tests/mesh/istiod/objects.yaml");
const HOSTS: &str = include_str!("../../../../tests/mesh/istiod/hosts.json");

/// Fields that say something to istiod's own Envoy only.
const NOT_HERE: [&str; 2] = ["decorator", "max_grpc_timeout"];
/// What a field says where it is absent: one of the two writes it, the other doesn't.
const DEFAULTS: [(&str, &str); 9] = [
    ("name", ""),
    ("path_redirect", ""),
    ("allow_methods", ""),
    ("allow_headers", ""),
    ("expose_headers", ""),
    ("denominator", "HUNDRED"),
    ("append_action", "APPEND_IF_EXISTS_OR_ADD"),
    ("response_code", "MOVED_PERMANENTLY"),
    ("disable_shadow_host_suffix_append", "false"),
];

/// The same without what says nothing, and with domains in one order.
fn said(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let is_said = |name: &str, value: &Value| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                !NOT_HERE.contains(&name) && !DEFAULTS.contains(&(name, &text))
            };
            let fields = fields.iter().filter(|(name, value)| is_said(name, value));
            let mut said: Map<String, Value> = fields
                .map(|(name, value)| (name.clone(), self::said(value)))
                .collect();
            if let Some(Value::Array(domains)) = said.get_mut("domains") {
                domains.sort_by_key(Value::to_string);
            }
            Value::from(said)
        }
        Value::Array(list) => list.iter().map(said).collect(),
        other => other.clone(),
    }
}

#[test]
fn virtual_hosts_are_those_of_istiod() {
    let objects: Vec<Value> = serde_saphyr::from_multiple(OBJECTS).unwrap();
    let expected: Value = serde_json::from_str(HOSTS).unwrap();
    for (via, routes) in [(Via::Sidecar, "80"), (Via::Gateway, "http.80")] {
        // Where unknown hosts lead to is a setting of the mesh.
        let known = |host: &&Value| host["domains"] != json!(["*"]);
        let expected: Vec<&Value> = expected[routes]
            .as_array()
            .unwrap()
            .iter()
            .filter(known)
            .collect();
        let hosts = whole(via, objects.clone()).hosts;
        let hosts: Vec<&Value> = hosts.iter().filter(known).collect();
        let names = |hosts: &[&Value]| {
            hosts
                .iter()
                .map(|host| host["name"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&hosts), names(&expected), "{via:?}");
        for (host, expected) in hosts.into_iter().zip(expected) {
            assert_eq!(said(host), said(expected), "{via:?} {}", host["name"]);
        }
    }
}
