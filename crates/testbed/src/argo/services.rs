//! Which ReplicaSet the canary Service and the stable Service select.
//!
//! Follows argo-rollouts v1.10.1 `rollout/service.go` (`reconcileStableAndCanaryService`, `ensureSVCTargets`) and, for
//! Services that no Rollout names any more, `service/service.go` (`syncService`).

use serde_json::{Value, json};

use super::change::Change;
use super::context::Context;
use super::observe::{HASH, Key, MANAGED_BY, ReplicaSet, Service};
use crate::workloads::write::Write;

/// The names that a Rollout has for its Services, stable first; empty ones are left out.
pub(super) fn named(rollout: &argo_rollouts::types::Rollout) -> impl Iterator<Item = &str> {
    let canary = rollout.canary();
    let names = canary.map(|canary| [&canary.stable_service, &canary.canary_service]);
    names
        .into_iter()
        .flatten()
        .map(String::as_str)
        .filter(|name| !name.is_empty())
}

/// Points the stable Service at the stable pods and the canary Service at the new ones, as soon as there are some. An
/// aborted canary's Service is pointed at the canary too: [`abort`] turns it back in the same reconciliation, and so on
/// while canary pods live, as with the real controller.
pub(super) fn reconcile(context: &Context<'_>) -> Vec<Change> {
    let Some(canary) = context.rollout.canary() else {
        return Vec::new();
    };
    let stable = context
        .stable
        .and_then(|stable| ensure(context, &canary.stable_service, stable, None, true));
    let new = ensure(context, &canary.canary_service, context.new, None, true);
    stable.into_iter().chain(new).flatten().collect()
}

/// Points an aborted canary's Service at the stable pods (`reconcileTrafficRouting`).
pub(super) fn abort(context: &Context<'_>) -> Vec<Change> {
    let (Some(canary), Some(stable)) = (context.rollout.canary(), context.stable) else {
        return Vec::new();
    };
    let name = &canary.canary_service;
    // What `reconcile` has just made of it.
    let turned = ensure(context, name, context.new, None, true);
    let current = turned.map(|_| context.new.hash.as_str());
    let turned_back = ensure(context, name, stable, current, false);
    turned_back.into_iter().flatten().collect()
}

/// `ensureSVCTargets`. `current` is what the Service selects where that isn't what was observed.
fn ensure(
    context: &Context<'_>,
    name: &str,
    set: &ReplicaSet,
    current: Option<&str>,
    check_availability: bool,
) -> Option<[Change; 2]> {
    let service = context.observed.services.get(name)?;
    let before = current.unwrap_or_else(|| service.hash());
    if before == set.hash {
        return None;
    }
    let adopted = service.managed_by.is_some() || current.is_some();
    let all_available = set.replicas != 0 && set.available != 0 && set.replicas <= set.available;
    if check_availability && (!adopted && !all_available || set.available == 0) {
        return None;
    }
    let mut patch = json!({"spec": {"selector": {HASH: set.hash}}});
    if !adopted {
        let key = &context.observed.key;
        json_patch::merge(
            &mut patch,
            &json!({"metadata": {"annotations": {MANAGED_BY: key.name}}}),
        );
    }
    let message = format!(
        "Switched selector for service '{name}' from '{before}' to '{}'",
        set.hash
    );
    let at = context.observed.key.sibling("services", name);
    Some([
        Change::Write(Write::Merge(at, patch)),
        Change::normal("SwitchService", message),
    ])
}

/// Gives a Service back that a Rollout has adopted and names no more.
pub(super) fn release(key: &Key, name: &str, service: &Service, named: bool) -> Option<Change> {
    let ours = service.managed_by.as_deref() == Some(key.name.as_str());
    let patch = json!({
        "metadata": {"annotations": {MANAGED_BY: Value::Null}},
        "spec": {"selector": {HASH: Value::Null}},
    });
    (ours && !named).then(|| Change::Write(Write::Merge(key.sibling("services", name), patch)))
}
