//! VirtualServices: HTTP routes, field by field as Istio's API names them.
#![allow(clippy::struct_field_names, reason = "the names are Istio's")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Percent;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct VirtualService {
    pub(in crate::mesh) hosts: Vec<String>,
    pub(in crate::mesh) gateways: Vec<String>,
    /// Read one by one, so that one that can't be read doesn't take the others with it.
    pub(in crate::mesh) http: Vec<Value>,
    pub(in crate::mesh) export_to: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct Route {
    pub(in crate::mesh) name: String,
    #[serde(rename = "match")]
    pub(in crate::mesh) matches: Vec<Match>,
    pub(in crate::mesh) route: Vec<Weighted>,
    pub(in crate::mesh) redirect: Option<Redirect>,
    pub(in crate::mesh) direct_response: Option<DirectResponse>,
    pub(in crate::mesh) rewrite: Option<Rewrite>,
    pub(in crate::mesh) timeout: Option<String>,
    pub(in crate::mesh) retries: Option<Retries>,
    pub(in crate::mesh) fault: Option<Fault>,
    pub(in crate::mesh) mirror: Option<Destination>,
    pub(in crate::mesh) mirror_percentage: Option<Percent>,
    pub(in crate::mesh) mirror_percent: Option<u32>,
    pub(in crate::mesh) mirrors: Vec<Mirror>,
    pub(in crate::mesh) cors_policy: Option<Cors>,
    pub(in crate::mesh) headers: Option<Headers>,
    /// Read so that the route is left out: it has no destination of its own.
    pub(in crate::mesh) delegate: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct Match {
    pub(in crate::mesh) name: String,
    pub(in crate::mesh) uri: Option<StringMatch>,
    pub(in crate::mesh) scheme: Option<StringMatch>,
    pub(in crate::mesh) method: Option<StringMatch>,
    pub(in crate::mesh) authority: Option<StringMatch>,
    pub(in crate::mesh) headers: BTreeMap<String, StringMatch>,
    pub(in crate::mesh) without_headers: BTreeMap<String, StringMatch>,
    pub(in crate::mesh) query_params: BTreeMap<String, StringMatch>,
    pub(in crate::mesh) ignore_uri_case: bool,
    pub(in crate::mesh) port: u16,
    pub(in crate::mesh) source_labels: BTreeMap<String, String>,
    pub(in crate::mesh) source_namespace: String,
    pub(in crate::mesh) gateways: Vec<String>,
    pub(in crate::mesh) stat_prefix: String,
}

/// At most one of them is set; none means that the value has to be there.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub(in crate::mesh) struct StringMatch {
    pub(in crate::mesh) exact: Option<String>,
    pub(in crate::mesh) prefix: Option<String>,
    pub(in crate::mesh) regex: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct Weighted {
    pub(in crate::mesh) destination: Destination,
    pub(in crate::mesh) weight: u32,
    pub(in crate::mesh) headers: Option<Headers>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct Destination {
    pub(in crate::mesh) host: String,
    pub(in crate::mesh) subset: String,
    pub(in crate::mesh) port: Option<PortSelector>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct PortSelector {
    pub(in crate::mesh) number: u16,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct Mirror {
    pub(in crate::mesh) destination: Option<Destination>,
    pub(in crate::mesh) percentage: Option<Percent>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct Redirect {
    pub(in crate::mesh) uri: String,
    pub(in crate::mesh) authority: String,
    pub(in crate::mesh) scheme: String,
    pub(in crate::mesh) port: Option<u32>,
    pub(in crate::mesh) derive_port: Option<String>,
    pub(in crate::mesh) redirect_code: u32,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct DirectResponse {
    pub(in crate::mesh) status: u32,
    pub(in crate::mesh) body: Option<Body>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct Body {
    pub(in crate::mesh) string: Option<String>,
    /// In base64, as Envoy reads it too.
    pub(in crate::mesh) bytes: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct Rewrite {
    pub(in crate::mesh) uri: String,
    pub(in crate::mesh) authority: String,
    pub(in crate::mesh) uri_regex_rewrite: Option<RegexRewrite>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct RegexRewrite {
    #[serde(rename = "match")]
    pub(in crate::mesh) pattern: String,
    pub(in crate::mesh) rewrite: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct Retries {
    pub(in crate::mesh) attempts: i32,
    pub(in crate::mesh) per_try_timeout: Option<String>,
    pub(in crate::mesh) retry_on: String,
    /// There is one locality here, so that it changes nothing.
    pub(in crate::mesh) retry_remote_localities: Option<bool>,
    pub(in crate::mesh) retry_ignore_previous_hosts: Option<bool>,
    pub(in crate::mesh) backoff: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct Fault {
    pub(in crate::mesh) delay: Option<Delay>,
    pub(in crate::mesh) abort: Option<Abort>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct Delay {
    pub(in crate::mesh) percentage: Option<Percent>,
    pub(in crate::mesh) percent: u32,
    pub(in crate::mesh) fixed_delay: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct Abort {
    pub(in crate::mesh) percentage: Option<Percent>,
    pub(in crate::mesh) http_status: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct Cors {
    pub(in crate::mesh) allow_origins: Vec<StringMatch>,
    pub(in crate::mesh) allow_origin: Vec<String>,
    pub(in crate::mesh) allow_methods: Vec<String>,
    pub(in crate::mesh) allow_headers: Vec<String>,
    pub(in crate::mesh) expose_headers: Vec<String>,
    pub(in crate::mesh) max_age: Option<String>,
    pub(in crate::mesh) allow_credentials: Option<bool>,
    pub(in crate::mesh) unmatched_preflights: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct Headers {
    pub(in crate::mesh) request: HeaderOperations,
    pub(in crate::mesh) response: HeaderOperations,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct HeaderOperations {
    pub(in crate::mesh) set: BTreeMap<String, String>,
    pub(in crate::mesh) add: BTreeMap<String, String>,
    pub(in crate::mesh) remove: Vec<String>,
}
