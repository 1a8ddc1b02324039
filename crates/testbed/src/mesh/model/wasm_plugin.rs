//! WasmPlugins: which module, with which configuration, in which proxies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct WasmPlugin {
    pub(in crate::mesh) selector: Option<Selector>,
    pub(in crate::mesh) target_ref: Option<Value>,
    pub(in crate::mesh) target_refs: Vec<Value>,
    pub(in crate::mesh) url: String,
    /// Of no meaning for a module that is a file here.
    sha256: String,
    /// The same.
    image_pull_policy: String,
    /// The same.
    image_pull_secret: String,
    pub(in crate::mesh) plugin_config: Map<String, Value>,
    pub(in crate::mesh) plugin_name: String,
    pub(in crate::mesh) phase: String,
    pub(in crate::mesh) priority: Option<i32>,
    pub(in crate::mesh) fail_strategy: String,
    pub(in crate::mesh) vm_config: VmConfig,
    #[serde(rename = "match")]
    pub(in crate::mesh) matches: Vec<TrafficSelector>,
    #[serde(rename = "type")]
    pub(in crate::mesh) kind: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct Selector {
    pub(in crate::mesh) match_labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct VmConfig {
    pub(in crate::mesh) env: Vec<Variable>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct Variable {
    pub(in crate::mesh) name: String,
    pub(in crate::mesh) value: String,
    pub(in crate::mesh) value_from: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct TrafficSelector {
    pub(in crate::mesh) mode: String,
    pub(in crate::mesh) ports: Vec<Port>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct Port {
    pub(in crate::mesh) number: u32,
}
