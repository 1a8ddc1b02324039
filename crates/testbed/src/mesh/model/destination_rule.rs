//! DestinationRules: subsets and how load is balanced.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct DestinationRule {
    pub(in crate::mesh) host: String,
    pub(in crate::mesh) subsets: Vec<Subset>,
    pub(in crate::mesh) traffic_policy: Option<TrafficPolicy>,
    pub(in crate::mesh) export_to: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct Subset {
    pub(in crate::mesh) name: String,
    pub(in crate::mesh) labels: BTreeMap<String, String>,
    pub(in crate::mesh) traffic_policy: Option<TrafficPolicy>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct TrafficPolicy {
    pub(in crate::mesh) load_balancer: Option<LoadBalancer>,
    pub(in crate::mesh) tls: Option<Tls>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct LoadBalancer {
    pub(in crate::mesh) simple: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct Tls {
    pub(in crate::mesh) mode: String,
}
