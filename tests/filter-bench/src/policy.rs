//! Plugin configurations of chosen sizes.

use serde_json::{Value, json};

/// The host that requests ask for.
pub(crate) const HOST: &str = "reviews.shop.svc.cluster.local";
/// The Rollout, and its VirtualService.
const REVIEWS: &str = "shop/reviews";
/// The header that the many rules look at.
pub(crate) const HEADER: &str = "x-user";
/// The header that carries a lane.
pub(crate) const LANE_HEADER: &str = "x-rollout-lane.shop.reviews";

/// The value that the rule or native route `at` wants.
pub(crate) fn user(at: u32) -> String {
    format!("user-{at}")
}

/// One rule: requests with `x-beta: 1` take `lane`.
pub(crate) fn beta(lane: &str) -> String {
    reviews(beta_rules(lane)).to_string()
}

fn beta_rules(lane: &str) -> Value {
    let matches = json!([{"headers": {"x-beta": {"exact": "1"}}}]);
    json!([{"name": "beta", "lane": lane, "match": matches}])
}

/// As [`beta`], at an edge, where lane headers from outside are looked for in every request.
pub(crate) fn beta_at_edge(lane: &str) -> String {
    json!({"trust": "edge", "rollouts": {REVIEWS: policy(beta_rules(lane))}}).to_string()
}

/// As [`users`] by exact value with one rule, for `count` Rollouts with a host each; that of [`HOST`] is the last.
pub(crate) fn rollouts(count: u32) -> String {
    let rollouts: serde_json::Map<String, Value> = (1..=count)
        .map(|at| {
            let name = if at == count {
                "reviews".to_owned()
            } else {
                format!("service-{at}")
            };
            let policy = json!({
                "hosts": [format!("{name}.shop.svc.cluster.local")],
                "virtualServices": {format!("shop/{name}"): ["primary"]},
                "rules": [rule(By::Exact, 0, "canary")],
            });
            (format!("shop/{name}"), policy)
        })
        .collect();
    json!({"rollouts": rollouts}).to_string()
}

/// How a generated rule looks at its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Exact,
    Prefix,
    Regex,
}

impl By {
    fn matching(self, at: u32) -> Value {
        match self {
            Self::Exact => json!({"exact": user(at)}),
            Self::Prefix => json!({"prefix": format!("{}/", user(at))}),
            Self::Regex => json!({"regex": format!("{}/[a-z]+[0-9]*", user(at))}),
        }
    }
}

/// `count` rules, each for one user, to the canary.
pub(crate) fn users(by: By, count: u32) -> String {
    reviews((0..count).map(|at| rule(by, at, "canary")).collect()).to_string()
}

/// As [`users`] by exact value, but for the first: that sends `x-beta: 1` to `lane`, so that one request tells which
/// configuration is in force.
pub(crate) fn beta_and_users(lane: &str, count: u32) -> String {
    let beta =
        json!({"name": "beta", "lane": lane, "match": [{"headers": {"x-beta": {"exact": "1"}}}]});
    let users = (1..count).map(|at| rule(By::Exact, at, "canary"));
    reviews(std::iter::once(beta).chain(users).collect()).to_string()
}

fn rule(by: By, at: u32, lane: &str) -> Value {
    let matches = json!([{"headers": {HEADER: by.matching(at)}}]);
    json!({"name": user(at), "lane": lane, "match": matches})
}

fn reviews(rules: Value) -> Value {
    json!({"rollouts": {REVIEWS: policy(rules)}})
}

fn policy(rules: Value) -> Value {
    json!({
        "hosts": [HOST],
        "virtualServices": {REVIEWS: ["primary"]},
        "rules": rules,
    })
}

/// Policies of `rollouts` Rollouts in the midst of a sticky canary with a header route, over `namespaces` namespaces;
/// that of the first has `share` percent.
pub(crate) fn sticky(rollouts: u32, namespaces: u32, share: u32) -> String {
    let rollouts: serde_json::Map<String, Value> = (0..rollouts)
        .map(|at| {
            let namespace = format!("team-{}", at % namespaces.max(1));
            let name = format!("service-{at}");
            let policy = json!({
                "hosts": [format!("{name}.{namespace}.svc.cluster.local"), format!("{name}.example.com")],
                "virtualServices": {format!("{namespace}/{name}"): ["primary"]},
                "rules": [{
                    "name": "beta-users",
                    "lane": "canary",
                    "match": [{"headers": {"x-beta": {"exact": "1"}}}],
                }],
                "sticky": {
                    "keys": [{"header": "x-user-id"}, {"cookie": "session"}],
                    "salt": "7c9d5b6f4d",
                    "canary": if at == 0 { share } else { 10 },
                },
            });
            (format!("{namespace}/{name}"), policy)
        })
        .collect();
    json!({"rollouts": rollouts}).to_string()
}
