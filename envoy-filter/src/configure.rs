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
mod tests;
