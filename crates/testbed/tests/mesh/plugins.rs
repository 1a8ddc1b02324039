//! The filter, which decides who takes a lane.

use std::time::Duration;

use serde_json::json;
use testbed::mesh::Via;

use crate::bench::*;

const WAYS: [(Via, &str); 2] = [(Via::Sidecar, "web.shop"), (Via::Gateway, GATEWAY_HOST)];

async fn with_lanes() -> Option<Bench> {
    let mut bench = Bench::start().await?;
    bench.pod("web", "web-1", &[("version", "1")]).await;
    bench.pod("web", "web-2", &[("version", "2")]).await;
    bench.put(rule(&[("stable", "1"), ("canary", "2")]));
    bench.put(virtual_service(
        "web",
        json!([
            lane("canary", "canary"),
            lane("stable", "stable"),
            primary(&[("stable", 100), ("canary", 0)]),
        ]),
    ));
    Some(bench)
}

async fn pod(bench: &Bench, via: Via, host: &str, lines: &[&str]) -> String {
    bench.get(via, host, "/", lines).await.unwrap().identity.pod
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_leads_requests_into_a_lane() {
    let Some(bench) = with_lanes().await else {
        return;
    };
    bench.plugin("serin", beta("canary"));
    bench.settled().await;
    for (via, host) in WAYS {
        assert_eq!(
            pod(&bench, via, host, &["x-beta: 1"]).await,
            "web-2",
            "{via:?}"
        );
        assert_eq!(
            pod(&bench, via, host, &["x-beta: 2"]).await,
            "web-1",
            "{via:?}"
        );
    }
    // An edge takes a lane that a client brings along away.
    let brought = ["x-rollout-lane.shop.web: canary"];
    assert_eq!(
        pod(&bench, Via::Gateway, GATEWAY_HOST, &brought).await,
        "web-1"
    );
    assert_eq!(bench.mesh.problems(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_change_under_load() {
    let Some(bench) = with_lanes().await else {
        return;
    };
    bench.plugin("serin", beta("canary"));
    bench.settled().await;
    let load = bench.load(&[("x-beta", "1")]);
    for lane in ["stable", "canary", "stable", "canary", "stable", "canary"] {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.plugin("serin", beta(lane));
        bench.settled().await;
        let expected = if lane == "canary" { "web-2" } else { "web-1" };
        for (via, host) in WAYS {
            assert_eq!(
                pod(&bench, via, host, &["x-beta: 1"]).await,
                expected,
                "{via:?}"
            );
        }
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_come_and_go_under_load() {
    let Some(bench) = with_lanes().await else {
        return;
    };
    bench.settled().await;
    let load = bench.load(&[("x-beta", "1")]);
    for _ in 0..2 {
        for (name, config) in [
            ("serin", beta("canary")),
            ("second", json!({"rollouts": {}})),
        ] {
            tokio::time::sleep(Duration::from_millis(100)).await;
            bench.plugin(name, config);
            bench.settled().await;
            for (via, host) in WAYS {
                assert_eq!(
                    pod(&bench, via, host, &["x-beta: 1"]).await,
                    "web-2",
                    "{via:?}"
                );
            }
        }
        for name in ["serin", "second"] {
            let at = testbed::apiserver::ObjectRef::new("wasmplugins", "istio-system", name);
            bench.server.store().delete(&at).unwrap();
            bench.settled().await;
            for (via, host) in WAYS {
                assert_eq!(
                    pod(&bench, via, host, &["x-beta: 1"]).await,
                    "web-1",
                    "{via:?}"
                );
            }
        }
    }
    load.end().await;
}
