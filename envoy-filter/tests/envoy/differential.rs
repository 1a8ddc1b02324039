//! Envoy's own routes against the filter: generated rules, once as routes with the same conditions and
//! once as policies, and generated requests, which have to be answered alike.
//!
//! The seed and the number of requests are fixed; `SERIN_DIFFERENTIAL_SEED` and
//! `SERIN_DIFFERENTIAL_REQUESTS` give others, for a long form.

mod cases;
mod dice;
mod http2;
mod requests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bench::*;

use cases::{Case, NOBODY};
use dice::Dice;
use http2::Http2;
use requests::{Protocol, Request};

const SEED: u64 = 20_261_121;
const REQUESTS: u64 = 4_000;
const CASES: u64 = 60;

/// A number from the environment.
fn given(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// What is compared: the status, and which route has answered. `None`: Envoy has ended the connection
/// or the stream.
type Answer = Option<(u16, String)>;

/// A listener with what Istio sets, and what lets every kind of request in.
fn open_listener(name: &str, filters: &[Value], hosts: &[Value]) -> Value {
    let mut listener = listener(name, filters, hosts);
    let http = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    http["route_config"]["ignore_port_in_host_matching"] = true.into();
    http["normalize_path"] = true.into();
    http["delayed_close_timeout"] = "0s".into();
    http["http2_protocol_options"] = json!({"allow_connect": true});
    http["upgrade_configs"] = json!([{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}]);
    listener
}

struct Clients {
    listener: &'static str,
    http1: testbed::envoy::Connection,
    http2: Http2,
}

impl Clients {
    fn new(bench: &Bench, listener: &'static str) -> Self {
        Self {
            listener,
            http1: bench.connect(listener),
            http2: Http2::new(bench.envoy.listener(listener).unwrap()),
        }
    }

    /// `None` if the request can't be sent in that protocol.
    fn ask(&mut self, bench: &Bench, request: &Request) -> Option<Answer> {
        if request.protocol == Protocol::Http2 {
            return self.http2.ask(request);
        }
        let lines = request.lines();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let reply = self.http1.send(&request.start(), &lines).ok();
        let header = |name| {
            let mut headers = reply.iter().flat_map(|reply| &reply.headers);
            let found = headers.find(|(other, _)| other == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let answer = header("x-answer");
        if request.ends_connection() || reply.is_none() || header("connection") == "close" {
            self.http1 = bench.connect(self.listener);
        }
        Some(reply.map(|reply| (reply.status, answer)))
    }
}

#[test]
fn generated_rules_answer_as_envoys_routes_do() {
    let seed = given("SERIN_DIFFERENTIAL_SEED", SEED);
    let mut dice = Dice::new(seed);
    let cases: Vec<Case> = (0..CASES)
        .map(|number| Case::generate(number, &mut dice))
        .collect();
    let configured: Vec<(String, Value)> = cases
        .iter()
        .map(|case| (case.rollout(), case.policy()))
        .collect();
    let configured: Vec<(&str, Value)> = configured
        .iter()
        .map(|(rollout, policy)| (rollout.as_str(), policy.clone()))
        .collect();
    let filters = [filter("istio-system.serin", &policies(&configured))];
    let filtered: Vec<Value> = cases.iter().map(Case::filtered).collect();
    let native: Vec<Value> = cases.iter().map(Case::native).collect();
    let listeners = [
        open_listener("filter", &filters, &filtered),
        open_listener("native", &[], &native),
    ];
    let bench = Bench::start(GATEWAY, &listeners, &[]);
    assert_eq!(bench.said(), [""; 0]);
    let (mut filter, mut native) = (
        Clients::new(&bench, "filter"),
        Clients::new(&bench, "native"),
    );
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut different = Vec::new();
    let requests = given("SERIN_DIFFERENTIAL_REQUESTS", REQUESTS);
    for _ in 0..requests {
        let case = dice.one_of(&cases);
        let request = Request::generate(case, &mut dice);
        let Some(expected) = native.ask(&bench, &request) else {
            *counts.entry("can't be sent".to_owned()).or_default() += 1;
            continue;
        };
        let found = filter.ask(&bench, &request).expect("as before");
        let answer = match &expected {
            None => "ended".to_owned(),
            Some((status, answer)) if answer.is_empty() => format!("status {status}"),
            Some((_, answer)) => answer.clone(),
        };
        *counts.entry(answer).or_default() += 1;
        *counts.entry(format!("{:?}", request.protocol)).or_default() += 1;
        if found != expected && different.len() < 20 {
            different.push(format!(
                "envoy: {expected:?}, the filter: {found:?}\n  {request:?}\n  {}",
                case.policy()
            ));
        }
    }
    eprintln!("seed {seed}, {requests} requests: {counts:?}");
    assert!(
        different.is_empty(),
        "seed {seed}, {counts:?}:\n{}",
        different.join("\n")
    );
    // Every lane, the weights and both protocols have had their share.
    let share = |name: &str| u64::from(counts.get(name).copied().unwrap_or_default());
    for name in ["canary", "stable", "mirror", "stable-mirror", NOBODY] {
        assert!(share(name) * 50 > requests, "{name}: {counts:?}");
    }
    for name in ["Http1", "Http2"] {
        assert!(share(name) * 4 > requests, "{name}: {counts:?}");
    }
}
