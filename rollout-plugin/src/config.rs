//! What a user writes under `trafficRouting.plugins["serin/istio"]`: the fields of Argo's built-in `istio:`
//! block (argo-rollouts v1.10.1 `IstioTrafficRouting`), same names and meaning, and Serin's own.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use traffic_policy::config::{Lanes, Match, StickyKey};

mod salvage;

/// The plugin's name, which is also its key in `trafficRouting.plugins`.
pub const PLUGIN_NAME: &str = "serin/istio";

/// The configuration of one Rollout, as written. A field that is not known is an error that names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "the fields of Argo's istio block, wasmPlugin, filter, filters, lanes, sticky, routes, entryHosts, or laneSecret"
)]
pub struct Config {
    /// The VirtualService whose weights the Rollout moves.
    pub virtual_service: Option<VirtualServiceConfig>,
    /// Several of them, in place of `virtualService`.
    pub virtual_services: Option<Vec<VirtualServiceConfig>>,
    /// The DestinationRule whose subsets follow the pod hashes; absent for a host-level split.
    pub destination_rule: Option<DestinationRuleConfig>,
    /// The WasmPlugin that carries the policy, `namespace/name`. Without it, `filter` and `filters` it is
    /// [`DEFAULT_FILTER`](crate::core::filter::DEFAULT_FILTER).
    pub wasm_plugin: Option<String>,
    /// The object that carries the policy, in place of `wasmPlugin`.
    #[serde(default, deserialize_with = "one_filter")]
    pub filter: Option<FilterConfig>,
    /// Several of them, each of which carries it: one object can't select all proxies.
    pub filters: Option<Vec<FilterConfig>>,
    /// Who keeps the lane routes: Serin (`managed`), or the user in the manifest (`declared`).
    #[serde(default)]
    pub lanes: Lanes,
    /// Tells users apart, so that the weights move each of them once; absent, every request is drawn anew.
    pub sticky: Option<StickyConfig>,
    /// More than a step can say of a header or mirror route, by its name in `managedRoutes`.
    #[serde(default, deserialize_with = "or_empty")]
    pub routes: BTreeMap<String, RouteConfig>,
    /// Hosts at which the lane is decided ahead, for requests that reach the Rollout further in
    /// ([`traffic_policy::config::Policy::entry_hosts`]); a name without a dot is a Service's of the Rollout's namespace.
    #[serde(default, deserialize_with = "or_empty")]
    pub entry_hosts: Vec<String>,
    /// What makes a lane header believed ([`traffic_policy::config::Policy::secret`]).
    #[serde(default, deserialize_with = "unshown")]
    pub lane_secret: Option<String>,
}

/// An object that puts the filter into proxies.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a map of kind, name and namespace"
)]
pub struct FilterConfig {
    /// Its kind.
    pub kind: FilterKind,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// The kinds of objects that put a filter into proxies, called as Istio calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum FilterKind {
    /// Of all versions of Istio that Serin works with.
    WasmPlugin,
    /// Of Istio 1.30 and later, which recommends it over a WasmPlugin.
    TrafficExtension,
}

/// What a canary's share is drawn by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a map of keys and salt"
)]
pub struct StickyConfig {
    /// The first of these that a request has.
    pub keys: Vec<StickyKey>,
    /// Which users come first: the same with every release. Absent: the canary's pod hash, and so others with each.
    pub salt: Option<String>,
}

/// What is added to the steps of one managed route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a map of match, percent and keys"
)]
pub struct RouteConfig {
    /// Further entries, any of which will do, as long as a step has switched the route on with one of its own.
    #[serde(default, rename = "match", deserialize_with = "or_empty")]
    pub matches: Vec<Match>,
    /// The share of the matching requests, 0 to 100, where the step names none: a header step can't.
    pub percent: Option<u32>,
    /// What the share is drawn by; without them by chance. The route's name is the salt, so that the same users are drawn
    /// with each release, and by every Rollout with a route of that name.
    #[serde(default, deserialize_with = "or_empty")]
    pub keys: Vec<StickyKey>,
}

/// One VirtualService (Argo's `IstioVirtualService`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a map of name and routes"
)]
pub struct VirtualServiceConfig {
    /// `name`, or `name.namespace` for one of another namespace.
    pub name: String,
    /// The names of the managed HTTP routes; may be left out where there is a single route.
    #[serde(default, deserialize_with = "or_empty")]
    pub routes: Vec<String>,
    /// The managed TLS routes; may be left out where there is a single one.
    #[serde(default, deserialize_with = "or_empty")]
    pub tls_routes: Vec<TlsRouteConfig>,
    /// The managed TCP routes; may be left out where there is a single one.
    #[serde(default, deserialize_with = "or_empty")]
    pub tcp_routes: Vec<TcpRouteConfig>,
    /// The lists of routes that the Rollout manages; absent: all that the VirtualService has. Argo's block has no such
    /// field, and no way to say so: an empty list of routes means the only one, there as here.
    pub protocols: Option<Vec<Protocol>>,
}

/// A list of routes in a VirtualService, called as its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    /// `spec.http`.
    Http,
    /// `spec.tls`.
    Tls,
    /// `spec.tcp`.
    Tcp,
}

/// TLS routes, told by what they match (Argo's `TLSRoute`). What is left out must be absent in the route too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a map of port and sniHosts"
)]
pub struct TlsRouteConfig {
    /// The one port of all their match entries; 0 for none.
    #[serde(default)]
    pub port: u32,
    /// All SNI hosts of their match entries, in any order.
    #[serde(default, deserialize_with = "or_empty")]
    pub sni_hosts: Vec<String>,
}

/// TCP routes, told by what they match (Argo's `TCPRoute`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a map of port"
)]
pub struct TcpRouteConfig {
    /// The one port of all their match entries; 0 for none.
    #[serde(default)]
    pub port: u32,
}

/// The DestinationRule of a subset-level split (Argo's `IstioDestinationRule`); in the Rollout's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a map of name, canarySubsetName and stableSubsetName"
)]
pub struct DestinationRuleConfig {
    /// Its name.
    pub name: String,
    /// The subset that follows the canary's pod hash.
    pub canary_subset_name: String,
    /// The subset that follows the stable version's pod hash.
    pub stable_subset_name: String,
    /// Subsets, of this or another DestinationRule, whose destinations keep their weight and come off the stable
    /// version's share. Their labels are the user's.
    #[serde(default, deserialize_with = "or_empty")]
    pub additional_subset_names: Vec<String>,
}

/// A list or map that is null is empty, as Go reads it.
fn or_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A map, where serde would read the fields of one from a list too.
fn one_filter<'de, D>(deserializer: D) -> Result<Option<FilterConfig>, D::Error>
where
    D: Deserializer<'de>,
{
    struct OneFilter;

    impl<'de> Visitor<'de> for OneFilter {
        type Value = Option<FilterConfig>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of kind, name and namespace; several are for filters")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            FilterConfig::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(OneFilter)
}

/// A string that no error shows: serde's own words for one that YAML has taken for a number would.
fn unshown<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    let found = match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => return Ok(Some(text)),
        Some(Value::Number(_)) => "a number",
        Some(Value::Bool(_)) => "a truth value",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "a map",
    };
    let expected = "a string, in quotes where YAML would take it for anything else";
    Err(D::Error::custom(format_args!(
        "found {found}, expected {expected}"
    )))
}
