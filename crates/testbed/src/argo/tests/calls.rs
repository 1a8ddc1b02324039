//! The plugin's calls and the Services' selectors, by the state that a reconciliation finds.

use serde_json::{Value, json};

use super::scene::{calls, hash, merged, scene, steps};
use crate::argo::change::Change;
use crate::argo::observe::Observed;
use crate::argo::reconcile::prepare;

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn calls_by_state() {
    const REMOVE: &str = "RemoveManagedRoutes";
    const HASH: &str = "UpdateHash";
    let weighted =
        |weight: i32| json!({"status": {"canary": {"weights": {"canary": {"weight": weight}}}}});
    let at = |index, replicas, available| scene(steps()).at_step(index).canary(replicas, available);
    let abort = json!({"status": {"abort": true}});
    let full = json!({"status": {"promoteFull": true}});
    let promoted = json!({"status": {"stableRS": hash("web:2")}});
    let max =
        json!({"spec": {"strategy": {"canary": {"trafficRouting": {"maxTrafficWeight": 1000}}}}});
    let mut first = at(0, 0, 0)
        .with(json!({"metadata": {"annotations": {"rollout.argoproj.io/revision": "1"}}}));
    first.sets[0].revision = 0;
    first.sets[1].revision = 1;
    let cases: Vec<(&str, Observed, Vec<&str>)> = vec![
        (
            "a header step needs no pods",
            at(0, 0, 0),
            vec![
                REMOVE,
                "SetHeaderRoute beta",
                HASH,
                "SetWeight 0",
                "VerifyWeight 0",
            ],
        ),
        (
            "the first revision has no header step",
            first,
            vec![REMOVE, HASH, "SetWeight 0", "VerifyWeight 0"],
        ),
        (
            "a weight waits for the first pod",
            at(1, 1, 0),
            vec![REMOVE, HASH, "SetWeight 0", "VerifyWeight 0"],
        ),
        (
            "a weight that has its pods",
            at(1, 1, 1),
            vec![HASH, "SetWeight 25", "VerifyWeight 25"],
        ),
        (
            "a mirror keeps the weight",
            at(2, 1, 1),
            vec![
                "SetMirrorRoute shadow",
                HASH,
                "SetWeight 25",
                "VerifyWeight 25",
            ],
        ),
        (
            "so does a pause",
            at(3, 1, 1),
            vec![HASH, "SetWeight 25", "VerifyWeight 25"],
        ),
        (
            "the old weight until the pods of the new one are there",
            at(4, 2, 1),
            vec![HASH, "SetWeight 25", "VerifyWeight 25"],
        ),
        (
            "the next weight",
            at(4, 2, 2),
            vec![HASH, "SetWeight 50", "VerifyWeight 50"],
        ),
        (
            "after the last step, pods missing",
            at(5, 4, 3),
            vec![HASH, "SetWeight 50", "VerifyWeight 50"],
        ),
        (
            "after the last step",
            at(5, 4, 4),
            vec![HASH, "SetWeight 100", "VerifyWeight 100"],
        ),
        (
            "after the last step, of a thousand",
            at(5, 4, 4).with(max),
            vec![HASH, "SetWeight 1000", "VerifyWeight 1000"],
        ),
        (
            "aborted",
            at(3, 1, 1).with(abort),
            vec![REMOVE, HASH, "SetWeight 0", "VerifyWeight 0"],
        ),
        (
            "promoted in full: the weight stays until all pods are there",
            at(3, 1, 1).with(full).with(weighted(25)),
            vec![REMOVE, HASH, "SetWeight 25", "VerifyWeight 25"],
        ),
        (
            "the update is complete",
            at(5, 4, 4).with(promoted),
            vec![REMOVE, HASH, "SetWeight 0", "VerifyWeight 0"],
        ),
        (
            "the canary has lost its pods: no weight before the hash",
            at(3, 1, 0).with(weighted(25)),
            vec![REMOVE, "SetWeight 0", HASH, "SetWeight 0", "VerifyWeight 0"],
        ),
        (
            "stable pods missing for the rest: no calls",
            at(1, 1, 1).stable(4, 2),
            vec![],
        ),
        (
            "the same without a canary",
            at(1, 1, 0).stable(4, 3),
            vec![REMOVE],
        ),
    ];
    for (name, observed, expected) in cases {
        assert_eq!(calls(&prepare(&observed)), expected, "{name}");
    }
}

#[test]
fn the_canary_service_turns_back_and_forth_while_an_aborted_canary_lives() {
    let with_services = json!({
        "spec": {"strategy": {"canary": {"stableService": "web-stable", "canaryService": "web-canary"}}},
        "status": {"abort": true},
    });
    let mut observed = scene(steps()).canary(1, 1).with(with_services);
    for (name, image) in [("web-stable", "web:1"), ("web-canary", "web:2")] {
        let service = observed.services.get_mut(name).unwrap();
        service.managed_by = Some("web".to_owned());
        service
            .selector
            .insert("rollouts-pod-template-hash".to_owned(), hash(image));
    }
    let selects = |changes: &[Change]| {
        merged(changes, "services", "web-canary")["spec"]["selector"]["rollouts-pod-template-hash"]
            .clone()
    };
    let once = prepare(&observed);
    assert_eq!(selects(&once.changes), Value::Null);
    assert_eq!(selects(&once.route.unwrap().changes), hash("web:1"));
    let service = observed.services.get_mut("web-canary").unwrap();
    service
        .selector
        .insert("rollouts-pod-template-hash".to_owned(), hash("web:1"));
    let again = prepare(&observed);
    assert_eq!(selects(&again.changes), hash("web:2"));
    assert_eq!(selects(&again.route.unwrap().changes), hash("web:1"));
    let gone = prepare(&observed.canary(1, 0));
    assert_eq!(selects(&gone.changes), Value::Null);
    assert_eq!(selects(&gone.route.unwrap().changes), Value::Null);
}

#[test]
fn services_are_adopted_when_all_pods_are_there_and_turned_when_one_is() {
    let with_services = json!({
        "spec": {"strategy": {"canary": {"stableService": "web-stable", "canaryService": "web-canary"}}},
    });
    let selector = |observed: &Observed| {
        let changes = prepare(observed).changes;
        let patch = merged(&changes, "services", "web-canary");
        (
            patch["spec"]["selector"]["rollouts-pod-template-hash"].clone(),
            !patch["metadata"].is_null(),
        )
    };
    let mut observed = scene(steps()).with(with_services).canary(2, 1);
    assert_eq!(selector(&observed), (Value::Null, false));
    observed = observed.canary(2, 2);
    assert_eq!(selector(&observed), (json!(hash("web:2")), true));
    let canary = observed.services.get_mut("web-canary").unwrap();
    canary.managed_by = Some("web".to_owned());
    observed = observed.canary(2, 1);
    assert_eq!(selector(&observed), (json!(hash("web:2")), false));
    observed = observed.canary(2, 0);
    assert_eq!(selector(&observed), (Value::Null, false));
}
