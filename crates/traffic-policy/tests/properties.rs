//! Properties that hold for all policies: the host index asks those that the route table could mean,
//! order decides among rules, and nothing that is written makes compiling or deciding panic.

use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use proptest::prelude::*;
use traffic_policy::config::{Match, Policy, Rule, StringMatch};
use traffic_policy::{
    CompiledPolicy, HostSpace, Lane, Pace, PolicySet, Request, compile, compile_in_slices, slice,
};

/// The precedence in its plain form: the best of all hosts that match, where better is exact, then
/// suffix, then prefix, then `*`, and longer among the same kind.
fn rank(pattern: &str, host: &str) -> Option<(u8, usize)> {
    if pattern == "*" {
        return Some((0, 0));
    }
    if let Some(prefix) = pattern.strip_suffix('*') {
        let matches = host.starts_with(prefix) && host.len() > prefix.len();
        return matches.then_some((1, prefix.len()));
    }
    if let Some(suffix) = pattern.strip_prefix('*') {
        let matches = host.ends_with(suffix) && host.len() > suffix.len();
        return matches.then_some((2, suffix.len()));
    }
    (pattern == host).then_some((3, 0))
}

/// What `work` comes to, and how many slices it took.
fn sliced<T>(work: impl Future<Output = T>) -> (T, usize) {
    let mut work = pin!(work);
    let mut slices = 1;
    loop {
        match slice(work.as_mut()) {
            Poll::Ready(done) => return (done, slices),
            Poll::Pending => slices += 1,
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    // Few letters, so that names collide and nest; no dot at the end, which would be the root's.
    "[ab.]{0,4}[ab]"
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => name(),
        3 => "[ab.]{0,3}[ab]".prop_map(|part| format!("*{part}")),
        2 => "[ab.]{1,4}".prop_map(|part| format!("{part}*")),
        1 => Just("*".to_owned()),
    ]
}

fn policy(hosts: Vec<String>, rules: Vec<Rule>) -> Policy {
    Policy {
        hosts,
        rules,
        ..Policy::default()
    }
}

fn text() -> impl Strategy<Value = StringMatch> {
    prop_oneof![
        Just(StringMatch::Present),
        "[ab]{0,2}".prop_map(StringMatch::Exact),
        "[ab]{1,2}".prop_map(StringMatch::Prefix),
        "[abAB]{0,2}".prop_map(StringMatch::ExactIgnoreCase),
        "[abAB]{1,2}".prop_map(StringMatch::PrefixIgnoreCase),
        "[ab]{1,2}".prop_map(|value| StringMatch::Regex(format!("{value}|{value}a*"))),
    ]
}

/// The plain meaning of what [`text`] makes.
fn holds(text: &StringMatch, value: &str) -> bool {
    match text {
        StringMatch::Present => true,
        StringMatch::Exact(exact) => value == exact,
        StringMatch::ExactIgnoreCase(exact) => value.eq_ignore_ascii_case(exact),
        StringMatch::PrefixIgnoreCase(prefix) => value
            .to_ascii_lowercase()
            .starts_with(&prefix.to_ascii_lowercase()),
        StringMatch::Prefix(prefix) => value.starts_with(prefix),
        StringMatch::Regex(pattern) => {
            let stem = pattern.split('|').next().unwrap_or_default();
            let rest = value.strip_prefix(stem);
            rest.is_some_and(|rest| rest.bytes().all(|byte| byte == b'a'))
        }
    }
}

/// Conditions on the header `x-user`, the query parameter `a` and the cookie `a`.
fn conditions() -> impl Strategy<Value = [Option<StringMatch>; 3]> {
    let text = || prop::option::weighted(0.4, text());
    [text(), text(), text()]
}

fn entry([user, parameter, cookie]: &[Option<StringMatch>; 3]) -> Match {
    let named = |name: &str, text: &Option<StringMatch>| {
        let text = text.iter().cloned();
        text.map(|text| (name.to_owned(), text)).collect()
    };
    Match {
        headers: named("x-user", user),
        query_params: named("a", parameter),
        cookies: named("a", cookie),
        ..Match::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_route_decides_among_hosts_and_without_it_the_one_that_envoy_chooses(
        hosts in prop::collection::vec((prop::collection::vec(host(), 1..3), any::<bool>()), 1..8),
        asked in name(),
    ) {
        let compiled = hosts
            .iter()
            .enumerate()
            .map(|(at, (hosts, placed))| {
                let written = Policy {
                    virtual_services: placed.then(BTreeMap::new),
                    ..policy(hosts.clone(), Vec::new())
                };
                compile(&format!("shop/r{at}"), &written).unwrap()
            })
            .collect();
        let set = PolicySet::new(compiled, None);
        let rank = |hosts: &[String]| hosts.iter().filter_map(|host| rank(host, &asked)).max();
        let best = hosts.iter().filter(|(_, placed)| !placed).filter_map(|(hosts, _)| rank(hosts)).max();
        let expected: Vec<String> = hosts
            .iter()
            .enumerate()
            .filter(|(_, (hosts, placed))| {
                let rank = rank(hosts);
                rank.is_some() && (*placed || rank == best)
            })
            .map(|(at, _)| format!("shop/r{at}"))
            .collect();
        let mut space = HostSpace::default();
        let mut found: Vec<String> = set
            .candidates(asked.to_uppercase().as_bytes(), &mut space)
            .map(|candidate| candidate.policy.rollout().to_owned())
            .collect();
        // Eight at most, so names are in the order of numbers.
        found.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_first_of_the_rules_that_match_decides(
        rules in prop::collection::vec(prop::collection::vec(conditions(), 0..3), 0..6),
        values in [prop::option::of("[ab]{0,3}"), prop::option::of("[ab]{0,3}"), prop::option::of("[ab]{0,3}")],
    ) {
        let written = rules.iter().enumerate().map(|(at, entries)| Rule {
            name: at.to_string(),
            lane: Lane::Canary,
            percent: None,
            keys: Vec::new(),
            matches: entries.iter().map(entry).collect(),
        });
        let compiled = compile("shop/reviews", &policy(vec!["a".to_owned()], written.collect())).unwrap();
        let set = PolicySet::new(vec![compiled], None);
        let compiled = set.get(0).unwrap();
        let [user, parameter, cookie] = &values;
        let mut headers = Vec::new();
        headers.extend(user.clone().map(|value| ("x-user", value)));
        headers.extend(parameter.iter().map(|value| (":path", format!("/?c={value}b&a={value}&a=c"))));
        headers.extend(cookie.iter().map(|value| ("cookie", format!("c=a; a={value}; a=c"))));
        let request = Request::read(&headers[..], |_, _| {});
        let decision = compiled.decide(&request, &mut || 0);
        // Entries are alternatives; all conditions of one have to hold.
        let matches = |entry: &[Option<StringMatch>; 3]| {
            entry.iter().zip(&values).all(|(text, value)| {
                text.as_ref()
                    .is_none_or(|text| value.as_ref().is_some_and(|value| holds(text, value)))
            })
        };
        let expected = rules.iter().position(|entries| entries.iter().any(matches));
        let expected = expected.map(|at| at.to_string());
        prop_assert_eq!(
            decision.and_then(|decision| compiled.rule_name(decision.rule?)),
            expected.as_deref()
        );
        if let Some(needed) = set.needed_headers() && decision.is_some() {
            let has = |name: &[u8]| headers.iter().any(|(other, _)| other.as_bytes() == name);
            prop_assert!(needed.iter().any(|name| has(name)), "{:?}", needed);
        }
    }

    #[test]
    fn any_strings_compile_or_are_named(
        host in ".{0,12}",
        header in ".{0,8}",
        regex in ".{0,24}",
        value in prop::collection::vec(any::<u8>(), 0..24),
    ) {
        let rule = Rule {
            name: "r".to_owned(),
            lane: Lane::Stable,
            percent: Some(50),
            keys: Vec::new(),
            matches: vec![Match {
                headers: [(header, StringMatch::Regex(regex))].into(),
                ..Match::default()
            }],
        };
        match compile("shop/reviews", &policy(vec![host], vec![rule])) {
            Ok(compiled) => {
                let headers = [(&b"x-user"[..], &value[..]), (b":path", &value[..])];
                let request = Request::read(&headers[..], |_, _| {});
                let _ = compiled.decide(&request, &mut || 0);
            }
            Err(error) => prop_assert!(error.to_string().starts_with("rollout shop/reviews: ")),
        }
    }
}

/// Everything that a request could be decided by.
fn shown(policy: Result<CompiledPolicy, impl std::fmt::Debug>) -> String {
    let set = policy.map(|policy| PolicySet::new(vec![policy], Some("shop.svc.cluster.local")));
    format!("{set:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slices_come_to_the_same(
        hosts in prop::collection::vec(host(), 0..4),
        texts in prop::collection::vec(conditions(), 0..12),
        units in 0..300usize,
    ) {
        let rules = texts.into_iter().map(|[header, query, cookie]| {
            let named = |name: &str, text: Option<StringMatch>| text.map(|text| (name.to_owned(), text)).into_iter().collect();
            let matches = Match {
                headers: named("x-user", header),
                query_params: named("a", query),
                cookies: named("a", cookie),
                ..Match::default()
            };
            Rule { name: "r".to_owned(), lane: Lane::Canary, percent: None, keys: Vec::new(), matches: vec![matches] }
        });
        let policy = policy(hosts, rules.collect());
        let pace = Pace::slices_of(units);
        let (compiled, _) = sliced(compile_in_slices("shop/a", &policy, &pace));
        let at_once = compile("shop/a", &policy);
        if let (Ok(compiled), Ok(at_once)) = (&compiled, &at_once) {
            prop_assert_eq!(compiled.generation(), at_once.generation());
        }
        prop_assert_eq!(shown(compiled), shown(at_once));
    }
}

#[test]
fn a_slice_does_so_much_and_no_more() {
    let rule = |at: usize| Rule {
        name: "r".to_owned(),
        lane: Lane::Canary,
        percent: None,
        keys: Vec::new(),
        matches: vec![Match {
            headers: [("x-user".to_owned(), StringMatch::Exact(at.to_string()))].into(),
            ..Match::default()
        }],
    };
    let slices = |rules: usize| {
        let policy = policy(vec!["a".to_owned()], (0..rules).map(rule).collect());
        let pace = Pace::slices_of(200);
        let (compiled, slices) = sliced(compile_in_slices("shop/a", &policy, &pace));
        let policies = vec![Rc::new(compiled.unwrap())];
        let (set, more) = sliced(PolicySet::in_slices(policies, None, &pace));
        assert_eq!(set.len(), 1);
        slices + more
    };
    let (few, many) = (slices(100), slices(1_000));
    assert!(few > 20, "{few}");
    assert!((few * 8..=few * 12).contains(&many), "{few}, {many}");
}
