//! From a plugin's configuration to what requests are asked about. Whatever is wrong is left out and
//! said, and the rest works; in place of a policy that is wrong stays the last good one of its Rollout.

use std::rc::Rc;

use traffic_policy::config::Trust;
use traffic_policy::{CompiledPolicy, Pace, PolicySet, compile_in_slices};

use crate::json::{self, Reader};

/// What it takes to forget a rule as it was written, in units of [`Pace`].
const RULE_UNITS: usize = 20;

/// The proxy that the filter runs in, from Istio's node id: `sidecar~10.1.2.3~pod.shop~shop.svc.cluster.local`
/// (Istio 1.29.1 `pilot/pkg/model/context.go`, `ParseServiceNodeWithMetadata`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proxy<'a> {
    kind: Kind,
    /// The DNS domain of its workload; none at a gateway, where hosts are as written.
    domain: Option<&'a str>,
}

/// What Istio's node type says (`pilot/pkg/model/context.go`, `NodeType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gateway,
    /// A sidecar or a waypoint.
    Mesh,
    /// None of Istio's, or it could not be read.
    Unknown,
}

impl<'a> Proxy<'a> {
    pub(crate) fn from_node_id(id: &'a [u8]) -> Self {
        let id = str::from_utf8(id).unwrap_or_default();
        let mut parts = id.split('~');
        let kind = match parts.next() {
            Some("router") => Kind::Gateway,
            Some("sidecar" | "waypoint") => Kind::Mesh,
            _ => Kind::Unknown,
        };
        let domain = parts.nth(2).filter(|_| kind == Kind::Mesh);
        Self { kind, domain }
    }

    /// Whether lane headers of incoming requests are removed under `trust`.
    pub(crate) fn is_edge(self, trust: Trust) -> bool {
        match trust {
            Trust::Edge => true,
            Trust::Mesh => false,
            // A lane that is lost follows the weights; a forged one would be believed.
            Trust::Auto => self.kind != Kind::Mesh,
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

/// Reads `json`, the configuration of a plugin in the proxy `node_id`. Empty means default, as Istio sends it for a
/// WasmPlugin without `pluginConfig`. `before`: the policies in force. `cookies`: they can be issued.
///
/// Each field is read on its own, so that one which is wrong, or one too many, never takes policies
/// or `trust` with it. A `trust` that can't be read means an edge: a lane that is lost there follows
/// the weights, where a forged one would have been believed. What is no JSON, wherever that is, takes all with it.
pub(crate) async fn configure(
    json: Vec<u8>,
    node_id: Vec<u8>,
    before: Option<Rc<PolicySet>>,
    cookies: bool,
    pace: Pace,
) -> Configured {
    let json = if json.is_empty() { b"{}" } else { &json[..] };
    let proxy = Proxy::from_node_id(&node_id);
    let fields = match str::from_utf8(json) {
        Ok(text) => {
            let mut reader = Reader::new(text);
            let fields = fields(&mut reader, before.as_deref(), &pace).await;
            let fields = fields.and_then(|fields| reader.end().map(|()| fields));
            fields.map_err(|error| reader.placed(error, None).to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    let Fields {
        trust,
        policies,
        mut faults,
    } = match fields {
        Ok(fields) => fields,
        Err(why) => {
            return Configured {
                faults: vec![Fault::Configuration(why)],
                ..Configured::default()
            };
        }
    };
    let edge = proxy.is_edge(trust);
    if trust == Trust::Auto && proxy.kind == Kind::Unknown {
        let id = String::from_utf8_lossy(&node_id);
        faults.push(Fault::Field(format!(
            "trust: auto: the proxy's node id is {id:?}, expected one of Istio's, as sidecar~...; taken for an edge"
        )));
    }
    if edge && !cookies {
        faults.extend(policies.iter().flatten().filter_map(|policy| {
            let (name, _) = policy.issue()?;
            let rollout = policy.rollout();
            Some(Fault::Cookie(format!("rollout {rollout}: cookie {name:?}")))
        }));
    }
    let policies = match policies {
        Some(policies) => Some(PolicySet::in_slices(policies, proxy.domain, &pace).await),
        None => None,
    };
    Configured {
        edge: Some(edge),
        policies,
        faults,
    }
}

/// What is read of a configuration.
struct Fields {
    trust: Trust,
    policies: Option<Vec<Rc<CompiledPolicy>>>,
    faults: Vec<Fault>,
}

async fn fields(
    reader: &mut Reader<'_>,
    before: Option<&PolicySet>,
    pace: &Pace,
) -> Result<Fields, json::Error> {
    let mut fields = Fields {
        trust: Trust::default(),
        policies: Some(Vec::new()),
        faults: Vec::new(),
    };
    reader.begin(b'{', &"a map")?;
    let mut is_first = true;
    while reader.next_member(is_first)? {
        is_first = false;
        let name = reader.name()?;
        let start = reader.start();
        let read = match &*name {
            "trust" => {
                let trust = json::read(reader);
                fields.trust = trust.as_ref().copied().unwrap_or(Trust::Edge);
                trust.map(drop)
            }
            "rollouts" => match reader.begin(b'{', &"a map") {
                Ok(()) => {
                    let policies = policies(reader, before, &mut fields.faults, pace).await?;
                    fields.policies = Some(policies);
                    continue;
                }
                Err(error) => {
                    fields.policies = None;
                    Err(error)
                }
            },
            _ => {
                reader.skip(start, pace).await?;
                fields
                    .faults
                    .push(Fault::Field(format!("unknown field `{name}`")));
                continue;
            }
        };
        if let Err(error) = read {
            let why = reader.placed(error, Some(start));
            fields.faults.push(Fault::Field(format!("{name}: {why}")));
            reader.skip(start, pace).await?;
        }
    }
    Ok(fields)
}

/// The policies that can be compiled; for each that can't, a fault, and the one in force. The reader has begun with them.
async fn policies(
    reader: &mut Reader<'_>,
    before: Option<&PolicySet>,
    faults: &mut Vec<Fault>,
    pace: &Pace,
) -> Result<Vec<Rc<CompiledPolicy>>, json::Error> {
    let mut policies = Vec::new();
    let mut is_first = true;
    while reader.next_member(is_first)? {
        is_first = false;
        let rollout = reader.name()?;
        let start = reader.start();
        let compiled = match json::policy(reader, pace).await {
            Ok(policy) => {
                let compiled = compile_in_slices(&rollout, &policy, pace).await;
                // Many small pieces of memory, which take their time too.
                let mut rules = policy.rules;
                while rules.pop().is_some() {
                    pace.spend(RULE_UNITS).await;
                }
                compiled.map_err(|error| error.to_string())
            }
            Err(error) => {
                let why = reader.placed(error, Some(start));
                Err(format!("rollout {rollout}: {why}"))
            }
        };
        match compiled {
            Ok(policy) => policies.push(Rc::new(policy)),
            Err(fault) => {
                // It may be no JSON at all.
                reader.skip(start, pace).await?;
                policies.extend(before.and_then(|before| before.of(&rollout)).cloned());
                faults.push(Fault::Policy(fault));
            }
        }
    }
    Ok(policies)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    /// What comes of a configuration, and in how many slices.
    fn paced(json: &[u8], before: Option<Rc<PolicySet>>, pace: Pace) -> (Configured, usize) {
        let (json, node_id) = (json.to_vec(), SIDECAR.to_vec());
        let mut work = pin!(configure(json, node_id, before, false, pace));
        let mut slices = 1;
        loop {
            match traffic_policy::slice(work.as_mut()) {
                Poll::Ready(configured) => return (configured, slices),
                Poll::Pending => slices += 1,
            }
        }
    }

    fn configured(json: &[u8], before: Option<Rc<PolicySet>>) -> Configured {
        let (configured, slices) = paced(json, before, Pace::at_once());
        assert_eq!(slices, 1);
        configured
    }

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
        assert!(!Proxy::from_node_id(b"waypoint~a~b~c").is_edge(Trust::Auto));
        for unknown in [&b"envoy"[..], b"", b"\xff"] {
            let proxy = Proxy::from_node_id(unknown);
            assert_eq!(proxy.domain, None);
            assert!(proxy.is_edge(Trust::Auto), "the safe side");
            assert!(!proxy.is_edge(Trust::Mesh));
        }
    }

    #[test]
    fn a_proxy_that_is_none_of_istios_is_told_of() {
        let faults = |json: &[u8]| {
            let (json, node_id) = (json.to_vec(), b"envoy".to_vec());
            let work = pin!(configure(json, node_id, None, false, Pace::at_once()));
            match traffic_policy::slice(work) {
                Poll::Ready(configured) => configured.faults,
                Poll::Pending => panic!("at once"),
            }
        };
        assert_eq!(
            faults(b"{}"),
            [Fault::Field(
                "trust: auto: the proxy's node id is \"envoy\", expected one of Istio's, as sidecar~...; \
                 taken for an edge"
                    .to_owned()
            )]
        );
        assert_eq!(faults(br#"{"trust": "mesh"}"#), []);
    }

    const SIDECAR: &[u8] = b"sidecar~10.1.2.3~pod.shop~shop.svc.cluster.local";

    /// Whether an edge, how many policies, and the faults, of a sidecar's configuration.
    fn read(json: &str) -> (Option<bool>, Option<usize>, Vec<Fault>) {
        let configured = configured(json.as_bytes(), None);
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
        let good = configured(
            br#"{"rollouts": {"shop/a": {"hosts": ["a"]}, "shop/b": {"hosts": ["b"]}}}"#,
            None,
        );
        let before = Rc::new(good.policies.unwrap());
        let bad = br#"{"rollouts": {"shop/a": {"host": []}, "shop/c": {"host": []}}}"#;
        let after = configured(bad, Some(Rc::clone(&before)));
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

    /// With what is wrong in all ways.
    const ALL: &str = r#"{"trust": "edge", "odd": [{"a": 1}, "]"], "rollouts": {
        "shop/a": {"hosts": ["a"], "rules": [{"name": "r", "lane": "canary", "match": [{"path": {"regex": "a+"}}]}]},
        "shop/b": {"rules": [{"name": "r", "lane": "canary"}, {"name": "s", "lane": "carnay"}], "hosts": ["b"]},
        "shop/c": {"hosts": ["c"], "rules": {}}, "shop/d": [{}, {}], "shop/e": {"hosts": []}, "shop/f": {"hosts": ["f"], "hosts": []},
        "shop/g": {"host": ["c"]}}, "trust": "egde"}"#;

    #[test]
    fn slices_come_to_the_same() {
        let before = br#"{"rollouts": {"shop/b": {"hosts": ["b"]}}}"#;
        let before = Rc::new(configured(before, None).policies.unwrap());
        let (at_once, _) = paced(ALL.as_bytes(), Some(Rc::clone(&before)), Pace::at_once());
        assert_eq!(
            at_once.faults.iter().map(said).collect::<Vec<_>>(),
            [
                "unknown field `odd`",
                "rollout shop/b: unknown variant `carnay`, expected one of `canary`, `stable`, `mirror`, `stable-mirror` at line 1 column 74",
                "rollout shop/c: invalid type: map, expected a sequence at line 1 column 26",
                "rollout shop/d: invalid type: sequence, expected struct Policy at line 1 column 0",
                "rollout shop/e: hosts: the list is empty, expected at least one host",
                "rollout shop/f: duplicate field `hosts` at line 1 column 24",
                "rollout shop/g: unknown field `host`, expected one of `hosts`, `virtualServices`, `lanes`, `rules`, `sticky`, `entryHosts`, `secret` at line 1 column 7",
                "trust: unknown variant `egde`, expected one of `edge`, `mesh`, `auto` at line 1 column 6",
            ]
        );
        let policies = at_once.policies.as_ref().unwrap();
        let rollouts: Vec<&str> = policies.iter().map(|policy| policy.rollout()).collect();
        assert_eq!(rollouts, ["shop/a", "shop/b"]);
        for units in [0, 1, 7, 100, 1_000] {
            let pace = Pace::slices_of(units);
            let (slowly, slices) = paced(ALL.as_bytes(), Some(Rc::clone(&before)), pace);
            assert_eq!(format!("{slowly:?}"), format!("{at_once:?}"));
            assert!(slices > 2 || units > 500, "{slices}");
        }
    }

    fn said(fault: &Fault) -> &str {
        match fault {
            Fault::Configuration(why)
            | Fault::Field(why)
            | Fault::Policy(why)
            | Fault::Cookie(why) => why,
        }
    }

    #[test]
    fn what_ends_too_soon_is_nothing_at_all() {
        for end in 1..ALL.len() {
            let json = &ALL[..end];
            let mut reader = Reader::new(json);
            let start = reader.start();
            let pace = Pace::at_once();
            let mut skip = pin!(reader.skip(start, &pace));
            let Poll::Ready(Err(error)) = traffic_policy::slice(skip.as_mut()) else {
                panic!("{json}");
            };
            let why = error.at(json.as_bytes()).to_string();
            let (configured, _) = paced(json.as_bytes(), None, Pace::slices_of(50));
            assert_eq!(configured.faults, [Fault::Configuration(why)], "{json}");
            assert!(configured.policies.is_none() && configured.edge.is_none());
        }
    }
}
