//! What the proxy is told, and when.

use super::*;
use crate::metrics::TICK_MILLISECONDS;

const CANARY: &str = "rollout=.=shop/reviews;.;lane=.=canary;.;rule=.=beta;.;serin_requests_total";
const GENERATION: &str = "rollout=.=shop/reviews;.;serin_policy_generation";

impl Bench {
    fn tick(&mut self) -> Vec<String> {
        self.tick_of(self.root)
    }

    fn metric(&self, name: &str) -> Option<u32> {
        let mut metrics = self.proxy.metrics.iter();
        let found = metrics.find(|(_, other, _)| other == name);
        found.map(|(_, _, value)| *value)
    }
}

fn reviews() -> Bench {
    Bench::new(SIDECAR)
        .configure("p", REVIEWS)
        .on_route("primary", "reviews")
}

#[test]
fn the_vm_begins_with_counters_at_zero_and_a_seed() {
    let mut bench = Bench::new(SIDECAR);
    bench.filter.started(&mut bench.proxy);
    for counter in Counter::ALL {
        assert_eq!(bench.metric(counter.name()), Some(0));
    }
    assert_eq!(bench.proxy.drawn, 1);
}

#[test]
fn requests_are_counted_in_memory_and_told_on_the_timer() {
    let mut bench = reviews();
    for _ in 0..3 {
        let calls = bench.send("reviews", &[("x-beta", "1")]);
        assert!(
            !calls
                .iter()
                .any(|call| call.contains("serin_requests_total")),
            "{calls:?}"
        );
    }
    bench.send("reviews", &[]);
    bench.tick();
    assert_eq!(bench.metric(CANARY), Some(3));
    assert_eq!(bench.tick(), [""; 0], "nothing new");
    bench.send("reviews", &[("x-beta", "1")]);
    assert_eq!(bench.tick(), [format!("add 1 to {CANARY}")]);
}

#[test]
fn what_got_no_lane_is_not_counted() {
    let mut bench = Bench::new(SIDECAR)
        .configure("p", REVIEWS)
        .on_route("other", "reviews");
    bench.send("reviews", &[("x-beta", "1")]);
    bench.tick();
    assert_eq!(bench.metric(CANARY), None);
}

#[test]
fn a_counter_keeps_its_number_through_configurations() {
    let mut bench = reviews();
    bench.send("reviews", &[("x-beta", "1")]);
    bench.tick();
    bench.send("reviews", &[("x-beta", "1")]);
    let mut bench = bench.configure("p", &REVIEWS.replace("primary", "primary\", \"other"));
    assert_eq!(
        (bench.timer(1), bench.timer(2)),
        (Some(0), Some(TICK_MILLISECONDS))
    );
    bench.proxy.gone.push(1);
    bench.tick();
    assert_eq!(
        bench.metric(CANARY),
        Some(2),
        "told before the configuration is forgotten"
    );
    assert_eq!(bench.proxy.acting, 2);
    bench.send("reviews", &[("x-beta", "1")]);
    bench.tick();
    assert_eq!(bench.metric(CANARY), Some(3));
    let named = bench
        .proxy
        .metrics
        .iter()
        .filter(|(_, name, _)| name == CANARY);
    assert_eq!(named.count(), 1, "defined once");
}

#[test]
fn the_generation_is_that_of_the_policy_in_force() {
    let generation = |json: &str| {
        let config: traffic_policy::config::PluginConfig = serde_json::from_str(json).unwrap();
        Some(traffic_policy::generation(&config.rollouts["shop/reviews"]))
    };
    let mut bench = reviews();
    assert_eq!(bench.timer(1), Some(TICK_MILLISECONDS));
    assert_eq!(bench.metric(GENERATION), None);
    bench.tick();
    assert_eq!(bench.metric(GENERATION), generation(REVIEWS));
    let other = REVIEWS.replace("canary", "stable");
    let mut bench = bench.configure("p", &other);
    bench.tick();
    assert_eq!(bench.metric(GENERATION), generation(&other));
    assert_eq!(bench.tick(), [""; 0]);
    // Refused: the last good one goes on.
    let mut bench = bench.configure("p", &REVIEWS.replace("hosts", "host"));
    bench.tick();
    assert_eq!(bench.metric(GENERATION), generation(&other));
    // Envoy comes back to the first configuration.
    bench.begin(1);
    assert_eq!(bench.timer(1), Some(TICK_MILLISECONDS));
    bench.tick_of(1);
    assert_eq!(bench.timer(3), Some(0));
    assert_eq!(bench.metric(GENERATION), generation(REVIEWS));
    let mut bench = bench.configure("p", "{}");
    assert_eq!(
        bench.timer(4),
        Some(TICK_MILLISECONDS),
        "there is a gauge to take back"
    );
    bench.tick();
    assert_eq!(bench.metric(GENERATION), Some(0));
    bench.configure("p", "{}");
}

#[test]
fn a_filter_that_never_had_a_policy_has_no_timer() {
    let bench = Bench::new(GATEWAY).configure("p", "{}").configure("p", "{");
    assert!(bench.proxy.ticks.values().all(|every| *every == 0));
}

#[test]
fn many_gauges_are_spread_over_ticks() {
    let rollouts: Vec<String> = (0..1_200)
        .map(|at| format!(r#""shop/r{at}": {{"hosts": ["r{at}"]}}"#))
        .collect();
    let json = format!(r#"{{"rollouts": {{{}}}}}"#, rollouts.join(","));
    let mut bench = Bench::new(SIDECAR).configure("p", &json);
    let mut told = Vec::new();
    for _ in 0..4 {
        // A definition and a value each.
        told.push(bench.tick().len() / 2);
    }
    assert_eq!(told, [500, 500, 200, 0]);
    assert!(bench.proxy.metrics.iter().all(|(_, _, value)| *value != 0));
}

#[test]
fn names_are_tags_that_nothing_takes_apart() {
    let json = REVIEWS.replace(r#""beta""#, r#""a;.;b=.=ü \"c""#);
    let mut bench = Bench::new(SIDECAR)
        .configure("p", &json)
        .on_route("primary", "reviews");
    bench.send("reviews", &[("x-beta", "1")]);
    bench.tick();
    let name =
        "rollout=.=shop/reviews;.;lane=.=canary;.;rule=.=a_._b_.____c;.;serin_requests_total";
    assert_eq!(bench.metric(name), Some(1), "{:?}", bench.proxy.metrics);
}
