//! Which clusters there are, and which pods are in them.

use serde_json::{Value, json};

use super::*;

fn pod(name: &str, port: u16, labels: Value) -> Value {
    let mut all = json!({"app": "web"});
    json_patch::merge(&mut all, &labels);
    json!({
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": all,
            "annotations": {"testbed/served-at": format!("8080=127.0.0.1:{port}")},
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn rule(name: &str, spec: Value) -> Value {
    object("DestinationRule", name, spec)
}

/// The ports of a cluster's endpoints; `None` if there is no such cluster.
fn ports(configuration: &Configuration, cluster: &str) -> Option<Vec<u16>> {
    let cluster = configuration.clusters.get(cluster)?;
    Some(cluster.endpoints.iter().map(SocketAddr::port).collect())
}

const WEB: &str = "outbound|80||web.shop.svc.cluster.local";
const A: &str = "outbound|80|a|web.shop.svc.cluster.local";
const B: &str = "outbound|80|b|web.shop.svc.cluster.local";

#[test]
fn endpoints_are_the_ready_pods_with_the_labels() {
    let mut not_ready = pod("web-3", 3, json!({}));
    not_ready["status"]["conditions"][0]["status"] = json!("False");
    let mut leaving = pod("web-4", 4, json!({}));
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut unserved = pod("web-5", 5, json!({}));
    unserved["metadata"]["annotations"] = json!({});
    let configuration = whole(
        Via::Sidecar,
        [
            service("web"),
            rule(
                "web",
                json!({"host": "web", "subsets": [
                    {"name": "a", "labels": {"v": "1"}},
                    {"name": "b", "labels": {"v": "3"}},
                ]}),
            ),
            pod("web-2", 2, json!({"v": "2"})),
            pod("web-1", 1, json!({"v": "1"})),
            not_ready,
            leaving,
            unserved,
            pod("other", 6, json!({"app": "other"})),
            moved(pod("web-7", 7, json!({})), "elsewhere"),
        ],
    );
    assert_eq!(ports(&configuration, WEB), Some(vec![1, 2]));
    assert_eq!(ports(&configuration, A), Some(vec![1]));
    assert_eq!(ports(&configuration, B), Some(vec![]));
}

#[test]
fn each_port_of_a_service_has_its_clusters() {
    let mut web = service("web");
    web["spec"]["ports"] = json!([{"port": 80, "targetPort": "http"}, {"port": 8080}]);
    let mut served = pod("web-1", 1, json!({}));
    served["spec"] = json!({"containers": [{"ports": [{"name": "http", "containerPort": 3000}]}]});
    served["metadata"]["annotations"]["testbed/served-at"] =
        json!("3000=127.0.0.1:1,8080=127.0.0.1:2");
    let configuration = whole(Via::Gateway, [web, served]);
    assert_eq!(ports(&configuration, WEB), Some(vec![1]));
    assert_eq!(
        ports(&configuration, "outbound|8080||web.shop.svc.cluster.local"),
        Some(vec![2])
    );
}

#[test]
fn the_nearest_destination_rule_counts() {
    let subset = |name: &str, host: &str, subset: &str| {
        rule(
            name,
            json!({"host": host, "subsets": [{"name": subset, "labels": {"v": "1"}}]}),
        )
    };
    let cases = [
        // Of one namespace the narrowest host, and all rules of that host together.
        (
            vec![
                subset("x", "web", "a"),
                subset("y", "*.shop.svc.cluster.local", "b"),
            ],
            (true, false),
        ),
        (
            vec![subset("y", "*.shop.svc.cluster.local", "b")],
            (false, true),
        ),
        (
            vec![
                subset("x", "web", "a"),
                subset("y", "web.shop.svc.cluster.local", "b"),
            ],
            (true, true),
        ),
        // The client's namespace, then the Service's, then Istio's.
        (
            vec![
                subset("x", "web", "a"),
                moved(subset("y", "web.shop.svc.cluster.local", "b"), "client"),
            ],
            (false, true),
        ),
        (
            vec![
                subset("x", "web", "a"),
                moved(
                    subset("y", "web.shop.svc.cluster.local", "b"),
                    "istio-system",
                ),
            ],
            (true, false),
        ),
        (
            vec![moved(
                subset("y", "web.shop.svc.cluster.local", "b"),
                "istio-system",
            )],
            (false, true),
        ),
        (
            vec![moved(
                subset("y", "web.shop.svc.cluster.local", "b"),
                "elsewhere",
            )],
            (false, false),
        ),
        // Another namespace's host of the same short name.
        (
            vec![moved(subset("y", "web", "b"), "istio-system")],
            (false, false),
        ),
    ];
    for (rules, expected) in cases {
        let configuration = whole(
            Via::Sidecar,
            rules.clone().into_iter().chain([service("web")]),
        );
        let seen = (
            configuration.clusters.contains_key(A),
            configuration.clusters.contains_key(B),
        );
        assert_eq!(seen, expected, "{rules:?}");
    }
    let mut private = subset("x", "web", "a");
    private["spec"]["exportTo"] = json!(["."]);
    let configuration = whole(Via::Sidecar, [private, service("web")]);
    assert!(
        !configuration.clusters.contains_key(A),
        "not exported to the client's namespace"
    );
}

#[test]
fn load_is_balanced_as_the_policy_says() {
    let simple = |simple: &str| json!({"loadBalancer": {"simple": simple}});
    let configuration = whole(
        Via::Sidecar,
        [
            service("web"),
            rule(
                "web",
                json!({
                    "host": "web",
                    "trafficPolicy": simple("ROUND_ROBIN"),
                    "subsets": [{"name": "a"}, {"name": "b", "trafficPolicy": simple("RANDOM")}],
                }),
            ),
            service("plain"),
        ],
    );
    for (cluster, expected) in [
        (WEB, "ROUND_ROBIN"),
        (A, "ROUND_ROBIN"),
        (B, "RANDOM"),
        ("outbound|80||plain.shop.svc.cluster.local", "LEAST_REQUEST"),
    ] {
        assert_eq!(
            configuration.clusters[cluster].to_json("")["lb_policy"],
            expected,
            "{cluster}"
        );
    }
}

#[test]
fn policies_that_are_not_followed_are_said() {
    let translation = of(
        Via::Sidecar,
        [rule(
            "web",
            json!({
                "host": "web",
                "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}, "outlierDetection": {"consecutive5xxErrors": 1}},
                "subsets": [{"name": "a", "trafficPolicy": {"loadBalancer": {"simple": "PASSTHROUGH"}}}],
            }),
        )],
    );
    assert_eq!(
        problems(&translation),
        [
            "DestinationRule shop/web: spec.subsets[0].trafficPolicy.loadBalancer.simple: the embedded mesh doesn't translate \"PASSTHROUGH\", expected UNSPECIFIED, LEAST_REQUEST, LEAST_CONN, ROUND_ROBIN or RANDOM",
            "DestinationRule shop/web: spec.trafficPolicy.outlierDetection: the embedded mesh doesn't translate it",
            "DestinationRule shop/web: spec.trafficPolicy.tls.mode: the embedded mesh doesn't translate \"ISTIO_MUTUAL\", expected DISABLE",
        ]
    );
}
