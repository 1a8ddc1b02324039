//! Which objects a configuration names.

use crate::config::{Config, FilterConfig, Protocol, VirtualServiceConfig};
use crate::core::error::Fault;
use crate::core::filter::{DEFAULT_FILTER, FilterRef};
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

/// Where the policy goes: what the configuration says, or the default. At least one.
pub(super) fn filters(config: &Config) -> Result<Vec<FilterRef>, Fault> {
    let field = |name: &str| format!("{CONFIG_FIELD}.{name}");
    let given = [
        ("wasmPlugin", config.wasm_plugin.is_some()),
        ("filter", config.filter.is_some()),
        ("filters", config.filters.is_some()),
    ];
    let mut given = given.iter().filter(|(_, is_given)| *is_given);
    if let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) {
        return Err(Fault::new(
            field(second),
            format!("{first} as well"),
            "one of wasmPlugin, filter and filters",
        ));
    }
    match (&config.filter, config.filters.as_deref()) {
        (Some(one), _) => Ok(vec![filter(one, field("filter"))?]),
        (None, Some([])) => Err(Fault::new(
            field("filters"),
            "an empty list",
            "the kind, name and namespace of at least one filter object",
        )),
        (None, Some(several)) => {
            let mut resolved: Vec<FilterRef> = Vec::new();
            for (index, one) in several.iter().enumerate() {
                let next = filter(one, field(&format!("filters[{index}]")))?;
                if resolved.iter().any(|earlier| earlier.id == next.id) {
                    let found = format!("{} again", next.id);
                    return Err(Fault::new(next.field, found, "each filter object once"));
                }
                resolved.push(next);
            }
            Ok(resolved)
        }
        (None, None) => Ok(vec![wasm_plugin(config.wasm_plugin.as_deref())?]),
    }
}

/// `at`: its field.
fn filter(written: &FilterConfig, at: String) -> Result<FilterRef, Fault> {
    for (name, value) in [("name", &written.name), ("namespace", &written.namespace)] {
        if value.is_empty() || value.contains('/') {
            return Err(Fault::new(
                format!("{at}.{name}"),
                format!("{value:?}"),
                format!("the {name} of a {}", written.kind.kind()),
            ));
        }
    }
    Ok(FilterRef {
        id: ObjectId::new(written.kind.kind(), &*written.namespace, &*written.name),
        field: at,
    })
}

fn wasm_plugin(written: Option<&str>) -> Result<FilterRef, Fault> {
    let named = written.map_or(Some(DEFAULT_FILTER), |written| written.split_once('/'));
    let field = format!("{CONFIG_FIELD}.wasmPlugin");
    match named {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
        {
            Ok(FilterRef {
                id: ObjectId::new(Kind::WasmPlugin, namespace, name),
                field,
            })
        }
        _ => {
            let written = written.unwrap_or_default();
            Err(Fault::new(field, format!("{written:?}"), "namespace/name"))
        }
    }
}
