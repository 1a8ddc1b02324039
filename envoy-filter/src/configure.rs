//! From a plugin's configuration to what requests are asked about. Whatever is wrong is left out and
//! said, and the rest works.

use serde_json::value::RawValue;
use traffic_policy::config::{PluginConfig, Policy, Trust};
use traffic_policy::{CompiledPolicy, PolicySet, compile};

/// One WasmPlugin's configuration, ready for requests.
#[derive(Debug, Default)]
pub(crate) struct Plugin {
    /// As Envoy's attribute `plugin_name` has it: `<namespace>.<name>` of the WasmPlugin.
    pub(crate) name: Vec<u8>,
    /// Lane headers come from outside and are removed.
    pub(crate) edge: bool,
    pub(crate) policies: PolicySet,
}

/// The proxy that the filter runs in, from Istio's node id: `sidecar~10.1.2.3~pod.shop~shop.svc.cluster.local`
/// (Istio 1.29.1 `pilot/pkg/model/context.go`, `ParseServiceNodeWithMetadata`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proxy<'a> {
    gateway: bool,
    /// The DNS domain of its workload; none at a gateway, where hosts are as written.
    domain: Option<&'a str>,
}

impl<'a> Proxy<'a> {
    pub(crate) fn from_node_id(id: &'a [u8]) -> Self {
        let id = str::from_utf8(id).unwrap_or_default();
        let mut parts = id.split('~');
        let gateway = parts.next() == Some("router");
        let domain = parts.nth(2).filter(|_| !gateway);
        Self { gateway, domain }
    }

    /// Whether lane headers of incoming requests are removed under `trust`.
    pub(crate) fn is_edge(self, trust: Trust) -> bool {
        match trust {
            Trust::Edge => true,
            Trust::Mesh => false,
            Trust::Auto => self.gateway,
        }
    }
}

/// What became of one configuration.
pub(crate) struct Configured {
    /// `None`: it can't be read at all.
    pub(crate) plugin: Option<Plugin>,
    /// One line for each policy that was left out, or the one why there is no plugin.
    pub(crate) faults: Vec<String>,
}

/// Reads `json`, the configuration of the plugin `name`. Empty means default, as Istio sends it for a
/// WasmPlugin without `pluginConfig`.
pub(crate) fn configure(name: &[u8], json: &[u8], proxy: Proxy<'_>) -> Configured {
    let json = if json.is_empty() { b"{}" } else { json };
    let config: PluginConfig<Box<RawValue>> = match serde_json::from_slice(json) {
        Ok(config) => config,
        Err(error) => {
            return Configured {
                plugin: None,
                faults: vec![error.to_string()],
            };
        }
    };
    let mut policies = Vec::with_capacity(config.rollouts.len());
    let mut faults = Vec::new();
    for (rollout, policy) in &config.rollouts {
        match one(rollout, policy) {
            Ok(policy) => policies.push(policy),
            Err(fault) => faults.push(fault),
        }
    }
    let plugin = Plugin {
        name: name.to_vec(),
        edge: proxy.is_edge(config.trust),
        policies: PolicySet::new(policies, proxy.domain),
    };
    Configured {
        plugin: Some(plugin),
        faults,
    }
}

/// One Rollout's policy, or the line that says what is wrong with it.
fn one(rollout: &str, policy: &RawValue) -> Result<CompiledPolicy, String> {
    let policy: Policy = serde_json::from_str(policy.get())
        .map_err(|error| format!("rollout {rollout}: {error}"))?;
    compile(rollout, &policy).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_says_what_kind_of_proxy_it_is() {
        let sidecar = Proxy::from_node_id(b"sidecar~10.1.2.3~pod.shop~shop.svc.cluster.local");
        assert_eq!(sidecar.domain, Some("shop.svc.cluster.local"));
        assert!(!sidecar.is_edge(Trust::Auto));
        assert!(sidecar.is_edge(Trust::Edge));
        let gateway =
            Proxy::from_node_id(b"router~10.1.2.3~gw.istio-system~istio-system.svc.cluster.local");
        assert_eq!(gateway.domain, None);
        assert!(gateway.is_edge(Trust::Auto));
        assert!(!gateway.is_edge(Trust::Mesh));
        let other = Proxy::from_node_id(b"envoy");
        assert_eq!(
            other,
            Proxy {
                gateway: false,
                domain: None
            }
        );
    }

    #[test]
    fn a_bad_policy_is_left_out_and_the_others_stay() {
        let json = br#"{"rollouts": {
            "shop/a": {"hosts": ["a"], "rules": [{"name": "r", "lane": "canary", "match": [{"path": {"regex": "("}}]}]},
            "shop/b": {"hosts": ["b"]},
            "shop/c": {"host": ["c"]}}}"#;
        let configured = configure(b"p", json, Proxy::from_node_id(b""));
        assert_eq!(
            configured.plugin.map(|plugin| plugin.policies.len()),
            Some(1)
        );
        assert_eq!(configured.faults.len(), 2);
        assert!(configured.faults[0].starts_with("rollout shop/a: rules[0].match[0].path.regex: "));
        assert!(configured.faults[1].starts_with("rollout shop/c: unknown field `host`"));
    }

    #[test]
    fn what_is_no_configuration_leaves_no_plugin() {
        for json in ["{", r#"{"trsut": "edge"}"#, r#"{"rollouts": []}"#, "\u{0}"] {
            let configured = configure(b"p", json.as_bytes(), Proxy::from_node_id(b""));
            assert!(configured.plugin.is_none(), "{json}");
            assert_eq!(configured.faults.len(), 1, "{json}");
        }
        assert!(
            configure(b"p", b"", Proxy::from_node_id(b""))
                .plugin
                .is_some()
        );
    }
}
