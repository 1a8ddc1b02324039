//! What a user does in between: abort, retry, another image, the old one, another number of replicas; and the first deployment.

use serde_json::{Value, json};

use super::scene::{
    calls, hash, merged, reasons, reconcile, rollout, scaled, scene, set, settled, status, steps,
    template,
};
use crate::argo::change::Change;
use crate::argo::observe::DEADLINE;
use crate::argo::reconcile::{Finished, prepare};
use crate::workloads::write::Write;

#[test]
fn an_abort_goes_back_to_the_first_step_and_keeps_the_canary_for_a_while() {
    let abort = json!({"status": {
        "abort": true, "controllerPause": true,
        "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-01-01T00:00:40Z"}],
    }});
    let observed = scene(steps()).at_step(3).canary(1, 1).with(abort);
    let mut observed = settled(observed);
    let finished = reconcile(&observed, Ok(Some(true)));
    let written = status(&finished.changes);
    assert_eq!(written["currentStepIndex"], 0);
    assert_eq!(written["abortedAt"], "2026-01-01T00:01:00Z");
    assert_eq!(written["pauseConditions"], Value::Null);
    assert_eq!(written["phase"], "Degraded");
    assert_eq!(
        written["message"],
        "RolloutAborted: Rollout aborted update to revision 2"
    );
    let canary = observed.sets[1].name.clone();
    let patch = merged(&finished.changes, "replicasets", &canary);
    assert_eq!(
        patch["metadata"]["annotations"][DEADLINE],
        "2026-01-01T00:01:30Z"
    );
    assert_eq!(scaled(&finished.changes, "web:2"), None);

    observed = observed.with(json!({"status": written}));
    observed.sets[1].deadline = Some("2026-01-01T00:01:30Z".parse().unwrap());
    observed.now = "2026-01-01T00:01:30Z".parse().unwrap();
    let finished = reconcile(&observed, Ok(Some(true)));
    assert_eq!(scaled(&finished.changes, "web:2"), Some(0));

    let retried = observed.with(json!({"status": {"abort": false}}));
    let first = prepare(&retried);
    assert_eq!(first.route, None);
    let conditions = status(&first.changes)["conditions"].clone();
    let reasons: Vec<&str> = conditions
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["reason"].as_str())
        .collect();
    assert!(reasons.contains(&"RolloutRetry"), "{reasons:?}");
    assert_eq!(
        calls(&prepare(&settled(retried)))[..2],
        ["SetHeaderRoute beta", "UpdateHash"]
    );
}

#[test]
fn another_image_in_the_middle_begins_anew() {
    let paused = json!({
        "spec": {"template": template("web:3")},
        "status": {
            "controllerPause": true,
            "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-01-01T00:00:40Z"}],
        },
    });
    let mut observed = scene(steps()).at_step(3).canary(1, 1).with(paused);
    let made = prepare(&observed);
    assert_eq!(made.route, None);
    let Some(Change::Write(Write::Create(new))) = made.changes.first() else {
        panic!("{made:?}");
    };
    assert_eq!(new["metadata"]["name"], format!("web-{}", hash("web:3")));
    assert_eq!(
        new["metadata"]["annotations"]["rollout.argoproj.io/revision"],
        "3"
    );
    assert_eq!(new["spec"]["replicas"], 0);
    let labels = &new["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["rollouts-pod-template-hash"], hash("web:3"));

    observed.sets.push(set("web:3", 3, 0, 0));
    let patch = merged(&made.changes, "rollouts", "web");
    observed = observed.with(patch);
    // The pause's conditions come before the change is seen.
    let conditions = status(&prepare(&observed).changes);
    observed = observed.with(json!({"status": conditions}));
    let reset = prepare(&observed);
    assert_eq!(reset.route, None);
    let written = status(&reset.changes);
    assert_eq!(written["currentStepIndex"], 0);
    assert_eq!(written["currentPodHash"], hash("web:3"));
    assert_eq!(written["pauseConditions"], Value::Null);
    assert!(written.get("pauseConditions").is_some());
    observed = observed.with(json!({"status": written}));

    // The intermediate pods go once nothing names their hash any more.
    observed = settled(observed);
    let weights = json!({"status": {"canary": {"weights": {
        "canary": {"weight": 0, "podTemplateHash": hash("web:3")},
        "stable": {"weight": 100, "podTemplateHash": hash("web:1")},
    }}}});
    observed = observed.with(weights);
    observed.sets[2] = set("web:3", 3, 0, 0);
    let finished = reconcile(&observed, Ok(None));
    assert_eq!(scaled(&finished.changes, "web:2"), Some(0));
}

#[test]
fn a_rollback_to_the_stable_image_skips_the_steps() {
    let back = json!({"spec": {"template": template("web:1")}});
    let mut observed = scene(steps()).at_step(3).canary(1, 1).with(back);
    let revision = prepare(&observed);
    assert_eq!(revision.route, None);
    let stable = observed.sets[0].name.clone();
    let patch = merged(&revision.changes, "replicasets", &stable);
    assert_eq!(
        patch["metadata"]["annotations"],
        json!({"rollout.argoproj.io/revision": "3", "rollout.argoproj.io/revision-history": "1"})
    );
    observed.sets[0].revision = 3;
    let revision = merged(&prepare(&observed).changes, "rollouts", "web");
    observed = observed.with(revision);
    let reset = prepare(&observed);
    let written = status(&reset.changes);
    assert_eq!(written["currentStepIndex"], 5);
    assert_eq!(written["currentPodHash"], hash("web:1"));
    assert_eq!(reasons(&reset.changes)[0], "SkipSteps");
    observed = observed.with(json!({"status": written}));
    assert_eq!(
        calls(&prepare(&observed)),
        [
            "RemoveManagedRoutes",
            "UpdateHash",
            "SetWeight 0",
            "VerifyWeight 0"
        ]
    );
}

#[test]
fn a_first_deployment_is_stable_at_once_and_healthy_with_its_pods() {
    let mut object = rollout("web:1", &json!([{"setWeight": 25}]));
    object["metadata"]["generation"] = json!(1);
    let mut observed = scene(json!([]));
    observed.sets.clear();
    observed.object = json!({});
    observed = observed.with(object);
    let made = prepare(&observed);
    observed = observed.with(merged(&made.changes, "rollouts", "web"));
    observed.sets.push(set("web:1", 1, 0, 0));
    let reset = prepare(&observed);
    assert_eq!(reset.route, None);
    observed = observed.with(json!({"status": status(&reset.changes)}));
    assert_eq!(calls(&prepare(&observed)), ["RemoveManagedRoutes"]);
    let first = reconcile(&observed, Ok(None));
    assert_eq!(scaled(&first.changes, "web:1"), Some(4));
    let written = status(&first.changes);
    assert_eq!(written["stableRS"], hash("web:1"));
    assert_eq!(written["currentStepIndex"], 1);
    assert_eq!(observed.object["status"]["phase"], "Progressing");
    observed = observed.with(json!({"status": written}));
    observed.sets[0] = set("web:1", 1, 4, 4);
    let last = reconcile(&observed, Ok(None));
    let written = status(&last.changes);
    assert_eq!(written["phase"], "Healthy");
    let conditions = written["conditions"].as_array().unwrap();
    let of = |kind: &str| {
        let found = conditions.iter().find(|one| one["type"] == kind).unwrap();
        (found["status"].clone(), found["reason"].clone())
    };
    let yes = |reason: &str| (json!("True"), json!(reason));
    assert_eq!(of("Healthy"), yes("RolloutHealthy"));
    assert_eq!(of("Available"), yes("AvailableReason"));
    assert_eq!(of("Completed"), yes("RolloutCompleted"));
    assert_eq!(of("Progressing"), yes("NewReplicaSetAvailable"));

    observed = observed.with(json!({"status": written}));
    let quiet = reconcile(&observed, Ok(None));
    assert_eq!(quiet, Finished::default(), "nothing is written twice");
}

#[test]
fn changed_replicas_are_scaled_without_calls() {
    let observed = scene(steps())
        .at_step(3)
        .canary(1, 1)
        .with(json!({"spec": {"replicas": 8}}));
    let prepared = prepare(&observed);
    assert_eq!(prepared.route, None);
    assert_eq!(scaled(&prepared.changes, "web:1"), Some(8));
}
