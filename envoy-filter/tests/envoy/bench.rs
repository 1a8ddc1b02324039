//! What the tests share: an Envoy with the module, configured from a few words.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use testbed::envoy::{Connection, Envoy, EnvoyError, Reply};
use traffic_policy::{Lane, lane_value};

pub(crate) const GATEWAY: &str =
    "router~10.0.0.1~gateway.istio-system~istio-system.svc.cluster.local";
pub(crate) const SIDECAR: &str = "sidecar~10.0.0.2~cart.shop~shop.svc.cluster.local";
pub(crate) const REVIEWS: &str = "reviews.shop.svc.cluster.local";

/// A file that `cargo xtask test` names in the environment.
fn given(name: &str) -> PathBuf {
    let path = std::env::var_os(name).expect("run cargo xtask test");
    PathBuf::from(path)
}

pub(crate) fn module() -> PathBuf {
    given("SERIN_FILTER_WASM")
}

/// The one that issues cookies.
pub(crate) fn cookies_module() -> PathBuf {
    given("SERIN_FILTER_COOKIES_WASM")
}

/// A running Envoy and its files.
pub(crate) struct Bench {
    pub(crate) envoy: Envoy,
    pub(crate) folder: tempfile::TempDir,
}

impl Bench {
    /// Starts an Envoy with the node id `node`; two workers, so that each test sees several VMs.
    pub(crate) fn start(node: &str, listeners: &[Value], clusters: &[Value]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, node, listeners, clusters)
    }

    /// With `stats_config`.
    pub(crate) fn start_with_stats(node: &str, listeners: &[Value], stats: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_from(folder, bootstrap(node, listeners, &[], Some(stats)))
    }

    /// Starts an Envoy whose one listener has the filter with this configuration before these hosts.
    pub(crate) fn with_filter(node: &str, configuration: &str, virtual_hosts: &[Value]) -> Self {
        let filters = [filter("istio-system.serin", configuration)];
        Self::start(node, &[listener("main", &filters, virtual_hosts)], &[])
    }

    /// With files of its own in `folder`.
    pub(crate) fn start_in(
        folder: tempfile::TempDir,
        node: &str,
        listeners: &[Value],
        clusters: &[Value],
    ) -> Self {
        Self::start_from(folder, bootstrap(node, listeners, clusters, None))
    }

    /// From a whole bootstrap.
    pub(crate) fn start_from(folder: tempfile::TempDir, bootstrap: Value) -> Self {
        let envoy = envoy(folder.path(), bootstrap).unwrap_or_else(|error| panic!("{error}"));
        Self { envoy, folder }
    }

    /// A connection to the listener `name`.
    pub(crate) fn connect(&self, name: &str) -> Connection {
        Connection::open(self.envoy.listener(name).unwrap()).unwrap()
    }

    /// The body of the answer to `GET /` at the listener `main`.
    pub(crate) fn get(&self, authority: &str, lines: &[&str]) -> String {
        let reply = self.ask("GET /", authority, lines);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    pub(crate) fn ask(&self, start: &str, authority: &str, lines: &[&str]) -> Reply {
        let host = format!("host: {authority}");
        let mut all = vec![host.as_str()];
        all.extend(lines);
        self.connect("main").send(start, &all).unwrap()
    }

    /// The value of one of the filter's counters.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let name = format!("wasmcustom.serin.{name}");
        self.envoy
            .stat(&name)
            .unwrap()
            .expect("the filter's counters are defined")
    }

    /// The filter's own lines in Envoy's log.
    pub(crate) fn said(&self) -> Vec<String> {
        let log = self.envoy.log();
        let lines = log.lines().filter_map(|line| line.split_once("serin: "));
        lines.map(|(_, said)| said.to_owned()).collect()
    }
}

/// What Envoy starts from.
pub(crate) fn bootstrap(
    node: &str,
    listeners: &[Value],
    clusters: &[Value],
    stats: Option<&Value>,
) -> Value {
    json!({
        "node": {"id": node, "cluster": "test"},
        "static_resources": {"listeners": listeners, "clusters": clusters},
        "stats_config": stats.unwrap_or(&json!({})),
    })
}

/// An Envoy, if it takes the configuration.
pub(crate) fn envoy(folder: &Path, bootstrap: Value) -> Result<Envoy, EnvoyError> {
    Envoy::start(&given("SERIN_ENVOY"), folder, bootstrap, 2)
}

/// A listener on port 0 with `filters` before the router.
pub(crate) fn listener(name: &str, filters: &[Value], virtual_hosts: &[Value]) -> Value {
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    listener_at(name, &address, filters, virtual_hosts)
}

pub(crate) fn listener_at(
    name: &str,
    address: &Value,
    filters: &[Value],
    virtual_hosts: &[Value],
) -> Value {
    let mut http_filters = filters.to_vec();
    http_filters.push(json!({
        "name": "router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    json!({
        "name": name,
        "address": address,
        "filter_chains": [{"filters": [{
            "name": "http",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": name,
                "route_config": {"virtual_hosts": virtual_hosts},
                "http_filters": http_filters,
            },
        }]}],
    })
}

/// A virtual host.
pub(crate) fn virtual_host(domains: &[&str], routes: impl Into<Value>) -> Value {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("host-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    // The list of lanes as the application would see it.
    let saw = json!([{"header": {"key": SAW_LANES, "value": "%REQ(x-rollout-lanes)%"}}]);
    json!({"name": name, "domains": domains, "routes": routes.into(), "response_headers_to_add": saw})
}

/// The header of each answer that says which list of lanes came with the request.
pub(crate) const SAW_LANES: &str = "x-saw-lanes";

/// The filter as istiod configures it for the WasmPlugin `plugin` (`<namespace>.<name>`).
pub(crate) fn filter(plugin: &str, configuration: &str) -> Value {
    json!({"name": plugin, "typed_config": wasm(plugin, configuration)})
}

/// The filter's typed configuration.
pub(crate) fn wasm(plugin: &str, configuration: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": plugin,
            "failure_policy": "FAIL_OPEN",
            "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": module()}}},
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": configuration,
            },
        },
    })
}

/// A configuration with one Rollout's policy.
pub(crate) fn policies(policies: &[(&str, Value)]) -> String {
    let rollouts: serde_json::Map<String, Value> = policies
        .iter()
        .map(|(rollout, policy)| ((*rollout).to_owned(), policy.clone()))
        .collect();
    json!({"rollouts": rollouts}).to_string()
}

/// The policy of shop/reviews with `rules`, on the route `primary` of the VirtualService shop/reviews.
pub(crate) fn reviews(rules: &Value) -> Value {
    json!({"hosts": [REVIEWS], "virtualServices": {"shop/reviews": ["primary"]}, "rules": rules})
}

/// One rule that sends requests with `x-beta: 1` to `lane`.
pub(crate) fn beta(lane: &str) -> Value {
    json!([{"name": "beta", "lane": lane, "match": [{"headers": {"x-beta": {"exact": "1"}}}]}])
}

/// A route as istiod makes it from the VirtualService `shop/<virtual_service>`; it answers with `body`.
pub(crate) fn route(name: &str, virtual_service: &str, matches: &Value, body: &str) -> Value {
    let config =
        format!("/apis/networking.istio.io/v1/namespaces/shop/virtual-service/{virtual_service}");
    json!({
        "name": name,
        "match": matches,
        "metadata": {"filter_metadata": {"istio": {"config": config}}},
        "direct_response": {"status": 200, "body": {"inline_string": body}},
    })
}

/// The managed route `name` with a lane route for each lane right above it, as the plugin places them.
/// Lane routes answer with the lane's name, the managed one with `weights`.
pub(crate) fn managed(
    rollout: &str,
    virtual_service: &str,
    name: &str,
    matches: &Value,
) -> Vec<Value> {
    managed_with_secret(rollout, virtual_service, name, matches, None)
}

/// [`managed`] of a policy with a secret.
pub(crate) fn managed_with_secret(
    rollout: &str,
    virtual_service: &str,
    name: &str,
    matches: &Value,
    secret: Option<&str>,
) -> Vec<Value> {
    let mut routes = Vec::new();
    for lane in Lane::ALL {
        let mut matches = matches.clone();
        let value = lane_value(lane, secret);
        let lane = lane.as_str();
        let header = json!({"name": format!("x-rollout-lane.shop.{rollout}"), "string_match": {"exact": value}});
        match matches.get_mut("headers").and_then(Value::as_array_mut) {
            Some(headers) => headers.push(header),
            None => matches["headers"] = json!([header]),
        }
        routes.push(route(
            &format!("serin-shop.{rollout}.{lane}"),
            virtual_service,
            &matches,
            lane,
        ));
    }
    routes.push(route(name, virtual_service, matches, "weights"));
    routes
}

/// The routes of [`REVIEWS`]: one managed route for everything.
pub(crate) fn reviews_host() -> Value {
    virtual_host(
        &["*"],
        managed("reviews", "reviews", "primary", &json!({"prefix": "/"})),
    )
}

/// Leads each of `routes` to the cluster that `cluster` gives for the body it would have answered with.
pub(crate) fn led(mut routes: Vec<Value>, cluster: impl Fn(&str) -> String) -> Vec<Value> {
    for route in &mut routes {
        let body = route["direct_response"]["body"]["inline_string"].clone();
        let fields = route.as_object_mut().unwrap();
        fields.remove("direct_response");
        let cluster = cluster(body.as_str().unwrap());
        fields.insert("route".to_owned(), json!({"cluster": cluster}));
    }
    routes
}

/// A cluster of one endpoint.
pub(crate) fn cluster(name: &str, address: &Value) -> Value {
    let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": address}}]}]);
    json!({
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    })
}

/// The address of something on this machine.
pub(crate) fn socket(address: std::net::SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
