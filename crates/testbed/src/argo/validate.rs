//! Which Rollouts are refused, with the condition `InvalidSpec`.
//!
//! Follows argo-rollouts v1.10.1 `pkg/apis/rollouts/validation/validation.go` (`ValidateRolloutStrategyCanary`) and
//! `validation_references.go` (`ValidateService`), as far as canaries with a traffic-router plugin go. On top, what
//! the stand-in doesn't do is refused rather than left out in silence.

use argo_rollouts::types::{CanaryStep, Rollout, RolloutStatus, StringMatch};
use serde_json::{Value, json};

use super::conditions;
use super::observe::{HASH, Key, Observed};
use super::status::patch_conditions;
use super::steps::{max_weight, pause_seconds};
use crate::apiserver::object::number;

/// Why a Rollout is refused; worded as `k8s.io/apimachinery/pkg/util/validation/field` does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    #[error("{field}: Invalid value: {value}: {expected}")]
    Value {
        field: String,
        value: String,
        expected: String,
    },
    #[error("{field}: Required value: {expected}")]
    Missing {
        field: String,
        expected: &'static str,
    },
    #[error("{field}: Forbidden: not supported by the embedded controller")]
    Unsupported { field: String },
}

fn invalid(field: &str, value: impl Into<Value>, expected: impl Into<String>) -> Invalid {
    Invalid::Value {
        field: field.to_owned(),
        value: value.into().to_string(),
        expected: expected.into(),
    }
}

fn unsupported(field: &str) -> Invalid {
    Invalid::Unsupported {
        field: field.to_owned(),
    }
}

/// The first thing that is wrong.
pub(super) fn check(observed: &Observed) -> Result<(), Invalid> {
    let rollout = &observed.rollout;
    check_support(observed)?;
    let Some(canary) = rollout.canary() else {
        return Err(Invalid::Missing {
            field: "spec.strategy.strategy".to_owned(),
            expected: "Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'",
        });
    };
    check_selector(rollout)?;
    let (stable, new) = (&canary.stable_service, &canary.canary_service);
    if !stable.is_empty() && stable == new {
        let expected = "This rollout uses the same service for the stable and canary services, but two different \
                        services are required.";
        return Err(invalid(
            "spec.strategy.stableService",
            stable.as_str(),
            expected,
        ));
    }
    for (index, step) in canary.steps.iter().enumerate() {
        check_step(rollout, step, &format!("spec.strategy.steps[{index}]"))?;
    }
    check_service(observed, stable, "stableService")?;
    check_service(observed, new, "canaryService")
}

/// The patch that makes a Rollout say what is wrong with it (`createInvalidRolloutCondition`).
pub(super) fn refuse(observed: &Observed, why: &Invalid) -> Option<Value> {
    let rollout = &observed.rollout;
    let mut status: RolloutStatus = rollout.status.clone();
    let message = format!(
        "The Rollout \"{}\" is invalid: {why}",
        rollout.metadata.name
    );
    let same = |one: &argo_rollouts::types::RolloutCondition| one.message == message;
    if !conditions::get(&status, conditions::INVALID_SPEC).is_some_and(same) {
        let kind = conditions::INVALID_SPEC;
        conditions::remove(&mut status, kind);
        let condition = conditions::condition(observed.time(), kind, "True", kind, &message);
        conditions::set(&mut status, condition);
    }
    patch_conditions(rollout, status)
}

/// The same for an object that is no Rollout at all, which a real API server would not have taken.
pub(super) fn refuse_unreadable(key: &Key, object: &Value, why: &serde_json::Error) -> Value {
    let message = format!("The Rollout \"{}\" is invalid: {why}", key.name);
    let condition = json!({
        "type": conditions::INVALID_SPEC, "status": "True", "reason": conditions::INVALID_SPEC, "message": message,
    });
    let generation = number(object, "/metadata/generation").unwrap_or_default();
    json!({"status": {
        "conditions": [condition],
        "observedGeneration": generation.to_string(),
        "phase": "Degraded",
        "message": format!("{}: {message}", conditions::INVALID_SPEC),
    }})
}

fn check_support(observed: &Observed) -> Result<(), Invalid> {
    for field in [
        "workloadRef",
        "rollbackWindow",
        "restartAt",
        "progressDeadlineAbort",
        "analysis",
        "strategy/blueGreen",
        "strategy/canary/dynamicStableScale",
        "strategy/canary/pingPong",
        "strategy/canary/analysis",
        "strategy/canary/antiAffinity",
        "strategy/canary/canaryMetadata",
        "strategy/canary/stableMetadata",
    ] {
        let found = observed.object.pointer(&format!("/spec/{field}"));
        if found.is_some_and(|value| !value.is_null() && *value != json!(false)) {
            return Err(unsupported(&format!("spec.{}", field.replace('/', "."))));
        }
    }
    let Some(canary) = observed.rollout.canary() else {
        return Ok(());
    };
    let Some(routing) = &canary.traffic_routing else {
        return Err(unsupported("spec.strategy.canary without trafficRouting"));
    };
    let field = "spec.strategy.canary.trafficRouting";
    let written = observed
        .object
        .pointer("/spec/strategy/canary/trafficRouting")
        .and_then(Value::as_object);
    for router in written.into_iter().flat_map(serde_json::Map::keys) {
        if !["plugins", "managedRoutes", "maxTrafficWeight"].contains(&router.as_str()) {
            return Err(unsupported(&format!("{field}.{router}")));
        }
    }
    if routing.plugins.len() != 1 {
        let names: Vec<&String> = routing.plugins.keys().collect();
        let expected = "the embedded controller has exactly one plugin";
        return Err(invalid(&format!("{field}.plugins"), json!(names), expected));
    }
    for (index, step) in canary.steps.iter().enumerate() {
        let kinds = [
            ("experiment", step.experiment.is_some()),
            ("analysis", step.analysis.is_some()),
            ("plugin", step.plugin.is_some()),
        ];
        if let Some((kind, _)) = kinds.into_iter().find(|(_, found)| *found) {
            return Err(unsupported(&format!("spec.strategy.steps[{index}].{kind}")));
        }
    }
    Ok(())
}

fn check_selector(rollout: &Rollout) -> Result<(), Invalid> {
    let Some(selector) = &rollout.spec.selector else {
        return Err(Invalid::Missing {
            field: "spec.selector".to_owned(),
            expected: "Rollout has missing field '.spec.selector'",
        });
    };
    if !selector.match_expressions.is_empty() {
        return Err(unsupported("spec.selector.matchExpressions"));
    }
    if selector.match_labels.is_empty() {
        let expected = "empty selector is invalid for deployment";
        return Err(invalid("spec.selector", json!({}), expected));
    }
    let labels = &rollout.spec.template.metadata.labels;
    let matches = |(key, value): (&String, &String)| labels.get(key) == Some(value);
    if selector.match_labels.iter().all(matches) {
        return Ok(());
    }
    let expected = "`selector` does not match template `labels`";
    Err(invalid(
        "spec.template.metadata.labels",
        json!(labels),
        expected,
    ))
}

fn check_step(rollout: &Rollout, step: &CanaryStep, field: &str) -> Result<(), Invalid> {
    let kinds = [
        step.set_weight.is_some(),
        step.pause.is_some(),
        step.set_canary_scale.is_some(),
        step.set_header_route.is_some(),
        step.set_mirror_route.is_some(),
    ];
    // The real controller takes a route beside a weight and forgets one of them; here that is an error.
    if kinds.into_iter().filter(|found| *found).count() != 1 {
        let expected = "Step must have one of the following set: experiment, setWeight, setCanaryScale, plugin or pause";
        return Err(invalid(field, Value::Null, expected));
    }
    let max = max_weight(rollout);
    if let Some(weight) = step.set_weight.filter(|weight| !(0..=max).contains(weight)) {
        let expected = format!("SetWeight needs to be between 0 and {max}");
        return Err(invalid(&format!("{field}.setWeight"), weight, expected));
    }
    if let Some(seconds) = step.pause.as_ref().and_then(pause_seconds)
        && seconds < 0
    {
        let expected = "Duration needs to be greater than 0";
        return Err(invalid(
            &format!("{field}.pause.duration"),
            seconds,
            expected,
        ));
    }
    if let Some(route) = &step.set_header_route {
        let field = format!("{field}.setHeaderRoute");
        for (index, one) in route.matches.iter().enumerate() {
            check_match(
                one.header_value.as_ref(),
                &format!("{field}.match[{index}]"),
            )?;
        }
        check_managed(rollout, &route.name, &field)?;
    }
    if let Some(route) = &step.set_mirror_route {
        let field = format!("{field}.setMirrorRoute");
        for (index, one) in route.matches.iter().enumerate() {
            for text in [&one.method, &one.path].into_iter().flatten() {
                check_match(Some(text), &format!("{field}.match[{index}]"))?;
            }
        }
        check_managed(rollout, &route.name, &field)?;
    }
    Ok(())
}

/// `hasMultipleMatchValues`.
fn check_match(text: Option<&StringMatch>, field: &str) -> Result<(), Invalid> {
    let values = text.map_or(0, |text| {
        [&text.exact, &text.regex, &text.prefix]
            .into_iter()
            .filter(|value| !value.is_empty())
            .count()
    });
    let expected = match values {
        1 => return Ok(()),
        0 => {
            "StringMatch value missed, match value must have one of the following: exact, regex, prefix"
        }
        _ => "StringMatch match value must have exactly one of the following: exact, regex, prefix",
    };
    Err(invalid(field, Value::Null, expected))
}

/// `ValidateStepRouteFoundInManagedRoute`.
fn check_managed(rollout: &Rollout, name: &str, field: &str) -> Result<(), Invalid> {
    let routing = rollout.traffic_routing();
    let managed = routing.map(|routing| routing.managed_routes.as_slice());
    match managed.unwrap_or_default() {
        [] => Err(Invalid::Missing {
            field: "spec.strategy.trafficRouting.managedRoutes".to_owned(),
            expected: "Rollout has missing field 'spec.strategy.canary.trafficRouting.managedRoutes'",
        }),
        managed if managed.iter().any(|route| route.name == name) => Ok(()),
        _ => {
            let expected = "Steps define a route that does not exist in spec.strategy.canary.trafficRouting.managedRoutes";
            Err(invalid(field, name, expected))
        }
    }
}

/// `getReferencedService` and `ValidateService`.
fn check_service(observed: &Observed, name: &str, field: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return Ok(());
    }
    let field = format!("spec.strategy.canary.{field}");
    let wrong = |expected: String| Err(invalid(&field, name, expected));
    let Some(service) = observed.services.get(name) else {
        return wrong(format!("service \"{name}\" not found"));
    };
    let labels = &observed.rollout.spec.template.metadata.labels;
    for (label, value) in &service.selector {
        if label != HASH && labels.get(label) != Some(value) {
            return wrong(format!(
                "Service \"{name}\" has unmatch label \"{label}\" in rollout"
            ));
        }
    }
    match &service.managed_by {
        Some(other) if *other != observed.key.name => {
            wrong(format!("Service \"{name}\" is managed by another Rollout"))
        }
        _ => Ok(()),
    }
}
