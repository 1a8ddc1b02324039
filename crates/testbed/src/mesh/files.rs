//! The files of one Envoy: what it starts with, and what it reads again whenever one is replaced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Via;
use super::translate::{Cluster, Plugin, Proxy};

/// The listener that takes requests.
pub(super) const LISTENER: &str = "main";
/// The listener that answers by itself. What it answers comes after all that its worker was told before.
pub(super) const PROBE: &str = "probe";

/// One thing that Envoy discovers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    /// CDS.
    Clusters,
    /// RDS.
    Routes,
    /// LDS.
    Listeners,
    /// ECDS, for the plugin of this name.
    Plugin(String),
}

impl Section {
    /// Its file.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        let name = match self {
            Self::Clusters => "clusters.json".to_owned(),
            Self::Routes => "routes.json".to_owned(),
            Self::Listeners => "listeners.json".to_owned(),
            // Names of objects have no slash; the fixed part before them has.
            Self::Plugin(name) => {
                let name = name.rsplit('/').next().unwrap_or_default();
                format!("plugin-{name}.json")
            }
        };
        folder.join(name)
    }

    /// Where Envoy counts what came from it.
    pub(super) fn stats(&self, via: Via) -> String {
        match self {
            Self::Clusters => "cluster_manager.cds".to_owned(),
            Self::Routes => format!("http.{}.rds.{}", via.word(), route_name(via)),
            Self::Listeners => "listener_manager.lds".to_owned(),
            Self::Plugin(name) => format!("extension_config_discovery.http_filter.{name}"),
        }
    }

    /// The word for messages.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Clusters => "clusters".to_owned(),
            Self::Routes => "routes".to_owned(),
            Self::Listeners => "listeners".to_owned(),
            Self::Plugin(name) => format!("configuration of {name}"),
        }
    }
}

/// istiod's name of the route configuration.
fn route_name(via: Via) -> &'static str {
    match via {
        Via::Sidecar => "80",
        Via::Gateway => "http.80",
    }
}

pub(super) fn clusters(clusters: &BTreeMap<String, Cluster>) -> Vec<Value> {
    clusters
        .iter()
        .map(|(name, cluster)| cluster.to_json(name))
        .collect()
}

/// Clusters that aren't there are no error, as with istiod: their requests get 503.
pub(super) fn routes(via: Via, hosts: &[Value]) -> Vec<Value> {
    vec![json!({
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": route_name(via),
        "virtual_hosts": hosts,
        "validate_clusters": false,
        "ignore_port_in_host_matching": true,
        "max_direct_response_body_size_bytes": 1_048_576,
    })]
}

pub(super) fn plugin(plugin: &Plugin) -> Vec<Value> {
    vec![json!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": plugin.name,
        "typed_config": plugin.config,
    })]
}

/// The listener with these plugins before the filters that routes configure (Istio 1.29 `listener_builder.go`,
/// `buildHTTPConnectionManager`).
pub(super) fn listeners(via: Via, folder: &Path, plugins: &[String]) -> Vec<Value> {
    let filter = |name: &str, message: &str| {
        let message = format!("type.googleapis.com/envoy.extensions.filters.http.{message}");
        json!({"name": name, "typed_config": {"@type": message}})
    };
    let mut filters: Vec<Value> = plugins
        .iter()
        .map(|name| {
            json!({"name": name, "config_discovery": {
                "config_source": source(&Section::Plugin(name.clone()), folder),
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            }})
        })
        .collect();
    filters.extend([
        filter("envoy.filters.http.fault", "fault.v3.HTTPFault"),
        filter("envoy.filters.http.cors", "cors.v3.Cors"),
        filter("envoy.filters.http.router", "router.v3.Router"),
    ]);
    let manager = json!({
        "stat_prefix": via.word(),
        "rds": {"route_config_name": route_name(via), "config_source": source(&Section::Routes, folder)},
        "http_filters": filters,
        "server_name": "istio-envoy",
        "use_remote_address": via == Via::Gateway,
        "normalize_path": true,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
    });
    let mut listener = listener(LISTENER, manager);
    if let Some(fields) = listener.as_object_mut() {
        let kind = "type.googleapis.com/envoy.config.listener.v3.Listener";
        fields.insert("@type".to_owned(), Value::from(kind));
        fields.insert("traffic_direction".to_owned(), Value::from("OUTBOUND"));
    }
    vec![listener]
}

fn listener(name: &str, mut manager: Value) -> Value {
    let network = "type.googleapis.com/envoy.extensions.filters.network";
    if let Some(fields) = manager.as_object_mut() {
        let kind = format!("{network}.http_connection_manager.v3.HttpConnectionManager");
        fields.insert("@type".to_owned(), Value::from(kind));
    }
    json!({
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    })
}

fn source(section: &Section, folder: &Path) -> Value {
    json!({
        "path_config_source": {"path": section.path(folder)},
        "resource_api_version": "V3",
        "initial_fetch_timeout": "0s",
    })
}

/// What Envoy starts with.
pub(super) fn bootstrap(proxy: &Proxy, folder: &Path) -> Value {
    let kind = match proxy.via {
        Via::Sidecar => "sidecar",
        Via::Gateway => "router",
    };
    let (name, namespace) = (proxy.name, proxy.namespace);
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let probe = listener(
        PROBE,
        json!({
            "stat_prefix": PROBE,
            "route_config": {"virtual_hosts": [{
                "name": PROBE,
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
            }]},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
        }),
    );
    json!({
        "node": {
            "id": format!("{kind}~127.0.0.1~{name}.{namespace}~{namespace}.svc.cluster.local"),
            "cluster": format!("{name}.{namespace}"),
            "metadata": {"NAMESPACE": namespace, "LABELS": proxy.labels, "WORKLOAD_NAME": name},
        },
        "dynamic_resources": {
            "cds_config": source(&Section::Clusters, folder),
            "lds_config": source(&Section::Listeners, folder),
        },
        "static_resources": {"listeners": [probe]},
    })
}
