//! Users who are told apart: the Rollouts and looks that the tests of their ways and of their policy share.

use super::*;
use crate::core::fixtures::users::Users;

mod policy_says;
mod users_move;

/// As [`with_steps`], with users told apart by a header; a null in `config` takes the field away.
fn with_keys(config: Value, change: Value) -> Rollout {
    let mut plugin = config;
    if plugin.get("sticky").is_none_or(Value::is_object) {
        plugin["sticky"]["keys"] = json!([{"header": "x-user"}]);
    }
    let mut whole = json!({"spec": {"strategy": {"canary": {
        "steps": [{"setWeight": 20}],
        "trafficRouting": {"plugins": {"serin/istio": plugin}},
    }}}});
    json_patch::merge(&mut whole, &change);
    rollout(whole)
}

fn sticky(status: Value) -> Rollout {
    with_keys(json!({}), json!({"status": status}))
}

/// [`settle`], with a look at the users after each write.
fn walk(
    rollout: &Rollout,
    observed: &mut Observed,
    call: Call<'_>,
    users: &mut Users,
) -> Vec<String> {
    let routing = Routing::of(rollout).unwrap();
    let mut log = Vec::new();
    users.look(&routing, observed);
    while let Some(write) = writes(rollout, &routing, observed, call)
        .unwrap()
        .into_iter()
        .next()
    {
        let kind = match &write {
            Write::Spec { object, .. } => object.id.kind,
            Write::Policy { object, .. } => object.kind,
        };
        log.push(kind.to_string());
        carry_out(write, observed);
        users.look(&routing, observed);
        assert!(log.len() < 10, "doesn't settle: {log:?}");
    }
    log
}

fn policy(observed: &Observed) -> Value {
    let plugin = observed.filters[0].as_ref().unwrap();
    plugin.spec["pluginConfig"]["rollouts"]["shop/reviews"].clone()
}

fn share(observed: &Observed) -> Option<u64> {
    policy(observed)["sticky"]["canary"].as_u64()
}

fn lanes(observed: &Observed) -> Vec<String> {
    let routes = observed.virtual_services[0].as_ref().unwrap().spec["http"].clone();
    let names = routes.as_array().unwrap().iter();
    names
        .filter_map(|route| route["name"].as_str()?.strip_prefix("serin-shop.reviews."))
        .map(str::to_owned)
        .collect()
}

fn with_pods(observed: &mut Observed, pods: &[(&str, i64)]) {
    let sets = pods
        .iter()
        .map(|(hash, pods)| Arc::new(replica_set(hash, *pods)));
    observed.replica_sets = sets.collect();
}

const NOTHING: [&str; 0] = [];
