//! From objects to one proxy's configuration: a pure function.
//!
//! It follows what istiod 1.29 generates (the functions are named where each rule is coded) for the proxies that the
//! real stack has: a client's sidecar that listens on port 80, and a gateway whose port 80 is the mesh's way in. What
//! differs: endpoints are part of their cluster (`Configuration::clusters` says why), there is no TLS, and a host that
//! the mesh doesn't know gets 502 from the sidecar, as with `REGISTRY_ONLY`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::Value;

use super::Via;
use super::model::{
    self, DestinationRule, Gateway, Named, Pod, Problem, Service, VirtualService, WasmPlugin,
};

mod action;
mod clusters;
mod hosts;
mod names;
mod plugins;
mod request;
mod route;
mod value;

pub(super) use clusters::Cluster;
pub(super) use plugins::Plugin;

/// Where Istio itself lives: WasmPlugins and DestinationRules there are for all.
const ROOT_NAMESPACE: &str = "istio-system";
/// The port at which requests come in, at both proxies.
const PORT: u16 = 80;

/// What the store holds, as lists of whole objects.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects {
    pub(super) virtual_services: Vec<Value>,
    pub(super) destination_rules: Vec<Value>,
    pub(super) gateways: Vec<Value>,
    pub(super) wasm_plugins: Vec<Value>,
    pub(super) services: Vec<Value>,
    pub(super) pods: Vec<Value>,
}

/// Whom a configuration is for.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) via: Via,
    pub(super) name: &'static str,
    pub(super) namespace: &'static str,
    pub(super) labels: BTreeMap<String, String>,
}

impl Proxy {
    /// The two that there are, under the names that the real stack gives them.
    pub(super) fn of(via: Via) -> Self {
        let (name, namespace, label) = match via {
            Via::Sidecar => ("client", "client", ("app", "client")),
            Via::Gateway => ("gateway", "istio-system", ("istio", "ingressgateway")),
        };
        let labels = BTreeMap::from([(label.0.to_owned(), label.1.to_owned())]);
        Self {
            via,
            name,
            namespace,
            labels,
        }
    }

    /// Whether it has all these labels with these values.
    fn has(&self, labels: &BTreeMap<String, String>) -> bool {
        is_subset(labels, &self.labels)
    }
}

/// What an Envoy is to do, apart from where it listens and finds its files.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Configuration {
    /// By name. Endpoints stand in the cluster and don't come by EDS: each EDS file would take one of the 128 inotify
    /// instances that a user has on Linux, and Envoy aborts when there is none left.
    pub(super) clusters: BTreeMap<String, Cluster>,
    /// The virtual hosts, as Envoy's JSON.
    pub(super) hosts: Vec<Value>,
    /// The plugins in the order in which requests pass them.
    pub(super) plugins: Vec<Plugin>,
}

/// A configuration and what it leaves out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Translation {
    pub(super) configuration: Configuration,
    pub(super) problems: BTreeSet<Problem>,
}

/// The typed views of all objects.
#[derive(Debug)]
struct World {
    virtual_services: Vec<Named<VirtualService>>,
    destination_rules: Vec<Named<DestinationRule>>,
    gateways: Vec<Named<Gateway>>,
    wasm_plugins: Vec<Named<WasmPlugin>>,
    services: Vec<Service>,
    pods: Vec<Pod>,
}

/// What `proxy` gets from these objects.
pub(super) fn translate(objects: &Objects, proxy: &Proxy) -> Translation {
    let mut problems = Vec::new();
    let world = World {
        virtual_services: model::read("VirtualService", &objects.virtual_services, &mut problems),
        destination_rules: model::read(
            "DestinationRule",
            &objects.destination_rules,
            &mut problems,
        ),
        gateways: model::read("Gateway", &objects.gateways, &mut problems),
        wasm_plugins: model::read("WasmPlugin", &objects.wasm_plugins, &mut problems),
        services: model::read_loosely("Service", &objects.services, &mut problems),
        pods: model::read_loosely("Pod", &objects.pods, &mut problems),
    };
    let configuration = Configuration {
        clusters: clusters::clusters(&world, proxy, &mut problems),
        hosts: match proxy.via {
            Via::Sidecar => hosts::sidecar(&world, proxy, &mut problems),
            Via::Gateway => hosts::gateway(&world, proxy, &mut problems),
        },
        plugins: plugins::plugins(&world, proxy, &mut problems),
    };
    Translation {
        configuration,
        problems: problems.into_iter().collect(),
    }
}

fn is_subset(labels: &BTreeMap<String, String>, of: &BTreeMap<String, String>) -> bool {
    labels.iter().all(|(key, value)| of.get(key) == Some(value))
}

/// Whether an object of `namespace` that names these in `exportTo` is for proxies in the namespace `to`.
fn is_exported(export_to: &[String], namespace: &str, to: &str) -> bool {
    let names = |one: &String| one == "*" || one == to || (one == "." && namespace == to);
    export_to.is_empty() || export_to.iter().any(names)
}

/// An address as Envoy's JSON.
pub(super) fn socket(address: SocketAddr) -> Value {
    serde_json::json!({"socket_address": {"address": address.ip(), "port_value": address.port()}})
}

#[cfg(test)]
mod tests;
