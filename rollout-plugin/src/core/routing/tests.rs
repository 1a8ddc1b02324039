//! Configurations in, routings or exact messages out.

use argo_rollouts::go_plugin::Chain;
use serde_json::{Value, json};

use super::*;
use crate::core::fixtures::rollout;
use crate::object::Kind;

fn with_config(config: Value) -> Result<Routing, String> {
    let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": config}}}}}});
    Routing::of(&rollout(change)).map_err(|error| Chain(&error).to_string())
}

#[test]
fn names_resolve_as_the_built_in_reconciler_resolves_them() {
    for (written, namespace, name) in [
        ("reviews", "shop", "reviews"),
        ("reviews.far", "far", "reviews"),
        ("re.views.far", "far", "re.views"),
        ("reviews.far.cluster.local", "far", "reviews"),
    ] {
        let routing = with_config(json!({"virtualService": {"name": written}})).unwrap();
        assert_eq!(
            routing.virtual_services[0].id,
            ObjectId::new(Kind::VirtualService, namespace, name),
            "{written}"
        );
    }
}

#[test]
fn what_the_built_in_block_says_is_read() {
    let plugin = json!({
        "virtualService": {"name": "reviews", "routes": ["a"], "tlsRoutes": [{"port": 443, "sniHosts": ["x.com"]}, {"port": 8443}], "tcpRoutes": [{"port": 3306}]},
        "destinationRule": {"name": "reviews", "canarySubsetName": "canary", "stableSubsetName": "stable", "additionalSubsetNames": ["pinned"]},
    });
    let routing = with_config(plugin).unwrap();
    let found = &routing.virtual_services[0];
    assert_eq!(found.routes, ["a"]);
    assert_eq!(found.tls_routes[0].sni_hosts, ["x.com"]);
    assert_eq!(
        found
            .tls_routes
            .iter()
            .map(|route| route.port)
            .collect::<Vec<_>>(),
        [443, 8443]
    );
    assert_eq!(found.tcp_routes[0].port, 3306);
    assert_eq!(
        routing.destination_rule.unwrap().additional_subsets,
        ["pinned"]
    );
    let nulls: Config = serde_json::from_value(json!({"virtualService": {"name": "a", "routes": null, "tlsRoutes": null, "tcpRoutes": null, "protocols": null}})).unwrap();
    assert_eq!(nulls.virtual_service.unwrap().routes, [""; 0]);
}

#[test]
fn the_built_in_block_beside_the_plugins_is_an_error_that_names_both() {
    let built_in = json!({"virtualService": {"name": "reviews", "routes": ["primary"]}});
    let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"istio": built_in}}}}});
    let error = Routing::of(&rollout(change)).unwrap_err().to_string();
    assert_eq!(
        error,
        "rollout shop/reviews: spec.strategy.canary.trafficRouting: found both istio and plugins[\"serin/istio\"], \
         expected one of them: each would undo what the other has written"
    );
    let empty = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"istio": {}}}}}});
    assert!(Routing::of(&rollout(empty)).is_err());
    let null = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"istio": null}}}}});
    assert!(Routing::of(&rollout(null)).is_ok());
}

#[test]
fn several_virtual_services_take_the_place_of_one() {
    let several = json!({"virtualService": null, "virtualServices": [{"name": "a"}, {"name": "b.far", "routes": ["x"]}]});
    let routing = with_config(several).unwrap();
    let ids: Vec<_> = routing
        .virtual_services
        .iter()
        .map(|reference| reference.id.to_string())
        .collect();
    assert_eq!(ids, ["VirtualService shop/a", "VirtualService far/b"]);
}

#[test]
fn the_wasm_plugin_has_a_default() {
    assert_eq!(
        with_config(json!({})).unwrap().filters[0].id.to_string(),
        "WasmPlugin istio-system/serin"
    );
    let routing = with_config(json!({"wasmPlugin": "shop/mine"})).unwrap();
    assert_eq!(routing.filters[0].id.to_string(), "WasmPlugin shop/mine");
}

#[test]
fn filter_objects_of_both_kinds_are_named_one_or_several() {
    let one = json!({"kind": "TrafficExtension", "namespace": "istio-system", "name": "serin"});
    let other = json!({"kind": "WasmPlugin", "namespace": "shop", "name": "mine"});
    for (config, ids) in [
        (
            json!({"filter": one}),
            &["TrafficExtension istio-system/serin"][..],
        ),
        (json!({"filter": other}), &["WasmPlugin shop/mine"]),
        (
            json!({"filters": [one, other]}),
            &[
                "TrafficExtension istio-system/serin",
                "WasmPlugin shop/mine",
            ],
        ),
    ] {
        let routing = with_config(config).unwrap();
        let found: Vec<String> = routing.filter_ids().map(ToString::to_string).collect();
        assert_eq!(found, ids);
    }
}

#[test]
fn what_is_wrong_with_filter_objects_is_named() {
    let field =
        r#"rollout shop/reviews: spec.strategy.canary.trafficRouting.plugins["serin/istio"]"#;
    let serin = |kind: &str| json!({"kind": kind, "namespace": "istio-system", "name": "serin"});
    let extension = serin("TrafficExtension");
    for (config, message) in [
        (
            json!({"wasmPlugin": "istio-system/serin", "filter": extension}),
            ".filter: found wasmPlugin as well, expected one of wasmPlugin, filter and filters",
        ),
        (
            json!({"wasmPlugin": "istio-system/serin", "filters": [extension]}),
            ".filters: found wasmPlugin as well, expected one of wasmPlugin, filter and filters",
        ),
        (
            json!({"filter": extension, "filters": [extension]}),
            ".filters: found filter as well, expected one of wasmPlugin, filter and filters",
        ),
        (
            json!({"filters": []}),
            ".filters: found an empty list, expected the kind, name and namespace of at least one filter object",
        ),
        (
            json!({"filters": [extension, serin("WasmPlugin"), extension]}),
            ".filters[2]: found TrafficExtension istio-system/serin again, expected each filter object once",
        ),
        (
            json!({"filter": serin("EnvoyFilter")}),
            ".filter.kind: unknown variant `EnvoyFilter`, expected `WasmPlugin` or `TrafficExtension`",
        ),
        (
            json!({"filter": {"kind": "TrafficExtension", "name": "serin"}}),
            ".filter: missing field `namespace`",
        ),
        (
            json!({"filter": {"kind": "TrafficExtension", "name": "", "namespace": "a"}}),
            ".filter.name: found \"\", expected the name of a TrafficExtension",
        ),
        (
            json!({"filter": {"kind": "WasmPlugin", "name": "a", "namespace": "b/c"}}),
            ".filter.namespace: found \"b/c\", expected the namespace of a WasmPlugin",
        ),
        (
            json!({"filters": extension}),
            ".filters: invalid type: map, expected a sequence",
        ),
        (
            json!({"filter": [extension]}),
            ".filter: invalid type: sequence, expected a map of kind, name and namespace; several are for filters",
        ),
        (
            json!({"filter": "istio-system/serin"}),
            ".filter: invalid type: string \"istio-system/serin\", expected a map of kind, name and namespace; several are for filters",
        ),
        (
            json!({"filter": {"kind": "WasmPlugin", "name": "a", "namespace": "b", "selector": {}}}),
            ".filter.selector: unknown field `selector`, expected one of `kind`, `name`, `namespace`",
        ),
    ] {
        assert_eq!(
            with_config(config.clone()).unwrap_err(),
            format!("{field}{message}"),
            "{config}"
        );
    }
}

#[test]
fn of_a_faulty_configuration_the_filter_objects_that_can_be_read_count() {
    let whole = json!({"kind": "TrafficExtension", "namespace": "istio-system", "name": "serin"});
    let part = json!({"kind": "TrafficExtension", "name": "serin"});
    for (config, ids) in [
        (
            json!({"wasmPlugin": "shop/mine", "filter": whole, "filters": [part, whole]}),
            &[
                "WasmPlugin shop/mine",
                "TrafficExtension istio-system/serin",
            ][..],
        ),
        (json!({"filter": part}), &["WasmPlugin istio-system/serin"]),
        (
            json!({"wasmPlugin": "a/b/c", "filters": "x"}),
            &["WasmPlugin istio-system/serin"],
        ),
    ] {
        let mut written = json!({"virtualService": {"name": "reviews"}});
        json_patch::merge(&mut written, &config);
        let routing = Routing::salvaged(&rollout(json!({})), &written).unwrap();
        let found: Vec<String> = routing.filter_ids().map(ToString::to_string).collect();
        assert_eq!(found, ids, "{config}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let field =
        r#"rollout shop/reviews: spec.strategy.canary.trafficRouting.plugins["serin/istio"]"#;
    for (config, message) in [
        (
            json!({"virtualService": null}),
            format!("{field}.virtualService: found nothing, expected the VirtualService's name"),
        ),
        (
            json!({"virtualService": {"name": ""}}),
            format!(
                "{field}.virtualService.name: found an empty name, expected name or name.namespace"
            ),
        ),
        (
            json!({"virtualServices": [{"name": "a"}]}),
            format!(
                "{field}.virtualServices: found virtualService as well, expected one of virtualService and virtualServices"
            ),
        ),
        (
            json!({"wasmPlugin": "serin"}),
            format!("{field}.wasmPlugin: found \"serin\", expected namespace/name"),
        ),
        (
            json!({"destinationRule": {"stableSubsetName": ""}}),
            format!(
                "{field}.destinationRule.stableSubsetName: found an empty name, expected a name"
            ),
        ),
        (
            json!({"routes": {"betta": {}}}),
            format!(
                "{field}.routes: found \"betta\", expected names of spec.strategy.canary.trafficRouting.managedRoutes, which has [\"beta\", \"shadow\", \"trial\"]"
            ),
        ),
    ] {
        assert_eq!(with_config(config).unwrap_err(), message);
    }
    let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": null}}}}});
    assert_eq!(
        Routing::of(&rollout(change)).unwrap_err().to_string(),
        format!("{field}: found nothing, expected the plugin's configuration")
    );
}

#[test]
fn what_can_not_be_read_is_named() {
    let field =
        r#"rollout shop/reviews: spec.strategy.canary.trafficRouting.plugins["serin/istio"]"#;
    for (config, message) in [
        (
            json!({"virtualService": {"nam": "x"}}),
            format!(
                "{field}.virtualService.nam: unknown field `nam`, expected one of `name`, `routes`, `tlsRoutes`, `tcpRoutes`, `protocols`"
            ),
        ),
        (
            json!({"virtualService": {"routes": 7}}),
            format!(
                "{field}.virtualService.routes: invalid type: integer `7`, expected a sequence"
            ),
        ),
        (
            json!({"virtualService": {"tlsRoutes": [{"port": 443, "sniHost": "x"}]}}),
            format!(
                "{field}.virtualService.tlsRoutes[0].sniHost: unknown field `sniHost`, expected `port` or `sniHosts`"
            ),
        ),
        (
            json!({"virtualService": {"tcpRoutes": [{"port": -1}]}}),
            format!(
                "{field}.virtualService.tcpRoutes[0].port: invalid value: integer `-1`, expected u32"
            ),
        ),
        (
            json!({"virtualService": {"protocols": ["udp"]}}),
            format!(
                "{field}.virtualService.protocols[0]: unknown variant `udp`, expected one of `http`, `tls`, `tcp`"
            ),
        ),
        (
            json!({"lanes": "mine"}),
            format!("{field}.lanes: unknown variant `mine`, expected `managed` or `declared`"),
        ),
        (
            json!({"virtualServise": {}}),
            format!(
                "{field}.virtualServise: unknown field `virtualServise`, expected one of `virtualService`, `virtualServices`, `destinationRule`, `wasmPlugin`, `filter`, `filters`, `lanes`, `sticky`, `routes`, `entryHosts`, `laneSecret`"
            ),
        ),
        (
            json!("reviews"),
            format!(
                "{field}: invalid type: string \"reviews\", expected the fields of Argo's istio block, wasmPlugin, filter, filters, lanes, sticky, routes, entryHosts, or laneSecret"
            ),
        ),
        (
            json!({"virtualService": "reviews"}),
            format!(
                "{field}.virtualService: invalid type: string \"reviews\", expected a map of name and routes"
            ),
        ),
        (
            json!({"destinationRule": {"stableSubsetName": null}}),
            format!("{field}.destinationRule: missing field `stableSubsetName`"),
        ),
    ] {
        assert_eq!(with_config(config).unwrap_err(), message);
    }
}

#[test]
fn what_can_not_be_read_of_keys_and_matches_is_named() {
    let field =
        r#"rollout shop/reviews: spec.strategy.canary.trafficRouting.plugins["serin/istio"]"#;
    for (config, message) in [
        (
            json!({"sticky": {}}),
            format!("{field}.sticky: missing field `keys`"),
        ),
        (
            json!({"sticky": {"keys": ["x-user"]}}),
            format!(
                "{field}.sticky.keys[0]: invalid type: string \"x-user\", expected a map of header, cookie, queryParam or sourceAddress"
            ),
        ),
        (
            json!({"sticky": {"keys": [{"header": "x", "issue": {}}]}}),
            format!(
                "{field}.sticky.keys[0]: found `issue` without `cookie`, which is what is issued"
            ),
        ),
        (
            json!({"routes": {"beta": {"match": [{"headers": {"x-a": {"exact": "1", "prefix": "2"}}}]}}}),
            format!(
                "{field}.routes[\"beta\"].match[0].headers[\"x-a\"]: found 2 of `exact`, `prefix`, `regex` and `present: true`, expected one"
            ),
        ),
        (
            json!({"routes": {"beta": {"match": [{"path": {"regex": "a", "ignoreCase": true}}]}}}),
            format!(
                "{field}.routes[\"beta\"].match[0].path: found `ignoreCase` without `exact` or `prefix`; a regex says it as `(?i)`"
            ),
        ),
        (
            json!({"routes": {"beta": {"match": ["/api"]}}}),
            format!(
                "{field}.routes[\"beta\"].match[0]: invalid type: string \"/api\", expected a map of headers, method, path, queryParams and cookies"
            ),
        ),
        (
            json!({"routes": {"beta": {"match": [{"path": "/api"}]}}}),
            format!(
                "{field}.routes[\"beta\"].match[0].path: invalid type: string \"/api\", expected a map of exact, prefix, regex or present"
            ),
        ),
        (
            json!({"sticky": {"keys": [{"header": "x"}, {"header": "x", "cookie": "y"}]}}),
            format!(
                "{field}.sticky.keys[1]: found 2 of `header`, `cookie`, `queryParam` and `sourceAddress: true`, expected one"
            ),
        ),
        (
            json!({"routes": {"beta": {"match": [{"query": {}}]}}}),
            format!(
                "{field}.routes[\"beta\"].match[0].query: unknown field `query`, expected one of `headers`, `method`, `path`, `queryParams`, `cookies`"
            ),
        ),
        (
            json!({"routes": {"headers": {"match": [{"cookies": {"match": {"x": 1}}}]}}}),
            format!(
                "{field}.routes[\"headers\"].match[0].cookies[\"match\"].x: unknown field `x`, expected one of `exact`, `prefix`, `regex`, `present`, `ignoreCase`"
            ),
        ),
    ] {
        assert_eq!(with_config(config).unwrap_err(), message);
    }
}

#[test]
fn ping_pong_decides_which_service_is_stable() {
    let pair = json!({"pingPong": {"pingService": "ping", "pongService": "pong"}});
    for (stable_is, stable, canary) in [
        ("ping", "ping", "pong"),
        ("pong", "pong", "ping"),
        ("", "pong", "ping"),
    ] {
        let change = json!({"spec": {"strategy": {"canary": pair}}, "status": {"canary": {"stablePingPong": stable_is}}});
        let routing = Routing::of(&rollout(change)).unwrap();
        let found = (&*routing.stable_service, &*routing.canary_service);
        assert_eq!(found, (stable, canary), "{stable_is}");
    }
    let change = json!({"spec": {"strategy": {"canary": {
        "stableService": "s", "canaryService": "c", "pingPong": {"pingService": "ping", "pongService": "pong"},
    }}}});
    let routing = Routing::of(&rollout(change)).unwrap();
    let found = (&*routing.stable_service, &*routing.canary_service);
    assert_eq!(found, ("s", "c"), "named Services come first");
}

#[test]
fn a_virtual_service_can_be_named_once() {
    let twice = json!({"virtualService": null, "virtualServices": [
        {"name": "a", "routes": ["x"]}, {"name": "a.shop", "routes": ["y"]},
    ]});
    assert_eq!(
        with_config(twice).unwrap_err(),
        r#"rollout shop/reviews: spec.strategy.canary.trafficRouting.plugins["serin/istio"].virtualServices[1].name: found VirtualService shop/a again, expected each VirtualService once, with all its routes"#
    );
}

#[test]
fn hosts_at_which_lanes_are_decided_ahead_are_full_names() {
    let hosts =
        json!({"entryHosts": ["Shop.example.com", "*.example.com", "frontend"], "routes": null});
    assert_eq!(
        with_config(hosts).unwrap().entry_hosts,
        [
            "shop.example.com",
            "*.example.com",
            "frontend.shop.svc.cluster.local"
        ]
    );
}

#[test]
fn a_lane_secret_is_shown_by_no_error() {
    let quoted = with_config(json!({"laneSecret": "612345678901"})).unwrap();
    assert_eq!(quoted.lane_secret.as_deref(), Some("612345678901"));
    assert_eq!(
        with_config(json!({"laneSecret": null}))
            .unwrap()
            .lane_secret,
        None
    );
    for (written, found) in [
        (json!(612_345_678_901_u64), "a number"),
        (json!(6123e45), "a number"),
        (json!(true), "a truth value"),
        (json!(["612345678901"]), "a list"),
        (json!({"secret": "612345678901"}), "a map"),
    ] {
        let error = with_config(json!({ "laneSecret": written })).unwrap_err();
        let text = format!("laneSecret: found {found}, expected a string, in quotes");
        assert!(error.contains(&text), "{error}");
        assert!(!error.contains("6123"), "{error}");
    }
}
