//! Keys that mean something at an edge only, and whether requests come by one.

use serde_json::Value;
use traffic_policy::config::StickyKey;

use crate::core::error::{CoreError, Fault};
use crate::core::routing::Routing;
use crate::object::Object;

/// The first of `keys` that needs an edge, as errors call it. Behind an edge the connection's other side is a proxy,
/// and a response goes to no browser. Where the configuration names hosts at which lanes are decided ahead, the edge is
/// there, and of the Rollout's own VirtualServices nothing is asked.
pub(crate) fn of_keys<'a>(
    mut keys: impl Iterator<Item = &'a StickyKey>,
    routing: &Routing,
) -> Option<&'static str> {
    let needs_edge = |key: &StickyKey| match key {
        StickyKey::SourceAddress => Some("sourceAddress"),
        StickyKey::Cookie(_, Some(_)) => Some("a cookie's issue"),
        StickyKey::Cookie(_, None) | StickyKey::Header(_) | StickyKey::QueryParam(_) => None,
    };
    let found = keys.find_map(needs_edge);
    found.filter(|_| routing.entry_hosts.is_empty())
}

/// True for a VirtualService of the mesh: one without gateways, or with the gateway `mesh` among them
/// (istio 1.29.1 `pilot/pkg/model/push_context.go`, `getGatewayNames`).
pub(crate) fn is_in_mesh(object: &Object) -> bool {
    let gateways = gateways(object);
    gateways.is_empty() || gateways.iter().any(|name| name == "mesh")
}

fn gateways(object: &Object) -> &[Value] {
    let gateways = object.spec.get("gateways").and_then(Value::as_array);
    gateways.map_or(&[], Vec::as_slice)
}

/// Refuses a VirtualService of the mesh.
///
/// # Errors
/// Which gateways were found.
pub(crate) fn check(object: &Object, key: &str) -> Result<(), CoreError> {
    if !is_in_mesh(object) {
        return Ok(());
    }
    let found = if gateways(object).is_empty() {
        "nothing, which means the mesh"
    } else {
        "mesh among them"
    };
    let expected = format!(
        "no gateway but those at an edge: {key} in the plugin's keys means nothing elsewhere"
    );
    Err(Fault::new("spec.gateways", found, expected).of(&object.id))
}
