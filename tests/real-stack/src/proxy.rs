//! The two proxies: one beside the client, as a sidecar's outbound side, and one as the mesh's gateway.
//!
//! Istio's own agent starts both Envoys, and both get everything from istiod. The client's listens on a loopback address in place of captured traffic
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
/// What the agent makes Envoy's bootstrap from.
const BOOTSTRAP: &str = "tools/packaging/common/envoy_bootstrap.json";
/// istiod wants to know for which version it makes configuration.
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

/// Starts the agent for `via`, as in the pod with this address; the agent makes Envoy's bootstrap and starts Envoy.
pub(crate) fn start(
    flags: &StackFlags,
    folder: &Path,
    via: Via,
    address: &str,
) -> Result<Program, Error> {
    let Pod {
        kind,
        name,
        namespace,
        labels,
    } = pod(via);
    let working = folder.join(self::name(via));
    std::fs::create_dir_all(&working).map_err(Error::file("create", &working))?;
    let mut arguments: Vec<String> = [
        // The agent keeps modules in a folder that it takes no other for (`constants.IstioDataDir`).
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/istio/data && exec \"$@\"",
        "sh",
    ]
    .map(str::to_owned)
    .to_vec();
    let agent = flags.istio_agent.join("pilot-agent");
    let template = flags.istio_agent.join(BOOTSTRAP);
    arguments.extend([
        agent.display().to_string(),
        "proxy".to_owned(),
        kind.to_owned(),
        format!("--domain={namespace}.svc.cluster.local"),
        format!("--templateFile={}", template.display()),
        "--proxyLogLevel=warning".to_owned(),
        "--proxyComponentLogLevel=wasm:info".to_owned(),
    ]);
    let plan = Plan {
        name: self::name(via),
        file: "unshare".into(),
        arguments,
        environment: [
            ("PROXY_CONFIG", config(flags, via).to_string()),
            ("POD_NAME", name.to_owned()),
            ("POD_NAMESPACE", namespace.to_owned()),
            ("INSTANCE_IP", address.to_owned()),
            ("SERVICE_ACCOUNT", "default".to_owned()),
            ("ISTIO_METAJSON_LABELS", labels.to_string()),
            ("ISTIO_META_CLUSTER_ID", CLUSTER_ID.to_owned()),
            ("ISTIO_META_INTERCEPTION_MODE", "NONE".to_owned()),
            // The agent is built without its version.
            ("ISTIO_META_ISTIO_VERSION", ISTIO_VERSION.to_owned()),
            ("ISTIO_META_WORKLOAD_NAME", name.to_owned()),
            ("ENVOY_STATUS_PORT", ports(via).ready.to_string()),
            ("ENVOY_PROMETHEUS_PORT", ports(via).prometheus.to_string()),
            ("PILOT_CERT_PROVIDER", "none".to_owned()),
            ("FILE_MOUNTED_CERTS", "true".to_owned()),
            // A registry on loopback speaks no TLS, and a web server's certificate is its own.
            ("WASM_INSECURE_REGISTRIES", "*".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
        bare: false,
        folder: working,
    };
    Program::start(plan, folder)
}

/// The program's name.
pub(crate) fn name(via: Via) -> String {
    format!("proxy-{}", via.word())
}

/// What the agent is told as by the mesh configuration and a pod's annotation (`meshconfig.ProxyConfig`).
fn config(flags: &StackFlags, via: Via) -> Value {
    json!({
        "discoveryAddress": stack::XDS.to_string(),
        "controlPlaneAuthPolicy": "NONE",
        "binaryPath": flags.envoy,
        "configPath": "./etc/istio/proxy",
        "concurrency": 1,
        "proxyAdminPort": admin(via).port(),
        "statusPort": ports(via).status,
        "extraStatTags": ["rollout", "lane", "rule"],
        // What callers have got of each subset; left out by default.
        "proxyStatsMatcher": {"inclusionRegexps": [r"cluster\.outbound\|.*\.upstream_rq_.*"]},
        "terminationDrainDuration": "1s",
    })
}

/// A proxy's pod.
struct Pod {
    kind: &'static str,
    name: &'static str,
    namespace: &'static str,
    labels: Value,
}

fn pod(via: Via) -> Pod {
    match via {
        Via::Sidecar => Pod {
            kind: "sidecar",
            name: CLIENT,
            namespace: CLIENT_NAMESPACE,
            labels: json!({"app": CLIENT}),
        },
        Via::Gateway => Pod {
            kind: "router",
            name: GATEWAY,
            namespace: "istio-system",
            labels: gateway_labels(),
        },
    }
}

/// Where an agent and its Envoy listen beside what istiod tells them; both pods have one network.
struct Ports {
    /// The agent: `/healthz/ready`, `/stats/prometheus`.
    status: u16,
    /// Envoy's `/healthz/ready`.
    ready: u16,
    /// Envoy's `/stats/prometheus`.
    prometheus: u16,
}

fn ports(via: Via) -> Ports {
    match via {
        Via::Sidecar => Ports {
            status: 15020,
            ready: 15021,
            prometheus: 15090,
        },
        Via::Gateway => Ports {
            status: 15120,
            ready: 15121,
            prometheus: 15190,
        },
    }
}

/// Where Prometheus scrapes a proxy: its agent's `/stats/prometheus`.
pub(crate) fn metrics(via: Via) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), ports(via).status)
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
