//! Routes and configurations in, indexes or exact messages out.

use serde_json::json;

use super::*;
use crate::core::fixtures::{primary, rollout, virtual_service};

/// The managed indexes of `protocol` with that much of `virtualService`.
fn managed(config: Value, protocol: Protocol, routes: Value) -> Result<Vec<usize>, String> {
    let mut written = json!({"routes": null});
    json_patch::merge(&mut written, &config);
    let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": {"virtualService": written}}}}}}});
    let routing = Routing::of(&rollout(change)).unwrap();
    let mut object = virtual_service(Value::Null);
    object.spec[protocol.field()] = routes;
    ManagedRoutes::of(&object, &routing.virtual_services[0], &routing)
        .map(|managed| managed.indexes(protocol).to_vec())
        .map_err(|fault| fault.to_string())
}

fn matching(entries: Value) -> Value {
    primary(json!({"name": null, "match": entries}))
}

#[test]
fn tls_routes_are_told_by_port_and_sni_hosts() {
    let routes = json!([
        matching(json!([{"port": 443, "sniHosts": ["a.com"]}])),
        matching(json!([{"port": 443, "sniHosts": ["a.com", "b.com"]}])),
        matching(
            json!([{"port": 443, "sniHosts": ["b.com"]}, {"port": 443, "sniHosts": ["a.com"]}])
        ),
        matching(json!([{"sniHosts": ["a.com"]}])),
        matching(json!([{"port": 3000}])),
        matching(json!([{"port": 1, "sniHosts": ["c.com"]}, {"port": 2, "sniHosts": ["c.com"]}])),
    ]);
    for (wanted, expected) in [
        (json!([{"port": 443, "sniHosts": ["a.com"]}]), &[0][..]),
        (
            json!([{"port": 443, "sniHosts": ["b.com", "a.com"]}]),
            &[1, 2],
        ),
        (json!([{"sniHosts": ["a.com"]}]), &[3]),
        (json!([{"port": 3000}]), &[4]),
        (
            json!([{"port": 3000}, {"sniHosts": ["a.com"]}, {"port": 3000}]),
            &[3, 4],
        ),
    ] {
        let found = managed(json!({"tlsRoutes": wanted}), Protocol::Tls, routes.clone());
        assert_eq!(found.unwrap(), expected, "{wanted}");
    }
    let found = "found [ports [443] sniHosts [\"a.com\"], ports [443] sniHosts [\"a.com\", \"b.com\"], ports [443] sniHosts [\"a.com\", \"b.com\"], ports [0] sniHosts [\"a.com\"], ports [3000] sniHosts [], ports [1, 2] sniHosts [\"c.com\"]]";
    for (wanted, expected) in [
        (
            json!({"port": 443}),
            "the one port 443 and exactly the sniHosts []",
        ),
        (
            json!({"port": 1, "sniHosts": ["c.com"]}),
            "the one port 1 and exactly the sniHosts [\"c.com\"]",
        ),
        (
            json!({"sniHosts": ["b.com"]}),
            "no port and exactly the sniHosts [\"b.com\"]",
        ),
    ] {
        let error = managed(
            json!({"tlsRoutes": [wanted]}),
            Protocol::Tls,
            routes.clone(),
        );
        assert_eq!(
            error.unwrap_err(),
            format!("spec.tls[].match: {found}, expected a route with {expected}")
        );
    }
}

#[test]
fn tcp_routes_are_told_by_port() {
    let routes = json!([
        matching(json!([{"port": 3306}])),
        matching(json!([{"port": 3306, "gateways": ["g"]}, {"port": 3306}])),
        matching(json!([{"port": 3306}, {"port": 3307}])),
        matching(Value::Null),
    ]);
    for (wanted, expected) in [
        (json!([{"port": 3306}]), &[0, 1][..]),
        (json!([{}]), &[3]),
        (json!([{"port": 3306}, {}]), &[0, 1, 3]),
    ] {
        let found = managed(json!({"tcpRoutes": wanted}), Protocol::Tcp, routes.clone());
        assert_eq!(found.unwrap(), expected, "{wanted}");
    }
    let error = managed(
        json!({"tcpRoutes": [{"port": 3307}]}),
        Protocol::Tcp,
        routes,
    );
    assert_eq!(
        error.unwrap_err(),
        "spec.tcp[].match: found [ports [3306], ports [3306], ports [3306, 3307], ports []], expected a route with the one port 3307"
    );
}

#[test]
fn an_only_route_needs_no_listing_and_several_do() {
    let field = r#"spec.strategy.canary.trafficRouting.plugins["serin/istio"].virtualService"#;
    for (protocol, listed_in) in [
        (Protocol::Http, "routes"),
        (Protocol::Tls, "tlsRoutes"),
        (Protocol::Tcp, "tcpRoutes"),
    ] {
        let one = json!([matching(json!([{"port": 1}]))]);
        assert_eq!(managed(json!({}), protocol, one).unwrap(), [0]);
        let two = json!([
            matching(json!([{"port": 1}])),
            matching(json!([{"port": 2}]))
        ]);
        let name = protocol.field();
        let hint = match protocol {
            Protocol::Http => String::new(),
            Protocol::Tls | Protocol::Tcp => format!(", or {field}.protocols without {name}"),
        };
        assert_eq!(
            managed(json!({}), protocol, two).unwrap_err(),
            format!(
                "spec.{name}: found 2 routes, expected exactly one where {field}.{listed_in} is left out{hint}"
            )
        );
        let foreign = json!([{"route": [{"destination": {"host": "database"}}]}]);
        assert_eq!(
            managed(json!({}), protocol, foreign).unwrap_err(),
            format!(
                "spec.{name}[0].route: found [host \"database\"], expected destinations for the subsets \"stable\" and \"canary\"{hint}"
            )
        );
        assert_eq!(
            managed(json!({}), protocol, Value::Null).unwrap_err(),
            "spec.http: found nothing, expected at least one HTTP, TLS or TCP route"
        );
    }
}

#[test]
fn what_is_listed_of_a_protocol_that_is_not_there_counts_for_nothing() {
    let listed =
        json!({"routes": ["primary"], "tlsRoutes": [{"port": 1}], "tcpRoutes": [{"port": 1}]});
    assert_eq!(
        managed(listed.clone(), Protocol::Http, json!([])).unwrap_err(),
        "spec.http: found nothing, expected at least one HTTP, TLS or TCP route"
    );
    let tls = json!([{"match": [{"port": 1}], "route": primary(json!({}))["route"]}]);
    assert_eq!(managed(listed, Protocol::Tls, tls).unwrap(), [0]);
}

#[test]
fn protocols_that_are_left_out_are_the_users() {
    let own = json!([primary(json!({}))]);
    let foreign = json!([{"route": [{"destination": {"host": "database"}}]}, {}]);
    let object = |http: &Value, tcp: &Value| {
        let mut object = virtual_service(http.clone());
        object.spec["tcp"] = tcp.clone();
        object
    };
    let found = |config: Value, object: &Object| {
        let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": {"virtualService": config}}}}}}});
        let routing = Routing::of(&rollout(change)).map_err(|error| error.to_string())?;
        ManagedRoutes::of(object, &routing.virtual_services[0], &routing)
            .map_err(|fault| fault.to_string())
    };
    let http = ManagedRoutes {
        http: vec![0],
        ..ManagedRoutes::default()
    };
    let beside = object(&own, &foreign);
    // An empty list means the only one, as for the built-in.
    for config in [
        json!({}),
        json!({"tcpRoutes": []}),
        json!({"protocols": null}),
    ] {
        assert!(found(config, &beside).is_err());
    }
    for protocols in [json!(["http"]), json!(["tls", "http"])] {
        let config = json!({ "protocols": protocols });
        assert_eq!(found(config, &beside).unwrap(), http);
    }
    let tcp_alone = json!({"routes": null, "protocols": ["tcp"]});
    let tcp = ManagedRoutes {
        tcp: vec![0],
        ..ManagedRoutes::default()
    };
    assert_eq!(
        found(tcp_alone.clone(), &object(&foreign, &own)).unwrap(),
        tcp
    );

    let field = r#"spec.strategy.canary.trafficRouting.plugins["serin/istio"].virtualService"#;
    for (config, message) in [
        (
            tcp_alone,
            "spec.tcp: found nothing, expected at least one TCP route".to_owned(),
        ),
        (
            json!({"routes": null, "protocols": ["tls", "tcp"]}),
            "spec.tls: found nothing, expected at least one TLS or TCP route".to_owned(),
        ),
        (
            json!({"protocols": []}),
            format!(
                "rollout shop/reviews: {field}.protocols: found an empty list, expected one or more of http, tls and tcp; all where it is left out"
            ),
        ),
        (
            json!({"protocols": ["http"], "tcpRoutes": [{"port": 1}, {}]}),
            format!(
                "rollout shop/reviews: {field}.tcpRoutes: found 2 of them, expected none, or tcp in {field}.protocols"
            ),
        ),
        (
            json!({"protocols": ["tcp"]}),
            format!(
                "rollout shop/reviews: {field}.routes: found 1 of them, expected none, or http in {field}.protocols"
            ),
        ),
    ] {
        let object = object(&own, &Value::Null);
        assert_eq!(found(config, &object).unwrap_err(), message);
    }
}

#[test]
fn a_second_route_of_a_managed_name_is_not_moved_and_named() {
    let named = |name: &str| primary(json!({ "name": name }));
    let lane = named("serin-shop.reviews.canary");
    let change = |config: Value| {
        let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": {"virtualService": config}}}}}}});
        Routing::of(&rollout(change)).unwrap()
    };
    let object = virtual_service(json!([
        named("other"),
        lane,
        named("a"),
        lane,
        named("other"),
        named("b"),
        named("a"),
        named("a"),
    ]));
    let found = |config: Value| {
        let routing = change(config);
        let reference = &routing.virtual_services[0];
        let managed = ManagedRoutes::of(&object, reference, &routing).unwrap();
        assert_eq!(managed.http, [2, 5]);
        let faults = shared_names(&object, reference, &routing);
        faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let field =
        r#"spec.strategy.canary.trafficRouting.plugins["serin/istio"].virtualService.routes"#;
    assert_eq!(
        found(json!({"routes": ["a", "b"]})),
        [format!(
            "spec.http[].name: found \"a\" 3 times, expected one route of that name: only the first gets the canary's weight and lanes; name the others otherwise, and list in {field} those that belong to the canary too"
        )]
    );
    let tcp = change(json!({"routes": null, "protocols": ["tcp"]}));
    assert_eq!(shared_names(&object, &tcp.virtual_services[0], &tcp), []);
}

#[test]
fn a_destination_rule_asks_for_subsets_and_none_for_services() {
    let services =
        json!([{"route": [{"destination": {"host": "s"}}, {"destination": {"host": "c"}}]}]);
    let change = |rule: Value| {
        json!({"spec": {"strategy": {"canary": {"stableService": "s", "canaryService": "c", "trafficRouting": {"plugins": {"serin/istio": {
            "virtualService": {"routes": null}, "destinationRule": rule,
        }}}}}}})
    };
    for (rule, fits) in [(Value::Null, true), (json!({}), false)] {
        let routing = Routing::of(&rollout(change(rule))).unwrap();
        let object = virtual_service(services.clone());
        let found = ManagedRoutes::of(&object, &routing.virtual_services[0], &routing);
        assert_eq!(found.is_ok(), fits);
    }
}

#[test]
fn an_error_names_the_hosts_that_would_do() {
    let change = json!({"spec": {"strategy": {"canary": {
        "stableService": "web", "canaryService": "web-canary",
        "trafficRouting": {"plugins": {"serin/istio": {"virtualService": {"routes": null}, "destinationRule": null}}},
    }}}});
    let routing = Routing::of(&rollout(change)).unwrap();
    let route = |stable: &str, canary: &str| json!({"route": [{"destination": {"host": stable}}, {"destination": {"host": canary}}]});
    let problem = |namespace: &str, route: Value| {
        let checked = check_route(namespace, Protocol::Http, 0, &route, &routing);
        checked.err().map(|fault| fault.to_string())
    };
    let full = || {
        route(
            "web.shop.svc.cluster.local",
            "web-canary.shop.svc.cluster.local",
        )
    };
    assert_eq!(problem("shop", route("web", "web-canary.shop")), None);
    assert_eq!(problem("shop", full()), None);
    assert_eq!(problem("far", full()), None);
    assert_eq!(
        problem("shop", route("web.legacy", "web-canary")).unwrap(),
        "spec.http[0].route: found [host \"web.legacy\", host \"web-canary\"], expected destinations for the services \"web\" and \"web-canary\""
    );
    assert_eq!(
        problem("far", route("web", "web-canary")).unwrap(),
        "spec.http[0].route: found [host \"web\", host \"web-canary\"], expected destinations for the services \"web.shop.svc.cluster.local\" and \"web-canary.shop.svc.cluster.local\""
    );
}
