//! Any request to policies that use every field: deciding ends, gives the same answer twice, and finds
//! what the first of the rules by themselves finds.
//!
//! `cargo +nightly fuzz run decide_request fuzz/corpus/decide_request fuzz/seeds`, in
//! `crates/traffic-policy`. The input is as that of `compile_config`; what is no policy goes to a fixed
//! one.

#![no_main]

use std::cell::Cell;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use traffic_policy::config::{Issue, Policy};
use traffic_policy::{CompiledPolicy, Decision, Lane, Request, Surroundings, compile};

const FIXED: &str = include_str!("../seeds/all_fields.json");
/// Patterns may give up on longer ones, at another place with many rules than with one.
const MAX_LINES: usize = 2_000;

/// A policy, and each of its rules by itself.
struct Policies {
    whole: CompiledPolicy,
    single: Vec<CompiledPolicy>,
}

impl Policies {
    fn new(policy: &Policy) -> Option<Self> {
        let whole = compile("shop/reviews", policy).ok()?;
        let single = |rule| {
            let rules = vec![rule];
            let sticky = None;
            compile("shop/reviews", &Policy { rules, sticky, ..policy.clone() }).ok()
        };
        let single = policy.rules.iter().cloned().map(single).collect::<Option<_>>()?;
        Some(Self { whole, single })
    }
}

/// Draws everything.
struct Everything<'a> {
    address: &'a [u8],
    issued: Cell<bool>,
}

impl Surroundings for Everything<'_> {
    fn random(&mut self) -> u32 {
        0
    }

    fn source_address(&mut self) -> Option<&[u8]> {
        Some(self.address)
    }

    fn issue(&mut self, name: &str, _: &Issue) -> Option<&[u8]> {
        assert!(!name.is_empty());
        self.issued.set(true);
        Some(b"new")
    }
}

fn decide(policy: &CompiledPolicy, headers: &[(&[u8], &[u8])]) -> Option<Decision> {
    let mut surroundings = Everything {
        address: b"10.1.2.3",
        issued: Cell::new(false),
    };
    let decision = policy.decide(&Request::read(headers, |_, _| {}), &mut surroundings);
    if surroundings.issued.get() {
        assert!(policy.issue().is_some());
    }
    decision
}

fuzz_target!(|data: &[u8]| {
    static ALL_FIELDS: OnceLock<Policies> = OnceLock::new();
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let first = parts.next().unwrap_or_default();
    let given = serde_json::from_slice::<Policy>(first)
        .ok()
        .filter(|policy| policy.rules.len() <= 50)
        .and_then(|policy| Policies::new(&policy));
    let fixed = || {
        ALL_FIELDS.get_or_init(|| {
            let policy = serde_json::from_str(FIXED).expect("a policy");
            Policies::new(&policy).expect("one that compiles")
        })
    };
    let policies = given.as_ref().unwrap_or_else(fixed);
    let lines = if given.is_some() { parts.next().unwrap_or_default() } else { data };
    let Some(lines) = lines.get(..lines.len().min(MAX_LINES)) else {
        return;
    };
    let headers: Vec<(&[u8], &[u8])> = lines
        .split(|byte| *byte == b'\n')
        .map(|line| {
            let at = line.iter().skip(1).position(|byte| *byte == b':');
            let (name, value) = line.split_at(at.map_or(line.len(), |at| at + 1));
            (name, value.get(1..).unwrap_or_default())
        })
        .collect();
    let decision = decide(&policies.whole, &headers);
    assert_eq!(decision, decide(&policies.whole, &headers));
    // The first of the rules that takes the request; one that is not drawn ends the search, so nothing
    // can be said of rules behind one with a share.
    let Some(Decision { lane: Some(lane), rule: Some(rule) }) = decision else {
        return;
    };
    let number = usize::try_from(rule).expect("a number of a rule");
    let before = policies.single.get(..number).expect("as many");
    assert!(before.iter().all(|single| decide(single, &headers).is_none()));
    let alone = policies.single.get(number).map(|single| decide(single, &headers));
    let alone = alone.flatten().expect("the rule takes it by itself too").lane;
    let alone = alone.expect("a lane");
    assert!(alone == lane || (alone == Lane::Mirror && lane == Lane::StableMirror));
    let value = policies.whole.lane_value(lane);
    assert_eq!(policies.whole.lane_of(value.as_bytes()), Some(lane));
});
