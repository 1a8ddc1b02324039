//! How many pods the canary wants, pauses, and weights.

use serde_json::{Value, json};

use super::*;

fn rollout(steps: Value, index: usize, more: Value) -> Rollout {
    let mut rollout = json!({
        "spec": {
            "replicas": 10,
            "strategy": {"canary": {"trafficRouting": {"plugins": {"a/b": {}}}, "steps": steps}},
        },
        "status": {"stableRS": "old", "currentPodHash": "new", "currentStepIndex": index},
    });
    json_patch::merge(&mut rollout, &more);
    serde_json::from_value(rollout).unwrap()
}

#[test]
fn the_canary_has_as_many_pods_as_its_weight_or_scale_asks_for() {
    let steps = json!([
        {"setWeight": 11},
        {"setCanaryScale": {"replicas": 3}},
        {"setWeight": 50},
        {"setCanaryScale": {"weight": 25}},
        {"pause": {}},
        {"setCanaryScale": {"matchTrafficWeight": true}},
        {"setWeight": 80},
    ]);
    let none = || json!({});
    let cases = [
        (0, none(), 2),
        (1, none(), 3),
        (2, none(), 3),
        (3, none(), 3),
        (4, none(), 3),
        (5, none(), 5),
        (6, none(), 8),
        (7, none(), 10),
        (2, json!({"status": {"abort": true}}), 0),
        (
            2,
            json!({
                "status": {"abort": true},
                "spec": {"strategy": {"canary": {"abortScaleDownDelaySeconds": 0}}},
            }),
            3,
        ),
        (0, json!({"status": {"promoteFull": true}}), 10),
        (0, json!({"status": {"stableRS": "new"}}), 10),
        (0, json!({"status": {"stableRS": ""}}), 10),
        (
            0,
            json!({"spec": {"strategy": {"canary": {"minPodsPerReplicaSet": 4}}}}),
            4,
        ),
        (
            6,
            json!({"spec": {"strategy": {"canary": {"trafficRouting": {"maxTrafficWeight": 1000}}}}}),
            1,
        ),
    ];
    for (index, more, expected) in cases {
        let rollout = rollout(steps.clone(), index, more.clone());
        assert_eq!(canary_replicas(&rollout), expected, "step {index}, {more}");
    }
}

#[test]
fn weights_come_from_the_last_set_weight() {
    let steps = json!([
        {"setHeaderRoute": {"name": "beta"}},
        {"setWeight": 10},
        {"pause": {}},
        {"setWeight": 40},
    ]);
    for (index, current, previous) in [
        (0, 0, 0),
        (1, 10, 0),
        (2, 10, 10),
        (3, 40, 10),
        (4, 100, 40),
    ] {
        let rollout = rollout(steps.clone(), index, json!({}));
        assert_eq!(current_set_weight(&rollout), current, "step {index}");
        assert_eq!(previous_set_weight(&rollout), previous, "step {index}");
    }
}

#[test]
fn pauses_read_as_in_go() {
    let cases = [
        (json!({}), None),
        (json!({"duration": 30}), Some(30)),
        (json!({"duration": "30"}), Some(30)),
        (json!({"duration": "10s"}), Some(10)),
        (json!({"duration": "1m"}), Some(60)),
        (json!({"duration": "1h30m"}), Some(5400)),
        (json!({"duration": "1.5m"}), Some(90)),
        (json!({"duration": "900ms"}), Some(0)),
        (json!({"duration": "10 s"}), Some(-1)),
        (json!({"duration": "1d"}), Some(-1)),
        (json!({"duration": "s"}), Some(-1)),
        (json!({"duration": ""}), Some(-1)),
        (json!({"duration": "-5"}), Some(-5)),
    ];
    for (pause, expected) in cases {
        let read: RolloutPause = serde_json::from_value(pause.clone()).unwrap();
        assert_eq!(pause_seconds(&read), expected, "{pause}");
    }
}

#[test]
fn progress_is_all_pods_or_what_the_threshold_says() {
    let set = |replicas, available| ReplicaSet {
        replicas,
        available,
        ..ReplicaSet::default()
    };
    let threshold = |kind: &str, value: i32| json!({"spec": {"strategy": {"canary": {"replicaProgressThreshold": {"type": kind, "value": value}}}}});
    let cases = [
        (json!({}), set(5, 5), 5, true),
        (json!({}), set(5, 4), 5, false),
        (json!({}), set(6, 5), 5, false),
        (threshold("Percentage", 70), set(10, 7), 10, true),
        (threshold("Percentage", 70), set(10, 6), 10, false),
        (threshold("Percentage", 70), set(10, 0), 0, true),
        (threshold("Pods", 2), set(10, 2), 10, true),
        (threshold("Pods", 2), set(10, 1), 10, false),
    ];
    for (more, set, desired, expected) in cases {
        let rollout = rollout(json!([]), 0, more.clone());
        assert_eq!(
            has_progressed(&rollout, &set, desired),
            expected,
            "{more} {set:?}"
        );
    }
}

#[test]
fn few_pods_may_be_missing() {
    let cases = [
        (json!({}), 0),
        (json!({"maxUnavailable": 3}), 0),
        (json!({"maxSurge": 1, "maxUnavailable": 3}), 3),
        (json!({"maxSurge": "25%", "maxUnavailable": "25%"}), 2),
        (json!({"maxSurge": 0, "maxUnavailable": "5%"}), 1),
    ];
    for (more, expected) in cases {
        let more = json!({"spec": {"strategy": {"canary": more}}});
        let rollout = rollout(json!([]), 0, more.clone());
        assert_eq!(max_unavailable(&rollout), expected, "{more}");
    }
}
