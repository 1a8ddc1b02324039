//! Delegates: VirtualServices without hosts, whose routes Istio takes into those of the roots that delegate to them
//! (istio 1.29.1 `pilot/pkg/model` `mergeVirtualServicesIfNeeded`). For Envoy such a route is the root's.

use std::sync::Arc;

use serde_json::Value;

use crate::core::error::Fault;
use crate::core::managed_routes::route_name;
use crate::object::Object;

pub(crate) use lanes::Delegation;

mod lanes;
mod merge;

/// A VirtualService that delegates to another one.
#[derive(Debug)]
pub(crate) struct Root<'a> {
    /// Which.
    pub(crate) object: &'a Object,
    /// Those of its routes that do, with their indexes.
    pub(crate) routes: Vec<(usize, &'a Value)>,
}

impl<'a> Root<'a> {
    /// The names of the routes that delegate, empty ones too.
    pub(crate) fn route_names(&self) -> Vec<&'a str> {
        let routes = self.routes.iter();
        routes.map(|(_, route)| route_name(route)).collect()
    }
}

/// True if `object` takes its hosts from roots.
pub(crate) fn is_delegate(object: &Object) -> bool {
    object
        .spec
        .get("hosts")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
}

/// The roots that delegate to `object`, out of `candidates`.
///
/// # Errors
/// There is none, or none that may use it.
pub(crate) fn roots_of<'a>(
    object: &Object,
    candidates: &'a [Arc<Object>],
) -> Result<Vec<Root<'a>>, Fault> {
    let all: Vec<Root<'a>> = candidates
        .iter()
        .filter(|root| !is_delegate(root))
        .filter_map(|root| delegating(root, object))
        .collect();
    let Some(first) = all.first().map(|root| root.object) else {
        return Err(Fault::new(
            "spec.hosts",
            "nothing",
            format!(
                "hosts, or another VirtualService that has hosts and http[].delegate {{name: {}, namespace: {}}}",
                object.id.name, object.id.namespace
            ),
        ));
    };
    let usable: Vec<Root<'a>> = all
        .into_iter()
        .filter(|root| is_exported_to(object, &root.object.id.namespace))
        .collect();
    if usable.is_empty() {
        return Err(Fault::new(
            "spec.exportTo",
            object
                .spec
                .get("exportTo")
                .map(Value::to_string)
                .unwrap_or_default(),
            format!(
                "\"*\" or {:?}, the namespace of {first}, which delegates to it",
                first.id.namespace,
                first = first.id
            ),
        ));
    }
    Ok(usable)
}

/// The name of a delegate's route in its root (istio 1.29.1 `mergeHTTPRoute`).
pub(crate) fn merged_name(root: &str, own: &str) -> String {
    match (root, own) {
        ("", name) | (name, "") => name.to_owned(),
        (root, own) => format!("{root}-{own}"),
    }
}

fn delegating<'a>(root: &'a Object, to: &Object) -> Option<Root<'a>> {
    let leads = |route: &Value| {
        let text = |field: &str| {
            let found = route
                .get("delegate")
                .and_then(|delegate| delegate.get(field));
            found.and_then(Value::as_str).unwrap_or_default()
        };
        let namespace = match text("namespace") {
            "" => &root.id.namespace,
            namespace => namespace,
        };
        text("name") == to.id.name && namespace == to.id.namespace
    };
    let http = root.spec.get("http").and_then(Value::as_array)?;
    let routes: Vec<(usize, &Value)> = http
        .iter()
        .enumerate()
        .filter(|(_, route)| leads(route))
        .collect();
    (!routes.is_empty()).then_some(Root {
        object: root,
        routes,
    })
}

/// Without `exportTo` the mesh's default holds, which is everywhere unless an operator has changed it.
fn is_exported_to(object: &Object, namespace: &str) -> bool {
    let targets = object.spec.get("exportTo").and_then(Value::as_array);
    let Some(targets) = targets.filter(|targets| !targets.is_empty()) else {
        return true;
    };
    targets
        .iter()
        .filter_map(Value::as_str)
        .any(|target| match target {
            "*" => true,
            "." => object.id.namespace == namespace,
            target => target == namespace,
        })
}

#[cfg(test)]
mod tests;
