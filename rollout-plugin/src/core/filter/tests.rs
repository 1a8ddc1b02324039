//! Objects of both kinds in, policies, patches and exact messages out.

use super::*;
use crate::core::fixtures::{routing, traffic_extension, wasm_plugin};

#[test]
fn each_kind_has_its_own_place_for_policies() {
    let rollout = RolloutKey::parse("shop/other").unwrap();
    for object in [wasm_plugin(), traffic_extension()] {
        assert_eq!(
            policy_of(&object, &rollout),
            Some(&json!({"hosts": ["other.shop.svc.cluster.local"]})),
            "{}",
            object.id
        );
        assert_eq!(policy_of(&object, &routing().rollout), None);
        assert_eq!(check(&object), Ok(()), "{}", object.id);
    }
}

#[test]
fn a_patch_changes_one_policy_and_says_so() {
    let rollout = routing().rollout;
    for (object, path) in [
        (wasm_plugin(), "spec/pluginConfig/rollouts"),
        (traffic_extension(), "spec/wasm/pluginConfig/rollouts"),
    ] {
        let kind = FilterKind::of(object.id.kind).unwrap();
        let patch = kind.patch(&rollout, json!({"hosts": ["a"]}));
        assert_eq!(
            kind.changed_fields(&patch),
            [format!("{path}[\"shop/reviews\"]")]
        );
        let mut whole = json!({"spec": object.spec});
        json_patch::merge(&mut whole, &patch);
        let mut patched = object.clone();
        patched.spec = whole["spec"].take();
        assert_eq!(
            policy_of(&patched, &rollout),
            Some(&json!({"hosts": ["a"]}))
        );
        let mut restored = json!({"spec": patched.spec});
        json_patch::merge(&mut restored, &kind.patch(&rollout, Value::Null));
        assert_eq!(restored["spec"], object.spec, "nothing else is touched");
    }
}

#[test]
fn an_object_that_cannot_run_the_filter_is_named_with_its_field() {
    let with_spec = |object: Object, spec: Value| Object { spec, ..object };
    let network = |object: Object| {
        let mut spec = object.spec.clone();
        json_patch::merge(
            &mut spec,
            &if object.id.kind == Kind::WasmPlugin {
                json!({"type": "NETWORK"})
            } else {
                json!({"wasm": {"type": "NETWORK"}})
            },
        );
        with_spec(object, spec)
    };
    for (object, message) in [
        (
            with_spec(
                traffic_extension(),
                json!({"lua": {"inlineCode": "-- none"}}),
            ),
            "TrafficExtension istio-system/serin: spec.wasm: found nothing, and a spec.lua, expected Serin's module: policies go into its pluginConfig",
        ),
        (
            with_spec(traffic_extension(), json!({})),
            "TrafficExtension istio-system/serin: spec.wasm: found nothing, expected Serin's module: policies go into its pluginConfig",
        ),
        (
            network(traffic_extension()),
            "TrafficExtension istio-system/serin: spec.wasm.type: found NETWORK, expected HTTP, or nothing: the module decides about requests",
        ),
        (
            network(wasm_plugin()),
            "WasmPlugin istio-system/serin: spec.type: found NETWORK, expected HTTP, or nothing: the module decides about requests",
        ),
    ] {
        let fault = check(&object).unwrap_err();
        assert_eq!(fault.of(&object.id).to_string(), message);
    }
}
