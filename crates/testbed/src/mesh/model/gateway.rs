//! Gateways: which hosts come in, and whose VirtualServices may speak for them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct Gateway {
    pub(in crate::mesh) selector: BTreeMap<String, String>,
    pub(in crate::mesh) servers: Vec<Server>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct Server {
    pub(in crate::mesh) port: Port,
    pub(in crate::mesh) hosts: Vec<String>,
    pub(in crate::mesh) name: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(in crate::mesh) struct Port {
    pub(in crate::mesh) number: u32,
    pub(in crate::mesh) name: String,
    pub(in crate::mesh) protocol: String,
}
