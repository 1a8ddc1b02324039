//! Views over objects: what they read, and what they say of the rest.

use serde_json::json;

use super::*;

fn problems<T: DeserializeOwned + Serialize>(kind: &str, spec: Value) -> Vec<String> {
    let object = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec});
    let mut found = Vec::new();
    read::<T>(kind, &[object], &mut found);
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn fields_that_no_view_has_are_named_with_their_path() {
    let spec = json!({
        "host": "web",
        "workloadSelector": {"matchLabels": {"a": "b"}},
        "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 1}}, "loadBalancer": {"simple": "RANDOM"}},
        "subsets": [{"name": "a", "labels": {"x": "y"}}, {"name": "b", "trafficPolicy": {"outlierDetection": {}, "tunnel": {"a": 1}}}],
        "exportTo": ["*"],
    });
    assert_eq!(
        problems::<DestinationRule>("DestinationRule", spec),
        [
            "DestinationRule shop/web: spec.subsets[1].trafficPolicy.tunnel: the embedded mesh doesn't translate it",
            "DestinationRule shop/web: spec.trafficPolicy.connectionPool: the embedded mesh doesn't translate it",
            "DestinationRule shop/web: spec.workloadSelector: the embedded mesh doesn't translate it",
        ]
    );
}

#[test]
fn an_object_that_does_not_fit_is_left_out() {
    let found = problems::<VirtualService>("VirtualService", json!({"hosts": "web"}));
    assert_eq!(
        found,
        [r#"VirtualService shop/web: spec: invalid type: string "web", expected a sequence"#]
    );
}

#[test]
fn null_says_nothing() {
    let spec = json!({"host": "web", "subsets": null, "trafficPolicy": null, "other": null});
    assert_eq!(
        problems::<DestinationRule>("DestinationRule", spec),
        [""; 0]
    );
}

#[test]
fn the_oldest_comes_first_and_names_decide_within_a_second() {
    let object = |name: &str, created: &str| json!({"metadata": {"name": name, "namespace": "shop", "creationTimestamp": created}, "spec": {}});
    let objects = [
        object("b", "2026-01-01T00:00:01Z"),
        object("c", "2026-01-01T00:00:00Z"),
        object("a", "2026-01-01T00:00:01Z"),
    ];
    let read = read::<VirtualService>("VirtualService", &objects, &mut Vec::new());
    let names: Vec<&str> = read.iter().map(|one| one.meta.name.as_str()).collect();
    assert_eq!(names, ["c", "a", "b"]);
}

fn pod(more: Value) -> Pod {
    let mut pod = json!({
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "annotations": {"testbed/served-at": "8080=127.0.0.1:40123, 9090=127.0.0.1:40124,broken"},
        },
        "spec": {"containers": [{"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    json_patch::merge(&mut pod, &more);
    Pod::deserialize(&pod).unwrap()
}

#[test]
fn ports_are_served_where_the_annotation_says() {
    let pod = pod(json!({}));
    let cases = [
        (json!(8080), Some("127.0.0.1:40123")),
        (json!("http"), Some("127.0.0.1:40123")),
        (json!(9090), Some("127.0.0.1:40124")),
        (json!(80), None),
        (json!("metrics"), None),
    ];
    for (target, expected) in cases {
        let port: ServicePort =
            serde_json::from_value(json!({"port": 80, "targetPort": target})).unwrap();
        let expected = expected.map(|address| address.parse().unwrap());
        assert_eq!(pod.serves(&port.target()), expected, "{target}");
    }
}

#[test]
fn only_ready_pods_that_stay_take_requests() {
    let not_ready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let leaving = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    for (more, expected) in [
        (json!({}), true),
        (not_ready, false),
        (leaving, false),
        (json!({"status": null}), false),
    ] {
        assert_eq!(pod(more.clone()).is_ready(), expected, "{more}");
    }
}

#[test]
fn a_port_is_http_unless_it_says_otherwise() {
    let cases = [
        (json!({"port": 80}), true),
        (json!({"port": 80, "name": "http-web"}), true),
        (json!({"port": 80, "name": "grpc"}), true),
        (json!({"port": 80, "name": "tcp-web"}), false),
        (
            json!({"port": 80, "name": "http", "appProtocol": "https"}),
            false,
        ),
        (json!({"port": 80, "protocol": "UDP"}), false),
    ];
    for (port, expected) in cases {
        let read: ServicePort = serde_json::from_value(port.clone()).unwrap();
        assert_eq!(read.is_http(), expected, "{port}");
    }
}

#[test]
fn a_port_is_http2_where_it_says_so() {
    let cases = [
        (json!({"port": 80}), false),
        (json!({"port": 80, "name": "http-web"}), false),
        (json!({"port": 80, "name": "grpc-web"}), true),
        (json!({"port": 80, "name": "http2"}), true),
        (
            json!({"port": 80, "name": "http", "appProtocol": "kubernetes.io/h2c"}),
            true,
        ),
    ];
    for (port, expected) in cases {
        let read: ServicePort = serde_json::from_value(port.clone()).unwrap();
        assert_eq!(read.is_http2(), expected, "{port}");
    }
}
