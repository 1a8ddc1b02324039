//! What a compiled policy says beyond the tables: shares and errors.

use super::*;

fn policy(json: &str) -> CompiledPolicy {
    compile("shop/reviews", &serde_json::from_str(json).unwrap()).unwrap()
}

fn decide(policy: &CompiledPolicy, headers: &[(&str, &str)], random: u32) -> Option<Lane> {
    let request = Request::read(headers, |_, _| {});
    policy
        .decide(&request, &mut || random)
        .map(|decision| decision.lane)
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
    assert_eq!(drawn.map(|decision| decision.rule), Some("r"));
}

#[test]
fn a_search_that_would_take_too_long_is_no_match() {
    // 1,024 positions.
    let policy = policy(
        r#"{"hosts": ["a"], "rules": [{"name": "r", "lane": "canary", "match": [{"headers": {"x-id": {"regex": ".*a{1023}"}}}]}]}"#,
    );
    let lane = |length| decide(&policy, &[("x-id", &"a".repeat(length))], 0);
    assert_eq!(lane(4_096), Some(Lane::Canary));
    assert_eq!(lane(4_097), None);
}
