//! Issued cookies, by the module that can and the one that can't.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::bench::*;

/// Requests without a user or a cookie get one, at `/` of a gateway.
fn configuration() -> String {
    let mut policy = reviews(&json!([]));
    policy["sticky"] = json!({
        "keys": [{"header": "x-user"}, {"cookie": "rollout-id", "issue": {"maxAge": 3600, "sameSite": "Strict"}}],
        "salt": "s",
        "canary": 50,
    });
    policies(&[("shop/reviews", policy)])
}

fn with_cookies() -> Value {
    let mut filter = filter("istio-system.serin", &configuration());
    filter["typed_config"]["config"]["vm_config"]["code"] =
        json!({"local": {"filename": cookies_module()}});
    filter
}

fn start(node: &str, filter: Value) -> Bench {
    Bench::start(node, &[listener("main", &[filter], &[reviews_host()])], &[])
}

#[test]
fn a_cookie_is_issued_once_and_keeps_the_version() {
    let bench = start(GATEWAY, with_cookies());
    // Another proxy, after another deployment.
    let other = start(GATEWAY, with_cookies());
    let mut ids = BTreeSet::new();
    let mut lanes = BTreeSet::new();
    for _ in 0..20 {
        let first = bench.ask("GET /", REVIEWS, &[]);
        let issued = first.values("set-cookie");
        let [cookie] = issued[..] else {
            panic!("{first:?}");
        };
        let (pair, rest) = cookie.split_once("; ").unwrap();
        assert_eq!(rest, "Path=/; Max-Age=3600; SameSite=Strict; HttpOnly");
        assert!(pair.starts_with("rollout-id="), "{pair}");
        let line = format!("cookie: theme=dark; {pair}");
        for proxy in [&bench, &other, &bench] {
            let next = proxy.ask("GET /", REVIEWS, &[&line]);
            assert_eq!(next.body, first.body, "{pair}");
            assert_eq!(next.values("set-cookie"), [""; 0]);
        }
        ids.insert(pair.to_owned());
        lanes.insert(first.body);
    }
    assert_eq!(ids.len(), 20, "no id twice");
    assert_eq!(
        lanes.iter().map(String::as_str).collect::<Vec<_>>(),
        ["canary", "stable"]
    );
    let secure = bench.ask("GET /", REVIEWS, &["x-forwarded-proto: https"]);
    assert!(
        secure.values("set-cookie")[0].ends_with("; Secure; HttpOnly"),
        "{secure:?}"
    );
    let keyed = bench.ask("GET /", REVIEWS, &["x-user: u"]);
    assert_eq!(keyed.values("set-cookie"), [""; 0], "there is a key");
    let elsewhere = bench.ask("GET /", "ratings.shop.svc.cluster.local", &[]);
    assert_eq!(
        (
            elsewhere.body.as_str(),
            elsewhere.values("set-cookie").len()
        ),
        ("weights", 0)
    );
    assert_eq!(bench.said(), [""; 0]);
}

#[test]
fn behind_an_edge_none_is_issued() {
    let bench = start(SIDECAR, with_cookies());
    let reply = bench.ask("GET /", "reviews", &[]);
    assert_eq!(
        (reply.body.as_str(), reply.values("set-cookie").len()),
        ("weights", 0)
    );
    assert_eq!(bench.said(), [""; 0]);
}

#[test]
fn the_module_without_them_says_so_and_takes_those_that_are_there() {
    let plain = start(GATEWAY, filter("istio-system.serin", &configuration()));
    let reply = plain.ask("GET /", REVIEWS, &[]);
    assert_eq!(
        (reply.body.as_str(), reply.values("set-cookie").len()),
        ("weights", 0)
    );
    let both = start(GATEWAY, with_cookies());
    for id in 0..10 {
        let cookie = format!("cookie: rollout-id={id}");
        let answer = plain.get(REVIEWS, &[&cookie]);
        assert_ne!(answer, "weights");
        assert_eq!(answer, both.get(REVIEWS, &[&cookie]));
    }
    assert_eq!(
        plain.said(),
        [
            "plugin istio-system.serin: only the module serin-filter-cookies.wasm issues cookies; without a key the weights decide: rollout shop/reviews: cookie \"rollout-id\""
        ]
    );
    assert_eq!(plain.counted("cookies_not_issued"), 1);
    assert_eq!(both.counted("cookies_not_issued"), 0);
}
