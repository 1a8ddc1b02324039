//! What a compiled policy says beyond the tables: shares and errors.

use super::*;
use crate::config::{Match, Rule, StringMatch};

fn policy(json: &str) -> CompiledPolicy {
    compile("shop/reviews", &serde_json::from_str(json).unwrap()).unwrap()
}

fn decide(policy: &CompiledPolicy, headers: &[(&str, &str)], random: u32) -> Option<Lane> {
    let request = Request::read(headers, |_, _| {});
    policy
        .decide(&request, &mut || random)
        .and_then(|decision| decision.lane)
}

const MIRROR_35: &str = r#"{"hosts": ["a"], "rules": [
    {"name": "shadow", "lane": "mirror", "percent": 35, "match": [{}]},
    {"name": "rest", "lane": "canary", "match": [{}]}]}"#;

#[test]
fn a_share_is_exact_at_its_edges() {
    let policy = policy(MIRROR_35);
    let edge = u32::try_from((35u64 << 32).div_ceil(100)).unwrap();
    assert_eq!(decide(&policy, &[], 0), Some(Lane::Mirror));
    assert_eq!(decide(&policy, &[], edge - 1), Some(Lane::Mirror));
    assert_eq!(decide(&policy, &[], edge), None);
    assert_eq!(decide(&policy, &[], u32::MAX), None);
}

#[test]
fn a_request_that_is_not_drawn_is_not_offered_to_later_rules() {
    assert_eq!(decide(&policy(MIRROR_35), &[], u32::MAX), None);
}

#[test]
fn zero_takes_nothing_and_a_hundred_never_draws() {
    let none = policy(
        r#"{"hosts": ["a"], "rules": [{"name": "r", "lane": "canary", "percent": 0, "match": [{}]}]}"#,
    );
    assert_eq!(decide(&none, &[], 0), None);
    let all = policy(
        r#"{"hosts": ["a"], "rules": [{"name": "r", "lane": "canary", "percent": 100, "match": [{}]}]}"#,
    );
    let request = Request::read(&[("", ""); 0][..], |_, _| {});
    let drawn = all.decide(&request, &mut || panic!("drawn for"));
    assert_eq!(drawn.map(|decision| decision.rule), Some(Some(0)));
    assert_eq!(all.rule_name(0), Some("r"));
    assert_eq!(all.rule_name(1), None);
}

#[test]
fn a_search_that_would_take_too_long_is_no_match() {
    // 1,024 positions.
    let policy = policy(
        r#"{"hosts": ["a"], "rules": [{"name": "r", "lane": "canary", "match": [{"headers": {"x-id": {"regex": ".*a{1000}a{23}"}}}]}]}"#,
    );
    let lane = |length| decide(&policy, &[("x-id", &"a".repeat(length))], 0);
    assert_eq!(lane(4_096), Some(Lane::Canary));
    assert_eq!(lane(4_097), None);
}

const STICKY: &str = r#"{"hosts": ["a"], "rules": [
    {"name": "beta", "lane": "canary", "match": [{"headers": {"x-beta": {"exact": "1"}}}]},
    {"name": "old", "lane": "stable", "match": [{"headers": {"x-old": {"exact": "1"}}}]},
    {"name": "shadow", "lane": "mirror", "percent": 50, "match": [{"path": {"prefix": "/m"}}]}],
    "sticky": {"keys": [{"header": "x-user"}], "salt": "7c9d5b", "canary": 10}}"#;

#[test]
fn what_no_rule_sends_anywhere_is_split_by_key() {
    let policy = policy(STICKY);
    // Of 100, by the hashes in the tests of keys: alice falls into 9, bob into 46.
    let (alice, bob) = (("x-user", "alice"), ("x-user", "bob"));
    let (beta, old) = (("x-beta", "1"), ("x-old", "1"));
    let (mirrored, drawn, left) = ((":path", "/m"), 0, u32::MAX);
    for (headers, random, lane, rule) in [
        (&[alice][..], 0, Some(Lane::Canary), None),
        (&[bob], 0, Some(Lane::Stable), None),
        (&[], 0, None, None),
        // A rule beats the key.
        (&[bob, beta], 0, Some(Lane::Canary), Some("beta")),
        (&[alice, old], 0, Some(Lane::Stable), Some("old")),
        // What goes to the new version anyway needs no copy.
        (&[alice, mirrored], drawn, Some(Lane::Canary), None),
        (
            &[bob, mirrored],
            drawn,
            Some(Lane::StableMirror),
            Some("shadow"),
        ),
        (&[mirrored], drawn, Some(Lane::Mirror), Some("shadow")),
        // What a rule leaves out is split as if there was no rule.
        (&[alice, mirrored], left, Some(Lane::Canary), None),
        (&[bob, mirrored], left, Some(Lane::Stable), None),
        (&[mirrored], left, None, Some("shadow")),
    ] {
        let request = Request::read(headers, |_, _| {});
        let decision = policy.decide(&request, &mut || random);
        assert_eq!(
            decision.and_then(|decision| decision.lane),
            lane,
            "{headers:?}"
        );
        let by = decision.and_then(|decision| policy.rule_name(decision.rule?));
        assert_eq!(by, rule, "{headers:?}");
    }
}

#[test]
fn a_share_by_key_takes_the_same_key_every_time() {
    let policy = policy(
        r#"{"hosts": ["a"], "rules": [{"name": "beta-users", "lane": "canary", "percent": 43,
            "keys": [{"header": "x-user"}], "match": [{}]}]}"#,
    );
    // By the hash in the tests of keys: 42 of 100.
    let taken = [("x-user", "10.1.2.3")];
    assert_eq!(decide(&policy, &taken, u32::MAX), Some(Lane::Canary));
    assert_eq!(decide(&policy, &[("x-user", "b")], 0), None);
    assert_eq!(decide(&policy, &[], 0), Some(Lane::Canary), "by chance");
    assert_eq!(decide(&policy, &[], u32::MAX), None, "by chance");
}

#[test]
fn a_secret_stands_in_every_value() {
    let policy = policy(r#"{"hosts": ["a"], "secret": "s3"}"#);
    assert_eq!(policy.lane_value(Lane::StableMirror), "stable-mirror.s3");
    assert_eq!(policy.lane_of(b"canary.s3"), Some(Lane::Canary));
    for forged in [
        "canary",
        "canary.",
        "canary.s3.",
        "canary.S3",
        "blue.s3",
        "",
    ] {
        assert_eq!(policy.lane_of(forged.as_bytes()), None, "{forged}");
    }
    let open = self::policy(r#"{"hosts": ["a"]}"#);
    assert_eq!(open.lane_value(Lane::Canary), "canary");
    assert_eq!(open.lane_of(b"mirror"), Some(Lane::Mirror));
    assert_eq!(open.lane_of(b"mirror.s3"), None);
}

#[test]
fn lanes_are_carried_where_there_are_entry_hosts() {
    let carries = policy(r#"{"hosts": ["a"], "entryHosts": ["b"]}"#);
    assert!(carries.carries_lanes());
    assert_eq!(carries.carried_name(), "shop.reviews");
    assert!(!policy(r#"{"hosts": ["a"]}"#).carries_lanes());
}

#[test]
fn a_policy_issues_one_cookie() {
    assert_eq!(policy(STICKY).issue(), None);
    let policy = policy(
        r#"{"hosts": ["a"],
            "rules": [{"name": "r", "lane": "canary", "percent": 5, "match": [{}],
                "keys": [{"cookie": "id", "issue": {"maxAge": 60}}, {"cookie": "old"}]}],
            "sticky": {"keys": [{"cookie": "id", "issue": {"maxAge": 60}}], "salt": "s", "canary": 5}}"#,
    );
    let issue = Issue {
        path: "/".to_owned(),
        max_age: Some(60),
        ..Issue::default()
    };
    assert_eq!(policy.issue(), Some(("id", &issue)));
}

#[test]
fn a_cookie_that_browsers_would_refuse_is_not_issued() {
    let with = |key: &str| {
        let json = format!(
            r#"{{"hosts": ["a"], "sticky": {{"keys": [{key}], "salt": "s", "canary": 5}}}}"#
        );
        compile("shop/a", &serde_json::from_str(&json).unwrap())
    };
    for (name, prefix) in [("__Host-id", "__Host-"), ("__secure-id", "__Secure-")] {
        let refused = with(&format!(r#"{{"cookie": "{name}", "issue": {{}}}}"#)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "rollout shop/a: sticky.keys[0].cookie: a cookie \"{name}\" can't be issued, \
                 expected a name that doesn't begin with {prefix}"
            )
        );
        // One that the application issues is a key like any other.
        assert!(with(&format!(r#"{{"cookie": "{name}"}}"#)).is_ok());
    }
    assert!(with(r#"{"cookie": "__Hos", "issue": {}}"#).is_ok());
}

#[test]
fn ten_thousand_rules_are_allowed_and_no_more() {
    let rule = serde_json::json!({"name": "r", "lane": "canary"});
    let with = |rules: usize| {
        let json = serde_json::json!({"hosts": ["a"], "rules": vec![rule.clone(); rules]});
        compile("shop/a", &serde_json::from_value(json).unwrap())
    };
    assert!(with(MAX_RULES).is_ok());
    let refused = with(MAX_RULES + 1).unwrap_err().to_string();
    assert_eq!(
        refused,
        "rollout shop/a: rules: 10001 rules, expected at most 10000"
    );
}

/// Rules with that many entries each, of that pattern.
fn of_size(rules: usize, entries: usize, regex: &str) -> Policy {
    let entry = Match {
        path: Some(StringMatch::Regex(regex.to_owned())),
        ..Match::default()
    };
    let rule = |at: usize| Rule {
        name: at.to_string(),
        lane: Lane::Canary,
        percent: None,
        keys: Vec::new(),
        matches: vec![entry.clone(); entries],
    };
    Policy {
        hosts: vec!["a".to_owned()],
        rules: (0..rules).map(rule).collect(),
        ..Policy::default()
    }
}

#[test]
fn a_policy_has_an_end() {
    let usual = of_size(MAX_RULES, 1, "/api/v[0-9]+/users/[^/]+/orders");
    assert!(compile("shop/reviews", &usual).is_ok());
    // One entry can have many.
    let mut wide = of_size(1, 1, "a");
    let header = |at| {
        (
            format!("x-{at}"),
            StringMatch::Regex(r"\w{1000}".to_owned()),
        )
    };
    for entry in wide.rules.iter_mut().flat_map(|rule| &mut rule.matches) {
        entry.headers = (0..500).map(header).collect();
    }
    let refused = compile("shop/reviews", &wide).unwrap_err().to_string();
    assert!(refused.contains("match[0].headers[\"x-"), "{refused}");
    for (policy, error) in [
        (
            of_size(2, 10_001, "a"),
            "rules: 20002 entries in all match lists, expected at most 20000",
        ),
        (
            of_size(3, 300, r"\w{1000}"),
            "rules[1].match[100].path: 401000 positions of patterns up to here (characters, repetitions written \
             out), expected at most 400000 in all",
        ),
    ] {
        let refused = compile("shop/reviews", &policy);
        let refused = refused.map_or_else(|error| error.to_string(), |_| "taken".to_owned());
        assert_eq!(refused, format!("rollout shop/reviews: {error}"));
    }
}
