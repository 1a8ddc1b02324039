//! What isn't translated, what Envoy refuses, and an Envoy that dies.

use std::process::Command;

use serde_json::json;
use testbed::mesh::{ApplyError, MeshError, Via};

use crate::bench::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_translated_is_said_and_the_rest_goes_on() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.pod("web", "web-1", &[]).await;
    let mut object = virtual_service(
        "web",
        json!([{"delegate": {"name": "a"}}, {"route": [{"destination": {"host": "web"}}]}]),
    );
    object["spec"]["tcp"] = json!([{"route": []}]);
    bench.put(object);
    bench.settled().await;
    let problems = [
        "VirtualService shop/web: spec.http[0].delegate: the embedded mesh doesn't translate it",
        "VirtualService shop/web: spec.tcp: the embedded mesh doesn't translate it",
    ];
    assert_eq!(bench.mesh.problems(), problems);
    assert_eq!(
        bench
            .get(Via::Gateway, GATEWAY_HOST, "/", &[])
            .await
            .unwrap()
            .identity
            .pod,
        "web-1"
    );
    bench.put(virtual_service(
        "web",
        json!([{"route": [{"destination": {"host": "web"}}]}]),
    ));
    bench.settled().await;
    assert_eq!(
        bench.mesh.problems(),
        problems,
        "who asks at the end sees what stood in the middle"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_envoy_refuses_leaves_what_it_had() {
    let Some(mut bench) = Bench::start().await else {
        return;
    };
    bench.pod("web", "web-1", &[]).await;
    let to = json!([{"destination": {"host": "web"}}]);
    bench.put(virtual_service("web", json!([{"route": to}])));
    bench.settled().await;
    bench.put(virtual_service(
        "web",
        json!([{"match": [{"uri": {"regex": "("}}], "route": to}]),
    ));
    for _ in 0..2 {
        let error = bench.mesh.settled().await.unwrap_err();
        let MeshError::Apply(ApplyError::Refused { part, .. }) = &error else {
            panic!("{error}")
        };
        assert_eq!(part, "routes");
        assert!(error.to_string().contains("missing )"), "{error}");
        assert_eq!(
            bench
                .get(Via::Sidecar, "web.shop", "/", &[])
                .await
                .unwrap()
                .identity
                .pod,
            "web-1"
        );
        // A change elsewhere doesn't make it good.
        bench.put(service("other"));
    }
    bench.put(virtual_service("web", json!([{"route": to}])));
    bench.settled().await;
    let problems = bench.mesh.problems();
    let [gateway, sidecar] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert!(
        gateway.starts_with("the gateway refuses its routes: ") && gateway.contains("missing )"),
        "{gateway}"
    );
    assert!(
        sidecar.starts_with("the sidecar refuses its routes: ") && sidecar.contains("missing )"),
        "{sidecar}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_is_not_there_is_reported() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.put(json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "gone", "namespace": "istio-system"},
        "spec": {"url": format!("file://{}", bench.folder.path().join("gone.wasm").display())},
    }));
    let error = bench.mesh.settled().await.unwrap_err();
    assert!(
        matches!(error, MeshError::Apply(ApplyError::Refused { .. })),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_dies_is_an_error_from_then_on() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.settled().await;
    let process = bench.mesh.envoy(Via::Gateway).process().to_string();
    assert!(
        Command::new("kill")
            .args(["-9", &process])
            .status()
            .unwrap()
            .success()
    );
    while std::net::TcpStream::connect(bench.mesh.target(Via::Gateway)).is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for _ in 0..2 {
        let error = bench.mesh.settled().await.unwrap_err();
        let gone = matches!(
            error,
            MeshError::Apply(ApplyError::Gone {
                via: Via::Gateway,
                ..
            })
        );
        assert!(gone, "{error}");
        bench.put(service("other"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_mesh_that_is_dropped() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let targets = Via::ALL.map(|via| bench.mesh.target(via));
    let processes = Via::ALL.map(|via| bench.mesh.envoy(via).process().to_string());
    let Bench { mesh, .. } = bench;
    drop(mesh);
    for (target, process) in targets.into_iter().zip(processes) {
        assert!(std::net::TcpStream::connect(target).is_err());
        let there = Command::new("kill")
            .args(["-0", &process])
            .output()
            .unwrap();
        assert!(!there.status.success(), "process {process} is there");
    }
}
