//! How traffic is split: the Istio block, managed routes, plugins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json;
use super::or_default;

/// How traffic is split. Go's `v1alpha1.RolloutTrafficRouting`, without other routers' blocks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficRouting {
    /// The built-in Istio support's block.
    #[serde(alias = "Istio")]
    pub istio: Option<IstioTrafficRouting>,
    /// Routes that steps may add, by precedence.
    #[serde(alias = "ManagedRoutes", deserialize_with = "or_default")]
    pub managed_routes: Vec<MangedRoutes>,
    /// Each plugin's own configuration, by plugin name, as the API shows it.
    #[serde(alias = "Plugins", deserialize_with = "json::map")]
    pub plugins: BTreeMap<String, Value>,
    /// What all weights add up to; `None` means 100.
    #[serde(alias = "MaxTrafficWeight")]
    pub max_traffic_weight: Option<i32>,
}

/// A route that steps may add. Go's `v1alpha1.MangedRoutes` (its spelling).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MangedRoutes {
    /// The route's name, as the steps give it.
    #[serde(alias = "Name")]
    pub name: String,
}

/// The built-in Istio support's block. Go's `v1alpha1.IstioTrafficRouting`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioTrafficRouting {
    /// The VirtualService to split; exclusive with `virtual_services`.
    #[serde(alias = "VirtualService")]
    pub virtual_service: Option<IstioVirtualService>,
    /// The DestinationRule whose subsets name canary and stable.
    #[serde(alias = "DestinationRule")]
    pub destination_rule: Option<IstioDestinationRule>,
    /// Several VirtualServices to split.
    #[serde(alias = "VirtualServices", deserialize_with = "or_default")]
    pub virtual_services: Vec<IstioVirtualService>,
}

/// A VirtualService and its managed routes. Go's `v1alpha1.IstioVirtualService`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioVirtualService {
    /// `name`, or `name.namespace`.
    #[serde(alias = "Name")]
    pub name: String,
    /// HTTP routes by name; empty means the only one.
    #[serde(alias = "Routes", deserialize_with = "or_default")]
    pub routes: Vec<String>,
    /// TLS routes by port and SNI hosts.
    #[serde(alias = "TLSRoutes", deserialize_with = "or_default")]
    pub tls_routes: Vec<TlsRoute>,
    /// TCP routes by port.
    #[serde(alias = "TCPRoutes", deserialize_with = "or_default")]
    pub tcp_routes: Vec<TcpRoute>,
}

/// A TLS route. Go's `v1alpha1.TLSRoute`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsRoute {
    /// Port to match; 0 for none.
    #[serde(alias = "Port")]
    pub port: i64,
    /// SNI hosts to match.
    #[serde(alias = "SNIHosts", deserialize_with = "or_default")]
    pub sni_hosts: Vec<String>,
}

/// A TCP route. Go's `v1alpha1.TCPRoute`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpRoute {
    /// Port to match; 0 for none.
    #[serde(alias = "Port")]
    pub port: i64,
}

/// A DestinationRule and its subsets. Go's `v1alpha1.IstioDestinationRule`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioDestinationRule {
    /// Name.
    #[serde(alias = "Name")]
    pub name: String,
    /// The subset that selects canary pods.
    #[serde(alias = "CanarySubsetName")]
    pub canary_subset_name: String,
    /// The subset that selects stable pods.
    #[serde(alias = "StableSubsetName")]
    pub stable_subset_name: String,
    /// Further subsets, which are not the controller's: their destinations keep their weight.
    #[serde(alias = "AdditionalSubsetNames", deserialize_with = "or_default")]
    pub additional_subset_names: Vec<String>,
}
