//! Header and mirror routes, as steps give them and as calls carry them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::or_default;

/// A header route. Go's `v1alpha1.SetHeaderRoute`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetHeaderRoute {
    /// The managed route's name.
    #[serde(alias = "Name")]
    pub name: String,
    /// Entries of which one has to hold; empty removes the route. Go's `Match`.
    #[serde(rename = "match", alias = "Match", deserialize_with = "or_default")]
    pub matches: Vec<HeaderRoutingMatch>,
}

/// One header to match. Go's `v1alpha1.HeaderRoutingMatch`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderRoutingMatch {
    /// The header's name.
    #[serde(alias = "HeaderName")]
    pub header_name: String,
    /// What its value must be.
    #[serde(alias = "HeaderValue")]
    pub header_value: Option<StringMatch>,
}

/// A mirror route. Go's `v1alpha1.SetMirrorRoute`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetMirrorRoute {
    /// The managed route's name.
    #[serde(alias = "Name")]
    pub name: String,
    /// Entries of which one has to hold; empty removes the route. Go's `Match`.
    #[serde(rename = "match", alias = "Match", deserialize_with = "or_default")]
    pub matches: Vec<RouteMatch>,
    /// Percent of the matching requests to mirror; `None` means all. In a call, `None` may also
    /// be 0.
    #[serde(alias = "Percentage")]
    pub percentage: Option<i32>,
}

/// What a request must look like; all given parts have to hold. Go's `v1alpha1.RouteMatch`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteMatch {
    /// The HTTP method.
    #[serde(alias = "Method")]
    pub method: Option<StringMatch>,
    /// The path.
    #[serde(alias = "Path")]
    pub path: Option<StringMatch>,
    /// Headers by name.
    #[serde(alias = "Headers", deserialize_with = "or_default")]
    pub headers: BTreeMap<String, StringMatch>,
}

/// One of three ways to match a string; empty means not given. Go's `v1alpha1.StringMatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StringMatch {
    /// The whole value.
    #[serde(alias = "Exact")]
    pub exact: String,
    /// Its beginning.
    #[serde(alias = "Prefix")]
    pub prefix: String,
    /// A pattern (RE2) for the whole value.
    #[serde(alias = "Regex")]
    pub regex: String,
}
