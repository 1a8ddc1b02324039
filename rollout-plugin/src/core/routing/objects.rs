//! Which objects a configuration names.

use crate::config::{Config, DEFAULT_WASM_PLUGIN, Protocol, VirtualServiceConfig};
use crate::core::error::Fault;
use crate::core::routing::{
    CLUSTER_DOMAIN, CONFIG_FIELD, DestinationRuleRef, RolloutKey, VirtualServiceRef,
};
use crate::object::{Kind, ObjectId};

/// All that the configuration names, in its order.
pub(super) fn virtual_services(
    key: &RolloutKey,
    config: &Config,
) -> Result<Vec<VirtualServiceRef>, Fault> {
    let field = |name: &str| format!("{CONFIG_FIELD}.{name}");
    let resolve = |written: &VirtualServiceConfig, at: String| {
        let (namespace, name) = split_name(&written.name);
        if name.is_empty() || namespace == Some("") {
            return Err(Fault::new(
                format!("{at}.name"),
                "an empty name",
                "name or name.namespace",
            ));
        }
        Ok(VirtualServiceRef {
            id: ObjectId::new(
                Kind::VirtualService,
                namespace.unwrap_or(&key.namespace),
                name,
            ),
            routes: written.routes.clone(),
            tls_routes: written.tls_routes.clone(),
            tcp_routes: written.tcp_routes.clone(),
            protocols: protocols(written, &at)?,
            field: format!("{at}.name"),
        })
    };
    match (&config.virtual_service, config.virtual_services.as_deref()) {
        (Some(one), None) => Ok(vec![resolve(one, field("virtualService"))?]),
        (None, Some(several)) if !several.is_empty() => {
            let mut resolved: Vec<VirtualServiceRef> = Vec::new();
            for (index, one) in several.iter().enumerate() {
                let next = resolve(one, field(&format!("virtualServices[{index}]")))?;
                if resolved.iter().any(|earlier| earlier.id == next.id) {
                    let expected = "each VirtualService once, with all its routes";
                    return Err(Fault::new(
                        next.field,
                        format!("{} again", next.id),
                        expected,
                    ));
                }
                resolved.push(next);
            }
            Ok(resolved)
        }
        (Some(_), Some(_)) => Err(Fault::new(
            field("virtualServices"),
            "virtualService as well",
            "one of virtualService and virtualServices",
        )),
        (None, _) => Err(Fault::new(
            field("virtualService"),
            "nothing",
            "the VirtualService's name",
        )),
    }
}

/// The lists of a VirtualService in which routes are managed. `at`: its field.
fn protocols(written: &VirtualServiceConfig, at: &str) -> Result<Vec<Protocol>, Fault> {
    let Some(protocols) = &written.protocols else {
        return Ok(Protocol::ALL.to_vec());
    };
    if protocols.is_empty() {
        let expected = "one or more of http, tls and tcp; all where it is left out";
        return Err(Fault::new(
            format!("{at}.protocols"),
            "an empty list",
            expected,
        ));
    }
    for (protocol, listed) in [
        (Protocol::Http, written.routes.len()),
        (Protocol::Tls, written.tls_routes.len()),
        (Protocol::Tcp, written.tcp_routes.len()),
    ] {
        if listed > 0 && !protocols.contains(&protocol) {
            return Err(Fault::new(
                format!("{at}.{}", protocol.listed_in()),
                format!("{listed} of them"),
                format!("none, or {} in {at}.protocols", protocol.field()),
            ));
        }
    }
    Ok(protocols.clone())
}

/// `name`, `name.namespace`, or the latter with the cluster's domain behind it: the last segment is the namespace,
/// since only names may hold dots (argo-rollouts v1.10.1 `istioutil.GetVirtualServiceNamespaceName`).
fn split_name(written: &str) -> (Option<&str>, &str) {
    let without_domain = written.strip_suffix(CLUSTER_DOMAIN);
    let written = without_domain
        .and_then(|name| name.strip_suffix('.'))
        .unwrap_or(written);
    match written.rsplit_once('.') {
        Some((name, namespace)) => (Some(namespace), name),
        None => (None, written),
    }
}

/// That of a subset-level split.
pub(super) fn destination_rule(
    key: &RolloutKey,
    config: &Config,
) -> Result<Option<DestinationRuleRef>, Fault> {
    let Some(written) = &config.destination_rule else {
        return Ok(None);
    };
    for (name, value) in [
        ("name", &written.name),
        ("canarySubsetName", &written.canary_subset_name),
        ("stableSubsetName", &written.stable_subset_name),
    ] {
        if value.is_empty() {
            let field = format!("{CONFIG_FIELD}.destinationRule.{name}");
            return Err(Fault::new(field, "an empty name", "a name"));
        }
    }
    Ok(Some(DestinationRuleRef {
        id: ObjectId::new(Kind::DestinationRule, &*key.namespace, &*written.name),
        canary_subset: written.canary_subset_name.clone(),
        stable_subset: written.stable_subset_name.clone(),
        additional_subsets: written.additional_subset_names.clone(),
    }))
}

/// Where the policy goes: what the configuration says, or the default.
pub(crate) fn wasm_plugin(config: &Config) -> Result<ObjectId, Fault> {
    let written = config.wasm_plugin.as_deref().unwrap_or(DEFAULT_WASM_PLUGIN);
    match written.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
        {
            Ok(ObjectId::new(Kind::WasmPlugin, namespace, name))
        }
        _ => Err(Fault::new(
            format!("{CONFIG_FIELD}.wasmPlugin"),
            format!("{written:?}"),
            "namespace/name",
        )),
    }
}
