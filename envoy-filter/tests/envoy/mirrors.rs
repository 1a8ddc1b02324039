//! Copies: how many requests are copied, and what becomes of those of a user who has a version.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::*;

/// A stable pod, a canary pod, and an Envoy with lanes that lead to them; the pods answer with their names.
fn start(policy: Value) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let pipe = |name: &str| json!({"pipe": {"path": folder.path().join(name)}});
    let pod = |name: &str| {
        let routes = vec![route("all", "reviews", &json!({"prefix": "/"}), name)];
        listener_at(name, &pipe(name), &[], &[virtual_host(&["*"], routes)])
    };
    let routes = managed("reviews", "reviews", "primary", &json!({"prefix": "/"}));
    let mut routes = led(routes, |lane| {
        let pod = if lane == "canary" { "canary" } else { "stable" };
        format!("{pod}-pod")
    });
    for route in &mut routes {
        if route["name"].as_str().unwrap().ends_with("mirror") {
            route["route"]["request_mirror_policies"] = json!([{"cluster": "canary-pod"}]);
        }
    }
    let configuration = policies(&[("shop/reviews", policy)]);
    let filters = [filter("istio-system.serin", &configuration)];
    let listeners = [
        listener("main", &filters, &[virtual_host(&["*"], routes)]),
        pod("stable-pod"),
        pod("canary-pod"),
    ];
    let clusters = ["stable-pod", "canary-pod"].map(|name| cluster(name, &pipe(name)));
    Bench::start_in(folder, SIDECAR, &listeners, &clusters)
}

/// How many requests the canary pod has seen, copies among them, once they are at least `enough`: copies may be on their way
/// still.
fn seen(bench: &Bench, enough: u64) -> u64 {
    let now = || {
        let name = "http.canary-pod.downstream_rq_completed";
        bench.envoy.stat(name).unwrap().unwrap_or_default()
    };
    for _ in 0..200 {
        if now() >= enough {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    now()
}

#[test]
fn a_mirrored_request_is_answered_by_the_weights_and_copied() {
    let rules = json!([{"name": "m", "lane": "mirror", "percent": 50, "match": [{"headers": {"x-beta": {"exact": "1"}}}]}]);
    let bench = start(reviews(&rules));
    let mut connection = bench.connect("main");
    for _ in 0..50 {
        let reply = connection.send("GET /", &["host: reviews"]).unwrap();
        assert_eq!(reply.body, "stable-pod");
    }
    assert_eq!(seen(&bench, 0), 0);
    for _ in 0..1_000 {
        let reply = connection
            .send("GET /", &["host: reviews", "x-beta: 1"])
            .unwrap();
        assert_eq!(reply.body, "stable-pod");
    }
    // Six standard deviations (16 each) of a half.
    let copies = seen(&bench, 500 - 95);
    assert!((500 - 95..=500 + 95).contains(&copies), "{copies} of 1000");
}

#[test]
fn a_user_of_stable_is_copied_and_one_of_the_canary_is_not() {
    let mut policy = reviews(&json!([{"name": "m", "lane": "mirror", "match": [{}]}]));
    policy["sticky"] = json!({"keys": [{"header": "x-user"}], "salt": "s", "canary": 30});
    let bench = start(policy);
    let mut connection = bench.connect("main");
    let users = 200;
    let mut canaries = 0;
    for user in 0..users {
        let user = format!("x-user: {user}");
        let answers = [0; 2].map(|_| {
            let reply = connection.send("GET /", &["host: reviews", &user]);
            reply.unwrap().body
        });
        assert_eq!(answers[0], answers[1], "{user}");
        canaries += u64::from(answers[0] == "canary-pod");
    }
    assert!((30..=90).contains(&canaries), "{canaries} of {users}");
    // Each request is there once: as it is, or as a copy.
    assert_eq!(seen(&bench, 2 * users), 2 * users);
    // Without a key the weights answer, and there is a copy.
    let reply = connection.send("GET /", &["host: reviews"]).unwrap();
    assert_eq!(reply.body, "stable-pod");
    assert_eq!(seen(&bench, 2 * users + 1), 2 * users + 1);
}
