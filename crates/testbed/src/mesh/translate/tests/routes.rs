//! What becomes of a VirtualService's routes.

use serde_json::{Value, json};

use super::*;

/// The routes of `web` at the sidecar, from these HTTP routes.
fn routes(http: Value) -> Vec<Value> {
    let configuration = whole(Via::Sidecar, [service("web"), virtual_service("web", http)]);
    host(&configuration, "web.shop").unwrap()["routes"]
        .as_array()
        .unwrap()
        .clone()
}

/// The only route, with these fields beside its destination.
fn with(more: Value) -> Value {
    let mut route = json!({"route": [{"destination": {"host": "web"}}]});
    json_patch::merge(&mut route, &more);
    routes(json!([route])).remove(0)
}

#[test]
fn matches_are_those_of_envoy() {
    let cases = [
        (json!({}), json!({"prefix": "/"})),
        (json!({"uri": {"exact": "/a"}}), json!({"path": "/a"})),
        (json!({"uri": {"prefix": "/a"}}), json!({"prefix": "/a"})),
        (
            json!({"uri": {"regex": "/a.*"}}),
            json!({"safe_regex": {"regex": "/a.*"}}),
        ),
        (
            json!({"uri": {"prefix": "/a"}, "ignoreUriCase": true}),
            json!({"prefix": "/a", "case_sensitive": false}),
        ),
        (
            json!({"headers": {"x-b": {"prefix": "b"}, "x-a": {"exact": "a"}, "x-c": {"regex": "c+"}, "x-d": {"regex": "*"}, "x-e": {}}}),
            json!({"prefix": "/", "headers": [
                {"name": "x-a", "string_match": {"exact": "a"}},
                {"name": "x-b", "string_match": {"prefix": "b"}},
                {"name": "x-c", "string_match": {"safe_regex": {"regex": "c+"}}},
                {"name": "x-d", "present_match": true},
                {"name": "x-e", "present_match": true},
            ]}),
        ),
        (
            json!({"withoutHeaders": {"x-a": {"exact": "a"}, "x-b": {}}}),
            json!({"prefix": "/", "headers": [
                {"name": "x-a", "string_match": {"exact": "a"}, "invert_match": true, "treat_missing_header_as_empty": true},
                {"name": "x-b", "present_match": true, "invert_match": true},
            ]}),
        ),
        (
            json!({"method": {"exact": "GET"}, "authority": {"prefix": "a."}, "scheme": {"exact": "http"}, "headers": {"x": {"exact": "1"}}}),
            json!({"prefix": "/", "headers": [
                {"name": "x", "string_match": {"exact": "1"}},
                {"name": ":method", "string_match": {"exact": "GET"}},
                {"name": ":authority", "string_match": {"prefix": "a."}},
                {"name": ":scheme", "string_match": {"exact": "http"}},
            ]}),
        ),
        (
            json!({"queryParams": {"q": {"exact": "1"}, "p": {}}}),
            json!({"prefix": "/", "query_parameters": [
                {"name": "p", "present_match": true},
                {"name": "q", "string_match": {"exact": "1"}},
            ]}),
        ),
    ];
    for (entry, mut expected) in cases {
        if expected.get("case_sensitive").is_none() {
            expected["case_sensitive"] = json!(true);
        }
        assert_eq!(
            with(json!({"match": [entry]}))["match"],
            expected,
            "{entry}"
        );
    }
    assert_eq!(with(json!({}))["match"], json!({"prefix": "/"}));
}

#[test]
fn each_entry_is_a_route_and_what_takes_everything_is_the_last() {
    let to = json!([{"destination": {"host": "web"}}]);
    let entries = |entries: Value| json!({"name": "r", "match": entries, "route": to});
    let names = |http: Value| -> Vec<String> {
        routes(http)
            .iter()
            .map(|route| route["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let path = |name: &str| json!({"name": name, "uri": {"prefix": "/a"}});
    assert_eq!(
        names(json!([
            entries(json!([path("x"), path("")])),
            entries(json!([path("y")]))
        ])),
        ["r.x", "r", "r.y"]
    );
    for all in [
        json!({"uri": {"prefix": "/"}}),
        json!({"uri": {"regex": ".*"}}),
        json!({}),
    ] {
        let http = json!([
            entries(json!([path("x"), all, path("never")])),
            entries(json!([path("never")]))
        ]);
        assert_eq!(names(http), ["r.x", "r"], "{all}");
    }
    // Those are no catch-alls.
    for some in [
        json!({"uri": {"exact": "/"}}),
        json!({"headers": {"a": {}}}),
        json!({"queryParams": {"a": {}}}),
    ] {
        assert_eq!(
            names(json!([entries(json!([some, path("y")]))])),
            ["r", "r.y"],
            "{some}"
        );
    }
}

#[test]
fn entries_for_other_proxies_are_left_out() {
    let cases = [
        (json!({"port": 80}), (true, true)),
        (json!({"port": 8080}), (false, false)),
        (json!({"gateways": ["mesh"]}), (true, false)),
        (json!({"gateways": ["edge"]}), (false, true)),
        (json!({"gateways": ["shop/edge", "mesh"]}), (true, true)),
        (json!({"sourceLabels": {"app": "client"}}), (true, false)),
        (json!({"sourceNamespace": "client"}), (true, false)),
        (json!({"sourceNamespace": "shop"}), (false, false)),
    ];
    for (entry, expected) in cases {
        let http =
            json!([{"name": "own", "match": [entry], "route": [{"destination": {"host": "web"}}]}]);
        let spec = json!({"hosts": ["web"], "gateways": ["mesh", "edge"], "http": http});
        let seen = |via| {
            let configuration = whole(
                via,
                [
                    service("web"),
                    edge("*"),
                    object("VirtualService", "web", spec.clone()),
                ],
            );
            names(&configuration, "web.shop.svc.cluster.local") == ["own"]
        };
        assert_eq!(
            (seen(Via::Sidecar), seen(Via::Gateway)),
            expected,
            "{entry}"
        );
    }
}

#[test]
fn a_route_names_its_virtual_service_to_the_filter() {
    let config = "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/web";
    assert_eq!(
        with(json!({}))["metadata"],
        json!({"filter_metadata": {"istio": {"config": config}}})
    );
}

#[test]
fn one_destination_takes_all_and_several_take_their_weights() {
    let to = |subset: &str, weight: u32| json!({"destination": {"host": "web", "subset": subset}, "weight": weight});
    let route = |list: Value| routes(json!([{"route": list}])).remove(0)["route"].clone();
    let (a, b) = (
        "outbound|80|a|web.shop.svc.cluster.local",
        "outbound|80|b|web.shop.svc.cluster.local",
    );
    assert_eq!(route(json!([to("a", 0)]))["cluster"], a);
    assert_eq!(
        route(json!([to("a", 90), to("b", 10)]))["weighted_clusters"],
        json!({"clusters": [{"name": a, "weight": 90}, {"name": b, "weight": 10}]})
    );
    assert_eq!(
        route(json!([to("a", 100), to("b", 0)]))["weighted_clusters"],
        json!({"clusters": [{"name": a, "weight": 100}]})
    );
    let none = virtual_service("web", json!([{"route": [to("a", 0), to("b", 0)]}]));
    let translation = of(Via::Sidecar, [service("web"), none]);
    assert_eq!(
        problems(&translation),
        [
            "VirtualService shop/web: spec.http[0].route: the weights are all 0, expected one above 0"
        ]
    );
}

#[test]
fn a_destination_without_port_takes_the_one_that_fits() {
    let mut alone = service("alone");
    alone["spec"]["ports"] = json!([{"port": 8080}]);
    let mut several = service("several");
    several["spec"]["ports"] = json!([{"port": 8080}, {"port": 9090}]);
    let cases = [
        (json!({"host": "alone"}), ("80||alone", "8080||alone")),
        (json!({"host": "several"}), ("80||several", "80||several")),
        (
            json!({"host": "several", "port": {"number": 9090}}),
            ("9090||several", "9090||several"),
        ),
    ];
    for (destination, expected) in cases {
        let spec = json!({"hosts": ["web"], "gateways": ["mesh", "edge"], "http": [{"route": [{"destination": destination}]}]});
        let cluster = |via| {
            let objects = [
                service("web"),
                alone.clone(),
                several.clone(),
                edge("*"),
                object("VirtualService", "web", spec.clone()),
            ];
            let configuration = whole(via, objects);
            let host = host(&configuration, "web.shop.svc.cluster.local").unwrap();
            host["routes"][0]["route"]["cluster"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let full = |short: &str| format!("outbound|{short}.shop.svc.cluster.local");
        assert_eq!(
            (cluster(Via::Sidecar), cluster(Via::Gateway)),
            (full(expected.0), full(expected.1)),
            "{destination}"
        );
    }
}

#[test]
fn requests_take_as_long_as_they_take_and_are_retried_twice() {
    let action = with(json!({}))["route"].clone();
    assert_eq!(action["timeout"], "0s");
    assert_eq!(action["retry_policy"]["num_retries"], 2);
    assert_eq!(
        action["retry_policy"]["retry_on"],
        "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    );
    let action = with(json!({"timeout": "1.5s", "retries": {"attempts": 0}}))["route"].clone();
    assert_eq!(
        (&action["timeout"], &action["retry_policy"]),
        (&json!("1.500s"), &json!(null))
    );
    let retries = json!({"attempts": 3, "retryOn": "5xx, 503,gateway-error", "perTryTimeout": "2s", "backoff": "10ms", "retryIgnorePreviousHosts": false});
    let policy = with(json!({"retries": retries}))["route"]["retry_policy"].clone();
    assert_eq!(
        policy,
        json!({
            "num_retries": 3,
            "retry_on": "5xx,gateway-error,retriable-status-codes",
            "retriable_status_codes": [503],
            "per_try_timeout": "2s",
            "retry_back_off": {"base_interval": "0.010s"},
            "host_selection_retry_max_attempts": "5",
        })
    );
}

#[test]
fn copies_go_to_all_mirrors_with_a_share() {
    let share = |more: Value| with(more)["route"]["request_mirror_policies"].clone();
    let mirror = json!({"host": "web", "subset": "m"});
    let of = |fraction: Value| {
        json!([{
            "cluster": "outbound|80|m|web.shop.svc.cluster.local",
            "runtime_fraction": {"default_value": fraction},
            "trace_sampled": false,
            "disable_shadow_host_suffix_append": false,
        }])
    };
    let all = of(json!({"numerator": 100, "denominator": "HUNDRED"}));
    let some = of(json!({"numerator": 125_000, "denominator": "MILLION"}));
    assert_eq!(share(json!({"mirror": mirror})), all);
    assert_eq!(
        share(json!({"mirror": mirror, "mirrorPercentage": {"value": 12.5}})),
        some
    );
    assert_eq!(
        share(json!({"mirror": mirror, "mirrorPercentage": {"value": 0}})),
        json!(null)
    );
    assert_eq!(share(json!({"mirrors": [{"destination": mirror}]})), all);
    assert_eq!(
        share(
            json!({"mirrors": [{"destination": mirror, "percentage": {"value": 12.5}}, {"destination": mirror, "percentage": {"value": 0}}]})
        ),
        some
    );
}

#[test]
fn headers_are_edited_and_the_authority_is_rewritten() {
    let edits = json!({"request": {"set": {"x-s": "1", "host": "h"}, "add": {"x-a": "2"}, "remove": ["x-r", ":path"]}, "response": {"set": {"x-p": "3"}}});
    let route = with(json!({"headers": edits}));
    assert_eq!(
        route["request_headers_to_add"],
        json!([
            {"header": {"key": "x-s", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
            {"header": {"key": "x-a", "value": "2"}, "append_action": "APPEND_IF_EXISTS_OR_ADD"},
        ])
    );
    assert_eq!(route["request_headers_to_remove"], json!(["x-r"]));
    assert_eq!(route["response_headers_to_add"][0]["header"]["key"], "x-p");
    assert_eq!(route["route"]["host_rewrite_literal"], "h");
    // A rewrite says more than a header, and the route's own more than its destination's.
    let route = with(
        json!({"headers": edits, "rewrite": {"uri": "/n", "authority": "r"}, "route": [{"destination": {"host": "web"}, "headers": edits}]}),
    );
    assert_eq!(
        (
            &route["route"]["host_rewrite_literal"],
            &route["route"]["prefix_rewrite"]
        ),
        (&json!("r"), &json!("/n"))
    );
    assert_eq!(route["request_headers_to_add"].as_array().unwrap().len(), 4);
    let to =
        |weight: u32| json!({"destination": {"host": "web"}, "weight": weight, "headers": edits});
    let route = with(json!({"route": [to(1), to(2)]}));
    let cluster = &route["route"]["weighted_clusters"]["clusters"][0];
    assert_eq!(
        (
            &cluster["host_rewrite_literal"],
            &cluster["request_headers_to_remove"]
        ),
        (&json!("h"), &json!(["x-r"]))
    );
    let route = with(json!({"rewrite": {"uriRegexRewrite": {"match": "^/a", "rewrite": "/b"}}}));
    assert_eq!(
        route["route"]["regex_rewrite"],
        json!({"pattern": {"regex": "^/a"}, "substitution": "/b"})
    );
}

#[test]
fn other_answers_than_a_cluster() {
    let redirect =
        |redirect: Value| routes(json!([{"redirect": redirect}])).remove(0)["redirect"].clone();
    assert_eq!(
        redirect(json!({"uri": "/b"})),
        json!({"path_redirect": "/b", "response_code": "MOVED_PERMANENTLY"})
    );
    assert_eq!(
        redirect(json!({"authority": "b", "scheme": "https", "port": 8443, "redirectCode": 307})),
        json!({"host_redirect": "b", "scheme_redirect": "https", "port_redirect": 8443, "response_code": "TEMPORARY_REDIRECT"})
    );
    assert_eq!(
        redirect(json!({"derivePort": "FROM_REQUEST_PORT"}))["port_redirect"],
        json!(null)
    );
    assert_eq!(
        redirect(json!({"scheme": "https", "port": 443}))["port_redirect"],
        json!(null)
    );
    let response = |response: Value| {
        routes(json!([{"directResponse": response}])).remove(0)["direct_response"].clone()
    };
    assert_eq!(response(json!({"status": 204})), json!({"status": 204}));
    assert_eq!(
        response(json!({"status": 200, "body": {"string": "a"}})),
        json!({"status": 200, "body": {"inline_string": "a"}})
    );
}

#[test]
fn faults_and_origins_are_for_the_filters_after() {
    let filters = |more: Value| with(more)["typed_per_filter_config"].clone();
    assert_eq!(
        filters(
            json!({"fault": {"delay": {"fixedDelay": "5s", "percentage": {"value": 10}}, "abort": {"httpStatus": 500, "percentage": {"value": 100}}}})
        ),
        json!({"envoy.filters.http.fault": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "delay": {"fixed_delay": "5s", "percentage": {"numerator": 100_000, "denominator": "MILLION"}},
            "abort": {"http_status": 500, "percentage": {"numerator": 1_000_000, "denominator": "MILLION"}},
        }})
    );
    assert_eq!(
        filters(
            json!({"corsPolicy": {"allowOrigins": [{"exact": "a"}], "allowMethods": ["GET", "PUT"], "maxAge": "1h", "allowCredentials": true}})
        ),
        json!({"envoy.filters.http.cors": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
            "allow_origin_string_match": [{"exact": "a"}],
            "allow_methods": "GET,PUT",
            "allow_headers": "",
            "expose_headers": "",
            "max_age": "3600",
            "allow_credentials": true,
            "filter_enabled": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
            "forward_not_matching_preflights": true,
        }})
    );
}

#[test]
fn what_is_not_translated_is_named_and_the_rest_goes_on() {
    let to = json!([{"destination": {"host": "web"}}]);
    let object = object(
        "VirtualService",
        "web",
        json!({
            "hosts": ["web"],
            "tls": [{"route": []}],
            "tcp": [{"route": []}],
            "http": [
                {"name": "a", "match": [{"uri": {"prefix": "/a"}, "foo": 1}], "route": to, "timeout": "soon"},
                {"name": "b", "match": "all", "route": to},
                {"name": "c", "match": [{"uri": {"exact": "/c"}}], "fault": {"abort": {"grpcStatus": "OK"}}, "route": to},
                {"name": "never", "delegate": {"name": "other"}},
            {"name": "d", "redirect": {"redirectCode": 304}},
            ],
        }),
    );
    let translation = of(Via::Sidecar, [service("web"), object]);
    assert_eq!(
        problems(&translation),
        [
            "VirtualService shop/web: spec.http[0].match[0].foo: the embedded mesh doesn't translate it",
            "VirtualService shop/web: spec.http[0].timeout: the embedded mesh doesn't translate \"soon\", expected a duration, as in 1.5s",
            "VirtualService shop/web: spec.http[1]: invalid type: string \"all\", expected a sequence",
            "VirtualService shop/web: spec.http[2].fault.abort: the embedded mesh doesn't translate \"\", expected an httpStatus",
            "VirtualService shop/web: spec.http[2].fault.abort.grpcStatus: the embedded mesh doesn't translate it",
            "VirtualService shop/web: spec.http[3].delegate: the embedded mesh doesn't translate it",
            "VirtualService shop/web: spec.http[4].redirect.redirectCode: the embedded mesh doesn't translate \"304\", expected 301, 302, 303, 307 or 308",
            "VirtualService shop/web: spec.tcp: the embedded mesh doesn't translate it",
            "VirtualService shop/web: spec.tls: the embedded mesh doesn't translate it",
        ]
    );
    assert_eq!(
        names(&translation.configuration, "web.shop"),
        ["a", "c", "d"]
    );
}
