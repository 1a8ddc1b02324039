//! The two Envoys: one beside the client, as a sidecar's outbound side, and one as the mesh's gateway.
//!
//! Both get everything from istiod. The client's listens on a loopback address in place of captured traffic
//! (`captureMode: NONE`), since there are no iptables rules to redirect any.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use scenarios::Via;
use serde_json::{Value, json};
use testbed::probe;

use crate::error::Error;
use crate::flags::StackFlags;
use crate::program::{Plan, Program};
use crate::stack;

/// The name that istiod gives to this cluster.
pub(crate) const CLUSTER_ID: &str = "Kubernetes";
/// Where the client lives: not in any scenario's namespace, so short host names don't work for it.
pub(crate) const CLIENT_NAMESPACE: &str = "client";

const GATEWAY: &str = "gateway";
const CLIENT: &str = "client";
/// Where the gateway listens inside its pod; the port of its Service is 80.
const GATEWAY_PORT: u16 = 8888;
/// Envoy has no Istio in it; istiod wants to know for which version it makes configuration.
const ISTIO_VERSION: &str = "1.29.1";

/// Where the client connects to.
pub(crate) fn target(via: Via) -> SocketAddr {
    let port = match via {
        Via::Sidecar => 80,
        Via::Gateway => GATEWAY_PORT,
    };
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// An Envoy's admin interface.
pub(crate) fn admin(via: Via) -> SocketAddr {
    let port = match via {
        Via::Sidecar => 15000,
        Via::Gateway => 15001,
    };
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// What makes a client and a gateway known to the mesh. The pods have no ports, so nothing listens for them but Envoy.
pub(crate) fn objects() -> Vec<Value> {
    let pod = |name: &str, namespace: &str, labels: Value| {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"containers": [{"name": "envoy", "image": "envoy"}]},
        })
    };
    vec![
        pod(CLIENT, CLIENT_NAMESPACE, json!({"app": CLIENT})),
        pod(GATEWAY, "istio-system", gateway_labels()),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "istio-ingressgateway", "namespace": "istio-system"},
            "spec": {
                "selector": gateway_labels(),
                "ports": [{"name": "http", "port": 80, "targetPort": GATEWAY_PORT}],
            },
        }),
        json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "Sidecar",
            "metadata": {"name": CLIENT, "namespace": CLIENT_NAMESPACE},
            "spec": {
                "egress": [{
                    "port": {"number": 80, "protocol": "HTTP", "name": "http"},
                    "bind": "127.0.0.1",
                    "captureMode": "NONE",
                    "hosts": ["*/*"],
                }],
            },
        }),
    ]
}

fn gateway_labels() -> Value {
    json!({"istio": "ingressgateway"})
}

/// Starts the Envoy for `via`, as the pod with this address.
pub(crate) fn start(
    flags: &StackFlags,
    folder: &Path,
    via: Via,
    address: &str,
) -> Result<Program, Error> {
    let (kind, name, namespace, labels) = match via {
        Via::Sidecar => ("sidecar", CLIENT, CLIENT_NAMESPACE, json!({"app": CLIENT})),
        Via::Gateway => ("router", GATEWAY, "istio-system", gateway_labels()),
    };
    let bootstrap = json!({
        "admin": {"address": socket(admin(via))},
        "node": {
            "id": format!("{kind}~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"),
            "cluster": format!("{name}.{namespace}"),
            "metadata": {
                "NAMESPACE": namespace,
                "CLUSTER_ID": CLUSTER_ID,
                "INTERCEPTION_MODE": "NONE",
                "ISTIO_VERSION": ISTIO_VERSION,
                "LABELS": labels,
                "WORKLOAD_NAME": name,
            },
        },
        "dynamic_resources": {
            "lds_config": ads(),
            "cds_config": ads(),
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
        },
        "static_resources": {"clusters": [xds_cluster()]},
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"},
        }],
    });
    let name = format!("envoy-{}", via.word());
    let file = folder.join(format!("{name}.json"));
    std::fs::write(&file, bootstrap.to_string()).map_err(Error::file("write", &file))?;
    let plan = Plan {
        name,
        file: flags.envoy.clone(),
        arguments: [
            "--config-path",
            &file.display().to_string(),
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "warning",
            "--component-log-level",
            "wasm:info",
        ]
        .map(str::to_owned)
        .to_vec(),
        environment: Vec::new(),
        bare: false,
        folder: folder.to_path_buf(),
    };
    Program::start(plan, folder)
}

/// Saves what an Envoy is configured to do, for whoever looks into a failure.
pub(crate) async fn dump(via: Via, folder: &Path) {
    for (page, name) in [
        ("/config_dump", "config"),
        ("/clusters", "clusters"),
        ("/stats", "stats"),
    ] {
        if let Ok(body) = probe::get(admin(via), page).await {
            // A dump that can't be written is not what the failure is about.
            let _ = std::fs::write(
                folder.join(format!("envoy-{}-{name}.txt", via.word())),
                body,
            );
        }
    }
}

fn ads() -> Value {
    json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"})
}

fn xds_cluster() -> Value {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({
        "name": "xds-grpc",
        "type": "STATIC",
        "typed_extension_protocol_options": {
            options: {
                "@type": format!("type.googleapis.com/{options}"),
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        },
        "load_assignment": {
            "cluster_name": "xds-grpc",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(stack::XDS)}}]}],
        },
    })
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip(), "port_value": address.port()}})
}
