//! Policies that change while requests come in, through file-based ECDS as through istiod's.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::*;

/// How long something may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `holds`, or fails saying what does not.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(
            began.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An Envoy that takes the filter's configuration from a file.
pub(crate) struct Discovered {
    pub(crate) bench: Bench,
    version: Cell<u32>,
}

const RESOURCE: &str = "resource.json";

impl Discovered {
    pub(crate) fn start(configuration: &str) -> Self {
        Self::start_with(configuration, &[reviews_host()], &[], None)
    }

    pub(crate) fn start_with_stats(configuration: &str, stats: &Value) -> Self {
        Self::start_with(configuration, &[reviews_host()], &[], Some(stats))
    }

    fn start_with(
        configuration: &str,
        virtual_hosts: &[Value],
        clusters: &[Value],
        stats: Option<&Value>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 0, configuration);
        let plugin = json!({"name": "istio-system.serin", "config_discovery": {
            "config_source": {"path_config_source": {"path": folder.path().join(RESOURCE)}, "resource_api_version": "V3"},
            "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
        }});
        let listeners = [listener("main", &[plugin], virtual_hosts)];
        Self {
            bench: Bench::start_from(folder, bootstrap(SIDECAR, &listeners, clusters, stats)),
            version: Cell::new(0),
        }
    }

    /// Puts another configuration in place of the last one, in one move.
    pub(crate) fn publish(&self, configuration: &str) {
        self.version.set(self.version.get() + 1);
        write(self.bench.folder.path(), self.version.get(), configuration);
    }

    /// Waits until Envoy has taken every configuration that was published, or refused it. Those that are
    /// published before the one before them was taken may be taken as one: wait for each.
    pub(crate) fn settle(&self) {
        let stat = |name: &str| {
            let prefix = "extension_config_discovery.http_filter.istio-system.serin";
            let value = self.bench.envoy.stat(&format!("{prefix}.{name}")).unwrap();
            value.expect("the statistics of the filter's discovery")
        };
        let published = u64::from(self.version.get()) + 1;
        eventually("every configuration is taken", || {
            stat("config_reload") + stat("config_fail") >= published
        });
        assert_eq!(stat("config_fail"), 0);
    }
}

fn write(folder: &std::path::Path, version: u32, configuration: &str) {
    let resource = json!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": "istio-system.serin",
        "typed_config": wasm("istio-system.serin", configuration),
    });
    let response = json!({"version_info": version.to_string(), "resources": [resource]});
    let beside = folder.join("resource.new");
    fs::write(&beside, response.to_string()).unwrap();
    fs::rename(&beside, folder.join(RESOURCE)).unwrap();
}

/// Ends the load when it goes, so that a failed assertion is not waited for by it.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn policies_change_under_load_without_a_failed_request() {
    let policy = |lane: &str| policies(&[("shop/reviews", reviews(&beta(lane)))]);
    let discovered = Discovered::start(&policy("canary"));
    let target = discovered.bench.envoy.listener("main").unwrap();
    let stop = AtomicBool::new(false);
    let load = || {
        let mut connection = testbed::envoy::Connection::open(target).unwrap();
        let mut answers: BTreeMap<String, u32> = BTreeMap::new();
        while !stop.load(Ordering::Relaxed) {
            let reply = connection
                .send("GET /", &["host: reviews", "x-beta: 1"])
                .unwrap();
            assert_eq!(reply.status, 200, "{reply:?}");
            *answers.entry(reply.body).or_default() += 1;
        }
        answers
    };
    let changes = 20;
    let answers = std::thread::scope(|scope| {
        let workers = [scope.spawn(load), scope.spawn(load)];
        let ends = Ends(&stop);
        for change in 1..=changes {
            let lane = if change % 2 == 0 { "canary" } else { "stable" };
            discovered.publish(&policy(lane));
            eventually("the change is in force", || {
                discovered.bench.get("reviews", &["x-beta: 1"]) == lane
            });
        }
        // No rule, then no policy, then no rollouts at all.
        discovered.publish(&policies(&[("shop/reviews", reviews(&json!([])))]));
        eventually("the rule is gone", || {
            discovered.bench.get("reviews", &["x-beta: 1"]) == "weights"
        });
        discovered.publish("");
        discovered.publish(&policy("canary"));
        eventually("the last policy is in force", || {
            discovered.bench.get("reviews", &["x-beta: 1"]) == "canary"
        });
        drop(ends);
        workers.map(|worker| worker.join().unwrap())
    });
    for worker in &answers {
        let seen: Vec<&str> = worker.keys().map(String::as_str).collect();
        assert_eq!(seen, ["canary", "stable", "weights"]);
    }
    let sent: u32 = answers.iter().flat_map(|worker| worker.values()).sum();
    println!("{sent} requests, none failed, over {changes} changes of the policy");
    assert_eq!(discovered.bench.said(), [""; 0]);
}

/// Long enough to be taken over in slices: each request has a lane of one policy or the other.
#[test]
fn a_long_policy_decides_until_the_next_one_is_ready() {
    let policy = |lane: &str| {
        let users = (0..3_000).map(|at| {
            let matches = json!([{"headers": {"x-user": {"exact": at.to_string()}}}]);
            json!({"name": format!("user-{at}"), "lane": "canary", "match": matches})
        });
        let beta = beta(lane).as_array().unwrap().clone();
        let rules: Vec<Value> = beta.into_iter().chain(users).collect();
        policies(&[("shop/reviews", reviews(&json!(rules)))])
    };
    let discovered = Discovered::start(&policy("canary"));
    let get = || discovered.bench.get("reviews", &["x-beta: 1"]);
    assert_eq!(get(), "canary");
    for lane in ["stable", "canary", "stable"] {
        discovered.publish(&policy(lane));
        eventually("the change is in force in both workers", || {
            let answers: Vec<String> = (0..20).map(|_| get()).collect();
            assert!(
                answers
                    .iter()
                    .all(|lane| lane == "canary" || lane == "stable"),
                "{answers:?}"
            );
            answers.iter().all(|answer| answer == lane)
        });
    }
    assert_eq!(discovered.bench.said(), [""; 0]);
}

/// Envoy goes on with a configuration that something still uses, and configures nothing when it comes back.
#[test]
fn a_policy_that_comes_back_is_in_force_while_requests_of_its_first_time_are_open() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let route =
        json!([{"match": {"prefix": "/"}, "route": {"cluster": "silent", "timeout": "0s"}}]);
    let endpoint =
        json!({"socket_address": {"address": "127.0.0.1", "port_value": address.port()}});
    let cluster = json!({"name": "silent", "type": "STATIC", "load_assignment": {
        "cluster_name": "silent",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": endpoint}}]}],
    }});
    let policy = |lane: &str| policies(&[("shop/reviews", reviews(&beta(lane)))]);
    let hosts = [reviews_host(), virtual_host(&["silent"], route)];
    let discovered = Discovered::start_with(&policy("canary"), &hosts, &[cluster], None);
    // New connections, so that both workers are asked.
    let all = |lane: &str| (0..20).all(|_| discovered.bench.get("reviews", &["x-beta: 1"]) == lane);
    eventually("the first policy is in force", || all("canary"));
    let target = discovered.bench.envoy.listener("main").unwrap();
    let open: Vec<(TcpStream, TcpStream)> = (0..8)
        .map(|_| {
            let mut request = TcpStream::connect(target).unwrap();
            request
                .write_all(b"GET / HTTP/1.1\r\nhost: silent\r\n\r\n")
                .unwrap();
            (request, silent.accept().unwrap().0)
        })
        .collect();
    for lane in ["stable", "canary", "stable", "canary"] {
        discovered.publish(&policy(lane));
        discovered.settle();
        eventually("each policy is in force in its turn", || all(lane));
    }
    drop(open);
    discovered.publish(&policy("stable"));
    discovered.settle();
    eventually("and after the requests are over", || all("stable"));
}
