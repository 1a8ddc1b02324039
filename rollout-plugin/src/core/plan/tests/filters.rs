//! Several filter objects: each has every policy, and lane routes are there as long as any of them needs one.

use std::collections::BTreeSet;

use super::*;
use crate::core::filter::policy_of;
use crate::core::fixtures::{traffic_extension, wasm_plugin};
use crate::core::policy::lanes_of;

const BOTH: [&str; 2] = ["WasmPlugin", "TrafficExtension"];

/// [`with_steps`], with a filter object of each kind.
fn both(change: Value) -> Rollout {
    let filter = |kind: &str| json!({"kind": kind, "namespace": "istio-system", "name": "serin"});
    let plugin = json!({"filters": BOTH.map(filter)});
    let mut object = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": plugin}}}}}});
    json_patch::merge(&mut object, &change);
    with_steps(object)
}

fn sticky(change: Value) -> Rollout {
    let plugin = json!({"sticky": {"keys": [{"header": "x-user"}]}});
    let mut object = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": plugin}}}}}});
    json_patch::merge(&mut object, &change);
    both(object)
}

fn observed() -> Observed {
    Observed {
        filters: vec![
            Some(Arc::new(wasm_plugin())),
            Some(Arc::new(traffic_extension())),
        ],
        ..super::observed(json!([primary(json!({}))]))
    }
}

/// The live policy in each filter object.
fn policies(observed: &Observed) -> Vec<Option<&Value>> {
    let filters = observed.filters.iter();
    filters
        .map(|filter| policy_of(filter.as_deref()?, &routing().rollout))
        .collect()
}

/// [`settle`], with a look at the lane routes after each write.
fn walk(rollout: &Rollout, observed: &mut Observed, call: Call<'_>) -> Vec<String> {
    let routing = Routing::of(rollout).unwrap();
    let mut log = Vec::new();
    while let Some(write) = writes(rollout, &routing, observed, call)
        .unwrap()
        .into_iter()
        .next()
    {
        log.push(write.target().kind.to_string());
        carry_out(write, observed);
        let spec = observed.virtual_services[0].as_ref().unwrap().spec.clone();
        for policy in policies(observed) {
            for lane in lanes_of(policy) {
                let name = format!("serin-shop.reviews.{lane}");
                let routes = spec["http"].as_array().unwrap();
                assert!(
                    routes.iter().any(|route| route["name"] == *name),
                    "{name} is missing after {log:?}"
                );
            }
        }
        assert!(log.len() < 12, "doesn't settle: {log:?}");
    }
    log
}

#[test]
fn lanes_come_before_the_first_policy_and_go_after_the_last() {
    let rollout = both(json!({}));
    let mut observed = observed();
    let before = observed.clone();
    let log = walk(&rollout, &mut observed, header_step(&rollout));
    assert_eq!(
        log,
        [
            "DestinationRule",
            "VirtualService",
            "WasmPlugin",
            "TrafficExtension"
        ]
    );
    let written = policies(&observed);
    assert!(written[0].is_some());
    assert_eq!(written[0], written[1]);

    let promoted = both(json!({"status": {"stableRS": "c2"}}));
    let log = walk(&promoted, &mut observed, Call::RemoveManagedRoutes);
    assert_eq!(log, ["WasmPlugin", "TrafficExtension", "VirtualService"]);
    assert_eq!(observed.filters, before.filters);
    assert_eq!(observed.virtual_services, before.virtual_services);
}

#[test]
fn a_sticky_ramp_moves_every_policy_before_the_weights() {
    let rollout = sticky(json!({"spec": {"strategy": {"canary": {"steps": []}}}}));
    let mut observed = observed();
    let before = observed.clone();
    let first = walk(&rollout, &mut observed, set_weight(0));
    assert_eq!(first, ["VirtualService", "WasmPlugin", "TrafficExtension"]);
    let moved = walk(&rollout, &mut observed, set_weight(20));
    assert_eq!(
        moved,
        [
            "DestinationRule",
            "WasmPlugin",
            "TrafficExtension",
            "VirtualService"
        ]
    );
    let shares = |observed: &Observed| {
        let policies = policies(observed).into_iter();
        policies
            .map(|policy| policy?["sticky"]["canary"].as_u64())
            .collect::<Vec<_>>()
    };
    assert_eq!(shares(&observed), [Some(20), Some(20)]);

    let aborted =
        sticky(json!({"spec": {"strategy": {"canary": {"steps": []}}}, "status": {"abort": true}}));
    walk(&aborted, &mut observed, Call::RemoveManagedRoutes);
    assert_eq!(
        shares(&observed),
        [Some(20), Some(20)],
        "until the weights have moved"
    );
    let back = walk(&aborted, &mut observed, set_weight(0));
    assert_eq!(
        back,
        [
            "WasmPlugin",
            "TrafficExtension",
            "VirtualService",
            "WasmPlugin",
            "TrafficExtension",
            "VirtualService"
        ]
    );
    assert_eq!(observed.filters, before.filters);
    assert_eq!(observed.virtual_services, before.virtual_services);
}

#[test]
fn a_filter_object_that_comes_late_gets_the_policy_and_one_whose_policy_stays_keeps_the_lanes() {
    let rollout = both(json!({}));
    let mut observed = observed();
    walk(&rollout, &mut observed, header_step(&rollout));
    let complete = observed.clone();
    observed.filters[1] = Some(Arc::new(traffic_extension()));
    assert_eq!(
        walk(&rollout, &mut observed, header_step(&rollout)),
        ["TrafficExtension"]
    );
    assert_eq!(observed.filters, complete.filters);

    // One has lost its policy already; the other still sends requests to the lane.
    observed.filters[0] = Some(Arc::new(wasm_plugin()));
    let aborted = both(json!({"status": {"abort": true}}));
    assert_eq!(
        walk(&aborted, &mut observed, Call::RemoveManagedRoutes),
        ["TrafficExtension", "VirtualService"]
    );
}

#[test]
fn a_missing_or_unsuitable_filter_object_is_named_before_anything_is_written() {
    let rollout = both(json!({}));
    let routing = Routing::of(&rollout).unwrap();
    let lua = Object {
        spec: json!({"lua": {"inlineCode": "-- none"}}),
        ..traffic_extension()
    };
    for (found, message) in [
        (
            None,
            r#"TrafficExtension istio-system/serin: not found; create it or correct spec.strategy.canary.trafficRouting.plugins["serin/istio"].filters[1] of rollout shop/reviews"#,
        ),
        (
            Some(Arc::new(lua)),
            "TrafficExtension istio-system/serin: spec.wasm: found nothing, and a spec.lua, expected Serin's module: policies go into its pluginConfig",
        ),
    ] {
        let mut observed = observed();
        observed.filters[1] = found;
        for call in [header_step(&rollout), set_weight(0)] {
            let error = writes(&rollout, &routing, &observed, call).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        // An abort takes the policy out of the one that has it.
        let mut standing = self::observed();
        walk(&rollout, &mut standing, header_step(&rollout));
        standing.filters[1] = observed.filters[1].clone();
        let aborted = both(json!({"status": {"abort": true}}));
        for call in [Call::RemoveManagedRoutes, set_weight(0)] {
            let plan = way_back(&aborted, &routing, &standing, call, &BTreeSet::new());
            assert!(plan.problems.is_empty(), "{:?}", plan.problems);
        }
        let removed = walk(&aborted, &mut standing, Call::RemoveManagedRoutes);
        assert_eq!(removed, ["WasmPlugin", "VirtualService"]);
    }
}

#[test]
fn what_one_filter_object_refuses_leaves_the_other_no_policy() {
    let rollout = both(json!({}));
    let mut observed = observed();
    walk(&rollout, &mut observed, header_step(&rollout));
    let aborted = both(json!({"status": {"abort": true}}));
    let routing = Routing::of(&aborted).unwrap();
    for kind in BOTH {
        let filters = routing.filter_ids();
        let refused: BTreeSet<ObjectId> = filters
            .filter(|id| id.kind.to_string() == kind)
            .cloned()
            .collect();
        let plan = way_back(
            &aborted,
            &routing,
            &observed,
            Call::RemoveManagedRoutes,
            &refused,
        );
        let written: Vec<String> = plan
            .writes
            .iter()
            .map(|write| write.target().kind.to_string())
            .collect();
        let other = BOTH.iter().find(|other| **other != kind).unwrap();
        assert_eq!(written, [*other, "VirtualService"]);
    }
}
