//! Steps in, rules out.

use serde_json::{Value, json};

use super::*;
use crate::core::fixtures::{rollout, routing};

fn header(name: &str, value: &str) -> Value {
    json!({"setHeaderRoute": {"name": name, "match": [{"headerName": "x-group", "headerValue": {"exact": value}}]}})
}

fn mirror(name: &str) -> Value {
    json!({"setMirrorRoute": {"name": name, "percentage": 35, "match": [
        {"method": {"exact": "GET"}, "path": {"prefix": "/search"}, "headers": {"x-a": {"regex": "b.*"}}},
    ]}})
}

fn at_step(index: i32, steps: &[Value], status: Value) -> Rollout {
    let mut change = json!({
        "spec": {"strategy": {"canary": {"steps": steps}}},
        "status": {"currentStepIndex": index},
    });
    json_patch::merge(&mut change["status"], &status);
    rollout(change)
}

/// The rules of a canary of which nothing is known but where it is.
fn in_force(
    rollout: &Rollout,
    routing: &Routing,
    reaches_canary: bool,
    current: Option<RouteStep<'_>>,
) -> Result<Vec<Rule>, CoreError> {
    let ran = Ran {
        history: &StepHistory::default(),
        policy: &BTreeSet::new(),
    };
    rules_in_force(rollout, routing, reaches_canary, ran, current)
}

fn names(rollout: &Rollout, has_pods: bool) -> Vec<String> {
    let rules = in_force(rollout, &routing(), has_pods, None).unwrap();
    rules.into_iter().map(|rule| rule.name).collect()
}

#[test]
fn behind_the_last_step_is_what_has_run_and_no_mirror() {
    let steps = [
        header("beta", "1"),
        mirror("shadow"),
        header("trial", "1"),
        json!({"setHeaderRoute": {"name": "trial"}}),
    ];
    for index in [4, 9] {
        let rollout = at_step(index, &steps, json!({}));
        assert_eq!(names(&rollout, true), [""; 0], "all were skipped");
        let mut history = StepHistory::default();
        let policy = BTreeSet::from(["shadow", "trial"]);
        let of = |history: &StepHistory| {
            let ran = Ran {
                history,
                policy: &policy,
            };
            let rules = rules_in_force(&rollout, &routing(), true, ran, None).unwrap();
            rules.into_iter().map(|rule| rule.name).collect::<Vec<_>>()
        };
        assert_eq!(of(&history), ["trial"], "what the policy has");
        for seen in [0, 2, index] {
            history.see(&at_step(seen, &steps, json!({})));
        }
        assert_eq!(of(&history), ["beta", "trial"], "the removal was skipped");
        history.see(&at_step(0, &steps, json!({})));
        for seen in 1..=index {
            history.see(&at_step(seen, &steps, json!({})));
        }
        assert_eq!(of(&history), ["beta"]);
    }
}

#[test]
fn rules_come_with_their_steps_in_the_order_of_managed_routes() {
    let weight = json!({"setWeight": 10});
    let removal = json!({"setHeaderRoute": {"name": "beta"}});
    let steps = [
        weight,
        header("trial", "1"),
        mirror("shadow"),
        header("beta", "2"),
        removal,
    ];
    let expected: [&[&str]; 5] = [
        &[],
        &["trial"],
        &["shadow", "trial"],
        &["beta", "shadow", "trial"],
        &["shadow", "trial"],
    ];
    for (index, expected) in (0..).zip(expected) {
        assert_eq!(
            names(&at_step(index, &steps, json!({})), true),
            expected,
            "at step {index}"
        );
    }
}

#[test]
fn no_rule_is_in_force_without_a_canary() {
    let steps = [header("beta", "1")];
    assert_eq!(names(&at_step(0, &steps, json!({})), true), ["beta"]);
    assert_eq!(
        names(&at_step(0, &steps, json!({})), false),
        [""; 0],
        "no pods"
    );
    for over in [
        json!({"abort": true}),
        json!({"promoteFull": true}),
        json!({"stableRS": "c2"}),
        json!({"stableRS": ""}),
    ] {
        assert_eq!(
            names(&at_step(0, &steps, over.clone()), true),
            [""; 0],
            "{over}"
        );
    }
}

#[test]
fn the_current_step_of_the_call_is_in_force_at_once() {
    let step: SetHeaderRoute =
        serde_json::from_value(header("beta", "9")["setHeaderRoute"].clone()).unwrap();
    let current = Some(RouteStep::Header(&step));
    let rules = in_force(
        &at_step(0, &[header("beta", "1")], json!({})),
        &routing(),
        true,
        current,
    )
    .unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(
        rules[0].matches[0].headers["x-group"],
        StringMatch::Exact("9".to_owned())
    );
}

#[test]
fn steps_become_rules_of_the_policy() {
    let steps = [
        json!({"setHeaderRoute": {"name": "beta", "match": [
            {"headerName": "a", "headerValue": {"exact": "1"}},
            {"headerName": "b", "headerValue": {"prefix": "2"}},
            {"headerName": "c", "headerValue": {"regex": "3.*"}},
            {"headerName": "d", "headerValue": {}},
        ]}}),
        mirror("shadow"),
    ];
    let rules = in_force(&at_step(1, &steps, json!({})), &routing(), true, None).unwrap();
    assert_eq!(
        serde_json::to_value(rules).unwrap(),
        json!([
            {"name": "beta", "lane": "canary", "match": [
                {"headers": {"a": {"exact": "1"}}},
                {"headers": {"b": {"prefix": "2"}}},
                {"headers": {"c": {"regex": "3.*"}}},
                {"headers": {"d": {"present": true}}},
            ]},
            {"name": "shadow", "lane": "mirror", "percent": 35, "match": [
                {"method": {"exact": "GET"}, "path": {"prefix": "/search"}, "headers": {"x-a": {"regex": "b.*"}}},
            ]},
        ])
    );
}

#[test]
fn what_is_wrong_with_a_step_is_named() {
    let value = |value: Value| json!({"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x", "headerValue": value}]}});
    let cases = [
        (
            header("gamma", "1"),
            r#"setHeaderRoute.name: found "gamma", expected a name of spec.strategy.canary.trafficRouting.managedRoutes, which has ["beta", "shadow", "trial"]"#,
        ),
        (
            value(json!({"exact": "1", "regex": "2"})),
            "setHeaderRoute.match[0].headerValue: found several of them, expected one of exact, prefix and regex",
        ),
        (
            value(json!(null)),
            "setHeaderRoute.match[0].headerValue: found nothing, expected one of exact, prefix and regex",
        ),
        (
            json!({"setHeaderRoute": {"name": "beta", "match": [{"headerValue": {"exact": "1"}}]}}),
            "setHeaderRoute.match[0].headerName: found an empty name, expected a header's name",
        ),
        (
            json!({"setMirrorRoute": {"name": "beta", "percentage": 101, "match": [{}]}}),
            "setMirrorRoute.percentage: found 101, expected a number from 0 to 100",
        ),
    ];
    for (step, message) in cases {
        let error = in_force(&at_step(0, &[step], json!({})), &routing(), true, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("rollout shop/reviews: spec.strategy.canary.steps[0].{message}")
        );
    }
}

#[test]
fn the_configuration_widens_a_route_that_a_step_has_switched_on() {
    let more = json!({
        "beta": {"match": [{"path": {"prefix": "/api"}, "cookies": {"group": {"exact": "b"}}}], "percent": 20, "keys": [{"cookie": "id"}]},
        "shadow": {"percent": 5},
    });
    let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": {"routes": more}}}}}}});
    let steps = [
        header("beta", "1"),
        mirror("shadow"),
        json!({"setHeaderRoute": {"name": "beta"}}),
    ];
    let in_force = |index: i32| {
        let mut whole = change.clone();
        whole["spec"]["strategy"]["canary"]["steps"] = json!(steps);
        whole["status"] = json!({"currentStepIndex": index});
        let rollout = rollout(whole);
        let routing = Routing::of(&rollout).unwrap();
        in_force(&rollout, &routing, true, None).unwrap()
    };
    let beta = json!({
        "name": "beta", "lane": "canary", "percent": 20, "keys": [{"cookie": "id"}],
        "match": [
            {"headers": {"x-group": {"exact": "1"}}},
            {"path": {"prefix": "/api"}, "cookies": {"group": {"exact": "b"}}},
        ],
    });
    assert_eq!(serde_json::to_value(in_force(0)).unwrap(), json!([beta]));
    let rules = in_force(1);
    assert_eq!(rules[1].percent, Some(35), "the step's own counts");
    let names: Vec<_> = in_force(2).into_iter().map(|rule| rule.name).collect();
    assert_eq!(names, ["shadow"], "the step has switched it off");
}

#[test]
fn users_who_are_told_apart_need_lanes_of_their_own() {
    let sticky = |steps: &[Value]| {
        rollout(json!({"spec": {"strategy": {"canary": {
            "steps": steps,
            "trafficRouting": {"plugins": {"serin/istio": {"sticky": {"keys": [{"header": "x"}]}}}},
        }}}}))
    };
    let lanes = |rollout: &Rollout| -> Vec<&str> {
        let routing = Routing::of(rollout).unwrap();
        let lanes = lanes_of_steps(rollout, &routing);
        lanes.into_iter().map(Lane::as_str).collect()
    };
    assert_eq!(lanes(&sticky(&[])), ["canary", "stable"]);
    assert_eq!(lanes(&sticky(&[header("beta", "1")])), ["canary", "stable"]);
    assert_eq!(
        lanes(&sticky(&[mirror("shadow")])),
        ["canary", "stable", "mirror", "stable-mirror"]
    );
    let plain = rollout(json!({"spec": {"strategy": {"canary": {"steps": [mirror("shadow")]}}}}));
    assert_eq!(lanes(&plain), ["mirror"]);
}
