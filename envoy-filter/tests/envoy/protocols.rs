//! The same decisions over HTTP/2, and about what looks like gRPC.

use serde_json::{Value, json};

use crate::bench::*;

/// An Envoy whose listener `front` takes HTTP/1.1 and asks `main`, which has the filter, by HTTP/2.
fn start(rules: &Value) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let pipe = json!({"pipe": {"path": folder.path().join("main")}});
    let mut main = cluster("main", &pipe);
    main["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }});
    let on = json!([{"match": {"prefix": "/"}, "route": {"cluster": "main"}}]);
    let configuration = policies(&[("shop/reviews", reviews(rules))]);
    let filters = [filter("istio-system.serin", &configuration)];
    let listeners = [
        listener(
            "front",
            &[],
            &[json!({"name": "front", "domains": ["*"], "routes": on})],
        ),
        listener_at("main", &pipe, &filters, &[reviews_host()]),
    ];
    Bench::start_in(folder, SIDECAR, &listeners, &[main])
}

#[test]
fn over_http2_requests_get_into_their_lanes() {
    let rules = json!([
        {"name": "c", "lane": "canary", "match": [{"headers": {"x-beta": {"exact": "1"}}, "method": {"exact": "GET"}}]},
        {"name": "s", "lane": "stable", "match": [{"path": {"exact": "/old"}, "cookies": {"user": {"prefix": "a"}}}]},
        {"name": "q", "lane": "mirror", "match": [{"queryParams": {"q": {"exact": "1"}}}]},
    ]);
    let bench = start(&rules);
    let mut connection = bench.connect("front");
    for (start, line, lane) in [
        ("GET /", "X-Beta: 1", "canary"),
        ("POST /", "X-Beta: 1", "weights"),
        ("GET /old?q=2", "cookie: b=c; user=ab", "stable"),
        ("GET /old", "cookie: b=user", "weights"),
        ("GET /x?q=1", "x-other: 1", "mirror"),
    ] {
        for authority in ["reviews", "reviews.shop:9080"] {
            let reply = connection
                .send(
                    start,
                    &[&format!("host: {authority}"), line, "content-length: 0"],
                )
                .unwrap();
            assert_eq!(reply.body, lane, "{start} {line} at {authority}");
        }
    }
    let streams = bench
        .envoy
        .stat("http.main.downstream_rq_http2_total")
        .unwrap();
    assert_eq!(streams, Some(10), "all of them by HTTP/2");
}

#[test]
fn what_looks_like_grpc_gets_into_its_lane() {
    let rules = json!([{"name": "c", "lane": "canary", "match": [{
        "path": {"exact": "/shop.Reviews/Get"},
        "method": {"exact": "POST"},
        "headers": {"content-type": {"prefix": "application/grpc"}, "x-beta": {"present": true}},
    }]}]);
    let bench = start(&rules);
    let mut connection = bench.connect("front");
    for (path, line, lane) in [
        ("/shop.Reviews/Get", "x-beta: 1", "canary"),
        ("/shop.Reviews/Get", "x-other: 1", "weights"),
        ("/shop.Reviews/List", "x-beta: 1", "weights"),
    ] {
        let start = format!("POST {path}");
        let reply = connection
            .send(
                &start,
                &[
                    "host: reviews",
                    "content-type: application/grpc+proto",
                    "te: trailers",
                    "content-length: 0",
                    line,
                ],
            )
            .unwrap();
        // Envoy puts the text of an answer of its own here for gRPC.
        assert_eq!(reply.values("grpc-message"), [lane], "{reply:?}");
    }
}
