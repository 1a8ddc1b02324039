//! Which plugins a proxy runs.

use serde_json::{Value, json};

use super::*;

fn plugin(name: &str, more: Value) -> Value {
    let mut spec = json!({"url": "file:///filter.wasm"});
    json_patch::merge(&mut spec, &more);
    moved(object("WasmPlugin", name, spec), "istio-system")
}

fn found(via: Via, list: impl IntoIterator<Item = Value>) -> Vec<String> {
    let configuration = whole(via, list);
    let names = configuration.plugins.into_iter().map(|plugin| plugin.name);
    names
        .map(|name| name.rsplit_once('.').unwrap().1.to_owned())
        .collect()
}

#[test]
fn a_plugin_is_configured_as_istiod_does() {
    let mut object = plugin("serin", json!({}));
    object["spec"] = json!({
        "url": "file:///filter.wasm",
        "pluginName": "serin",
        "failStrategy": "FAIL_OPEN",
        "pluginConfig": {"rollouts": {}, "a": null},
        "vmConfig": {"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": "HOST"}]},
        "sha256": "00",
        "imagePullPolicy": "Always",
    });
    let configuration = whole(Via::Sidecar, [object]);
    let [plugin] = configuration.plugins.as_slice() else {
        panic!("{configuration:?}")
    };
    assert_eq!(
        plugin.name,
        "extensions.istio.io/wasmplugin/istio-system.serin"
    );
    assert_eq!(
        plugin.config["config"],
        json!({
            "name": "istio-system.serin",
            "root_id": "serin",
            "failure_policy": "FAIL_OPEN",
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": "/filter.wasm"}},
                "environment_variables": {"key_values": {"A": "1"}, "host_env_keys": ["B"]},
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": r#"{"a":null,"rollouts":{}}"#,
            },
        })
    );
}

#[test]
fn a_failing_plugin_closes_unless_told_otherwise() {
    let configuration = whole(Via::Sidecar, [plugin("serin", json!({}))]);
    assert_eq!(
        configuration.plugins[0].config["config"]["failure_policy"],
        "FAIL_CLOSED"
    );
    assert_eq!(
        configuration.plugins[0].config["config"]["configuration"],
        json!(null)
    );
}

#[test]
fn plugins_are_for_the_proxies_that_they_select() {
    let labels = |key: &str, value: &str| json!({"selector": {"matchLabels": {key: value}}});
    let cases = [
        (plugin("a", json!({})), (true, true)),
        (
            plugin("a", labels("istio", "ingressgateway")),
            (false, true),
        ),
        (plugin("a", labels("app", "client")), (true, false)),
        (moved(plugin("a", json!({})), "client"), (true, false)),
        (moved(plugin("a", json!({})), "shop"), (false, false)),
        (
            plugin("a", json!({"match": [{"mode": "CLIENT"}]})),
            (true, true),
        ),
        (
            plugin("a", json!({"match": [{"mode": "SERVER"}]})),
            (false, false),
        ),
        (
            plugin(
                "a",
                json!({"match": [{"mode": "CLIENT_AND_SERVER", "ports": [{"number": 80}]}]}),
            ),
            (true, true),
        ),
        (
            plugin("a", json!({"match": [{"ports": [{"number": 8080}]}]})),
            (false, false),
        ),
    ];
    for (plugin, expected) in cases {
        let seen = |via| !found(via, [plugin.clone()]).is_empty();
        assert_eq!(
            (seen(Via::Sidecar), seen(Via::Gateway)),
            expected,
            "{plugin}"
        );
    }
}

#[test]
fn plugins_are_passed_by_phase_then_by_priority() {
    let plugins = [
        plugin("a", json!({})),
        plugin("b", json!({"priority": 1})),
        plugin("c", json!({"priority": 10})),
        plugin("d", json!({"phase": "STATS"})),
        plugin("e", json!({"phase": "AUTHZ"})),
        plugin("f", json!({"phase": "AUTHN", "priority": -1})),
        plugin("g", json!({"priority": -1})),
        plugin("h", json!({})),
        moved(plugin("i", json!({})), "client"),
    ];
    assert_eq!(
        found(Via::Sidecar, plugins),
        ["f", "e", "d", "c", "b", "g", "i", "a", "h"]
    );
}

#[test]
fn plugins_that_cannot_run_here_are_said() {
    let translation = of(
        Via::Gateway,
        [
            plugin("a", json!({"url": "oci://registry/filter:1"})),
            plugin("b", json!({"type": "NETWORK"})),
            plugin(
                "c",
                json!({"targetRefs": [{"kind": "Gateway", "name": "edge"}]}),
            ),
            plugin("d", json!({"failStrategy": "FAIL"})),
            plugin("e", json!({"verificationKey": "key"})),
        ],
    );
    assert_eq!(
        problems(&translation),
        [
            "WasmPlugin istio-system/a: spec.url: the embedded mesh doesn't translate \"oci://registry/filter:1\", expected a file:// URL",
            "WasmPlugin istio-system/b: spec.type: the embedded mesh doesn't translate \"NETWORK\", expected HTTP",
            "WasmPlugin istio-system/c: spec.targetRefs: the embedded mesh doesn't translate it",
            "WasmPlugin istio-system/d: spec.failStrategy: the embedded mesh doesn't translate \"FAIL\", expected FAIL_CLOSE, FAIL_OPEN or FAIL_RELOAD",
            "WasmPlugin istio-system/e: spec.verificationKey: the embedded mesh doesn't translate it",
        ]
    );
    let left: Vec<&str> = translation
        .configuration
        .plugins
        .iter()
        .map(|plugin| plugin.name.as_str())
        .collect();
    assert_eq!(left, ["extensions.istio.io/wasmplugin/istio-system.e"]);
}
