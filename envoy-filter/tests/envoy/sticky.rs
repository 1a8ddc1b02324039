//! One user, one version: in every proxy, after a restart, by header and by address.

use serde_json::{Value, json};
use traffic_policy::{Lane, Request, Surroundings, compile};

use crate::bench::*;

fn policy(keys: &Value, canary: u32) -> Value {
    let mut policy = reviews(&json!([]));
    policy["sticky"] = json!({"keys": keys, "salt": "7c9d5b", "canary": canary});
    policy
}

fn start(node: &str, policy: &Value) -> Bench {
    let configuration = policies(&[("shop/reviews", policy.clone())]);
    Bench::with_filter(node, &configuration, &[reviews_host()])
}

/// The lane of each of 200 users.
fn lanes(bench: &Bench) -> Vec<String> {
    let mut connection = bench.connect("main");
    let host = format!("host: {REVIEWS}");
    let mut ask = |user: u32| {
        let user = format!("x-user: user-{user}");
        connection.send("GET /", &[&host, &user]).unwrap().body
    };
    (0..200).map(&mut ask).collect()
}

#[test]
fn a_user_has_one_version_in_every_proxy_and_after_a_restart() {
    let keys = json!([{"header": "x-user"}]);
    let one = start(SIDECAR, &policy(&keys, 20));
    let other = start(GATEWAY, &policy(&keys, 20));
    let before = lanes(&one);
    assert_eq!(before, lanes(&other));
    drop(one);
    let again = start(SIDECAR, &policy(&keys, 20));
    assert_eq!(before, lanes(&again));
    let canaries = |lanes: &[String]| lanes.iter().filter(|lane| *lane == "canary").count();
    // Of 200, 20 percent, and five standard deviations (6 each).
    assert!((10..=70).contains(&canaries(&before)), "{before:?}");
    assert!(
        before
            .iter()
            .all(|lane| ["canary", "stable"].contains(&lane.as_str()))
    );
    // A larger share takes nobody's canary away.
    let after = lanes(&start(SIDECAR, &policy(&keys, 60)));
    assert!(canaries(&after) > canaries(&before));
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || (before, after.as_str()) == (&"stable".to_owned(), "canary"));
    }
    // Without a key the weights decide.
    assert_eq!(again.get(REVIEWS, &[]), "weights");
    assert_eq!(again.get(REVIEWS, &["x-user:"]), "weights");
}

/// A proxy that knows the source's address.
struct At<'a>(&'a str);

impl Surroundings for At<'_> {
    fn random(&mut self) -> u32 {
        0
    }

    fn source_address(&mut self) -> Option<&[u8]> {
        Some(self.0.as_bytes())
    }
}

#[test]
fn at_an_edge_the_address_of_the_source_is_a_key_and_its_port_is_not() {
    let policy = policy(&json!([{"header": "x-user"}, {"sourceAddress": true}]), 50);
    let compiled = compile(
        "shop/reviews",
        &serde_json::from_value(policy.clone()).unwrap(),
    )
    .unwrap();
    let configuration = policies(&[("shop/reviews", policy)]);
    let filters = [filter("istio-system.serin", &configuration)];
    let mut main = listener("main", &filters, &[reviews_host()]);
    // The gateway is behind one proxy that it trusts, whose word for the address counts.
    let http = &mut main["filter_chains"][0]["filters"][0]["typed_config"];
    http["use_remote_address"] = json!(true);
    http["xff_num_trusted_hops"] = json!(1);
    let gateway = Bench::start(GATEWAY, &[main.clone()], &[]);
    let mut seen = [0, 0];
    for client in 0..60 {
        let address = if client % 2 == 0 {
            format!("192.0.2.{client}")
        } else {
            format!("2001:db8::{client}")
        };
        let line = format!("x-forwarded-for: {address}");
        let answer = gateway.get(REVIEWS, &[&line]);
        let key = if client % 2 == 0 {
            address
        } else {
            format!("[{address}]")
        };
        let headers = [(":authority", REVIEWS)];
        let request = Request::read(&headers[..], |_, _| {});
        let decision = compiled.decide(&request, &mut At(&key)).unwrap();
        let decided = decision.lane.unwrap();
        assert_eq!(answer, decided.as_str(), "{key}");
        seen[usize::from(decided == Lane::Canary)] += 1;
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
    // Without such a proxy the connection's: each has another port.
    let plain = start(
        GATEWAY,
        &serde_json::from_str::<Value>(&configuration).unwrap()["rollouts"]["shop/reviews"],
    );
    let first = plain.get(REVIEWS, &[]);
    assert!(["canary", "stable"].contains(&first.as_str()), "{first}");
    for _ in 0..10 {
        assert_eq!(plain.get(REVIEWS, &[]), first);
    }
    // Behind an edge it is the address of a proxy, and no key.
    let sidecar = Bench::start(SIDECAR, &[main], &[]);
    assert_eq!(sidecar.get(REVIEWS, &[]), "weights");
}
