//! When a step is complete, and when an update is.

use std::time::Duration;

use serde_json::{Value, json};

use super::scene::{hash, merged, reasons, reconcile, scaled, scene, settled, status, steps};
use crate::argo::observe::{DEADLINE, Observed};
use crate::argo::reconcile::{Verdict, prepare};

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn steps_that_are_complete_give_way() {
    let timed = json!([{"pause": {"duration": "30s"}}]);
    let started = |at: &str| {
        json!({"status": {
            "controllerPause": true,
            "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": at}],
            "conditions": [
                {"type": "Progressing", "status": "Unknown", "reason": "RolloutPaused"},
                {"type": "Paused", "status": "True", "reason": "RolloutPaused"},
            ],
        }})
    };
    let resumed = json!({"status": {"controllerPause": true}});
    let manual = json!({
        "spec": {"paused": true},
        "status": {"conditions": started("2026-01-01T00:00:31Z")["status"]["conditions"]},
    });
    let scale = json!([{"setCanaryScale": {"replicas": 2}}]);
    let verified = |answer| Verdict::Ok(answer);
    let s = || scene(steps());
    let cases: Vec<(&str, Observed, Verdict, i64)> = vec![
        ("a header step, at once", s(), verified(Some(false)), 1),
        (
            "a weight",
            s().at_step(1).canary(1, 1),
            verified(Some(true)),
            2,
        ),
        (
            "a weight that nobody can verify",
            s().at_step(1).canary(1, 1),
            verified(None),
            2,
        ),
        (
            "not a weight that isn't verified",
            s().at_step(1).canary(1, 1),
            verified(Some(false)),
            1,
        ),
        (
            "not a weight whose verification has failed",
            s().at_step(1).canary(1, 1),
            Err("no".to_owned()),
            1,
        ),
        (
            "not a weight whose pods are missing",
            s().at_step(1).canary(1, 0),
            verified(Some(true)),
            1,
        ),
        (
            "a mirror step",
            s().at_step(2).canary(1, 1),
            verified(None),
            3,
        ),
        (
            "not a pause that hasn't begun",
            s().at_step(3).canary(1, 1),
            verified(None),
            3,
        ),
        (
            "not a pause without an end",
            s().at_step(3)
                .canary(1, 1)
                .with(started("2025-01-01T00:00:00Z")),
            verified(None),
            3,
        ),
        (
            "a pause that the user has ended",
            s().at_step(3).canary(1, 1).with(resumed),
            verified(None),
            4,
        ),
        (
            "a pause that is over",
            scene(timed.clone()).with(started("2026-01-01T00:00:29Z")),
            verified(None),
            1,
        ),
        (
            "not one that isn't",
            scene(timed).with(started("2026-01-01T00:00:31Z")),
            verified(None),
            0,
        ),
        (
            "a scale that is reached",
            scene(scale.clone()).canary(2, 2),
            verified(None),
            1,
        ),
        (
            "not one that isn't",
            scene(scale).canary(2, 1),
            verified(None),
            0,
        ),
        (
            "nothing while the user has paused",
            s().with(manual),
            verified(None),
            0,
        ),
    ];
    for (name, observed, verdict, expected) in cases {
        let before = observed.rollout.status.current_step_index.unwrap();
        let finished = reconcile(&observed, verdict);
        let patched = status(&finished.changes)["currentStepIndex"].as_i64();
        assert_eq!(patched.unwrap_or(i64::from(before)), expected, "{name}");
        let told = reasons(&finished.changes).contains(&"RolloutStepCompleted");
        assert_eq!(told, expected != i64::from(before), "{name}");
    }
}

#[test]
fn a_pause_begins_and_says_when_to_come_again() {
    let observed = scene(json!([{"pause": {"duration": 30}}]));
    let finished = reconcile(&observed, Ok(None));
    let now = "2026-01-01T00:01:00Z";
    let written = status(&finished.changes);
    assert_eq!(written["controllerPause"], true);
    assert_eq!(
        written["pauseConditions"],
        json!([{"reason": "CanaryPauseStep", "startTime": now}])
    );
    assert_eq!(
        (&written["phase"], &written["message"]),
        (&json!("Paused"), &json!("CanaryPauseStep"))
    );
    assert!(reasons(&finished.changes).contains(&"RolloutPaused"));

    let paused = observed.with(json!({"status": written}));
    assert_eq!(prepare(&paused).route, None, "conditions come first");
    let paused = settled(paused);
    let conditions = paused.rollout.status.conditions.iter();
    let said = conditions.filter(|one| one.reason == "RolloutPaused");
    let said: Vec<_> = said.map(|one| (&*one.kind, &*one.status)).collect();
    assert_eq!(said, [("Progressing", "Unknown"), ("Paused", "True")]);
    let finished = reconcile(&paused, Ok(None));
    assert_eq!(finished.again_after, Some(Duration::from_secs(30)));
}

#[test]
fn the_end_needs_the_last_weight_verified() {
    let observed = scene(steps()).at_step(5).canary(4, 4);
    let held = reconcile(&observed, Ok(Some(false)));
    assert_eq!(held.unverified, Some(100));
    assert_eq!(held.again_after, Some(Duration::from_secs(10)));
    assert_eq!(status(&held.changes), Value::Null, "nothing else happens");

    let done = reconcile(&observed, Ok(Some(true)));
    let written = status(&done.changes);
    assert_eq!(written["stableRS"], hash("web:2"));
    assert_eq!(written["canary"]["weights"]["canary"]["weight"], 100);
    assert_eq!(written["canary"]["weights"]["verified"], true);
    let told = reasons(&done.changes);
    assert!(told.contains(&"RolloutCompleted"), "{told:?}");
}

#[test]
fn a_verification_that_comes_late_is_acted_upon_and_not_written() {
    let observed = scene(steps()).at_step(1).canary(1, 1);
    let first = reconcile(&observed, Ok(Some(false)));
    let written = status(&first.changes);
    assert_eq!(written["canary"]["weights"]["verified"], false);
    assert_eq!(first.again_after, Some(Duration::from_secs(10)));
    let second = reconcile(&observed.with(json!({"status": written})), Ok(Some(true)));
    let written = status(&second.changes);
    assert_eq!(written["currentStepIndex"], 2);
    assert_eq!(written["canary"], Value::Null);
}

#[test]
fn after_the_update_the_old_pods_stay_for_a_while() {
    let promoted = json!({"status": {"stableRS": hash("web:2")}});
    let mut observed = scene(steps()).at_step(5).canary(4, 4).with(promoted);
    let old = observed.sets[0].name.clone();
    let first = reconcile(&observed, Ok(Some(true)));
    let patch = merged(&first.changes, "replicasets", &old);
    let deadline = "2026-01-01T00:01:30Z";
    assert_eq!(patch["metadata"]["annotations"][DEADLINE], deadline);
    assert_eq!(scaled(&first.changes, "web:1"), None);
    assert_eq!(first.again_after, Some(Duration::from_secs(30)));

    observed.sets[0].deadline = Some(deadline.parse().unwrap());
    observed.now = "2026-01-01T00:01:29Z".parse().unwrap();
    let waiting = reconcile(&observed, Ok(Some(true)));
    assert_eq!(scaled(&waiting.changes, "web:1"), None);
    assert_eq!(waiting.again_after, Some(Duration::from_secs(1)));
    observed.now = "2026-01-01T00:01:30Z".parse().unwrap();
    let over = reconcile(&observed, Ok(Some(true)));
    assert_eq!(scaled(&over.changes, "web:1"), Some(0));
    let patch = merged(&over.changes, "replicasets", &old);
    assert_eq!(patch["metadata"]["annotations"][DEADLINE], Value::Null);
    assert!(patch["metadata"]["annotations"].get(DEADLINE).is_some());
}
