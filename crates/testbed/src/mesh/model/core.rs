//! What the mesh needs to know of Services and Pods.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Deserialize;

use super::Meta;
use crate::workloads::SERVED_AT;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::mesh) struct Service {
    pub(in crate::mesh) metadata: Meta,
    pub(in crate::mesh) spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(in crate::mesh) kind: String,
    pub(in crate::mesh) selector: BTreeMap<String, String>,
    pub(in crate::mesh) ports: Vec<ServicePort>,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    pub(in crate::mesh) publish_not_ready_addresses: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::mesh) struct ServicePort {
    name: String,
    pub(in crate::mesh) port: u16,
    target_port: Option<TargetPort>,
    protocol: String,
    app_protocol: Option<String>,
}

/// A port of a pod, by number or by name.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(in crate::mesh) enum TargetPort {
    Number(u16),
    Name(String),
}

impl Service {
    /// Its full host name.
    pub(in crate::mesh) fn host(&self) -> String {
        format!(
            "{}.{}.svc.cluster.local",
            self.metadata.name, self.metadata.namespace
        )
    }

    /// Its own addresses; none if it is headless.
    pub(in crate::mesh) fn addresses(&self) -> impl Iterator<Item = &str> {
        let first = (!self.spec.cluster_ips.contains(&self.spec.cluster_ip))
            .then_some(&self.spec.cluster_ip);
        first
            .into_iter()
            .chain(&self.spec.cluster_ips)
            .map(String::as_str)
            .filter(|address| !address.is_empty() && *address != "None")
    }

    /// The port of this number, if it is one for HTTP.
    pub(in crate::mesh) fn http_port(&self, number: u16) -> Option<&ServicePort> {
        self.spec
            .ports
            .iter()
            .find(|port| port.port == number && port.is_http())
    }
}

impl ServicePort {
    /// Whether it carries HTTP, or might: Istio finds out from the first bytes where the port doesn't say (Istio 1.29
    /// `pkg/config/kube/conversion.go`, `ConvertProtocol`).
    pub(in crate::mesh) fn is_http(&self) -> bool {
        let protocol = self.named();
        let other = [
            "tcp",
            "udp",
            "https",
            "tls",
            "mongo",
            "redis",
            "mysql",
            "kubernetes.io/wss",
        ];
        self.protocol != "UDP" && !other.contains(&protocol.as_str())
    }

    /// Whether its pods speak HTTP/2 without TLS (the same; `protocol.Instance.IsHTTP2`).
    pub(in crate::mesh) fn is_http2(&self) -> bool {
        ["grpc", "http2", "kubernetes.io/h2c"].contains(&self.named().as_str())
    }

    /// The protocol that it names, up to the first hyphen.
    fn named(&self) -> String {
        let name = self.app_protocol.as_ref().unwrap_or(&self.name);
        let protocol = name.split('-').next().unwrap_or_default();
        protocol.to_ascii_lowercase()
    }

    /// The port of the pod that it leads to.
    pub(in crate::mesh) fn target(&self) -> TargetPort {
        self.target_port
            .clone()
            .unwrap_or(TargetPort::Number(self.port))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::mesh) struct Pod {
    pub(in crate::mesh) metadata: Meta,
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Vec<ContainerPort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    name: String,
    container_port: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Pod {
    /// Whether it may be sent requests: Ready and not on its way out.
    pub(in crate::mesh) fn is_ready(&self) -> bool {
        let ready = |condition: &Condition| condition.kind == "Ready" && condition.status == "True";
        self.stays() && self.status.conditions.iter().any(ready)
    }

    /// Whether it is not on its way out.
    pub(in crate::mesh) fn stays(&self) -> bool {
        self.metadata.deletion_timestamp.is_none()
    }

    /// Where `port` is served; `None` if the pod has no such port, or nobody serves it.
    pub(in crate::mesh) fn serves(&self, port: &TargetPort) -> Option<SocketAddr> {
        let number = match port {
            TargetPort::Number(number) => *number,
            TargetPort::Name(name) => {
                let mut ports = self
                    .spec
                    .containers
                    .iter()
                    .flat_map(|container| &container.ports);
                ports.find(|port| port.name == *name)?.container_port
            }
        };
        let served = self.metadata.annotations.get(SERVED_AT)?;
        served
            .split(',')
            .filter_map(|one| one.split_once('='))
            .find(|(port, _)| port.trim().parse() == Ok(number))
            .and_then(|(_, address)| address.trim().parse().ok())
    }
}
