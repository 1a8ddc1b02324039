//! What a call of the plugin has done, once it has answered that all is well.

use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;
use testbed::apiserver::{ObjectRef, Store};
use testbed::argo::{CallObserver, CallRecord};

/// Looks at the cluster after each call; knows it once it has been started.
#[derive(Default)]
pub(crate) struct Calls {
    store: OnceLock<Store>,
    violations: Mutex<Vec<String>>,
    /// How many calls were looked at.
    looked: Mutex<usize>,
}

impl Calls {
    pub(crate) fn observer(self: &Arc<Self>) -> CallObserver {
        let calls = Arc::clone(self);
        Arc::new(move |call| calls.look(call))
    }

    pub(crate) fn on(&self, store: &Store) {
        let _ = self.store.set(store.clone());
    }

    /// What was wrong; there were calls to look at.
    pub(crate) fn violations(&self) -> Vec<String> {
        assert_ne!(*self.looked.lock().unwrap(), 0, "no call was looked at");
        self.violations.lock().unwrap().clone()
    }

    fn look(&self, call: &CallRecord) {
        let (Some(store), Ok(outcome)) = (self.store.get(), &call.outcome) else {
            return;
        };
        let Some((namespace, name)) = call.rollout.split_once('/') else {
            return;
        };
        let wrong = match call.method {
            "RemoveManagedRoutes" => leftovers(store, namespace, name),
            "SetWeight" => weights(store, namespace, name, &call.detail),
            "VerifyWeight" if outcome == "verified" => {
                weights(store, namespace, name, &call.detail)
            }
            _ => return,
        };
        *self.looked.lock().unwrap() += 1;
        let wrong = wrong.into_iter().map(|wrong| {
            format!(
                "{}: {} {} answered well, but {wrong}",
                call.rollout, call.method, call.detail
            )
        });
        self.violations.lock().unwrap().extend(wrong);
    }
}

/// Lane routes and a policy, after their removal. Where users are told apart they stay until the weights have moved, but
/// for the rules.
fn leftovers(store: &Store, namespace: &str, name: &str) -> Vec<String> {
    let plugin = store.get(&ObjectRef::new("wasmplugins", "istio-system", "serin"));
    let policy = plugin.and_then(|plugin| {
        let policies = &plugin["spec"]["pluginConfig"]["rollouts"];
        policies.get(format!("{namespace}/{name}")).cloned()
    });
    let mut wrong = Vec::new();
    match &policy {
        Some(policy) if policy.get("sticky").is_some() => {
            if policy.get("rules").is_some() {
                wrong.push("rules stand".to_owned());
            }
            return wrong;
        }
        Some(_) => wrong.push("the policy stands".to_owned()),
        None => {}
    }
    let prefix = format!("serin-{namespace}.{name}.");
    for service in store.list("virtualservices", namespace).unwrap() {
        for route in service["spec"]["http"].as_array().into_iter().flatten() {
            if route["name"]
                .as_str()
                .is_some_and(|name| name.starts_with(&prefix))
            {
                wrong.push(format!("lane route {} stands", route["name"]));
            }
        }
    }
    wrong
}

/// The canary's weight in the routes that split, where it isn't the one that was wanted. Scenarios name the canary's
/// subset `canary`, or its Service so at the end.
fn weights(store: &Store, namespace: &str, name: &str, wanted: &str) -> Vec<String> {
    let is_canary = |destination: &&Value| {
        let destination = &destination["destination"];
        let host = destination["host"].as_str().unwrap_or_default();
        (destination["subset"] == "canary" && host == name) || host == format!("{name}-canary")
    };
    let mut wrong = Vec::new();
    for service in store.list("virtualservices", namespace).unwrap() {
        for route in service["spec"]["http"].as_array().into_iter().flatten() {
            let destinations = route["route"].as_array().map_or(&[][..], Vec::as_slice);
            let Some(canary) = destinations.iter().find(is_canary) else {
                continue;
            };
            // A lane route to one side lists the other at weight 0; only the mirror lane follows the weights.
            let name = route["name"].as_str().unwrap_or_default();
            let lane = name.split(':').next().unwrap_or_default();
            if lane.starts_with("serin-") && !lane.ends_with(".mirror") {
                continue;
            }
            let found = canary["weight"].as_u64().unwrap_or(0);
            if destinations.len() > 1 && found.to_string() != wanted {
                wrong.push(format!("route {} gives the canary {found}", route["name"]));
            }
        }
    }
    wrong
}
