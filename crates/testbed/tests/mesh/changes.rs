//! Changes under load: no request fails at any moment, and what is settled is in force.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::mesh::Via;
use testbed::workloads::{Manners, Workloads};

use crate::bench::*;

/// How long a state lasts, so that requests meet it.
const A_WHILE: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread")]
async fn a_subset_moves_under_load() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.pod("web", "web-1", &[("version", "1")]).await;
    bench.pod("web", "web-2", &[("version", "2")]).await;
    bench.put(virtual_service("web", json!([primary(&[("stable", 100)])])));
    bench.put(rule(&[("stable", "1")]));
    bench.settled().await;
    let load = bench.load(&[]);
    for version in ["2", "1", "2", "1", "2"] {
        tokio::time::sleep(A_WHILE).await;
        bench.put(rule(&[("stable", version)]));
        bench.settled().await;
        let expected = format!("web-{version}");
        for (via, host) in [(Via::Sidecar, "web.shop"), (Via::Gateway, GATEWAY_HOST)] {
            let shares = bench.shares(via, host, &[]).await;
            assert_eq!(
                shares.into_keys().collect::<Vec<_>>(),
                [expected.as_str()],
                "{via:?}"
            );
        }
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_and_subsets_come_and_go_under_load() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.pod("web", "web-1", &[("version", "1")]).await;
    bench.pod("web", "web-2", &[("version", "2")]).await;
    bench.put(rule(&[("stable", "1")]));
    bench.put(virtual_service("web", json!([primary(&[("stable", 100)])])));
    bench.settled().await;
    let load = bench.load(&[("x-rollout-lane.shop.web", "canary")]);
    for _ in 0..4 {
        tokio::time::sleep(A_WHILE).await;
        // A route and the subset that it names come in one moment, and go in one.
        bench.put(rule(&[("stable", "1"), ("canary", "2")]));
        bench.put(virtual_service(
            "web",
            json!([lane("canary", "canary"), primary(&[("stable", 100)])]),
        ));
        bench.settled().await;
        let answer = bench
            .get(
                Via::Sidecar,
                "web.shop",
                "/",
                &["x-rollout-lane.shop.web: canary"],
            )
            .await;
        assert_eq!(answer.unwrap().identity.pod, "web-2");
        tokio::time::sleep(A_WHILE).await;
        bench.put(virtual_service("web", json!([primary(&[("stable", 100)])])));
        bench.put(rule(&[("stable", "1")]));
        bench.settled().await;
        let answer = bench
            .get(
                Via::Gateway,
                GATEWAY_HOST,
                "/",
                &["x-rollout-lane.shop.web: canary"],
            )
            .await;
        assert_eq!(answer.unwrap().identity.pod, "web-1");
    }
    for (via, answers) in load.end().await {
        for pod in ["web-1", "web-2"] {
            assert!(
                answers.iter().any(|one| one == pod),
                "{via:?} has never met {pod}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_service_comes_and_goes_under_load() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.pod("web", "web-1", &[("version", "1")]).await;
    bench.put(rule(&[("stable", "1")]));
    // The gateway has a route from elsewhere; the sidecar's default one comes back each time.
    let mut other = virtual_service("other", json!([primary(&[("stable", 100)])]));
    other["spec"]["gateways"] = json!(["edge"]);
    bench.put(other);
    bench.settled().await;
    let load = bench.load(&[]);
    for _ in 0..4 {
        tokio::time::sleep(A_WHILE).await;
        bench.put(virtual_service("web", json!([primary(&[("stable", 100)])])));
        bench.settled().await;
        tokio::time::sleep(A_WHILE).await;
        bench.delete("virtualservices", "web");
        bench.settled().await;
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_replaced_under_load() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.pod("web", "web-0", &[("version", "1")]).await;
    bench.put(rule(&[("stable", "1")]));
    bench.put(virtual_service("web", json!([primary(&[("stable", 100)])])));
    bench.settled().await;
    let load = bench.load(&[]);
    for generation in 1..6 {
        tokio::time::sleep(A_WHILE).await;
        bench
            .pod("web", &format!("web-{generation}"), &[("version", "1")])
            .await;
        bench.settled().await;
        bench.remove(&format!("web-{}", generation - 1)).await;
    }
    for (via, answers) in load.end().await {
        assert_eq!(answers.last().map(String::as_str), Some("web-5"), "{via:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_changes_its_image_under_load() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let _workloads = Workloads::start(bench.server.store(), Manners::default(), Arc::new(|_| {}));
    let deployment = |image: &str| {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": NAMESPACE},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 8080}]}]},
                },
            },
        })
    };
    bench.put(virtual_service(
        "web",
        json!([{"route": [{"destination": {"host": "web"}}]}]),
    ));
    let in_force = async |image: &str| {
        loop {
            tokio::time::sleep(A_WHILE).await;
            let pods = bench.server.store().list("pods", NAMESPACE).unwrap();
            let ready = |pod: &Value| pod["status"]["conditions"].to_string().contains("Ready");
            let new = |pod: &Value| pod["spec"]["containers"][0]["image"] == image && ready(pod);
            if pods.len() == 2 && pods.iter().all(new) {
                break;
            }
        }
        bench.settled().await;
        let answer = bench
            .get(Via::Gateway, GATEWAY_HOST, "/", &[])
            .await
            .unwrap();
        assert_eq!(answer.identity.image, image);
    };
    bench.put(deployment("web:1"));
    in_force("web:1").await;
    let load = bench.load(&[]);
    for image in ["web:2", "web:3"] {
        bench.put(deployment(image));
        in_force(image).await;
    }
    // The last of the old pods serve on for a second.
    tokio::time::sleep(Manners::default().serves_on + A_WHILE).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subset_loses_its_pods_after_its_weight() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.pod("web", "web-1", &[("version", "1")]).await;
    bench.put(rule(&[("stable", "1"), ("canary", "2")]));
    bench.put(virtual_service(
        "web",
        json!([primary(&[("stable", 100), ("canary", 0)])]),
    ));
    bench.settled().await;
    let load = bench.load(&[]);
    for _ in 0..4 {
        bench.pod("web", "web-2", &[("version", "2")]).await;
        bench.settled().await;
        bench.put(virtual_service(
            "web",
            json!([primary(&[("stable", 50), ("canary", 50)])]),
        ));
        bench.settled().await;
        tokio::time::sleep(A_WHILE).await;
        bench.put(virtual_service(
            "web",
            json!([primary(&[("stable", 100), ("canary", 0)])]),
        ));
        // In one moment with it, requests would fail, as they do with istiod.
        bench.settled().await;
        bench.remove("web-2").await;
    }
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_that_nothing_names_go_later() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.pod("web", "web-1", &[("version", "1")]).await;
    bench.put(rule(&[("stable", "1"), ("canary", "1")]));
    bench.put(virtual_service("web", json!([primary(&[("canary", 100)])])));
    bench.settled().await;
    let load = bench.load(&[]);
    tokio::time::sleep(A_WHILE).await;
    bench.put(virtual_service("web", json!([primary(&[("stable", 100)])])));
    bench.put(rule(&[("stable", "1")]));
    bench.settled().await;
    let has_canary = |via| {
        let clusters = bench.mesh.envoy(via).admin("/clusters").unwrap();
        clusters.contains("|canary|")
    };
    assert_eq!(
        Via::ALL.map(has_canary),
        [true; 2],
        "a request may still look for it"
    );
    while Via::ALL.map(has_canary) != [false; 2] {
        tokio::time::sleep(A_WHILE).await;
    }
    load.end().await;
}
