//! A ramp with 100,000 users: shares, who moves, and that nobody moves twice.

// Helpers of a test count as shipped code to clippy.
#![allow(clippy::unwrap_used)]

use traffic_policy::config::{Match, Policy, Rule, Sticky, StickyKey};
use traffic_policy::{CompiledPolicy, Decision, Lane, Request, compile};

const USERS: usize = 100_000;

fn policy(salt: &str, canary: u32, of: u32) -> CompiledPolicy {
    let sticky = Sticky {
        keys: vec![StickyKey::Header("x-user".to_owned())],
        salt: salt.to_owned(),
        canary,
        of,
    };
    let policy = Policy {
        hosts: vec!["reviews".to_owned()],
        sticky: Some(sticky),
        ..Policy::default()
    };
    compile("shop/reviews", &policy).unwrap()
}

fn users() -> Vec<String> {
    (0..USERS).map(|user| format!("user-{user}")).collect()
}

fn decide(policy: &CompiledPolicy, user: &str) -> Option<Decision> {
    let headers = [("x-user", user)];
    policy.decide(&Request::read(&headers[..], |_, _| {}), &mut || 0)
}

/// Who sees the canary.
fn canaries(policy: &CompiledPolicy, users: &[String]) -> Vec<bool> {
    let lane = |user: &String| decide(policy, user).unwrap().lane.unwrap();
    let is_canary = |lane| match lane {
        Lane::Canary => true,
        Lane::Stable => false,
        other => unreachable!("{other}"),
    };
    users.iter().map(lane).map(is_canary).collect()
}

fn share(canaries: &[bool]) -> f64 {
    let count = canaries.iter().filter(|canary| **canary).count();
    f64::from(u32::try_from(count).unwrap()) / f64::from(u32::try_from(canaries.len()).unwrap())
}

/// In percent of all, as the weight is.
fn off_by(canaries: &[bool], canary: u32, of: u32) -> f64 {
    (share(canaries) - f64::from(canary) / f64::from(of)).abs() * 100.0
}

#[test]
fn a_ramp_has_the_right_share_at_every_step_and_moves_each_user_once() {
    let users = users();
    let mut before = vec![false; USERS];
    let mut moved = vec![0; USERS];
    for canary in [0, 1, 2]
        .into_iter()
        .chain((5..=95).step_by(5))
        .chain([99, 100])
    {
        let now = canaries(&policy("7c9d5b", canary, 100), &users);
        assert!(
            off_by(&now, canary, 100) <= 0.5,
            "{canary}: {}",
            share(&now)
        );
        for ((before, now), moved) in before.iter().zip(&now).zip(&mut moved) {
            assert!(*now || !before, "back to stable at {canary}");
            *moved += usize::from(before != now);
        }
        before = now;
    }
    assert!(moved.iter().all(|moved| *moved == 1));
}

#[test]
fn an_abort_moves_all_back_and_a_retry_takes_the_same() {
    let users = users();
    let half = canaries(&policy("7c9d5b", 50, 100), &users);
    let aborted = canaries(&policy("7c9d5b", 0, 100), &users);
    assert!(!aborted.contains(&true));
    // Compiled anew, as in another proxy or after a restart.
    assert_eq!(canaries(&policy("7c9d5b", 50, 100), &users), half);
}

#[test]
fn shares_of_other_wholes_are_as_exact() {
    let users = users();
    for (canary, of) in [(1, 1_000), (333, 1_000), (1, 3), (7, 10_000), (1, 1)] {
        let now = canaries(&policy("fixed", canary, of), &users);
        assert!(off_by(&now, canary, of) <= 0.5, "{canary} of {of}");
    }
    // The same users come first, whatever the whole is.
    let percent = canaries(&policy("fixed", 5, 100), &users);
    assert_eq!(canaries(&policy("fixed", 50, 1_000), &users), percent);
}

#[test]
fn another_salt_takes_other_users() {
    let users = users();
    let one = canaries(&policy("7c9d5b", 20, 100), &users);
    let other = canaries(&policy("6f8c4a", 20, 100), &users);
    let both: Vec<bool> = one.iter().zip(&other).map(|(a, b)| *a && *b).collect();
    // Independent: a fifth of a fifth.
    assert!(off_by(&both, 4, 100) <= 0.5, "{}", share(&both));
}

#[test]
fn a_rule_has_a_split_of_its_own() {
    let users = users();
    let rule = |percent| {
        let rule = Rule {
            name: "beta".to_owned(),
            lane: Lane::Canary,
            percent: Some(percent),
            keys: vec![StickyKey::Header("x-user".to_owned())],
            matches: vec![Match::default()],
        };
        let policy = Policy {
            hosts: vec!["reviews".to_owned()],
            rules: vec![rule],
            ..Policy::default()
        };
        let policy = compile("shop/reviews", &policy).unwrap();
        let taken =
            |user: &String| decide(&policy, user).is_some_and(|decision| decision.lane.is_some());
        users.iter().map(taken).collect::<Vec<_>>()
    };
    let (some, more) = (rule(20), rule(45));
    assert!(off_by(&some, 20, 100) <= 0.5);
    assert!(off_by(&more, 45, 100) <= 0.5);
    assert!(some.iter().zip(&more).all(|(some, more)| *more || !some));
    let sticky = canaries(&policy("7c9d5b", 20, 100), &users);
    let both: Vec<bool> = some.iter().zip(&sticky).map(|(a, b)| *a && *b).collect();
    assert!(off_by(&both, 4, 100) <= 0.5, "{}", share(&both));
}
