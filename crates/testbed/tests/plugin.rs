//! The controller's side of a plugin, on real processes: `examples/router.rs`, programs that are no plugins, and, where
//! there is Go, a plugin in Go.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers fail by panicking, like the test"
)]

#[path = "support/router.rs"]
mod router;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use argo_rollouts::Rollout;
use serde_json::{Value, json};
use testbed::argo::plugin::{Answer, Call, LogSink, Plan, Plugin, PluginError};

use crate::router::router;

/// Far longer than anything here takes: what hangs fails.
const HANGS: Duration = Duration::from_mins(1);

type Log = Arc<Mutex<Vec<String>>>;

fn log() -> (Log, LogSink) {
    let lines = Log::default();
    let sink = Arc::clone(&lines);
    (
        lines,
        Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned())),
    )
}

fn plan(program: impl Into<PathBuf>, arguments: &[&str]) -> Plan {
    Plan {
        program: program.into(),
        arguments: arguments.iter().map(|&text| text.into()).collect(),
        environment: Vec::new(),
    }
}

fn shell(script: &str) -> Plan {
    plan("sh", &["-c", script])
}

async fn start(plan: &Plan) -> (Plugin, Log) {
    let (lines, sink) = log();
    (Plugin::start(plan, sink).await.unwrap(), lines)
}

async fn fails(plan: &Plan) -> PluginError {
    match Plugin::start(plan, log().1).await {
        Ok(plugin) => panic!("{plugin:?} of {plan:?}"),
        Err(error) => error,
    }
}

/// What doesn't hang.
async fn done<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS, future).await.unwrap()
}

fn rollout(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": name, "namespace": "shop", "uid": "1", "generation": 3,
            "creationTimestamp": "2026-11-02T10:11:12Z", "labels": {"app": "reviews"},
        },
        "spec": {
            "replicas": 5,
            "selector": {"matchLabels": {"app": "reviews"}},
            "strategy": {"canary": {
                "steps": [{"setWeight": 0}, {"pause": {}}, {"pause": {"duration": "1m"}}],
                "maxSurge": "25%",
                "maxUnavailable": 1,
                "trafficRouting": {
                    "managedRoutes": [{"name": "beta"}],
                    "plugins": {"serin/istio": {"virtualService": {"name": "reviews"}}},
                },
            }},
        },
        "status": {"currentPodHash": "7c9d5b", "stableRS": "5d8f4c", "currentStepIndex": 0},
    })
}

/// As the typed Rollout prints it.
fn printed(rollout: Value) -> Value {
    serde_json::to_value(serde_json::from_value::<Rollout>(rollout).unwrap()).unwrap()
}

fn set_weight(name: &str, desired_weight: i32) -> Call {
    Call::SetWeight {
        rollout: rollout(name),
        desired_weight,
    }
}

fn exists(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

fn signal(name: &str, process: u32) {
    let killed = Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(killed.unwrap().success());
}

fn is_gone<T: std::fmt::Debug>(result: &Result<T, PluginError>) -> bool {
    matches!(result, Err(PluginError::Gone { .. }))
}

#[tokio::test]
async fn every_call_arrives_as_it_was_meant() {
    let tmp = tempfile::tempdir().unwrap();
    let (plugin, lines) = start(&router(tmp.path())).await;
    assert_eq!(plugin.call(&Call::InitPlugin).await.unwrap(), Answer::Done);
    plugin.ping().await.unwrap();
    assert_eq!(
        plugin.call(&Call::Type).await.unwrap(),
        Answer::Text("Router".into())
    );
    let header = json!({"name": "beta", "match": [
        {"headerName": "x-beta", "headerValue": {"exact": "1", "prefix": "", "regex": ""}},
    ]});
    let mirror = json!({"name": "shadow", "percentage": 35, "match": [
        {"method": {"exact": "GET", "prefix": "", "regex": ""}, "path": null, "headers": {}},
    ]});
    for (call, more) in [
        (
            Call::UpdateHash {
                rollout: rollout("echo"),
                canary_hash: "7c9d5b".into(),
                stable_hash: String::new(),
            },
            json!({"canaryHash": "7c9d5b", "stableHash": ""}),
        ),
        (set_weight("echo", 37), json!({"desiredWeight": 37})),
        (
            Call::SetHeaderRoute {
                rollout: rollout("echo"),
                set_header_route: header.clone(),
            },
            json!({"setHeaderRoute": header}),
        ),
        (
            Call::SetMirrorRoute {
                rollout: rollout("echo"),
                set_mirror_route: mirror.clone(),
            },
            json!({"setMirrorRoute": mirror}),
        ),
        (
            Call::RemoveManagedRoutes {
                rollout: rollout("echo"),
            },
            json!({}),
        ),
    ] {
        let mut expected = more;
        expected["rollout"] = printed(rollout("echo"));
        match plugin.call(&call).await {
            Err(PluginError::Refused { method, message }) => {
                assert_eq!(method, call.method());
                let said: Value = serde_json::from_str(&message).unwrap();
                assert_eq!(said, expected, "{method}");
            }
            other => panic!("{call:?}: {other:?}"),
        }
    }
    assert_eq!(
        plugin.call(&set_weight("quiet", 1)).await.unwrap(),
        Answer::Done
    );
    for (weight, verified) in [(30, Some(false)), (31, Some(true)), (32, None)] {
        let call = Call::VerifyWeight {
            rollout: rollout("echo"),
            desired_weight: weight,
        };
        assert_eq!(
            plugin.call(&call).await.unwrap(),
            Answer::Verified(verified)
        );
    }
    let refused = Call::VerifyWeight {
        rollout: rollout("echo"),
        desired_weight: -4,
    };
    assert_eq!(
        plugin.call(&refused).await.unwrap_err().to_string(),
        r#"VerifyWeight: {"desiredWeight":-4}"#
    );

    let process = plugin.process();
    assert!(exists(process));
    plugin.stop().await;
    assert!(!exists(process));
    assert!(tmp.path().read_dir().unwrap().next().is_none());
    let lines = lines.lock().unwrap();
    let ready: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(ready["@message"], "ready", "{lines:?}");
    assert_eq!(ready["pid"], process);
}

#[tokio::test]
async fn errors_before_the_router_say_where_they_arose() {
    let tmp = tempfile::tempdir().unwrap();
    let (plugin, _) = start(&router(tmp.path())).await;
    // Nothing is sent.
    let mut wrong = rollout("quiet");
    wrong["spec"]["strategy"]["canary"]["steps"][0]["setWeight"] = json!("ten");
    let error = plugin
        .call(&Call::RemoveManagedRoutes { rollout: wrong })
        .await
        .unwrap_err();
    assert!(matches!(error, PluginError::Arguments { .. }), "{error:?}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.contains("spec.strategy.canary.steps[0].setWeight: \"ten\""),
        "{source}"
    );
    // The plugin can't read it: an error of net/rpc.
    let mut large = rollout("quiet");
    large["spec"]["replicas"] = json!(5_000_000_000_u64);
    let error = plugin
        .call(&Call::RemoveManagedRoutes { rollout: large })
        .await
        .unwrap_err();
    assert!(matches!(error, PluginError::Failed { .. }), "{error:?}");
    assert!(
        error.to_string().contains("Rollout.Spec.Replicas"),
        "{error}"
    );
    // Neither is in the way of the next.
    assert_eq!(
        plugin.call(&set_weight("quiet", 1)).await.unwrap(),
        Answer::Done
    );
    plugin.kill().await;
}

#[tokio::test]
async fn calls_overlap_and_a_caller_may_give_up() {
    let tmp = tempfile::tempdir().unwrap();
    let (plugin, _) = start(&router(tmp.path())).await;
    let plugin = Arc::new(plugin);
    let waits = {
        let plugin = Arc::clone(&plugin);
        tokio::spawn(async move { plugin.call(&set_weight("wait", 1)).await })
    };
    let mut calls = tokio::task::JoinSet::new();
    for weight in 0..200 {
        let plugin = Arc::clone(&plugin);
        calls.spawn(async move {
            let answer = plugin.call(&set_weight("echo", weight)).await;
            let Err(PluginError::Refused { message, .. }) = answer else {
                panic!("{answer:?}");
            };
            let said: Value = serde_json::from_str(&message).unwrap();
            assert_eq!(said["desiredWeight"], weight);
        });
    }
    // Begun and given up: its answer goes to nobody.
    let call = set_weight("echo", 1);
    let given_up = tokio::time::timeout(Duration::ZERO, plugin.call(&call));
    assert!(given_up.await.is_err());
    while let Some(call) = done(calls.join_next()).await {
        call.unwrap();
    }
    plugin.ping().await.unwrap();
    assert!(!waits.is_finished());
    plugin.call(&set_weight("go", 1)).await.unwrap();
    assert_eq!(done(waits).await.unwrap().unwrap(), Answer::Done);
}

#[tokio::test]
async fn a_killed_plugin_is_gone_for_calls_under_way_and_later_ones() {
    let tmp = tempfile::tempdir().unwrap();
    let (plugin, _) = start(&router(tmp.path())).await;
    let call = set_weight("wait", 1);
    let under_way = plugin.call(&call);
    let kill = async {
        // The ping is answered after the call was sent.
        plugin.ping().await.unwrap();
        signal("-KILL", plugin.process());
    };
    let (under_way, ()) = done(async { tokio::join!(under_way, kill) }).await;
    assert!(is_gone(&under_way), "{under_way:?}");
    let later = done(plugin.call(&set_weight("quiet", 1))).await;
    assert!(is_gone(&later), "{later:?}");
    let pinged = done(plugin.ping()).await;
    assert!(is_gone(&pinged), "{pinged:?}");
    let process = plugin.process();
    done(plugin.stop()).await;
    assert!(!exists(process));
}

#[tokio::test]
async fn kill_and_drop_leave_no_process() {
    let tmp = tempfile::tempdir().unwrap();
    let (plugin, _) = start(&router(tmp.path())).await;
    let process = plugin.process();
    plugin.kill().await;
    assert!(!exists(process));

    let (plugin, _) = start(&router(tmp.path())).await;
    let process = plugin.process();
    drop(plugin);
    done(async {
        // The runtime reaps it.
        while exists(process) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_plugin_that_does_not_quit_is_killed() {
    let tmp = tempfile::tempdir().unwrap();
    let (plugin, _) = start(&router(tmp.path())).await;
    let process = plugin.process();
    signal("-STOP", process);
    done(plugin.stop()).await;
    assert!(!exists(process));
}

#[tokio::test]
async fn a_program_that_is_no_plugin_is_shown_with_what_it_said() {
    let error = fails(&shell("echo hello; echo complaint >&2; exec sleep 60")).await;
    assert!(
        matches!(&error, PluginError::NotAPlugin { line, .. } if &**line == "hello"),
        "{error:?}"
    );
    assert!(error.to_string().contains("complaint"), "{error}");

    let error = fails(&shell("echo complaint >&2; exit 7")).await;
    assert!(matches!(error, PluginError::Silent { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("exit status: 7") && text.contains("complaint"),
        "{text}"
    );

    let error = fails(&shell(
        "echo '1|1|unix|/nowhere/at/all|netrpc|'; exec sleep 60",
    ))
    .await;
    assert!(error.to_string().contains("/nowhere/at/all"), "{error:?}");

    let error = fails(&plan("/nowhere/at/all", &[])).await;
    assert!(matches!(error, PluginError::Start { .. }), "{error:?}");
}

#[tokio::test]
async fn it_is_started_as_go_plugins_client_does() {
    let script = "echo $ARGO_ROLLOUTS_RPC_PLUGIN $PLUGIN_PROTOCOL_VERSIONS \
                  $PLUGIN_MIN_PORT $PLUGIN_MAX_PORT $MORE $1";
    let mut plan = plan("sh", &["-c", script, "sh", "argument"]);
    plan.environment = vec![("MORE".into(), "more".into())];
    let error = fails(&plan).await;
    assert!(
        matches!(&error, PluginError::NotAPlugin { line, .. }
            if &**line == "trafficrouter 1 10000 25000 more argument"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_program_that_never_speaks_is_ended_when_its_time_is_up() {
    let tmp = tempfile::tempdir().unwrap();
    let number = tmp.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 60", number.display());
    let plan = shell(&script);
    let started = Plugin::start_within(&plan, log().1, Duration::from_secs(2));
    let error = done(started).await.unwrap_err();
    assert!(matches!(error, PluginError::NotReady { .. }), "{error:?}");
    assert!(error.to_string().contains("after 2s"), "{error}");
    // On a busy machine the script may not have come that far.
    let process = std::fs::read_to_string(number).unwrap_or_default();
    let process = process.trim().parse().ok();
    assert!(!process.is_some_and(exists), "{process:?}");
}

#[tokio::test]
async fn a_plugin_in_go_answers() {
    if Command::new("go").arg("version").output().is_err() {
        println!("skipped: no Go toolchain in PATH");
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let program = tmp.path().join("argo-host");
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/argo-host");
    // The flags of the real stack's programs, so that Go's build cache serves both.
    let built = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .env("GOTOOLCHAIN", "local")
        .status()
        .unwrap();
    assert!(built.success(), "go build");
    let mut plan = plan(program, &["-serve"]);
    plan.environment = vec![("TMPDIR".into(), tmp.path().to_str().unwrap().into())];
    let (plugin, _) = start(&plan).await;
    assert_eq!(plugin.call(&Call::InitPlugin).await.unwrap(), Answer::Done);
    assert_eq!(
        plugin.call(&Call::Type).await.unwrap(),
        Answer::Text("Quiet".into())
    );
    let rollout = || rollout("any");
    for _ in 0..3 {
        for (call, answer) in [
            (
                Call::UpdateHash {
                    rollout: rollout(),
                    canary_hash: "a".into(),
                    stable_hash: "b".into(),
                },
                Answer::Done,
            ),
            (set_weight("any", 5), Answer::Done),
            (
                Call::VerifyWeight {
                    rollout: rollout(),
                    desired_weight: 5,
                },
                Answer::Verified(Some(true)),
            ),
            (
                Call::SetHeaderRoute {
                    rollout: rollout(),
                    set_header_route: json!({"name": "beta"}),
                },
                Answer::Done,
            ),
            (
                Call::SetMirrorRoute {
                    rollout: rollout(),
                    set_mirror_route: json!({"name": "shadow", "percentage": 35}),
                },
                Answer::Done,
            ),
            (
                Call::RemoveManagedRoutes { rollout: rollout() },
                Answer::Done,
            ),
        ] {
            assert_eq!(done(plugin.call(&call)).await.unwrap(), answer, "{call:?}");
        }
    }
    plugin.ping().await.unwrap();
    let process = plugin.process();
    done(plugin.stop()).await;
    assert!(!exists(process));
}
