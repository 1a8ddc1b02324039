//! Two objects in, whether a proxy could run both out.

use serde_json::json;

use super::*;
use crate::object::{Kind, ObjectId};

fn object(kind: Kind, namespace: &str, spec: Value) -> Object {
    Object {
        id: ObjectId::new(kind, namespace, "serin"),
        spec,
        ..crate::core::fixtures::wasm_plugin()
    }
}

fn labels(labels: Value) -> Value {
    json!({"selector": {"matchLabels": labels}})
}

fn target(kind: &str, name: &str) -> Value {
    json!({"targetRefs": [{"kind": kind, "name": name}]})
}

fn mode(mut spec: Value, mode: &str) -> Value {
    spec["match"] = json!([{"mode": mode}]);
    spec
}

/// A namespace and a spec.
type Row<'a> = ((&'a str, Value), (&'a str, Value), bool);

fn check(rows: &[Row<'_>]) {
    for (one, other, meet) in rows {
        let first = object(Kind::WasmPlugin, one.0, one.1.clone());
        let second = object(Kind::TrafficExtension, other.0, other.1.clone());
        assert_eq!(may_meet(&first, &second), *meet, "{one:?} {other:?}");
        assert_eq!(may_meet(&second, &first), *meet, "{other:?} {one:?}");
    }
}

const ROOT: &str = "istio-system";

#[test]
fn objects_meet_where_labels_directions_and_ports_don_t_exclude_it() {
    let port = |number: u32| json!({"match": [{"mode": "CLIENT", "ports": [{"number": number}]}]});
    check(&[
        ((ROOT, json!({})), (ROOT, json!({})), true),
        ((ROOT, json!({})), ("shop", json!({})), true),
        (("shop", json!({})), ("shop", json!({"selector": {}})), true),
        (("shop", json!({})), ("pay", json!({})), false),
        (
            (ROOT, json!({})),
            ("shop", labels(json!({"app": "web"}))),
            true,
        ),
        (
            (ROOT, labels(json!({"app": "web"}))),
            ("shop", labels(json!({"app": "web"}))),
            true,
        ),
        (
            (ROOT, labels(json!({"app": "web"}))),
            ("shop", labels(json!({"app": "api"}))),
            false,
        ),
        (
            (ROOT, labels(json!({"app": "web"}))),
            (ROOT, labels(json!({"tier": "1"}))),
            true,
        ),
        (
            ("shop", labels(json!({"app": "web"}))),
            ("shop", labels(json!({"app": "web", "v": "2"}))),
            true,
        ),
        // Directions and ports.
        (
            (ROOT, mode(json!({}), "CLIENT")),
            ("shop", mode(json!({}), "SERVER")),
            false,
        ),
        (
            (ROOT, mode(json!({}), "CLIENT")),
            ("shop", mode(json!({}), "CLIENT_AND_SERVER")),
            true,
        ),
        ((ROOT, port(80)), ("shop", port(80)), true),
        ((ROOT, port(80)), ("shop", port(81)), false),
        ((ROOT, port(80)), ("shop", json!({})), true),
    ]);
}

#[test]
fn targets_meet_where_one_gateway_or_waypoint_can_be_both() {
    let gateway_name = json!({GATEWAY_NAME: "edge"});
    let class = target("GatewayClass", "istio-waypoint");
    check(&[
        ((ROOT, json!({})), ("shop", target("Gateway", "edge")), true),
        (
            (ROOT, mode(json!({}), "CLIENT")),
            ("shop", mode(target("Gateway", "waypoint"), "SERVER")),
            false,
        ),
        (
            ("shop", labels(gateway_name.clone())),
            ("shop", target("Gateway", "edge")),
            true,
        ),
        (
            ("shop", labels(gateway_name)),
            ("shop", target("Gateway", "other")),
            false,
        ),
        (
            ("pay", json!({})),
            ("shop", target("Gateway", "edge")),
            false,
        ),
        ((ROOT, json!({})), (ROOT, class.clone()), false),
        ((ROOT, json!({})), ("shop", target("Service", "web")), false),
        ((ROOT, class.clone()), (ROOT, class.clone()), true),
        (
            (ROOT, class.clone()),
            ("shop", target("Service", "web")),
            true,
        ),
        (
            ("shop", target("Gateway", "edge")),
            ("shop", target("Gateway", "edge")),
            true,
        ),
        (
            ("shop", target("Gateway", "edge")),
            ("pay", target("Gateway", "edge")),
            false,
        ),
        (
            ("shop", target("Gateway", "a")),
            (
                "shop",
                json!({"targetRef": {"kind": "Gateway", "name": "a"}}),
            ),
            true,
        ),
        (
            ("shop", target("Service", "web")),
            ("shop", target("Service", "api")),
            false,
        ),
        (
            ("shop", target("Gateway", "w")),
            ("shop", target("Service", "web")),
            true,
        ),
    ]);
}
