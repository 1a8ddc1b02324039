//! WasmPlugins: which of them a proxy runs, in which order, and with which configuration.
//!
//! Follows Istio 1.29 `pilot/pkg/model/extensions.go` and `push_context.go`, `WasmPluginsByListenerInfo`.

use serde_json::{Map, Value, json};

use super::{PORT, Proxy, ROOT_NAMESPACE, World};
use crate::mesh::model::{Named, Problem, Problems, WasmPlugin};

/// A filter of a proxy.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::mesh) struct Plugin {
    /// istiod's name of the resource: `extensions.istio.io/wasmplugin/<namespace>.<name>`.
    pub(in crate::mesh) name: String,
    /// Envoy's `Wasm` message.
    pub(in crate::mesh) config: Value,
}

/// The plugins of `proxy` in the order in which requests pass them: by phase, then by priority, then by age.
pub(super) fn plugins(world: &World, proxy: &Proxy, problems: &mut Vec<Problem>) -> Vec<Plugin> {
    let mut found: Vec<(Phase, Plugin)> = Vec::new();
    let own = (proxy.namespace != ROOT_NAMESPACE).then_some(proxy.namespace);
    for namespace in own.into_iter().chain([ROOT_NAMESPACE]) {
        for plugin in world
            .wasm_plugins
            .iter()
            .filter(|plugin| plugin.meta.namespace == namespace)
        {
            let mut problems = Problems::of("WasmPlugin", &plugin.meta, problems);
            if is_for(plugin, proxy, &mut problems)
                && let Some(config) = config(plugin, &mut problems)
            {
                let name = format!(
                    "extensions.istio.io/wasmplugin/{}.{}",
                    namespace, plugin.meta.name
                );
                found.push((phase(plugin, &mut problems), Plugin { name, config }));
            }
        }
    }
    found.sort_by_key(|(phase, _)| *phase);
    found.into_iter().map(|(_, plugin)| plugin).collect()
}

/// Sorts as requests pass: the phase, then the highest priority first, none last.
type Phase = (u8, std::cmp::Reverse<Option<i32>>);

fn phase(plugin: &Named<WasmPlugin>, problems: &mut Problems<'_>) -> Phase {
    let phase = match plugin.spec.phase.as_str() {
        "AUTHN" => 0,
        "AUTHZ" => 1,
        "STATS" => 2,
        "" | "UNSPECIFIED_PHASE" => 3,
        other => {
            problems.value(
                "spec.phase",
                other,
                "AUTHN, AUTHZ, STATS or UNSPECIFIED_PHASE",
            );
            3
        }
    };
    (phase, std::cmp::Reverse(plugin.spec.priority))
}

/// Whether it is for this proxy. A plugin with targets is for Gateways of the Gateway API and for waypoints only, and
/// this proxy is neither (`policyattachment.go`, `ShouldAttachPolicy`).
fn is_for(plugin: &Named<WasmPlugin>, proxy: &Proxy, problems: &mut Problems<'_>) -> bool {
    let spec = &plugin.spec;
    if spec.target_ref.is_some() {
        problems.untranslated("spec.targetRef");
    }
    if !spec.target_refs.is_empty() {
        problems.untranslated("spec.targetRefs");
    }
    let selected = spec
        .selector
        .as_ref()
        .is_none_or(|selector| proxy.has(&selector.match_labels));
    let matched = spec.matches.is_empty()
        || spec.matches.iter().any(|one| {
            // Requests leave a sidecar, and a gateway counts as a client too.
            one.mode != "SERVER"
                && (one.ports.is_empty()
                    || one.ports.iter().any(|port| port.number == u32::from(PORT)))
        });
    spec.target_ref.is_none() && spec.target_refs.is_empty() && selected && matched
}

fn config(plugin: &Named<WasmPlugin>, problems: &mut Problems<'_>) -> Option<Value> {
    let spec = &plugin.spec;
    if !["", "UNSPECIFIED_PLUGIN_TYPE", "HTTP"].contains(&spec.kind.as_str()) {
        problems.value("spec.type", &spec.kind, "HTTP");
        return None;
    }
    let Some(file) = spec.url.strip_prefix("file://") else {
        problems.value("spec.url", &spec.url, "a file:// URL");
        return None;
    };
    let failure_policy = match spec.fail_strategy.as_str() {
        "FAIL_OPEN" => "FAIL_OPEN",
        "" | "FAIL_CLOSE" => "FAIL_CLOSED",
        "FAIL_RELOAD" => "FAIL_RELOAD",
        other => {
            problems.value(
                "spec.failStrategy",
                other,
                "FAIL_CLOSE, FAIL_OPEN or FAIL_RELOAD",
            );
            return None;
        }
    };
    let mut values = Map::new();
    let mut host_keys = Vec::new();
    for variable in &spec.vm_config.env {
        if variable.value_from == "HOST" {
            host_keys.push(variable.name.clone());
        } else {
            values.insert(variable.name.clone(), Value::from(variable.value.clone()));
        }
    }
    let mut config = json!({
        "name": format!("{}.{}", plugin.meta.namespace, plugin.meta.name),
        "root_id": spec.plugin_name,
        "failure_policy": failure_policy,
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": file}},
            "environment_variables": {"key_values": values, "host_env_keys": host_keys},
        },
    });
    if let (false, Some(fields)) = (spec.plugin_config.is_empty(), config.as_object_mut()) {
        let text = Value::from(spec.plugin_config.clone()).to_string();
        let value =
            json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text});
        fields.insert("configuration".to_owned(), value);
    }
    Some(json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": config,
    }))
}
