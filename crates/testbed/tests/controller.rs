//! The stand-in for the Argo controller with a real plugin process, `examples/router.rs`, and pods.
//!
//! What it calls in which order is told by the tests inside the crate, with a scripted plugin.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test's helpers fail by panicking, like the test"
)]

#[path = "support/router.rs"]
mod router;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::apiserver::{ApiServer, ObjectRef, Store};
use testbed::argo::plugin::Plan;
use testbed::argo::{CallRecord, Controller, Keeper, Patience};
use testbed::workloads::{Manners, Workloads};

use crate::router::router;

/// Far longer than anything here takes: what hangs fails.
const HANGS: Duration = Duration::from_mins(1);

/// The example answers calls for a Rollout of this name with success.
const NAME: &str = "quiet";
/// The example doesn't answer calls for a Rollout of this name.
const STUCK: &str = "wait";

const MANNERS: Manners = Manners {
    ready_after: Duration::from_millis(20),
    serves_on: Duration::ZERO,
};

fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 8080}]}]},
    })
}

fn rollout(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template("web:1"),
            "strategy": {"canary": {
                "trafficRouting": {"plugins": {"test/router": {}}},
                "steps": [{"setWeight": 25}, {"pause": {}}],
            }},
        },
    })
}

fn at() -> ObjectRef {
    ObjectRef::new("rollouts", "shop", NAME)
}

async fn until(store: &Store, reached: impl Fn(&Value) -> bool) {
    let waits = async {
        loop {
            let mut changes = store.subscribe();
            if reached(&store.get(&at()).unwrap()["status"]) {
                return;
            }
            drop(changes.next().await);
        }
    };
    let in_time = tokio::time::timeout(HANGS, waits).await;
    let status = &store.get(&at()).unwrap()["status"];
    assert!(in_time.is_ok(), "{status:#}");
}

fn is_alive(process: u32) -> bool {
    PathBuf::from(format!("/proc/{process}")).exists()
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

async fn until_gone(process: u32) {
    let waits = async {
        while is_alive(process) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANGS, waits).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_outlives_its_plugin() {
    let tmp = tempfile::tempdir().unwrap();
    let server = ApiServer::start().await.unwrap();
    let store = server.store();
    let _workloads = Workloads::start(store, MANNERS, Arc::new(|_| {}));
    let calls = Arc::new(Mutex::new(Vec::<CallRecord>::new()));
    let sink = Arc::clone(&calls);
    let controller = Controller::start(
        store,
        router(tmp.path()),
        Arc::new(|_| {}),
        Arc::new(move |call| sink.lock().unwrap().push(call.clone())),
    )
    .await
    .unwrap();
    let first = controller.plugin_process().unwrap();
    assert!(is_alive(first));

    store.put(rollout(NAME)).unwrap();
    until(store, |status| status["phase"] == "Healthy").await;
    let image = json!({"spec": {"template": template("web:2")}});
    store.patch(&at(), &image).unwrap();
    until(store, |status| {
        status["currentStepIndex"] == 1 && status["pauseConditions"].is_array()
    })
    .await;
    let weights = &store.get(&at()).unwrap()["status"]["canary"]["weights"];
    assert_eq!(weights["canary"]["weight"], 25);
    assert_eq!(weights["verified"], true);

    signal("-KILL", first);
    let promote = json!({"status": {"pauseConditions": null}});
    store.patch(&at(), &promote).unwrap();
    until(store, |status| {
        status["phase"] == "Healthy" && status["stableRS"] == status["currentPodHash"]
    })
    .await;
    assert_eq!(controller.plugin_starts(), 2);
    let second = controller.plugin_process().unwrap();
    assert_ne!(second, first);
    assert!(!is_alive(first));
    let calls = calls.lock().unwrap().clone();
    let count = |method: &str| calls.iter().filter(|call| call.method == method).count();
    assert_eq!(count("InitPlugin"), 2);
    assert!(calls.iter().all(|call| call.outcome.is_ok()
        && (call.method == "InitPlugin" || call.rollout == "shop/quiet")));
    let kind = calls.iter().find(|call| call.method == "Type").unwrap();
    assert_eq!(kind.outcome.as_deref(), Ok("Router"));

    controller.kill().await;
    assert!(!is_alive(second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_is_killed_in_a_call_leaves_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let server = ApiServer::start().await.unwrap();
        let store = server.store();
        let _workloads = Workloads::start(store, MANNERS, Arc::new(|_| {}));
        let (called, mut calls) = tokio::sync::mpsc::unbounded_channel();
        let controller = Controller::start(
            store,
            router(tmp.path()),
            Arc::new(|_| {}),
            Arc::new(move |call| {
                let _ = called.send(call.method);
            }),
        )
        .await
        .unwrap();
        let process = controller.plugin_process().unwrap();
        store.put(rollout(STUCK)).unwrap();
        let typed = async { while calls.recv().await != Some("Type") {} };
        tokio::time::timeout(HANGS, typed).await.unwrap();
        controller.kill().await;
        assert!(!is_alive(process));
        // The sender has gone with the last that could call.
        let rest = async { while calls.recv().await.is_some() {} };
        tokio::time::timeout(HANGS, rest).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_stopped_is_started_again() {
    let tmp = tempfile::tempdir().unwrap();
    let server = ApiServer::start().await.unwrap();
    let store = server.store();
    let _workloads = Workloads::start(store, MANNERS, Arc::new(|_| {}));
    let patience = Patience {
        interval: Duration::from_secs(1),
        answer: Duration::from_secs(1),
    };
    let (plan, quiet) = (router(tmp.path()), Arc::new(|_: &str| {}));
    let controller = Controller::start_with(store, plan, quiet, Arc::new(|_| {}), patience)
        .await
        .unwrap();
    let first = controller.plugin_process().unwrap();
    store.put(rollout(NAME)).unwrap();
    until(store, |status| status["phase"] == "Healthy").await;
    signal("-STOP", first);
    let image = json!({"spec": {"template": template("web:2")}});
    store.patch(&at(), &image).unwrap();
    until(store, |status| status["currentStepIndex"] == 1).await;
    assert!(controller.plugin_starts() >= 2);
    assert!(!is_alive(first));
    controller.kill().await;
}

#[tokio::test]
async fn a_controller_that_is_dropped_takes_its_plugin_along() {
    let tmp = tempfile::tempdir().unwrap();
    let server = ApiServer::start().await.unwrap();
    let controller = Controller::start(
        server.store(),
        router(tmp.path()),
        Arc::new(|_| {}),
        Arc::new(|_| {}),
    )
    .await
    .unwrap();
    let process = controller.plugin_process().unwrap();
    drop(controller);
    until_gone(process).await;
}

#[tokio::test]
async fn a_program_that_is_no_plugin_is_an_error() {
    let server = ApiServer::start().await.unwrap();
    let plan = Plan {
        program: "true".into(),
        arguments: Vec::new(),
        environment: Vec::new(),
    };
    let started = Controller::start(server.store(), plan, Arc::new(|_| {}), Arc::new(|_| {})).await;
    assert!(started.is_err(), "{started:?}");
}

/// Processes that were started with sockets under `tmp`.
fn plugins(tmp: &Path) -> usize {
    let variable = format!("TMPDIR={}", tmp.to_str().unwrap());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let environments = processes.filter_map(|one| std::fs::read(one.path().join("environ")).ok());
    environments
        .filter(|environment| {
            let mut variables = environment.split(|byte| *byte == 0);
            variables.any(|one| one == variable.as_bytes())
        })
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controllers_that_are_restarted_at_once_come_one_after_the_other() {
    let tmp = tempfile::tempdir().unwrap();
    let server = ApiServer::start().await.unwrap();
    let alive = Arc::new(Mutex::new(Vec::new()));
    let (sink, folder) = (Arc::clone(&alive), tmp.path().to_path_buf());
    let keeper = Keeper::start(
        server.store(),
        router(tmp.path()),
        Arc::new(|_| {}),
        Arc::new(move |_| sink.lock().unwrap().push(plugins(&folder))),
    )
    .await
    .unwrap();
    let pause = Duration::from_millis(50);
    let (first, second) = tokio::join!(keeper.restart(pause), keeper.restart(pause));
    first.unwrap();
    second.unwrap();
    assert_eq!(*alive.lock().unwrap(), [1, 1, 1], "at each InitPlugin");
    let (process, starts) = keeper.plugin().await;
    assert_eq!(starts, 1);
    drop(keeper);
    until_gone(process.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_that_nobody_waits_for_still_brings_a_controller() {
    let tmp = tempfile::tempdir().unwrap();
    let server = ApiServer::start().await.unwrap();
    let plan = router(tmp.path());
    let keeper = Keeper::start(server.store(), plan, Arc::new(|_| {}), Arc::new(|_| {}))
        .await
        .unwrap();
    let (first, _) = keeper.plugin().await;
    let given_up = tokio::time::timeout(Duration::ZERO, keeper.restart(Duration::from_millis(50)));
    assert!(given_up.await.is_err());
    until_gone(first.unwrap()).await;
    let another = async {
        while keeper.plugin().await.0.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANGS, another).await.unwrap();
}
