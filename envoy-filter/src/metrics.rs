//! What was decided, counted in the module's memory and handed to the proxy on a timer, so that no request pays a call
//! for it; and which policies are in force.
//!
//! Envoy knows nothing of tags in a module's metrics: they stand in the name, in the form that Istio's bootstrap reads
//! once it is told of them (`extraStatTags`; Istio 1.29.1 `tools/packaging/common/envoy_bootstrap.json`,
//! `({{ $tag }}=\.=(.*?);\.;)`). Each definition makes one more number for the same metric in Envoy (1.40.0
//! `source/extensions/common/wasm/context.cc`, `Context::defineMetric`), so a number is kept for as long as the VM lives.

use traffic_policy::{CompiledPolicy, Lane};

use crate::host::{Host, Metric};
use crate::plugins::Plugins;

/// How often the proxy is handed what was counted, in milliseconds: well below the usual intervals of those who read it,
/// and nothing beside what requests cost.
pub(crate) const TICK_MILLISECONDS: u32 = 1_000;
/// How many gauges one tick writes, so that a configuration with thousands of Rollouts holds no request up.
const GAUGES_PER_TICK: usize = 500;
/// How much of a name a tag takes: Kubernetes' names fit twice, and rules have no longer ones by accident.
const TAG_BYTES: usize = 512;
const REQUESTS: &str = "serin_requests_total";
const GENERATION: &str = "serin_policy_generation";

/// What decided: a rule, by its place in the policy, or one of these, which no rule has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    Rule(u32),
    Sticky,
    /// Another proxy; the lane came with the request.
    Carried,
}

/// Whose requests an entry counts: of the configuration in the context `root`, the policy's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) root: u32,
    pub(crate) policy: u32,
    pub(crate) by: By,
    pub(crate) lane: Lane,
}

/// Requests that the proxy has not been told of.
#[derive(Debug)]
struct Count {
    key: Key,
    pending: u32,
    /// The metric's name, until it has a number.
    metric: Result<u32, String>,
}

/// What the gauge of one Rollout says.
#[derive(Debug)]
struct Announced {
    rollout: Box<str>,
    metric: u32,
    generation: u32,
    /// The last look that found a policy of this Rollout.
    seen: u32,
}

/// All metrics of one VM. Lists in order, since each is searched far oftener than it grows.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By key; as many as rules that were met.
    counts: Vec<Count>,
    /// The proxy's number for each counter that it was told of, in whichever configuration; by name.
    known: Vec<(String, u32)>,
    /// By Rollout.
    announced: Vec<Announced>,
    /// Another configuration may be in force than [`Self::announced`] says.
    stale: bool,
    looks: u32,
}

impl Metrics {
    /// Counts one request. `policy` is what `key` numbers; it is asked for names the first time.
    pub(crate) fn count(&mut self, key: Key, policy: &CompiledPolicy) {
        let found = self.counts.binary_search_by_key(&key, |count| count.key);
        if let Err(at) = found {
            let count = Count {
                key,
                pending: 0,
                metric: Err(requests(policy, key)),
            };
            self.counts.insert(at, count);
        }
        let (Ok(at) | Err(at)) = found;
        if let Some(count) = self.counts.get_mut(at) {
            count.pending = count.pending.saturating_add(1);
        }
    }

    /// Tells the proxy what was counted since it was told last.
    pub(crate) fn flush(&mut self, host: &mut impl Host) {
        for count in self.counts.iter_mut().filter(|count| count.pending > 0) {
            if let Err(name) = &count.metric {
                let Some(number) = number(&mut self.known, host, name) else {
                    continue;
                };
                count.metric = Ok(number);
            }
            if let Ok(number) = count.metric {
                host.increment(number, count.pending);
                count.pending = 0;
            }
        }
    }

    /// Forgets the numbers of a configuration that is gone, or goes on with other policies, which have other rules by these
    /// numbers; what was counted under it is told before.
    pub(crate) fn forget(&mut self, host: &mut impl Host, root: u32) {
        self.flush(host);
        self.counts.retain(|count| count.key.root != root);
    }

    /// Another configuration may be in force from now on.
    pub(crate) fn changed(&mut self) {
        self.stale = true;
    }

    /// True if the proxy still says something of a policy, which the next [`Self::announce`] may have to take back.
    pub(crate) fn has_announced(&self) -> bool {
        self.announced.iter().any(|one| one.generation != 0)
    }

    /// Brings the gauges in line with the policies in force, or a part of them where there are many.
    pub(crate) fn announce(&mut self, host: &mut impl Host, plugins: &Plugins) {
        if !self.stale {
            return;
        }
        self.looks = self.looks.wrapping_add(1);
        let mut left = GAUGES_PER_TICK;
        for policy in plugins.in_force().flat_map(|plugin| plugin.policies.iter()) {
            let Some(one) = gauge(&mut self.announced, host, policy.rollout()) else {
                continue;
            };
            one.seen = self.looks;
            if one.generation != policy.generation() {
                one.generation = policy.generation();
                host.record(one.metric, one.generation);
                left -= 1;
            }
            if left == 0 {
                return;
            }
        }
        for one in &mut self.announced {
            if one.seen != self.looks && one.generation != 0 {
                one.generation = 0;
                host.record(one.metric, 0);
            }
        }
        self.stale = false;
    }
}

/// The proxy's number for the counter `name`, which is defined if it isn't known.
fn number(known: &mut Vec<(String, u32)>, host: &mut impl Host, name: &str) -> Option<u32> {
    match known.binary_search_by(|(other, _)| other.as_str().cmp(name)) {
        Ok(at) => known.get(at).map(|(_, number)| *number),
        Err(at) => {
            let number = host.define(Metric::Counter, name)?;
            known.insert(at, (name.to_owned(), number));
            Some(number)
        }
    }
}

/// The gauge of a Rollout, which is defined if it isn't there.
fn gauge<'a>(
    announced: &'a mut Vec<Announced>,
    host: &mut impl Host,
    rollout: &str,
) -> Option<&'a mut Announced> {
    let found = announced.binary_search_by(|one| (*one.rollout).cmp(rollout));
    if let Err(at) = found {
        let name = tag("rollout", rollout) + GENERATION;
        let one = Announced {
            rollout: rollout.into(),
            metric: host.define(Metric::Gauge, &name)?,
            generation: 0,
            seen: 0,
        };
        announced.insert(at, one);
    }
    let (Ok(at) | Err(at)) = found;
    announced.get_mut(at)
}

/// The name of the counter of a Rollout's requests. What is no rule stands in brackets, which no rule's name keeps.
fn requests(policy: &CompiledPolicy, key: Key) -> String {
    let rule = match key.by {
        By::Rule(number) => &tag("rule", policy.rule_name(number).unwrap_or_default()),
        By::Sticky => "rule=.=(sticky);.;",
        By::Carried => "rule=.=(carried);.;",
    };
    [
        &tag("rollout", policy.rollout()),
        &tag("lane", key.lane.as_str()),
        rule,
        REQUESTS,
    ]
    .concat()
}

/// One tag, as Istio's regular expressions find it. Only what neither they nor readers of metrics take for something else
/// stays as it is.
fn tag(name: &str, value: &str) -> String {
    let kept = value.chars().take(TAG_BYTES).map(|one| {
        let plain = one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.' | '/');
        if plain { one } else { '_' }
    });
    let mut tag = [name, "=.="].concat();
    tag.extend(kept);
    tag + ";.;"
}
