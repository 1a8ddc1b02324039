//! Calls against objects: which writes come, in which order, and where they end.

use serde_json::json;

use super::*;
use crate::core::fixtures::{
    carry_out, destination_rule, observed, primary, replica_set, rollout, routing, virtual_service,
};

mod filters;
mod guards;
mod lanes;
mod patches;
mod sequences;
mod sticky;

/// Carries out writes in memory until there are none, and says what each touched.
fn settle(
    rollout: &Rollout,
    observed: &mut Observed,
    call: Call<'_>,
) -> Result<Vec<String>, String> {
    let routing = Routing::of(rollout).map_err(|error| error.to_string())?;
    let mut log = Vec::new();
    loop {
        let pending =
            writes(rollout, &routing, observed, call).map_err(|error| error.to_string())?;
        let Some(write) = pending.into_iter().next() else {
            return Ok(log);
        };
        let kind = match &write {
            Write::Spec { object, .. } => object.id.kind,
            Write::Policy { object, .. } => object.kind,
        };
        log.push(kind.to_string());
        carry_out(write, observed);
        assert!(log.len() < 10, "doesn't settle: {log:?}");
    }
}

fn with_steps(change: Value) -> Rollout {
    let step = json!({"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x", "headerValue": {"exact": "1"}}]}});
    let mut object =
        json!({"spec": {"strategy": {"canary": {"steps": [step, {"setWeight": 20}]}}}});
    json_patch::merge(&mut object, &change);
    rollout(object)
}

fn weights(canary: i32) -> Weights<'static> {
    Weights {
        canary,
        additional: &[],
    }
}

fn set_weight(canary: i32) -> Call<'static> {
    Call::SetWeight(weights(canary))
}

fn update_hash<'a>(canary: &'a str, stable: &'a str) -> Call<'a> {
    Call::UpdateHash(PodHashes {
        canary,
        stable,
        additional: &[],
    })
}

fn header_step(rollout: &Rollout) -> Call<'_> {
    let steps = &rollout.spec.strategy.canary.as_ref().unwrap().steps;
    Call::SetRoute(RouteStep::Header(
        steps[0].set_header_route.as_ref().unwrap(),
    ))
}

#[test]
fn subsets_stand_before_lanes_and_lanes_before_the_policy() {
    let rollout = with_steps(json!({}));
    let mut observed = observed(json!([primary(json!({}))]));
    let before = observed.virtual_services[0].clone();
    let wasm_before = observed.filters.clone();
    let call = header_step(&rollout);
    assert_eq!(
        settle(&rollout, &mut observed, call).unwrap(),
        ["DestinationRule", "VirtualService", "WasmPlugin"]
    );
    assert_eq!(
        settle(&rollout, &mut observed, call).unwrap(),
        [""; 0],
        "the same call again writes nothing"
    );
    assert_eq!(
        settle(&rollout, &mut observed, set_weight(0)).unwrap(),
        [""; 0]
    );

    assert_eq!(
        settle(&rollout, &mut observed, set_weight(20)).unwrap(),
        ["VirtualService"]
    );
    assert!(weight_is_live(&rollout, &routing(), &observed, weights(20)).unwrap());
    assert!(!weight_is_live(&rollout, &routing(), &observed, weights(50)).unwrap());

    let promoted = with_steps(json!({"status": {"stableRS": "c2"}}));
    let removed = settle(&promoted, &mut observed, Call::RemoveManagedRoutes).unwrap();
    assert_eq!(
        removed,
        ["WasmPlugin", "VirtualService"],
        "the policy goes before its lanes"
    );
    assert_eq!(
        settle(&promoted, &mut observed, Call::RemoveManagedRoutes).unwrap(),
        [""; 0]
    );
    let hashes = update_hash("c2", "c2");
    assert_eq!(
        settle(&promoted, &mut observed, hashes).unwrap(),
        ["DestinationRule"]
    );
    assert_eq!(
        settle(&promoted, &mut observed, set_weight(0)).unwrap(),
        ["VirtualService"]
    );
    assert_eq!(
        observed.virtual_services[0], before,
        "back in the user's shape"
    );
    assert_eq!(observed.filters, wasm_before);
}

#[test]
fn a_header_route_is_lost_with_the_pods_and_comes_back_with_them() {
    let rollout = with_steps(json!({"status": {"currentStepIndex": 1}}));
    let mut observed = observed(json!([primary(json!({}))]));
    settle(&rollout, &mut observed, set_weight(20)).unwrap();
    let standing = observed.virtual_services[0].clone();
    observed.replica_sets = vec![
        Arc::new(replica_set("s1", 3)),
        Arc::new(replica_set("c2", 0)),
    ];
    settle(&rollout, &mut observed, Call::RemoveManagedRoutes).unwrap();
    settle(&rollout, &mut observed, set_weight(0)).unwrap();
    assert!(!virtual_service::has_lane_routes(
        observed.virtual_services[0].as_ref().unwrap(),
        &routing()
    ));
    observed.replica_sets[1] = Arc::new(replica_set("c2", 1));
    assert_eq!(
        settle(&rollout, &mut observed, set_weight(20)).unwrap(),
        ["VirtualService", "WasmPlugin"]
    );
    assert_eq!(observed.virtual_services[0], standing);
}

#[test]
fn weight_never_goes_to_a_version_without_pods() {
    let rollout = with_steps(json!({"status": {"currentStepIndex": 1}}));
    let mut observed = observed(json!([primary(json!({}))]));
    observed.destination_rule = Some(Arc::new(destination_rule("dead", "s1")));
    observed.replica_sets = vec![Arc::new(replica_set("s1", 3))];
    let before = observed.clone();
    assert_eq!(
        settle(&rollout, &mut observed, set_weight(20)).unwrap_err(),
        r#"DestinationRule shop/reviews: subset "canary" has no available pods of pod hash "c2" behind it: no traffic of rollout shop/reviews goes there until it has"#
    );
    assert!(!weight_is_live(&rollout, &routing(), &observed, weights(20)).unwrap());
    assert_eq!(observed.virtual_services, before.virtual_services);

    // At the stable version's pods it would be the wrong version.
    observed.destination_rule = Some(Arc::new(destination_rule("s1", "s1")));
    assert!(settle(&rollout, &mut observed, set_weight(20)).is_err());
    observed.replica_sets.push(Arc::new(replica_set("c2", 1)));
    assert_eq!(
        settle(&rollout, &mut observed, set_weight(20)).unwrap()[0],
        "DestinationRule"
    );
}

#[test]
fn on_the_way_back_to_stable_a_weight_can_be_kept_though_the_canary_is_dead() {
    // `dynamicStableScale`: the controller lowers the weight as stable pods come up, and brings them up only after
    // the call has succeeded.
    for back in [json!({"abort": true}), json!({"currentPodHash": "s1"})] {
        let rollout = with_steps(json!({"status": back}));
        let mut observed = observed(json!([primary(json!({}))]));
        observed.destination_rule = Some(Arc::new(destination_rule("c2", "s1")));
        observed.replica_sets = vec![Arc::new(replica_set("s1", 1))];
        settle(&rollout, &mut observed, set_weight(50)).unwrap();
        assert!(weight_is_live(&rollout, &routing(), &observed, weights(50)).unwrap());
    }
}

#[test]
fn a_removal_takes_the_policy_and_the_lanes_of_a_route_that_is_gone() {
    let rollout = with_steps(json!({}));
    let mut observed = observed(json!([primary(json!({}))]));
    settle(&rollout, &mut observed, header_step(&rollout)).unwrap();
    let object = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
    object.spec["http"][1]["name"] = json!("renamed");
    assert!(settle(&rollout, &mut observed, set_weight(0)).is_err());
    assert_eq!(
        settle(&rollout, &mut observed, Call::RemoveManagedRoutes).unwrap(),
        ["WasmPlugin", "VirtualService"]
    );
    let left = observed.virtual_services[0].as_ref().unwrap();
    assert_eq!(
        left.spec["http"],
        json!([primary(json!({"name": "renamed"}))])
    );
}

#[test]
fn a_plain_weighted_canary_needs_no_wasm_plugin() {
    let change =
        json!({"spec": {"strategy": {"canary": {"trafficRouting": {"managedRoutes": null}}}}});
    let rollout = rollout(change);
    let mut observed = Observed {
        filters: vec![None],
        ..observed(json!([primary(json!({}))]))
    };
    let written = settle(&rollout, &mut observed, set_weight(20)).unwrap();
    assert_eq!(written, ["DestinationRule", "VirtualService"]);
    assert_eq!(
        settle(&rollout, &mut observed, Call::RemoveManagedRoutes).unwrap(),
        [""; 0]
    );
}

#[test]
fn a_missing_object_is_named_and_nothing_is_written() {
    let rollout = with_steps(json!({}));
    let full = observed(json!([primary(json!({}))]));
    let call = header_step(&rollout);
    let cases = [
        (
            Observed {
                filters: vec![None],
                ..full.clone()
            },
            r#"WasmPlugin istio-system/serin: not found; create it or correct spec.strategy.canary.trafficRouting.plugins["serin/istio"].wasmPlugin of rollout shop/reviews"#,
        ),
        (
            Observed {
                virtual_services: vec![None],
                ..full.clone()
            },
            r#"VirtualService shop/reviews: not found; create it or correct spec.strategy.canary.trafficRouting.plugins["serin/istio"].virtualService.name of rollout shop/reviews"#,
        ),
        (
            Observed {
                destination_rule: None,
                ..full.clone()
            },
            r#"DestinationRule shop/reviews: not found; create it or correct spec.strategy.canary.trafficRouting.plugins["serin/istio"].destinationRule.name of rollout shop/reviews"#,
        ),
    ];
    for (mut observed, message) in cases {
        let routing = Routing::of(&rollout).unwrap();
        assert_eq!(
            writes(&rollout, &routing, &observed, call)
                .unwrap_err()
                .to_string(),
            message
        );
        assert!(
            settle(&rollout, &mut observed, Call::RemoveManagedRoutes)
                .unwrap()
                .is_empty(),
            "a removal has nothing to do"
        );
    }
}

#[test]
fn a_weight_stays_within_the_range() {
    let rollout = with_steps(json!({}));
    let mut observed = observed(json!([primary(json!({}))]));
    assert_eq!(
        settle(&rollout, &mut observed, set_weight(-1)).unwrap_err(),
        "rollout shop/reviews: the desired weight: found -1, expected a number from 0 to 100"
    );
    settle(&rollout, &mut observed, set_weight(120)).unwrap();
    assert!(weight_is_live(&rollout, &routing(), &observed, weights(100)).unwrap());
}

#[test]
fn a_removal_takes_away_lanes_that_stand_without_a_policy() {
    let rollout = with_steps(json!({}));
    let mut full = observed(json!([primary(json!({}))]));
    settle(&rollout, &mut full, header_step(&rollout)).unwrap();
    let mut left = Observed {
        virtual_services: full.virtual_services,
        ..observed(json!([]))
    };
    assert_eq!(
        settle(&rollout, &mut left, Call::RemoveManagedRoutes).unwrap(),
        ["VirtualService"]
    );
    assert_eq!(
        left.virtual_services[0].as_ref().unwrap().spec,
        virtual_service(json!([primary(json!({}))])).spec
    );
}

#[test]
fn keeping_brings_back_what_earlier_calls_have_set() {
    let rollout = with_steps(json!({}));
    let mut observed = observed(json!([primary(json!({}))]));
    let standing = Standing {
        hashes: Some(PodHashes {
            canary: "c2",
            stable: "s1",
            additional: &[],
        }),
        weights: Some(weights(20)),
    };
    assert_eq!(
        settle(&rollout, &mut observed, Call::Keep(standing)).unwrap(),
        ["DestinationRule", "VirtualService", "WasmPlugin"]
    );
    assert!(weight_is_live(&rollout, &routing(), &observed, weights(20)).unwrap());
    assert_eq!(
        settle(&rollout, &mut observed, Call::Keep(standing)).unwrap(),
        [""; 0]
    );
}
