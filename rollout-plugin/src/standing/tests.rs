//! Which of calls and status counts, and what a repair makes of it.

use serde_json::{Value, json};

use super::*;
use crate::core::fixtures::{observed, primary, replica_set, rollout};
use std::sync::Arc;

#[test]
fn neither_the_last_calls_nor_the_status_are_undone() {
    use Live::{Absent, Other, Same};
    let ms = |ms| Some(Duration::from_millis(ms));
    for (calls, status, failed, changed_since, expected) in [
        // Before the first call the status is all there is.
        (Absent, Absent, false, None, Choice::Neither),
        (Absent, Same, false, ms(0), Choice::Status),
        (Absent, Other, false, ms(0), Choice::Status),
        // A call that the status doesn't show yet.
        (Same, Other, false, None, Choice::Calls),
        (Same, Other, false, ms(5000), Choice::Calls),
        (Same, Absent, false, None, Choice::Calls),
        // What the status shows, brought about by nobody's call here.
        (Other, Same, false, None, Choice::Status),
        // Neither is live: drift.
        (Other, Absent, false, None, Choice::Calls),
        (Other, Other, false, None, Choice::Calls),
        (
            Other,
            Other,
            false,
            ms(400),
            Choice::Later(Duration::from_millis(600)),
        ),
        (Other, Other, false, ms(1000), Choice::Status),
        // A call that failed half way.
        (Other, Other, true, ms(1000), Choice::Neither),
        (Same, Same, true, None, Choice::Neither),
    ] {
        let found = choose(calls, status, failed, changed_since);
        assert_eq!(
            found, expected,
            "{calls:?} {status:?} {failed} {changed_since:?}"
        );
    }
}

fn at_weight(weight: i32, status: Value) -> Rollout {
    let mut change = json!({"metadata": {"resourceVersion": "10"}, "status": {"canary": {"weights": {
        "canary": {"weight": weight, "podTemplateHash": "c2"},
        "stable": {"weight": 100 - weight, "podTemplateHash": "s1"},
    }}}});
    json_patch::merge(&mut change, &json!({ "status": status }));
    rollout(change)
}

fn live(weight: i32, canary_hash: &str) -> Observed {
    let mut observed = observed(json!([primary(json!({"route": [
        {"destination": {"host": "reviews", "subset": "stable"}, "weight": 100 - weight},
        {"destination": {"host": "reviews", "subset": "canary"}, "weight": weight},
    ]}))]));
    let rule = crate::core::fixtures::destination_rule(canary_hash, "s1");
    observed.destination_rule = Some(Arc::new(rule));
    observed
}

fn called(weight: i32, version: &str) -> Memory {
    Memory {
        stand: Stand {
            hashes: None,
            weights: Some(Shares {
                canary: weight,
                additional: Vec::new(),
            }),
        },
        version: version.to_owned(),
        failed: false,
    }
}

/// The canary weight that the first write brings, `None` if nothing is written.
fn written(rollout: &Rollout, memory: &Memory, since: u64, observed: &Observed) -> Option<Value> {
    let known = Known {
        rollout,
        memory,
        since: Duration::from_millis(since),
    };
    let routing = Routing::of(rollout).unwrap();
    match repair(known, &routing, observed).unwrap() {
        Repair::Later(_) => Some(json!("later")),
        Repair::Write(writes) => writes.first().map(|write| match write {
            Write::Spec { object, spec } => match spec.pointer("/http/0/route/1/weight") {
                Some(weight) => weight.clone(),
                None => json!(object.id.to_string()),
            },
            Write::Policy { .. } => json!("policy"),
        }),
    }
}

#[test]
fn a_lagging_status_undoes_no_call_and_drift_goes_back_to_the_newest() {
    let status = at_weight(10, json!({}));
    // The status says 10 at version 10; calls came with it.
    for (call, version, since, there, expected) in [
        (20, "10", 0, 20, None),
        (20, "10", 9000, 20, None),
        (20, "10", 0, 10, None),
        (20, "10", 0, 55, Some(json!(20))),
        (20, "9", 0, 55, Some(json!("later"))),
        (20, "9", 2000, 55, Some(json!(10))),
        (10, "9", 0, 55, Some(json!(10))),
    ] {
        let found = written(&status, &called(call, version), since, &live(there, "c2"));
        assert_eq!(found, expected, "call {call} at {version}, live {there}");
    }
    let restarted = Memory::default();
    assert_eq!(
        written(&status, &restarted, 0, &live(0, "c2")),
        Some(json!(10))
    );
    assert_eq!(written(&status, &restarted, 0, &live(10, "c2")), None);
}

#[test]
fn a_canary_without_pods_keeps_its_weight_and_loses_its_lanes() {
    let step = json!([{"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x", "headerValue": {"exact": "1"}}]}}]);
    let mut status = at_weight(10, json!({}));
    let canary = status.spec.strategy.canary.as_mut().unwrap();
    canary.steps = serde_json::from_value(step).unwrap();
    // The canary's subset has found refuge at the stable version.
    let mut observed = live(10, "s1");
    let mut plugin = crate::core::fixtures::wasm_plugin();
    plugin.spec["pluginConfig"]["rollouts"]["shop/reviews"] = json!({"hosts": ["a"]});
    observed.filters = vec![Some(Arc::new(plugin))];
    observed.replica_sets = vec![
        Arc::new(replica_set("s1", 3)),
        Arc::new(replica_set("c2", 0)),
    ];
    let found = written(&status, &Memory::default(), 0, &observed);
    assert_eq!(found, Some(json!("policy")));
}

#[test]
fn a_newer_version_doesnt_take_over_the_older_ones_traffic() {
    // The third version has pods, and the controller hasn't called for it yet.
    let status = at_weight(20, json!({"currentPodHash": "c3"}));
    let mut observed = live(20, "c2");
    observed.replica_sets.push(Arc::new(replica_set("c3", 1)));
    assert_eq!(written(&status, &Memory::default(), 0, &observed), None);
    let drifted = Observed {
        destination_rule: live(20, "s1").destination_rule,
        ..observed
    };
    let found = written(&status, &Memory::default(), 0, &drifted);
    assert_eq!(found, Some(json!("DestinationRule shop/reviews")));
}
