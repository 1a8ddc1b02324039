//! Which hosts lead to which routes.

use serde_json::{Value, json};

use super::*;

/// A route of this name to `web`; with a prefix if it has one.
fn route(name: &str, prefix: &str) -> Value {
    let to = json!([{"destination": {"host": "web"}}]);
    if prefix.is_empty() {
        json!({"name": name, "route": to})
    } else {
        json!({"name": name, "match": [{"uri": {"prefix": prefix}}], "route": to})
    }
}

/// A VirtualService of the gateway `edge` for one host.
fn at_edge(name: &str, host: &str, http: Value) -> Value {
    object(
        "VirtualService",
        name,
        json!({"hosts": [host], "gateways": ["edge"], "http": http}),
    )
}

#[test]
fn a_service_is_known_by_its_names_and_addresses() {
    let mut web = service("web");
    web["spec"]["clusterIP"] = json!("10.96.0.7");
    web["spec"]["clusterIPs"] = json!(["10.96.0.7", "fd00::7"]);
    let mut headless = moved(service("db"), "client");
    headless["spec"]["clusterIP"] = json!("None");
    let configuration = whole(Via::Sidecar, [web, headless]);
    let domains = |domain: &str| host(&configuration, domain).unwrap()["domains"].clone();
    assert_eq!(
        domains("web.shop"),
        json!([
            "web.shop.svc.cluster.local",
            "web.shop.svc.cluster.local.",
            "web.shop",
            "web.shop.svc",
            "10.96.0.7",
            "fd00::7",
        ])
    );
    // The bare name is known within the namespace only.
    assert_eq!(
        domains("db"),
        json!([
            "db.client.svc.cluster.local",
            "db.client.svc.cluster.local.",
            "db.client",
            "db.client.svc",
            "db",
        ])
    );
    assert_eq!(host(&configuration, "web"), None);
    let default = &host(&configuration, "web.shop").unwrap()["routes"][0];
    assert_eq!(default["name"], "default");
    assert_eq!(
        default["route"]["cluster"],
        "outbound|80||web.shop.svc.cluster.local"
    );
    assert_eq!(names(&configuration, "*"), ["block_all"]);
}

#[test]
fn only_http_services_on_port_80_have_a_host_at_the_sidecar() {
    let with = |port: Value| {
        let mut web = service("web");
        web["spec"]["ports"] = json!([port]);
        host(&whole(Via::Sidecar, [web]), "web.shop").is_some()
    };
    assert!(with(json!({"port": 80})));
    assert!(!with(json!({"port": 80, "name": "tcp"})));
    assert!(!with(json!({"port": 8080, "name": "http"})));
}

#[test]
fn a_virtual_service_of_the_mesh_speaks_for_its_hosts() {
    let with = |spec: Value| {
        let mut spec = spec;
        spec["http"] = json!([route("own", "")]);
        whole(
            Via::Sidecar,
            [
                service("web"),
                service("other"),
                object("VirtualService", "web", spec),
            ],
        )
    };
    let cases = [
        (json!({"hosts": ["web"]}), "web.shop", "own"),
        (
            json!({"hosts": ["WEB.shop.svc.cluster.local"]}),
            "web.shop",
            "own",
        ),
        (
            json!({"hosts": ["web"], "gateways": ["mesh", "edge"]}),
            "web.shop",
            "own",
        ),
        (
            json!({"hosts": ["web"], "gateways": ["edge"]}),
            "web.shop",
            "default",
        ),
        (json!({"hosts": ["other"]}), "web.shop", "default"),
        (
            json!({"hosts": ["web.example.com"]}),
            "web.example.com",
            "own",
        ),
        (
            json!({"hosts": ["*.shop.svc.cluster.local"]}),
            "other.shop",
            "own",
        ),
        (json!({"hosts": ["*.example.com"]}), "*.example.com", "own"),
        (
            json!({"hosts": ["web"], "exportTo": ["."]}),
            "web.shop",
            "default",
        ),
        (
            json!({"hosts": ["web"], "exportTo": ["client"]}),
            "web.shop",
            "own",
        ),
    ];
    for (spec, domain, expected) in cases {
        assert_eq!(names(&with(spec.clone()), domain), [expected], "{spec}");
    }
}

#[test]
fn of_two_virtual_services_for_a_host_the_sidecar_takes_the_older() {
    let configuration = whole(
        Via::Sidecar,
        [
            service("web"),
            object(
                "VirtualService",
                "b",
                json!({"hosts": ["web", "x.example.com"], "http": [route("b", "")]}),
            ),
            object(
                "VirtualService",
                "a",
                json!({"hosts": ["x.example.com"], "http": [route("a", "")]}),
            ),
        ],
    );
    assert_eq!(names(&configuration, "x.example.com"), ["a"]);
    assert_eq!(names(&configuration, "web.shop"), ["b"]);
    // A narrower host of another VirtualService takes its Service out of a wildcard.
    let configuration = whole(
        Via::Sidecar,
        [
            service("web"),
            service("other"),
            object(
                "VirtualService",
                "a",
                json!({"hosts": ["*.shop.svc.cluster.local"], "http": [route("a", "")]}),
            ),
            virtual_service("web", json!([route("b", "")])),
        ],
    );
    assert_eq!(names(&configuration, "web.shop"), ["b"]);
    assert_eq!(names(&configuration, "other.shop"), ["a"]);
}

#[test]
fn a_gateway_host_merges_virtual_services_and_takes_what_takes_everything_last() {
    let objects = [
        edge("shop.example.com"),
        at_edge(
            "a",
            "shop.example.com",
            json!([route("lane", "/lane"), route("a", "")]),
        ),
        at_edge(
            "b",
            "shop.example.com",
            json!([route("b1", "/b"), route("b2", "/"), route("never", "/c")]),
        ),
        at_edge("c", "other.example.com", json!([route("c", "")])),
    ];
    let configuration = whole(Via::Gateway, objects);
    assert_eq!(
        names(&configuration, "shop.example.com"),
        ["lane", "b1", "a", "b2"]
    );
    assert_eq!(
        configuration.hosts.len(),
        1,
        "no server lets the other host in"
    );
}

#[test]
fn servers_let_in_what_they_name() {
    let cases = [
        ("*", "a.example.com", Some("a.example.com")),
        ("*.example.com", "a.example.com", Some("a.example.com")),
        ("a.example.com", "*.example.com", Some("a.example.com")),
        ("a.example.com", "*", Some("a.example.com")),
        ("shop/a.example.com", "a.example.com", Some("a.example.com")),
        ("./a.example.com", "a.example.com", Some("a.example.com")),
        ("*/a.example.com", "a.example.com", Some("a.example.com")),
        ("elsewhere/a.example.com", "a.example.com", None),
        ("b.example.com", "a.example.com", None),
        ("*", "web", Some("web.shop.svc.cluster.local")),
    ];
    for (server, own, expected) in cases {
        let configuration = whole(
            Via::Gateway,
            [edge(server), at_edge("a", own, json!([route("a", "")]))],
        );
        let domains: Vec<&Value> = configuration
            .hosts
            .iter()
            .map(|host| &host["domains"][0])
            .collect();
        assert_eq!(
            domains,
            expected.into_iter().collect::<Vec<_>>(),
            "{server} {own}"
        );
    }
}

#[test]
fn a_gateway_is_for_the_proxy_that_it_selects() {
    let routed = |gateway: Value, bound: &str| {
        let mut service = at_edge("a", "a.example.com", json!([route("a", "")]));
        service["spec"]["gateways"] = json!([bound]);
        !whole(Via::Gateway, [gateway, service]).hosts.is_empty()
    };
    assert!(routed(edge("*"), "edge"));
    assert!(routed(edge("*"), "shop/edge"));
    assert!(!routed(edge("*"), "mesh"));
    assert!(!routed(edge("*"), "elsewhere/edge"));
    assert!(routed(
        moved(edge("*"), "istio-system"),
        "istio-system/edge"
    ));
    let mut other = edge("*");
    other["spec"]["selector"] = json!({"istio": "egressgateway"});
    assert!(!routed(other, "edge"));
}

#[test]
fn servers_that_are_not_served_are_said() {
    let mut gateway = edge("*");
    gateway["spec"]["servers"] = json!([
        {"port": {"number": 8080, "protocol": "HTTP"}, "hosts": ["*"]},
        {"port": {"number": 80, "protocol": "HTTPS"}, "hosts": ["*"], "tls": {"mode": "SIMPLE"}},
    ]);
    assert_eq!(
        problems(&of(Via::Gateway, [gateway])),
        [
            "Gateway shop/edge: spec.servers[0].port.number: the embedded mesh doesn't translate \"8080\", expected 80",
            "Gateway shop/edge: spec.servers[1].port.protocol: the embedded mesh doesn't translate \"HTTPS\", expected HTTP",
            "Gateway shop/edge: spec.servers[1].tls: the embedded mesh doesn't translate it",
        ]
    );
}
