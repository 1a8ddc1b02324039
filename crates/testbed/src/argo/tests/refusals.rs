//! Rollouts that are refused.

use serde_json::{Value, json};

use super::scene::{reconcile, scene, status, steps};
use crate::argo::reconcile::prepare;

#[test]
fn what_is_wrong_or_not_supported_is_refused() {
    let canary = |patch: Value| json!({"spec": {"strategy": {"canary": patch}}});
    let step = |step: Value| json!({"spec": {"strategy": {"canary": {"steps": [step]}}}});
    let cases = [
        (
            canary(json!({"dynamicStableScale": true})),
            "spec.strategy.canary.dynamicStableScale: Forbidden: not supported by the embedded controller",
        ),
        (
            canary(json!({"trafficRouting": {"istio": {}}})),
            "spec.strategy.canary.trafficRouting.istio: Forbidden: not supported by the embedded controller",
        ),
        (
            canary(json!({"trafficRouting": {"plugins": {"other/one": {}}}})),
            "spec.strategy.canary.trafficRouting.plugins: Invalid value: [\"other/one\",\"serin/istio\"]: the embedded controller has exactly one plugin",
        ),
        (
            canary(json!({"stableService": "a", "canaryService": "a"})),
            "spec.strategy.stableService: Invalid value: \"a\": This rollout uses the same service for the stable and canary services, but two different services are required.",
        ),
        (
            canary(json!({"stableService": "none"})),
            "spec.strategy.canary.stableService: Invalid value: \"none\": service \"none\" not found",
        ),
        (
            step(json!({"setWeight": 101})),
            "spec.strategy.steps[0].setWeight: Invalid value: 101: SetWeight needs to be between 0 and 100",
        ),
        (
            step(json!({"pause": {"duration": "soon"}})),
            "spec.strategy.steps[0].pause.duration: Invalid value: -1: Duration needs to be greater than 0",
        ),
        (
            step(json!({"setHeaderRoute": {"name": "gamma"}})),
            "spec.strategy.steps[0].setHeaderRoute: Invalid value: \"gamma\": Steps define a route that does not exist in spec.strategy.canary.trafficRouting.managedRoutes",
        ),
        (
            step(
                json!({"setHeaderRoute": {"name": "beta", "match": [{"headerName": "a", "headerValue": {}}]}}),
            ),
            "spec.strategy.steps[0].setHeaderRoute.match[0]: Invalid value: null: StringMatch value missed, match value must have one of the following: exact, regex, prefix",
        ),
        (
            step(json!({"experiment": {}})),
            "spec.strategy.steps[0].experiment: Forbidden: not supported by the embedded controller",
        ),
        (
            json!({"spec": {"selector": {"matchLabels": {"app": "other"}}}}),
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
        ),
    ];
    for (patch, expected) in cases {
        let observed = scene(steps()).with(patch.clone());
        let prepared = prepare(&observed);
        assert_eq!(prepared.route, None, "{patch}");
        let written = status(&prepared.changes);
        let message = format!("InvalidSpec: The Rollout \"web\" is invalid: {expected}");
        assert_eq!(written["message"], message);
        assert_eq!(written["phase"], "Degraded");
        let repeated = prepare(&observed.with(json!({"status": written})));
        assert_eq!(repeated.changes, [], "{patch}");
    }
}

#[test]
fn a_spec_put_right_is_taken() {
    let wrong = json!({"spec": {"strategy": {"canary": {"dynamicStableScale": true}}}});
    let observed = scene(steps()).with(wrong);
    let written = status(&prepare(&observed).changes);
    let right = json!({
        "spec": {"strategy": {"canary": {"dynamicStableScale": null}}},
        "status": written,
    });
    let finished = reconcile(&observed.with(right), Ok(None));
    let written = status(&finished.changes);
    assert_eq!(written["phase"], "Progressing");
    let kinds = written["conditions"].as_array().unwrap();
    assert!(kinds.iter().all(|one| one["type"] != "InvalidSpec"));
}
