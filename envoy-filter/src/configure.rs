//! From a plugin's configuration to what requests are asked about. Whatever is wrong is left out and
//! said, and the rest works; in place of a policy that is wrong stays the last good one of its Rollout.

use std::borrow::Cow;
use std::rc::Rc;

use traffic_policy::config::{Policy, Trust};
use traffic_policy::{CompiledPolicy, PolicySet, compile};

use crate::json;

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

/// What became of one configuration. What could not be read is `None`, and said.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    /// Lane headers come from outside and are removed.
    pub(crate) edge: Option<bool>,
    pub(crate) policies: Option<PolicySet>,
    pub(crate) faults: Vec<Fault>,
}

/// Something that was left out, and why.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// The configuration as a whole.
    Configuration(String),
    /// One of its fields.
    Field(String),
    /// One Rollout's policy; the last good one, if any, stays.
    Policy(String),
    /// One Rollout's policy issues a cookie, and this module doesn't.
    Cookie(String),
}

/// Reads `json`, a plugin's configuration. Empty means default, as Istio sends it for a WasmPlugin
/// without `pluginConfig`. `before`: the policies in force. `cookies`: they can be issued.
///
/// Each field is read on its own, so that one which is wrong, or one too many, never takes policies
/// or `trust` with it. A `trust` that can't be read means an edge: a lane that is lost there follows
/// the weights, where a forged one would have been believed.
pub(crate) fn configure(
    json: &[u8],
    proxy: Proxy<'_>,
    before: Option<&PolicySet>,
    cookies: bool,
) -> Configured {
    let json = if json.is_empty() { b"{}" } else { json };
    let fields = str::from_utf8(json)
        .map_err(|error| error.to_string())
        .and_then(|json| json::members(json).map_err(|error| error.to_string()));
    let fields = match fields {
        Ok(fields) => fields,
        Err(why) => {
            return Configured {
                faults: vec![Fault::Configuration(why)],
                ..Configured::default()
            };
        }
    };
    let mut faults = Vec::new();
    let (mut trust, mut policies) = (Some(Trust::default()), Some(Vec::new()));
    for (name, value) in fields {
        match &*name {
            "trust" => trust = or_fault(json::read(value), &name, &mut faults),
            "rollouts" => {
                policies = or_fault(json::members(value), &name, &mut faults)
                    .map(|rollouts| compiled(rollouts, before, &mut faults));
            }
            _ => faults.push(Fault::Field(format!("unknown field `{name}`"))),
        }
    }
    let edge = proxy.is_edge(trust.unwrap_or(Trust::Edge));
    if edge && !cookies {
        faults.extend(policies.iter().flatten().filter_map(|policy| {
            let (name, _) = policy.issue()?;
            let rollout = policy.rollout();
            Some(Fault::Cookie(format!("rollout {rollout}: cookie {name:?}")))
        }));
    }
    let policies = policies.map(|policies| PolicySet::new(policies, proxy.domain));
    Configured {
        edge: Some(edge),
        policies,
        faults,
    }
}

/// The value of the field `name`; if it can't be read, `None` and a fault.
fn or_fault<T>(read: Result<T, json::Error>, name: &str, faults: &mut Vec<Fault>) -> Option<T> {
    read.map_err(|error| faults.push(Fault::Field(format!("{name}: {error}"))))
        .ok()
}

/// The policies that can be compiled; for each that can't, a fault, and the one in force.
fn compiled(
    rollouts: Vec<(Cow<'_, str>, &str)>,
    before: Option<&PolicySet>,
    faults: &mut Vec<Fault>,
) -> Vec<Rc<CompiledPolicy>> {
    let mut policies = Vec::with_capacity(rollouts.len());
    for (rollout, policy) in rollouts {
        match one(&rollout, policy) {
            Ok(policy) => policies.push(Rc::new(policy)),
            Err(fault) => {
                policies.extend(before.and_then(|before| before.of(&rollout)).cloned());
                faults.push(Fault::Policy(fault));
            }
        }
    }
    policies
}

/// One Rollout's policy, or the line that says what is wrong with it.
fn one(rollout: &str, policy: &str) -> Result<CompiledPolicy, String> {
    let policy: Policy =
        json::read(policy).map_err(|error| format!("rollout {rollout}: {error}"))?;
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

    const SIDECAR: &[u8] = b"sidecar~10.1.2.3~pod.shop~shop.svc.cluster.local";

    /// Whether an edge, how many policies, and the faults, of a sidecar's configuration.
    fn read(json: &str) -> (Option<bool>, Option<usize>, Vec<Fault>) {
        let configured = configure(json.as_bytes(), Proxy::from_node_id(SIDECAR), None, false);
        let policies = configured.policies.map(|policies| policies.len());
        (configured.edge, policies, configured.faults)
    }

    #[test]
    fn a_bad_policy_is_left_out_and_the_others_stay() {
        let (_, policies, faults) = read(
            r#"{"rollouts": {
            "shop/a": {"hosts": ["a"], "rules": [{"name": "r", "lane": "canary", "match": [{"path": {"regex": "("}}]}]},
            "shop/b": {"hosts": ["b"]},
            "shop/c": {"host": ["c"]}}}"#,
        );
        assert_eq!(policies, Some(1));
        let [Fault::Policy(first), Fault::Policy(second)] = &faults[..] else {
            panic!("{faults:?}");
        };
        assert!(first.starts_with("rollout shop/a: rules[0].match[0].path.regex: "));
        assert!(second.starts_with("rollout shop/c: unknown field `host`"));
    }

    #[test]
    fn a_bad_policy_leaves_the_last_good_one_of_its_rollout() {
        let sidecar = Proxy::from_node_id(SIDECAR);
        let good = configure(
            br#"{"rollouts": {"shop/a": {"hosts": ["a"]}, "shop/b": {"hosts": ["b"]}}}"#,
            sidecar,
            None,
            false,
        );
        let before = good.policies.unwrap();
        let bad = br#"{"rollouts": {"shop/a": {"host": []}, "shop/c": {"host": []}}}"#;
        let after = configure(bad, sidecar, Some(&before), false);
        assert_eq!(after.faults.len(), 2);
        let after = after.policies.unwrap();
        let rollouts: Vec<&str> = after.iter().map(|policy| policy.rollout()).collect();
        assert_eq!(rollouts, ["shop/a"]);
        assert!(Rc::ptr_eq(
            before.of("shop/a").unwrap(),
            after.of("shop/a").unwrap()
        ));
    }

    #[test]
    fn a_bad_field_takes_nothing_else_with_it() {
        let one = r#""rollouts": {"shop/b": {"hosts": ["b"]}}"#;
        for (json, edge, policies, said) in [
            (
                format!(r#"{{"trust": "edge", "trsut": 1, {one}}}"#),
                true,
                Some(1),
                "unknown field `trsut`",
            ),
            (
                format!(r#"{{"trsut": 1, {one}}}"#),
                false,
                Some(1),
                "unknown field `trsut`",
            ),
            // What is not known to be the mesh is an edge.
            (
                format!(r#"{{"trust": "egde", {one}}}"#),
                true,
                Some(1),
                "trust: unknown variant `egde`",
            ),
            (
                format!(r#"{{"trust": null, {one}}}"#),
                true,
                Some(1),
                "trust: ",
            ),
            (
                r#"{"trust": "edge", "rollouts": []}"#.to_owned(),
                true,
                None,
                "rollouts: invalid type",
            ),
            (
                r#"{"rollouts": null}"#.to_owned(),
                false,
                None,
                "rollouts: invalid type",
            ),
        ] {
            let (read_edge, read_policies, faults) = read(&json);
            assert_eq!((read_edge, read_policies), (Some(edge), policies), "{json}");
            let [Fault::Field(fault)] = &faults[..] else {
                panic!("{json}: {faults:?}");
            };
            assert!(fault.starts_with(said), "{json}: {fault}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_nothing_at_all() {
        for json in ["{", "[]", r#"{"trust": "edge""#, "\u{0}"] {
            let (edge, policies, faults) = read(json);
            assert_eq!((edge, policies), (None, None), "{json}");
            assert!(matches!(faults[..], [Fault::Configuration(_)]), "{json}");
        }
        assert_eq!(read(""), (Some(false), Some(0), Vec::new()));
    }
}
