//! Where requests go.

use serde_json::json;
use testbed::mesh::Via;

use crate::bench::*;

#[tokio::test(flavor = "multi_thread")]
async fn services_are_reachable_without_a_virtual_service() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    let mut web = service("web");
    web["spec"]["clusterIP"] = json!("10.96.0.7");
    bench.put(web);
    bench.pod("web", "web-1", &[]).await;
    bench.settled().await;
    for host in [
        "web.shop",
        "web.shop.svc",
        "web.shop.svc.cluster.local",
        "web.shop:80",
        "10.96.0.7",
    ] {
        let answer = bench.get(Via::Sidecar, host, "/a?b=c", &[]).await.unwrap();
        assert_eq!(
            (answer.identity.pod.as_str(), answer.path.as_str()),
            ("web-1", "/a?b=c"),
            "{host}"
        );
    }
    assert_eq!(
        bench.get(Via::Sidecar, "web", "/", &[]).await.unwrap_err(),
        502,
        "the client's namespace is another"
    );
    assert_eq!(
        bench
            .get(Via::Gateway, "web.shop", "/", &[])
            .await
            .unwrap_err(),
        404
    );
    assert_eq!(bench.mesh.problems(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_split_between_subsets() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.pod("web", "web-1", &[("version", "1")]).await;
    bench.pod("web", "web-2", &[("version", "2")]).await;
    bench.put(rule(&[("stable", "1"), ("canary", "2")]));
    for (canary, least, most) in [(0, 0, 0), (50, 60, 140), (100, 200, 200)] {
        bench.put(virtual_service(
            "web",
            json!([primary(&[("stable", 100 - canary), ("canary", canary)])]),
        ));
        bench.settled().await;
        for (via, host) in [(Via::Sidecar, "web.shop"), (Via::Gateway, GATEWAY_HOST)] {
            let shares = bench.shares(via, host, &[]).await;
            let seen = shares.get("web-2").copied().unwrap_or_default();
            assert!(
                (least..=most).contains(&seen),
                "{via:?} at {canary} %: {shares:?}"
            );
        }
    }
    assert_eq!(bench.mesh.problems(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_host_takes_the_routes_of_two_virtual_services() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.put(service("static"));
    bench.pod("web", "web-1", &[("version", "1")]).await;
    bench.pod("web", "web-2", &[("version", "2")]).await;
    bench.pod("static", "static-1", &[]).await;
    bench.put(rule(&[("stable", "1"), ("canary", "2")]));
    // The older one takes everything, so that its route has to come last.
    bench.put(virtual_service(
        "web",
        json!([lane("canary", "canary"), primary(&[("stable", 100)])]),
    ));
    let route = json!({"match": [{"uri": {"prefix": "/static"}}], "route": [{"destination": {"host": "static"}}]});
    bench.put(virtual_service("www-static", json!([route])));
    bench.settled().await;
    let lane = "x-rollout-lane.shop.web: canary";
    for (path, lines, expected) in [
        ("/", vec![], "web-1"),
        ("/static/a", vec![], "static-1"),
        ("/cart", vec![lane], "web-2"),
        ("/static/a", vec![lane], "web-2"),
    ] {
        let answer = bench
            .get(Via::Gateway, GATEWAY_HOST, path, &lines)
            .await
            .unwrap();
        assert_eq!(answer.identity.pod, expected, "{path} {lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_marked_and_as_many_as_asked_for() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.pod("web", "web-1", &[("version", "1")]).await;
    bench.pod("web", "web-2", &[("version", "2")]).await;
    bench.put(rule(&[("stable", "1"), ("canary", "2")]));
    let mut route = primary(&[("stable", 100)]);
    route["mirror"] = json!({"host": "web", "subset": "canary"});
    route["mirrorPercentage"] = json!({"value": 40.0});
    bench.put(virtual_service("web", json!([route])));
    bench.settled().await;
    for (via, host) in [(Via::Sidecar, "web.shop"), (Via::Gateway, GATEWAY_HOST)] {
        assert_eq!(
            bench
                .shares(via, host, &[])
                .await
                .into_keys()
                .collect::<Vec<_>>(),
            ["web-1"]
        );
    }
    let copies = bench.copies();
    assert_eq!(copies.keys().collect::<Vec<_>>(), ["web-2"]);
    // 400 requests at 40 %: more than 6 standard deviations to each side.
    assert!((100..=220).contains(&copies["web-2"]), "{copies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_does_what_a_route_says() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.pod("web", "web-1", &[]).await;
    let to = json!([{"destination": {"host": "web"}}]);
    let uri = |uri: &str| json!([{"uri": {"prefix": uri}}]);
    bench.put(virtual_service("web", json!([
        {"match": uri("/abort"), "fault": {"abort": {"httpStatus": 418, "percentage": {"value": 100}}}, "route": to},
        {"match": uri("/gone"), "directResponse": {"status": 410, "body": {"string": "gone"}}},
        {"match": uri("/moved"), "redirect": {"uri": "/there", "redirectCode": 302}},
        {"match": uri("/old"), "rewrite": {"uri": "/new", "authority": "other"}, "route": to},
        {"match": [{"uri": {"regex": "/v[0-9]+"}, "method": {"exact": "GET"}, "queryParams": {"q": {"exact": "1"}}}],
            "headers": {"request": {"set": {"x-set": "1"}, "add": {"x-add": "2"}, "remove": ["x-remove"]}}, "route": to},
        {"match": [{"uri": {"exact": "/Case"}, "ignoreUriCase": true, "withoutHeaders": {"x-no": {}}}],
            "timeout": "5s", "retries": {"attempts": 3, "retryOn": "5xx,503", "perTryTimeout": "500ms"},
            "corsPolicy": {"allowOrigins": [{"exact": "https://a.example.com"}], "allowMethods": ["GET"], "maxAge": "24h"},
            "fault": {"delay": {"fixedDelay": "1ms", "percentage": {"value": 50}}}, "route": to},
    ])));
    bench.settled().await;
    assert_eq!(bench.mesh.problems(), [""; 0]);
    for (via, host) in [(Via::Sidecar, "web.shop"), (Via::Gateway, GATEWAY_HOST)] {
        let status = async |path: &str, lines: &[&str]| {
            bench
                .get(via, host, path, lines)
                .await
                .map_or_else(|status| status, |_| 200)
        };
        assert_eq!(status("/abort", &[]).await, 418);
        assert_eq!(status("/gone", &[]).await, 410);
        assert_eq!(status("/moved", &[]).await, 302);
        assert_eq!(status("/v1", &[]).await, 404);
        assert_eq!(status("/v1x?q=1", &[]).await, 404);
        assert_eq!(status("/CASE", &["x-no: 1"]).await, 404);
        assert_eq!(
            status("/CASE", &["origin: https://a.example.com"]).await,
            200
        );
        let old = bench.get(via, host, "/old/a", &[]).await.unwrap();
        assert_eq!(
            (old.path.as_str(), old.headers["host"].as_str()),
            ("/new/a", "other")
        );
        let edited = bench
            .get(
                via,
                host,
                "/v12?q=1",
                &["x-set: 0", "x-add: 1", "x-remove: 1"],
            )
            .await
            .unwrap();
        let header = |name: &str| edited.headers.get(name).map(String::as_str);
        assert_eq!(
            (header("x-set"), header("x-add"), header("x-remove")),
            (Some("1"), Some("1,2"), None)
        );
    }
}
