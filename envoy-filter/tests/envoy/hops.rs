//! Several hops: what is decided at the gateway holds for the calls of the applications behind it.

use serde_json::{Value, json};

use crate::application::Application;
use crate::bench::*;

const ENTRY: &str = "shop.example.com";

/// The gateway, the frontend and its sidecar, the backend and its sidecar, each of the two in two versions; ratings are
/// answered for by routes.
struct Chain {
    gateway: Bench,
    frontend: Bench,
    backend: Bench,
    _applications: Vec<Application>,
}

/// The policy of one Rollout: requests with `x-<rollout>: 1` go to the canary. That of the frontend is for the gateway's host,
/// the others are decided about there.
fn policy(rollout: &str, secret: Option<&str>) -> Value {
    let header = format!("x-{rollout}");
    let mut policy = json!({
        "hosts": [format!("{rollout}.shop.svc.cluster.local")],
        "virtualServices": {format!("shop/{rollout}"): ["primary"]},
        "rules": [{"name": "beta", "lane": "canary", "match": [{"headers": {header: {"exact": "1"}}}]}],
    });
    if rollout == "frontend" {
        policy["hosts"] = json!([ENTRY]);
    } else {
        policy["entryHosts"] = json!([ENTRY]);
    }
    if let Some(secret) = secret {
        policy["secret"] = json!(secret);
    }
    policy
}

fn routes(rollout: &str, secret: Option<&str>) -> Vec<Value> {
    let all = json!({"prefix": "/"});
    managed_with_secret(rollout, rollout, "primary", &all, secret)
}

/// Two versions of an application as clusters, and the routes that lead to them.
fn two_versions(
    rollout: &str,
    secret: Option<&str>,
    sidecar: &Bench,
    next: &str,
) -> (Vec<Application>, Vec<Value>, Vec<Value>) {
    let sidecar = sidecar.envoy.listener("main").unwrap();
    let names = ["stable", "canary"].map(|version| format!("{rollout}-{version}"));
    let applications = names
        .iter()
        .map(|name| Application::start(name, sidecar, next));
    let applications: Vec<Application> = applications.collect();
    let clusters = names
        .iter()
        .zip(&applications)
        .map(|(name, application)| cluster(name, &socket(application.address())))
        .collect();
    let routes = led(routes(rollout, secret), |lane| {
        let version = if lane == "canary" { "canary" } else { "stable" };
        format!("{rollout}-{version}")
    });
    (applications, clusters, routes)
}

impl Chain {
    fn start(secret: Option<&str>) -> Self {
        let rollouts = ["frontend", "backend", "ratings"];
        let keys = rollouts.map(|rollout| format!("shop/{rollout}"));
        let written: Vec<(&str, Value)> = keys
            .iter()
            .zip(rollouts)
            .map(|(key, rollout)| (key.as_str(), policy(rollout, secret)))
            .collect();
        let configuration = policies(&written);
        let proxy = |node: &str, hosts: &[Value], clusters: &[Value]| {
            let filters = [filter("istio-system.serin", &configuration)];
            let listeners = [
                listener("main", &filters, hosts),
                // A caller whose proxy has no filter.
                listener("bare", &[], hosts),
            ];
            Bench::start(node, &listeners, clusters)
        };
        let ratings = virtual_host(&["*"], routes("ratings", secret));
        let backend = proxy(SIDECAR, &[ratings], &[]);
        let (mut applications, clusters, routes) =
            two_versions("backend", secret, &backend, "ratings");
        let frontend = proxy(SIDECAR, &[virtual_host(&["*"], routes)], &clusters);
        let (more, clusters, routes) = two_versions("frontend", secret, &frontend, "backend");
        let gateway = proxy(GATEWAY, &[virtual_host(&[ENTRY], routes)], &clusters);
        applications.extend(more);
        Self {
            gateway,
            frontend,
            backend,
            _applications: applications,
        }
    }

    /// Who answered at each hop.
    fn ask(&self, lines: &[&str]) -> String {
        self.gateway.get(ENTRY, lines)
    }
}

#[test]
fn what_the_gateway_decides_holds_two_hops_further_in() {
    let chain = Chain::start(None);
    for (lines, expected) in [
        (&[][..], "frontend-stable > backend-stable > weights"),
        (
            &["x-frontend: 1"],
            "frontend-canary > backend-stable > weights",
        ),
        (
            &["x-backend: 1"],
            "frontend-stable > backend-canary > weights",
        ),
        (
            &["x-ratings: 1"],
            "frontend-stable > backend-stable > canary",
        ),
        (
            &["x-frontend: 1", "x-ratings: 1", "x-backend: 1"],
            "frontend-canary > backend-canary > canary",
        ),
    ] {
        assert_eq!(chain.ask(lines), expected, "{lines:?}");
    }
    let seen = chain
        .gateway
        .ask("GET /", ENTRY, &["x-ratings: 1", "x-backend: 1"]);
    assert_eq!(
        seen.values(SAW_LANES),
        ["shop.backend=canary,shop.ratings=canary"]
    );
    for bench in [&chain.gateway, &chain.frontend, &chain.backend] {
        assert_eq!(bench.said(), [""; 0]);
    }
}

#[test]
fn a_list_from_outside_leads_nowhere() {
    let chain = Chain::start(None);
    let nothing = "frontend-stable > backend-stable > weights";
    for forged in [
        &["X-Rollout-Lanes: shop.backend=canary,shop.ratings=canary"][..],
        &[
            "x-rollout-lanes: shop.frontend=canary",
            "x-rollout-lanes: shop.backend=canary",
        ],
        &["x-rollout-lane.shop.backend: canary"],
        &["x-rollout-lanes:", "x-rollout-lanes: shop.ratings=canary"],
    ] {
        assert_eq!(chain.ask(forged), nothing, "{forged:?}");
        let seen = chain.gateway.ask("GET /", ENTRY, forged);
        assert_eq!(seen.values(SAW_LANES), [""; 0], "{forged:?}");
    }
    // What is decided stands alone.
    let lines = ["x-rollout-lanes: shop.ratings=canary", "x-backend: 1"];
    assert_eq!(
        chain.ask(&lines),
        "frontend-stable > backend-canary > weights"
    );
}

#[test]
fn with_a_secret_a_lane_without_it_leads_nowhere_even_where_there_is_no_filter() {
    let chain = Chain::start(Some("s3cret"));
    assert_eq!(
        chain.ask(&["x-backend: 1", "x-ratings: 1"]),
        "frontend-stable > backend-canary > canary"
    );
    // Within the mesh, with the filter and without.
    for listener in ["main", "bare"] {
        let ask = |line: &str| {
            let mut connection = chain.backend.connect(listener);
            let reply = connection.send("GET /", &["host: ratings", line]);
            reply.unwrap().body
        };
        for forged in [
            "x-rollout-lane.shop.ratings: canary",
            "x-rollout-lane.shop.ratings: canary.guess",
            "x-rollout-lanes: shop.ratings=canary",
            "x-rollout-lanes: shop.ratings=canary.guess",
        ] {
            assert_eq!(ask(forged), "weights", "{forged} at {listener}");
        }
        let right = "x-rollout-lane.shop.ratings: canary.s3cret";
        assert_eq!(ask(right), "canary", "{listener}");
    }
    let right = "x-rollout-lanes: shop.ratings=canary.s3cret";
    assert_eq!(chain.backend.get("ratings", &[right]), "canary");
    // A wrong one doesn't keep the policy from deciding.
    let wrong = "x-rollout-lanes: shop.ratings=stable";
    assert_eq!(
        chain.backend.get("ratings", &[wrong, "x-ratings: 1"]),
        "canary"
    );
}
