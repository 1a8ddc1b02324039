//! The filter against a scripted proxy: what is written, and which calls that takes.

mod hops;
mod keys;
mod metrics;
mod slices;

use super::*;
use crate::host::Counter;
use crate::host::script::Script;

const GATEWAY: &str = "router~10.0.0.1~gw.istio-system~istio-system.svc.cluster.local";
const SIDECAR: &str = "sidecar~10.0.0.1~cart.shop~shop.svc.cluster.local";
const REVIEWS: &str = r#"{"rollouts": {"shop/reviews": {
    "hosts": ["reviews.shop.svc.cluster.local"],
    "virtualServices": {"shop/reviews": ["primary"]},
    "rules": [{"name": "beta", "lane": "canary", "match": [{"headers": {"x-beta": {"exact": "1"}}}]}]}}}"#;
/// Every request's context.
const CONTEXT: u32 = 1_000;
const LANE: &str = "x-rollout-lane.shop.reviews";

/// A filter and its proxy.
struct Bench {
    filter: Filter<true>,
    proxy: Script,
    /// The context of the last configuration.
    root: u32,
}

impl Bench {
    fn new(node: &str) -> Self {
        let mut proxy = Script::default();
        proxy
            .properties
            .insert("xds.node.id".to_owned(), node.to_owned());
        Self {
            filter: Filter::new(),
            proxy,
            root: 0,
        }
    }

    fn configure(mut self, plugin: &str, json: &str) -> Self {
        self.proxy
            .properties
            .insert("plugin_name".to_owned(), plugin.to_owned());
        self.proxy.configuration = json.as_bytes().to_vec();
        self.root += 1;
        self.proxy.acting = self.root;
        self.filter
            .configure(&mut self.proxy, self.root, json.len());
        self
    }

    /// A request begins under the configuration of `root`.
    fn begin(&mut self, root: u32) {
        self.proxy.acting = root;
        self.filter.begun(&mut self.proxy, root);
    }

    /// The timer of `root` has come to its end.
    fn tick_of(&mut self, root: u32) -> Vec<String> {
        self.proxy.calls.clear();
        self.proxy.acting = root;
        self.filter.tick(&mut self.proxy, root);
        std::mem::take(&mut self.proxy.calls)
    }

    fn timer(&self, root: u32) -> Option<u32> {
        self.proxy.ticks.get(&root).copied()
    }

    fn on_route(mut self, name: &str, virtual_service: &str) -> Self {
        let config = format!(
            "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/{virtual_service}"
        );
        self.proxy
            .properties
            .insert("xds.route_name".to_owned(), name.to_owned());
        self.proxy.properties.insert(
            "xds.route_metadata.filter_metadata.istio.config".to_owned(),
            config,
        );
        self
    }

    /// Sends a request to `authority` through the filter; returns the calls that it took.
    fn send(&mut self, authority: &str, headers: &[(&str, &str)]) -> Vec<String> {
        self.proxy.headers = [
            (":authority", authority),
            (":method", "GET"),
            (":path", "/"),
        ]
        .iter()
        .chain(headers)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        self.again()
    }

    /// Sends the same request on to the next filter in the chain.
    fn again(&mut self) -> Vec<String> {
        self.proxy.calls.clear();
        self.filter.request(&mut self.proxy, CONTEXT);
        std::mem::take(&mut self.proxy.calls)
    }

    fn lane(&self) -> Option<&str> {
        self.proxy.header(LANE)
    }
}

#[test]
fn a_hit_takes_a_question_one_read_two_attributes_and_one_write() {
    let mut bench = Bench::new(SIDECAR)
        .configure("p", REVIEWS)
        .on_route("primary", "reviews");
    let calls = bench.send("reviews:9080", &[("x-beta", "1")]);
    assert_eq!(
        calls,
        [
            "has x-beta",
            "read headers",
            "get xds.route_metadata.filter_metadata.istio.config",
            "get xds.route_name",
            "set x-rollout-lane.shop.reviews: canary"
        ]
    );
}

#[test]
fn a_miss_takes_one_question() {
    let mut bench = Bench::new(SIDECAR)
        .configure("p", REVIEWS)
        .on_route("primary", "reviews");
    assert_eq!(bench.send("reviews:9080", &[]), ["has x-beta"]);
    assert_eq!(bench.send("ratings:9080", &[("x-b", "1")]), ["has x-beta"]);
}

#[test]
fn a_miss_that_has_the_header_takes_one_read_more() {
    let mut bench = Bench::new(SIDECAR)
        .configure("p", REVIEWS)
        .on_route("primary", "reviews");
    let asked_and_read = ["has x-beta", "read headers"];
    assert_eq!(bench.send("reviews", &[("x-beta", "2")]), asked_and_read);
    // The next ones are likely to have it too.
    for _ in 0..7 {
        assert_eq!(bench.send("reviews", &[]), ["read headers"]);
    }
    assert_eq!(bench.send("ratings", &[("x-beta", "1")]), asked_and_read);
}

#[test]
fn requests_that_any_header_may_decide_about_are_read_at_once() {
    let by_path = REVIEWS.replace(
        r#""headers": {"x-beta": {"exact": "1"}}"#,
        r#""path": {"prefix": "/a"}"#,
    );
    let mut bench = Bench::new(SIDECAR).configure("p", &by_path);
    assert_eq!(bench.send("reviews", &[]), ["read headers"]);
    let mut edge = Bench::new(GATEWAY).configure("p", REVIEWS);
    assert_eq!(edge.send("reviews", &[]), ["read headers"]);
}

#[test]
fn without_policies_a_sidecar_reads_nothing() {
    let mut bench = Bench::new(SIDECAR).configure("p", "{}");
    assert_eq!(bench.send("reviews", &[(LANE, "canary")]), [""; 0]);
    assert_eq!(bench.lane(), Some("canary"));
}

#[test]
fn other_routes_get_no_lane() {
    for (route, virtual_service) in [("other", "reviews"), ("primary", "other"), ("", "reviews")] {
        let mut bench = Bench::new(SIDECAR)
            .configure("p", REVIEWS)
            .on_route(route, virtual_service);
        bench.send("reviews", &[("x-beta", "1")]);
        assert_eq!(bench.lane(), None, "{route} of {virtual_service}");
    }
    let mut nowhere = Bench::new(SIDECAR).configure("p", REVIEWS);
    nowhere.send("reviews", &[("x-beta", "1")]);
    assert_eq!(nowhere.lane(), None);
}

#[test]
fn an_edge_removes_lanes_from_outside_and_decides_itself() {
    let mut bench = Bench::new(GATEWAY)
        .configure("p", REVIEWS)
        .on_route("primary", "reviews");
    let host = "reviews.shop.svc.cluster.local";
    bench.send(
        host,
        &[
            (LANE, "stable"),
            ("x-rollout-lane.other.x", "canary"),
            ("x-beta", "1"),
        ],
    );
    assert_eq!(bench.lane(), Some("canary"));
    assert_eq!(bench.proxy.header("x-rollout-lane.other.x"), None);
    let mut plain = Bench::new(GATEWAY)
        .configure("p", REVIEWS)
        .on_route("primary", "reviews");
    plain.send(host, &[(LANE, "canary")]);
    assert_eq!(plain.lane(), None);
}

#[test]
fn an_edge_does_not_follow_a_route_that_a_forged_lane_has_led_to() {
    for json in [REVIEWS.to_owned(), REVIEWS.replace(r#"["primary"]"#, "[]")] {
        let mut bench = Bench::new(GATEWAY)
            .configure("p", &json)
            .on_route("serin-shop.reviews.canary", "reviews");
        let host = "reviews.shop.svc.cluster.local";
        bench.send(host, &[(LANE, "canary"), ("x-beta", "1")]);
        assert_eq!(bench.lane(), None, "{json}");
        // Removed by a filter before this one.
        bench.send(host, &[("x-beta", "1")]);
        assert_eq!(bench.lane(), None, "{json}");
    }
}

#[test]
fn an_edge_is_one_without_policies_and_without_a_configuration() {
    for (node, json) in [(GATEWAY, "{}"), (GATEWAY, "no json"), (SIDECAR, "no json")] {
        let mut bench = Bench::new(node).configure("p", json);
        bench.send("anything", &[(LANE, "canary")]);
        assert_eq!(bench.lane(), None, "{json}");
    }
}

#[test]
fn in_the_mesh_a_lane_stands() {
    let mut bench = Bench::new(SIDECAR)
        .configure("p", REVIEWS)
        .on_route("primary", "reviews");
    let calls = bench.send("reviews", &[(LANE, "stable"), ("x-beta", "1")]);
    assert_eq!(bench.lane(), Some("stable"));
    assert_eq!(calls, ["has x-beta", "read headers"]);
}

#[test]
fn a_second_plugin_at_an_edge_keeps_the_lanes_of_the_first() {
    let mut bench = Bench::new(GATEWAY)
        .configure("first", REVIEWS)
        .configure("second", r#"{"trust": "edge"}"#)
        .on_route("primary", "reviews");
    bench
        .proxy
        .properties
        .insert("plugin_name".to_owned(), "first".to_owned());
    bench.send(
        "reviews.shop.svc.cluster.local",
        &[("x-beta", "1"), (LANE, "stable")],
    );
    assert_eq!(bench.lane(), Some("canary"));
    bench
        .proxy
        .properties
        .insert("plugin_name".to_owned(), "second".to_owned());
    bench.again();
    assert_eq!(bench.lane(), Some("canary"));
}

/// Two objects that select one proxy, such as a WasmPlugin and the TrafficExtension that is to take its place: whichever is
/// first decides, and the second one believes it, also where both have the policy.
#[test]
fn the_same_policy_twice_in_a_chain_decides_once() {
    for node in [GATEWAY, SIDECAR] {
        let mut bench = Bench::new(node)
            .configure("first", REVIEWS)
            .configure("second", &REVIEWS.replace("canary", "stable"))
            .on_route("primary", "reviews");
        let mut pass = |headers: &[(&str, &str)]| {
            let name = |bench: &mut Bench, name: &str| {
                let properties = &mut bench.proxy.properties;
                properties.insert("plugin_name".to_owned(), name.to_owned());
            };
            // Each request has its own.
            bench.proxy.properties.remove("serin.own_lanes");
            name(&mut bench, "first");
            bench.send("reviews.shop.svc.cluster.local", headers);
            name(&mut bench, "second");
            bench.again();
            bench.lane().map(str::to_owned)
        };
        assert_eq!(pass(&[("x-beta", "1")]).as_deref(), Some("canary"));
        assert_eq!(pass(&[]), None);
        if node == GATEWAY {
            assert_eq!(pass(&[(LANE, "stable")]), None, "from outside");
            assert_eq!(
                pass(&[(LANE, "stable"), ("x-beta", "1")]).as_deref(),
                Some("canary"),
                "from outside, and not the first one's"
            );
        }
    }
}

#[test]
fn the_newest_configuration_of_a_plugin_counts() {
    let mut bench = Bench::new(SIDECAR)
        .configure("p", REVIEWS)
        .configure("p", &REVIEWS.replace("canary", "stable"))
        .on_route("primary", "reviews");
    bench.send("reviews", &[("x-beta", "1")]);
    assert_eq!(bench.lane(), Some("stable"));
    let mut empty = bench.configure("p", "{}");
    empty.send("reviews", &[("x-beta", "1")]);
    assert_eq!(empty.lane(), None);
}

#[test]
fn broken_json_keeps_the_last_good_configuration() {
    let mut bench = Bench::new(SIDECAR)
        .configure("p", REVIEWS)
        .configure("p", "{")
        .on_route("primary", "reviews");
    bench.send("reviews", &[("x-beta", "1")]);
    assert_eq!(bench.lane(), Some("canary"));
    assert_eq!(bench.proxy.counted, [Counter::ConfigurationRefused]);
    assert_eq!(bench.proxy.log.len(), 1, "{:?}", bench.proxy.log);
}

#[test]
fn a_fault_is_said_once_and_again_after_it_was_mended() {
    let bad = REVIEWS.replace("x-beta", "x beta");
    let bench = Bench::new(SIDECAR)
        .configure("p", &bad)
        .configure("p", &bad)
        .configure("p", REVIEWS)
        .configure("p", &bad);
    assert_eq!(
        bench.proxy.counted,
        [Counter::PolicyRefused, Counter::PolicyRefused]
    );
    assert!(
        bench.proxy.log[0].starts_with(
            "serin: plugin p: policy refused, the last good one of the Rollout stays in force: rollout shop/reviews: rules[0].match[0].headers[\"x beta\"]: "
        ),
        "{:?}",
        bench.proxy.log
    );
}

#[test]
fn every_lane_of_several_rollouts_at_one_host_is_written() {
    let both = r#"{"rollouts": {
        "shop/a": {"hosts": ["shop"], "rules": [{"name": "r", "lane": "mirror", "match": [{}]}]},
        "shop/b": {"hosts": ["shop"], "rules": [{"name": "r", "lane": "stable", "match": [{}]}]}}}"#;
    let mut bench = Bench::new(SIDECAR).configure("p", both);
    let calls = bench.send("shop", &[]);
    assert_eq!(
        calls,
        [
            "read headers",
            "set x-rollout-lane.shop.a: mirror",
            "set x-rollout-lane.shop.b: stable"
        ]
    );
}

#[test]
fn a_hit_on_an_unnamed_managed_route_takes_one_attribute_less() {
    let json = REVIEWS.replace(r#"["primary"]"#, "[]");
    let mut bench = Bench::new(SIDECAR)
        .configure("p", &json)
        .on_route("", "reviews");
    let calls = bench.send("reviews:9080", &[("x-beta", "1")]);
    assert_eq!(
        calls,
        [
            "has x-beta",
            "read headers",
            "get xds.route_metadata.filter_metadata.istio.config",
            "set x-rollout-lane.shop.reviews: canary"
        ]
    );
}

#[test]
fn a_configuration_that_envoy_comes_back_to_decides_again() {
    let mut bench = Bench::new(SIDECAR)
        .configure("p", REVIEWS)
        .configure("p", "{}")
        .on_route("primary", "reviews");
    let lane = |bench: &mut Bench| {
        bench.send("reviews", &[("x-beta", "1")]);
        bench.lane().map(str::to_owned)
    };
    assert_eq!(lane(&mut bench), None);
    bench.begin(1);
    assert_eq!(lane(&mut bench).as_deref(), Some("canary"));
    // It goes, and the other one is in force again.
    bench.proxy.gone.push(1);
    bench.begin(2);
    bench.tick_of(2);
    assert_eq!(lane(&mut bench), None);
    bench.begin(1);
    assert_eq!(lane(&mut bench), None, "it is forgotten");
}
