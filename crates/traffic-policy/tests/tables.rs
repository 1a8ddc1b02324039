//! The tables under `tests/data`, run through the core. `envoy-filter/tests` runs the same tables
//! through the module in Envoy, and through Envoy's own routes.

// Helpers of a test count as shipped code to clippy.
#![allow(clippy::unwrap_used)]

use serde::Deserialize;
use traffic_policy::config::{Match, Policy, Rule};
use traffic_policy::{HostSpace, Lane, PolicySet, Request, compile};

#[derive(Deserialize)]
struct Table<C> {
    case: Vec<C>,
}

fn table<C: serde::de::DeserializeOwned>(text: &str) -> Vec<C> {
    toml::from_str::<Table<C>>(text).unwrap().case
}

/// The header map of a request that is written as lines.
fn headers(host: &str, lines: &[String]) -> Vec<(String, String)> {
    let mut headers = vec![(":authority".to_owned(), host.to_owned())];
    let start = lines
        .first()
        .filter(|line| !line.contains(':') || line.contains(" /"));
    let (method, path) = start.map_or(("GET", "/"), |line| line.split_once(' ').unwrap());
    headers.extend([
        (":method".to_owned(), method.to_owned()),
        (":path".to_owned(), path.to_owned()),
    ]);
    for line in lines.iter().skip(usize::from(start.is_some())) {
        let (name, value) = line.split_once(':').unwrap();
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    headers
}

fn decide(policies: &PolicySet, headers: &[(String, String)]) -> Option<(Lane, String)> {
    let request = Request::read(headers, |_, _| {});
    let mut space = HostSpace::default();
    let mut candidates = policies.candidates(request.authority(), &mut space);
    let policy = candidates.next()?.policy;
    let decision = policy.decide(&request, &mut || u32::MAX)?;
    Some((decision.lane?, policy.rule_name(decision.rule?)?.to_owned()))
}

fn policies(name: &str, rules: Vec<Rule>) -> PolicySet {
    let policy = Policy {
        hosts: vec![name.to_owned()],
        rules,
        ..Policy::default()
    };
    PolicySet::new(vec![compile("shop/reviews", &policy).unwrap()], None)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchCase {
    name: String,
    r#match: Vec<Match>,
    takes: Vec<Vec<String>>,
    leaves: Vec<Vec<String>>,
    #[serde(default, rename = "envoy")]
    _envoy: Option<bool>,
}

#[test]
fn match_lists_take_and_leave() {
    for case in table::<MatchCase>(include_str!("data/match.toml")) {
        let rule = Rule {
            name: "r".to_owned(),
            lane: Lane::Canary,
            percent: None,
            keys: Vec::new(),
            matches: case.r#match,
        };
        let policies = policies(&case.name, vec![rule]);
        for (lines, expected) in case
            .takes
            .iter()
            .map(|lines| (lines, true))
            .chain(case.leaves.iter().map(|lines| (lines, false)))
        {
            let taken = decide(&policies, &headers(&case.name, lines)).is_some();
            assert_eq!(taken, expected, "{}: {lines:?}", case.name);
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesCase {
    name: String,
    rules: Vec<Rule>,
    requests: Vec<RequestCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestCase {
    lines: Vec<String>,
    lane: Option<Lane>,
    rule: Option<String>,
}

#[test]
fn rules_decide_in_order() {
    for case in table::<RulesCase>(include_str!("data/rules.toml")) {
        let policies = policies(&case.name, case.rules);
        for request in case.requests {
            assert_eq!(
                decide(&policies, &headers(&case.name, &request.lines)),
                request.lane.zip(request.rule),
                "{}: {:?}",
                case.name,
                request.lines
            );
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorCase {
    name: String,
    rollout: Option<String>,
    policy: String,
    error: String,
}

#[test]
fn errors_name_rollout_field_and_value() {
    for case in table::<ErrorCase>(include_str!("data/errors.toml")) {
        let policy: Policy = serde_json::from_str(&case.policy).unwrap();
        let rollout = case.rollout.as_deref().unwrap_or("shop/reviews");
        let error = compile(rollout, &policy).unwrap_err();
        assert_eq!(error.to_string(), case.error, "{}", case.name);
    }
}
