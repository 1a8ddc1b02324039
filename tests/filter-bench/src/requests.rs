//! CPU time per request: the same requests at listeners that differ in one filter or in their routes, in turns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testbed::envoy::Envoy;

use crate::error::Failure;
use crate::load::{Client, Request};
use crate::policy::{self, By, HEADER, HOST, user};
use crate::process::Process;
use crate::progress::Progress;
use crate::proxy::{self, CANARY, WEIGHTS};
use crate::statistics::{Median, median};

/// Connections of the client; each has one request on its way.
const CONNECTIONS: u32 = 16;

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// How often each case has its turn.
    pub(crate) rounds: u32,
    /// Requests on each connection in one turn; a tenth as many come before it and aren't counted.
    pub(crate) turn: u32,
    /// Requests on each connection before the first round, in which the runtime compiles its code for good.
    pub(crate) warm_up: u32,
}

/// A request, by what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asks {
    /// No rule's header, few others.
    Few,
    /// No rule's header, 20 others.
    Many,
    /// What the one rule wants.
    Beta,
    /// The rules' header with a value that none wants.
    Nobody,
    /// The rules' header with the value that the last of so many rules wants.
    User(u32),
}

impl Asks {
    fn request(self, body: &str) -> Request {
        let host = format!("host: {HOST}");
        let mut lines = vec![host.as_str(), "user-agent: bench/1", "accept: */*"];
        let value = match self {
            Self::User(at) => user(at),
            _ => "nobody".to_owned(),
        };
        let user = format!("{HEADER}: {value}");
        match self {
            Self::Few => {}
            Self::Many => lines.extend(OTHERS),
            Self::Beta => lines.push("x-beta: 1"),
            Self::Nobody | Self::User(_) => lines.push(&user),
        }
        Request::new("/reviews/1?page=2", &lines, body)
    }
}

/// What a browser and the proxies before it add, to make 20 lines.
const OTHERS: [&str; 17] = [
    "accept-encoding: gzip, deflate, br, zstd",
    "accept-language: en-GB,en;q=0.9,de;q=0.8",
    "cache-control: no-cache",
    "cookie: session=4f1d7c3a9b2e48d0a6c5; theme=dark; consent=all",
    "dnt: 1",
    "origin: https://shop.example.com",
    "priority: u=1, i",
    "referer: https://shop.example.com/products/4711",
    "sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"",
    "sec-ch-ua-mobile: ?0",
    "sec-fetch-dest: empty",
    "sec-fetch-mode: cors",
    "sec-fetch-site: same-site",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "x-b3-sampled: 0",
    "x-tenant: blue",
    "x-requested-with: fetch",
];

/// One kind of request at one listener.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    pub(crate) listener: String,
    pub(crate) asks: Asks,
}

impl Case {
    pub(crate) fn new(listener: &str, asks: Asks) -> Self {
        Self {
            listener: listener.to_owned(),
            asks,
        }
    }
}

/// Microseconds of CPU time per request, by case, one figure for each round.
#[derive(Debug, Default)]
pub(crate) struct Costs(BTreeMap<Case, Vec<f64>>);

impl Costs {
    fn of(&self, listener: &str, asks: Asks) -> &[f64] {
        let case = Case::new(listener, asks);
        self.0.get(&case).map(Vec::as_slice).unwrap_or_default()
    }

    /// What one request costs there.
    pub(crate) fn cost(&self, listener: &str, asks: Asks) -> Median {
        median(self.of(listener, asks).iter().copied())
    }

    /// What one costs there beyond the same request at the listener without a filter: the median of the rounds'
    /// differences.
    pub(crate) fn extra(&self, listener: &str, asks: Asks) -> Median {
        let here = self.of(listener, asks).iter();
        let plain = self.of(PLAIN, asks);
        median(here.zip(plain).map(|(here, plain)| here - plain))
    }
}

/// The listener without a filter.
pub(crate) const PLAIN: &str = "no filter";
pub(crate) const LUA: &str = "Lua";
/// The filter, with one rule for `x-beta: 1`.
pub(crate) const BETA: &str = "filter";

/// The same at an edge.
pub(crate) const EDGE: &str = "filter at an edge";
/// The filter with the policies of so many Rollouts, of one rule each.
pub(crate) const ROLLOUTS: u32 = 10_000;

/// The filter with the policies of [`ROLLOUTS`].
pub(crate) fn rollouts() -> String {
    format!("filter, {ROLLOUTS} Rollouts")
}

/// The filter with so many rules.
pub(crate) fn rules(by: By, count: u32) -> String {
    let by = match by {
        By::Exact => "",
        By::Prefix => " by prefix",
        By::Regex => " by regex",
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("filter, {count} rule{plural}{by}")
}

/// So many native routes.
pub(crate) fn native(count: u32) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} native route{plural}")
}

/// Another build of the module.
pub(crate) fn beside(module: &Path) -> String {
    let name = module.file_stem().unwrap_or_default();
    format!("filter, {}", name.to_string_lossy())
}

/// The filters with many rules that are measured.
pub(crate) const RULES: [(By, u32); 5] = [
    (By::Exact, 1),
    (By::Exact, 1_000),
    (By::Exact, 10_000),
    (By::Prefix, 10_000),
    (By::Regex, 100),
];
/// The native routes that are measured.
pub(crate) const NATIVE: [u32; 3] = [1, 100, 1_000];

/// Measures all cases on one Envoy.
pub(crate) fn measure(
    envoy: &Path,
    module: &Path,
    others: &[PathBuf],
    extent: Extent,
) -> Result<Costs, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file("a temporary folder"))?;
    let envoy = proxy::start(envoy, folder.path(), &listeners(module, others), 1)?;
    let process = Process::new(envoy.process());
    let mut cases = clients(&envoy, others)?;
    for (_, client, request) in &mut cases {
        client.send(request, extent.warm_up)?;
    }
    let mut costs = Costs::default();
    let rounds = usize::try_from(extent.rounds).unwrap_or(usize::MAX);
    let mut progress = Progress::of("CPU time per request", rounds);
    for (ended, round) in (1..).zip(0..extent.rounds) {
        for at in order(&cases, round) {
            let Some((case, client, request)) = cases.get_mut(at) else {
                continue;
            };
            client.send(request, extent.turn / 10)?;
            let before = process.cpu()?;
            let sent = client.send(request, extent.turn)?;
            let used = process.cpu()?.saturating_sub(before);
            let each = used.as_secs_f64() * 1e6 / f64::from(sent.max(1));
            costs.0.entry(case.clone()).or_default().push(each);
        }
        progress.ended(ended);
    }
    Ok(costs)
}

fn listeners(module: &Path, others: &[PathBuf]) -> Vec<Value> {
    let filter = |name: &str, module: &Path, configuration: &str| {
        let filter = proxy::module(module, name, configuration);
        proxy::listener(name, Some(filter), 0)
    };
    let mut listeners = vec![
        proxy::listener(PLAIN, None, 0),
        proxy::listener(LUA, Some(proxy::lua()), 0),
        filter(BETA, module, &policy::beta(CANARY)),
        filter(EDGE, module, &policy::beta_at_edge(CANARY)),
        filter(&rollouts(), module, &policy::rollouts(ROLLOUTS)),
    ];
    for other in others {
        listeners.push(filter(&beside(other), other, &policy::beta(CANARY)));
    }
    for (by, count) in RULES {
        let configuration = policy::users(by, count);
        listeners.push(filter(&rules(by, count), module, &configuration));
    }
    for count in NATIVE {
        listeners.push(proxy::listener(&native(count), None, count));
    }
    listeners
}

type Measured = (Case, Client, Request);

fn clients(envoy: &Envoy, others: &[PathBuf]) -> Result<Vec<Measured>, Failure> {
    let mut cases = Vec::new();
    let mut add = |listener: &str, asks: Asks, body: &str| -> Result<(), Failure> {
        let client = Client::open(listener, envoy.listener(listener)?, CONNECTIONS)?;
        cases.push((Case::new(listener, asks), client, asks.request(body)));
        Ok(())
    };
    let users = [0, 999, 9_999].map(Asks::User);
    for asks in [Asks::Few, Asks::Many, Asks::Beta, Asks::Nobody]
        .into_iter()
        .chain(users)
    {
        add(PLAIN, asks, WEIGHTS)?;
    }
    let filters = [LUA.to_owned(), BETA.to_owned(), EDGE.to_owned()];
    for listener in filters
        .into_iter()
        .chain(others.iter().map(|other| beside(other)))
    {
        add(&listener, Asks::Few, WEIGHTS)?;
        add(&listener, Asks::Many, WEIGHTS)?;
        add(&listener, Asks::Beta, CANARY)?;
    }
    add(&rollouts(), Asks::Nobody, WEIGHTS)?;
    add(&rollouts(), Asks::User(0), CANARY)?;
    for (by, count) in RULES {
        let listener = rules(by, count);
        add(&listener, Asks::Nobody, WEIGHTS)?;
        if by == By::Exact {
            add(&listener, Asks::User(count - 1), CANARY)?;
        }
    }
    for count in NATIVE {
        add(&native(count), Asks::Nobody, WEIGHTS)?;
    }
    Ok(cases)
}

/// The places of all cases in an order that is another one for each round. The same requests at all listeners follow one
/// another, so that what else the machine does meanwhile is the same for those that are compared.
fn order(cases: &[Measured], round: u32) -> Vec<usize> {
    let mut order = shuffled(cases.len(), round);
    let asks = |at: &usize| cases.get(*at).map(|(case, ..)| case.asks);
    let firsts: Vec<_> = order.iter().map(asks).collect();
    // Stable: within one kind of request the order stays shuffled.
    order.sort_by_key(|at| firsts.iter().position(|first| *first == asks(at)));
    order
}

/// The numbers below `count` in an order that is another one for each round.
fn shuffled(count: usize, round: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = u64::from(round).wrapping_add(1);
    for last in (1..count).rev() {
        // Knuth's generator for 64 bits; the upper half is the better one.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let random = usize::try_from(state >> 33).unwrap_or_default();
        order.swap(last, random % (last + 1));
    }
    order
}

#[cfg(test)]
// These figures are exact.
#[allow(clippy::float_cmp)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_turn_and_the_order_changes() {
        let (first, second) = (shuffled(20, 0), shuffled(20, 1));
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert_eq!(order, (0..20).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_a_filter_costs_is_the_difference_within_each_round() {
        let mut costs = Costs::default();
        let mut put = |listener: &str, figures: [f64; 3]| {
            let case = Case::new(listener, Asks::Few);
            costs.0.insert(case, figures.to_vec());
        };
        put(PLAIN, [10.0, 20.0, 12.0]);
        put(LUA, [13.0, 22.0, 14.5]);
        assert_eq!(costs.extra(LUA, Asks::Few).value, 2.5);
        assert_eq!(costs.cost(PLAIN, Asks::Few).value, 12.0);
    }
}
