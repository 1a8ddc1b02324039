//! Long configurations, taken over in slices.

use super::*;
use crate::metrics::TICK_MILLISECONDS;

/// A policy of so many rules, the first of which is `name` and sends `x-beta: 1` to `lane`.
fn long(name: &str, lane: &str, rules: usize) -> String {
    let users = (1..rules).map(|at| {
        format!(r#"{{"name": "user-{at}", "lane": "canary", "match": [{{"headers": {{"x-user": {{"exact": "{at}"}}}}}}]}}"#)
    });
    let first = format!(
        r#"{{"name": "{name}", "lane": "{lane}", "match": [{{"headers": {{"x-beta": {{"exact": "1"}}}}}}]}}"#
    );
    let rules: Vec<String> = std::iter::once(first).chain(users).collect();
    format!(
        r#"{{"rollouts": {{"shop/reviews": {{"hosts": ["reviews.shop.svc.cluster.local"], "rules": [{}]}}}}}}"#,
        rules.join(", ")
    )
}

impl Bench {
    /// The lane of a request for the canary's testers.
    fn beta(&mut self) -> Option<String> {
        self.send("reviews", &[("x-beta", "1")]);
        self.lane().map(str::to_owned)
    }

    /// Goes on with the configuration of `root` until it is ready; how many ticks that took. Requests have `lane` meanwhile.
    fn settle(&mut self, root: u32, lane: &str) -> usize {
        for ticks in 0..10_000 {
            if self.timer(root) != Some(SLICE_EVERY) {
                return ticks;
            }
            assert_eq!(self.beta().as_deref(), Some(lane), "after {ticks} ticks");
            self.tick_of(root);
        }
        panic!("it is never in force");
    }
}

/// With the first configuration in force, and the second begun.
fn changed(first: &str, second: &str) -> Bench {
    let bench = Bench::new(SIDECAR).configure("p", first);
    assert_eq!(bench.timer(1), Some(TICK_MILLISECONDS), "at once");
    let bench = bench.configure("p", second);
    assert_eq!(bench.timer(2), Some(SLICE_EVERY));
    assert_eq!(bench.timer(1), Some(0));
    bench
}

#[test]
fn the_last_policies_decide_until_the_new_ones_are_ready() {
    let first = long("beta", "canary", 10_000);
    let mut bench = changed(&first, &long("beta", "stable", 10_000));
    let ticks = bench.settle(2, "canary");
    assert!(ticks > 20, "{ticks}");
    assert_eq!(bench.beta().as_deref(), Some("stable"));
    assert_eq!(bench.timer(2), Some(TICK_MILLISECONDS));
    assert!(bench.filter.pending.is_empty());
    bench.send("reviews", &[("x-user", "9999")]);
    assert_eq!(bench.lane(), Some("canary"));
}

#[test]
fn what_is_short_or_has_nothing_to_go_on_with_is_taken_over_at_once() {
    let long = long("beta", "stable", 1_000);
    for (first, second) in [(long.as_str(), REVIEWS), ("{}", &long), ("no json", &long)] {
        let mut bench = Bench::new(SIDECAR)
            .configure("p", first)
            .on_route("primary", "reviews");
        assert_ne!(bench.timer(1), Some(SLICE_EVERY));
        bench = bench.configure("p", second);
        assert_eq!(bench.timer(2), Some(TICK_MILLISECONDS));
        assert!(bench.beta().is_some());
    }
    // Another plugin's policies are none of this one's.
    let other = Bench::new(SIDECAR)
        .configure("q", &long)
        .configure("p", &long);
    assert_eq!(other.timer(2), Some(TICK_MILLISECONDS));
}

#[test]
fn the_old_context_may_go_meanwhile() {
    let first = long("beta", "canary", 1_000);
    let mut bench = changed(&first, &long("beta", "stable", 1_000));
    bench.proxy.gone.push(1);
    bench.settle(2, "canary");
    assert_eq!(bench.beta().as_deref(), Some("stable"));
    bench.tick_of(2);
    assert_eq!(bench.beta().as_deref(), Some("stable"));
}

#[test]
fn what_goes_before_it_is_ready_was_never_there() {
    let first = long("beta", "canary", 1_000);
    let mut bench = changed(&first, &long("beta", "stable", 1_000));
    bench.tick_of(2);
    assert_eq!(bench.filter.pending.len(), 1);
    bench.begin(1);
    bench.proxy.gone.push(2);
    bench.tick_of(1);
    assert!(bench.filter.pending.is_empty());
    for _ in 0..100 {
        bench.tick_of(1);
        assert_eq!(bench.beta().as_deref(), Some("canary"));
    }
}

#[test]
fn a_configuration_that_envoy_comes_back_to_decides_while_another_gets_ready() {
    let first = long("beta", "canary", 1_000);
    let mut bench = changed(&first, &long("beta", "stable", 1_000));
    bench.begin(1);
    bench.settle(2, "canary");
    assert_eq!(bench.beta().as_deref(), Some("canary"));
    bench.begin(2);
    assert_eq!(bench.beta().as_deref(), Some("stable"));
}

#[test]
fn one_that_is_not_in_force_any_more_waits_until_envoy_comes_back_to_it() {
    let first = long("beta", "canary", 1_000);
    let bench = changed(&first, &long("beta", "mirror", 1_000));
    let mut bench = bench.configure("p", &long("beta", "stable", 500));
    assert_eq!(bench.timer(2), Some(0));
    bench.settle(3, "canary");
    assert_eq!(bench.beta().as_deref(), Some("stable"));
    bench.begin(2);
    assert_eq!(bench.timer(2), Some(SLICE_EVERY));
    bench.settle(2, "canary");
    assert_eq!(bench.beta().as_deref(), Some("mirror"));
    bench.begin(3);
    assert_eq!(bench.timer(3), Some(TICK_MILLISECONDS));
    assert_eq!(bench.beta().as_deref(), Some("stable"));
}

#[test]
fn one_that_comes_before_the_last_is_ready_is_taken_over_at_once() {
    let long = |lane| long("beta", lane, 1_000);
    let mut bench = changed(&long("canary"), &long("mirror")).configure("p", &long("stable"));
    assert_eq!(bench.timer(3), Some(TICK_MILLISECONDS));
    assert_eq!(bench.beta().as_deref(), Some("stable"));
    // The one after it can wait again.
    let mut bench = bench.configure("p", &long("canary"));
    bench.settle(4, "stable");
    assert_eq!(bench.beta().as_deref(), Some("canary"));
}

#[test]
fn faults_are_said_when_it_is_ready() {
    let bad = r#"{"rollouts": {"shop/bad": {"host": []}, "#;
    let second = long("beta", "stable", 1_000).replace(r#"{"rollouts": {"#, bad);
    let mut bench = changed(&long("beta", "canary", 1_000), &second);
    bench.tick_of(2);
    assert_eq!(bench.proxy.counted, []);
    bench.settle(2, "canary");
    assert_eq!(bench.proxy.counted, [Counter::PolicyRefused]);
    assert_eq!(bench.proxy.log.len(), 1, "{:?}", bench.proxy.log);
    assert_eq!(bench.beta().as_deref(), Some("stable"));
}

#[test]
fn json_that_is_broken_at_its_far_end_changes_nothing() {
    let second =
        long("beta", "stable", 1_000).replace(r#"{"rollouts""#, r#"{"trust": "edge", "rollouts""#);
    let mut bench = changed(&long("beta", "canary", 1_000), &second[..second.len() - 1]);
    bench.settle(2, "canary");
    assert_eq!(bench.beta().as_deref(), Some("canary"));
    assert_eq!(bench.proxy.counted, [Counter::ConfigurationRefused]);
    bench.send("reviews", &[(LANE, "stable"), ("x-beta", "1")]);
    assert_eq!(bench.lane(), Some("stable"), "no edge");
}

#[test]
fn requests_are_counted_under_the_rule_that_decided() {
    let first = long("beta", "canary", 5_000);
    let mut bench = changed(&first, &long("gamma", "canary", 5_000));
    bench.beta();
    for _ in 0..5 {
        assert_eq!(bench.tick_of(2), [""; 0], "not each millisecond");
    }
    let ticks = bench.settle(2, "canary");
    bench.beta();
    bench.tick_of(2);
    let name = |rule: &str| {
        format!("rollout=.=shop/reviews;.;lane=.=canary;.;rule=.={rule};.;serin_requests_total")
    };
    let count = |rule: &str| {
        let mut metrics = bench.proxy.metrics.iter();
        let found = metrics.find(|(_, other, _)| *other == name(rule));
        found.map(|(_, _, value)| usize::try_from(*value).unwrap())
    };
    assert_eq!(count("beta"), Some(1 + ticks));
    assert_eq!(count("gamma"), Some(1));
}
