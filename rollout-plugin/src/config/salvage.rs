//! What can be read of a configuration that has a fault.
//!
//! An abort has to know which objects the Rollout routes through, even where the fault came with a restart of the plugin
//! and nothing is remembered of the configuration before.

use serde::de::DeserializeOwned;
use serde_json::Value;
use traffic_policy::config::Lanes;

use crate::config::{
    Config, DestinationRuleConfig, FilterConfig, FilterKind, Protocol, VirtualServiceConfig,
};

impl Config {
    /// The objects that `written` names, each field read on its own; a field that can't be read counts as absent. Fields
    /// that only the way to the canary needs are left out.
    pub(crate) fn salvaged(written: &Value) -> Self {
        let one = written.get("virtualService").into_iter();
        let several = written.get("virtualServices").and_then(Value::as_array);
        let mut virtual_services: Vec<VirtualServiceConfig> = Vec::new();
        for found in one.chain(several.into_iter().flatten()) {
            let found = virtual_service(found);
            let is_known = virtual_services.iter().any(|one| one.name == found.name);
            if !found.name.is_empty() && !is_known {
                virtual_services.push(found);
            }
        }
        Self {
            virtual_services: Some(virtual_services),
            destination_rule: written.get("destinationRule").and_then(destination_rule),
            filters: Some(filters(written)).filter(|found| !found.is_empty()),
            lanes: match written.get("lanes") {
                None | Some(Value::Null) => Lanes::default(),
                // Whose the lane routes are can't be told, so they are left. Without a policy no request takes them.
                Some(_) => field(written, "lanes").unwrap_or(Lanes::Declared),
            },
            sticky: field(written, "sticky"),
            ..Self::default()
        }
    }
}

/// All filter objects that can be read, by whichever of the three fields.
fn filters(written: &Value) -> Vec<FilterConfig> {
    let wasm_plugin: Option<String> = field(written, "wasmPlugin");
    let wasm_plugin = wasm_plugin.as_deref().and_then(|named| {
        let (namespace, name) = named.split_once('/')?;
        Some(FilterConfig {
            kind: FilterKind::WasmPlugin,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        })
    });
    let several = written.get("filters").and_then(Value::as_array);
    let one = written.get("filter").into_iter();
    let others = one.chain(several.into_iter().flatten());
    let others = others.filter_map(|filter| serde_json::from_value(filter.clone()).ok());
    let mut found: Vec<FilterConfig> = Vec::new();
    for filter in wasm_plugin.into_iter().chain(others) {
        let is_named = !filter.name.is_empty() && !filter.namespace.is_empty();
        if is_named && !filter.name.contains('/') && !found.contains(&filter) {
            found.push(filter);
        }
    }
    found
}

fn virtual_service(written: &Value) -> VirtualServiceConfig {
    VirtualServiceConfig {
        name: field(written, "name").unwrap_or_default(),
        routes: field(written, "routes").unwrap_or_default(),
        tls_routes: field(written, "tlsRoutes").unwrap_or_default(),
        tcp_routes: field(written, "tcpRoutes").unwrap_or_default(),
        protocols: field(written, "protocols").filter(|listed: &Vec<Protocol>| !listed.is_empty()),
    }
}

/// Without all of its names it says nothing about a destination.
fn destination_rule(written: &Value) -> Option<DestinationRuleConfig> {
    let name = |name: &str| field(written, name).filter(|found: &String| !found.is_empty());
    Some(DestinationRuleConfig {
        name: name("name")?,
        canary_subset_name: name("canarySubsetName")?,
        stable_subset_name: name("stableSubsetName")?,
        additional_subset_names: field(written, "additionalSubsetNames").unwrap_or_default(),
    })
}

fn field<T: DeserializeOwned>(written: &Value, name: &str) -> Option<T> {
    T::deserialize(written.get(name)?).ok()
}
