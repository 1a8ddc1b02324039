//! An Envoy like a sidecar's: listeners with the routes that istiod makes of a VirtualService with two lanes, each
//! with another filter before the router.

use std::path::Path;

use serde_json::{Value, json};
use testbed::envoy::Envoy;

use crate::error::Failure;
use crate::policy::{HEADER, HOST, LANE_HEADER, user};

/// As istiod's proxies are named, so that the filter knows a sidecar in the namespace `shop`.
const NODE: &str = "sidecar~10.0.0.2~cart.shop~shop.svc.cluster.local";
/// The plugin's name, as istiod has it for the WasmPlugin istio-system/serin.
pub(crate) const PLUGIN: &str = "istio-system.serin";
const VIRTUAL_SERVICE: &str =
    "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews";

/// What the lane routes answer, and what the managed one does.
pub(crate) const CANARY: &str = "canary";
pub(crate) const STABLE: &str = "stable";
pub(crate) const WEIGHTS: &str = "weights";

/// What a Lua filter has to say for a rule of one header.
const SCRIPT: &str = r#"
function envoy_on_request(handle)
  if handle:headers():get("x-beta") == "1" then
    handle:headers():replace("x-rollout-lane.shop.reviews", "canary")
  end
end
"#;

/// Starts an Envoy with these listeners.
pub(crate) fn start(
    program: &Path,
    folder: &Path,
    listeners: &[Value],
    workers: u32,
) -> Result<Envoy, Failure> {
    let bootstrap = json!({
        "node": {"id": NODE, "cluster": "bench"},
        "static_resources": {"listeners": listeners},
    });
    Ok(Envoy::start(program, folder, bootstrap, workers)?)
}

/// A listener on port 0: `filter`, if any, and the router; `native` routes by header above the others.
pub(crate) fn listener(name: &str, filter: Option<Value>, native: u32) -> Value {
    let mut filters: Vec<Value> = filter.into_iter().collect();
    filters.push(json!({
        "name": "router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    let mut routes: Vec<Value> = (0..native)
        .map(|at| route(&format!("user-{at}"), HEADER, &user(at), CANARY))
        .collect();
    for lane in [CANARY, STABLE] {
        let name = format!("serin-shop.reviews.{lane}");
        routes.push(route(&name, LANE_HEADER, lane, lane));
    }
    routes.push(answer("primary", json!({"prefix": "/"}), WEIGHTS));
    json!({
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{
            "name": "http",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": name,
                "route_config": {"virtual_hosts": [{"name": HOST, "domains": ["*"], "routes": routes}]},
                "http_filters": filters,
            },
        }]}],
    })
}

/// A route for requests with that header.
fn route(name: &str, header: &str, value: &str, body: &str) -> Value {
    let header = json!({"name": header, "string_match": {"exact": value}});
    answer(name, json!({"prefix": "/", "headers": [header]}), body)
}

/// A route with istiod's metadata that answers with `body`, so that no upstream's cost is in the figures.
fn answer(name: &str, matches: Value, body: &str) -> Value {
    json!({
        "name": name,
        "match": matches,
        "metadata": {"filter_metadata": {"istio": {"config": VIRTUAL_SERVICE}}},
        "direct_response": {"status": 200, "body": {"inline_string": body}},
    })
}

/// A Lua filter that does what a rule of one header asks for, and checks nothing.
pub(crate) fn lua() -> Value {
    json!({"name": "lua", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": SCRIPT},
    }})
}

/// The filter with this plugin configuration, in a VM of its own (`vm`), as in a proxy with one WasmPlugin.
pub(crate) fn module(module: &Path, vm: &str, configuration: &str) -> Value {
    json!({"name": PLUGIN, "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": PLUGIN,
            "failure_policy": "FAIL_OPEN",
            "vm_config": {
                "vm_id": vm,
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": module}},
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": configuration,
            },
        },
    }})
}

/// The filter with what the discovery file `path` says.
pub(crate) fn discovered(path: &Path) -> Value {
    json!({"name": PLUGIN, "config_discovery": {
        "config_source": {"path_config_source": {"path": path}, "resource_api_version": "V3"},
        "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
    }})
}
