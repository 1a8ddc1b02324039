//! What holds for any routes, weights and sequences of calls.

use std::sync::Arc;

use argo_rollouts::{Rollout, WeightDestination};
use proptest::prelude::*;
use proptest::{collection, option, sample};
use serde_json::{Value, json};

use crate::core::destination_rule::hash_of;
use crate::core::fixtures::live_policy;
use crate::core::fixtures::users::Users;
use crate::core::fixtures::{carry_out, observed, replica_set, rollout};
use crate::core::plan::{
    Call, Observed, PodHashes, Standing, Versions, Weights, Write, weight_is_live, writes,
};
use crate::core::policy::{Policies, sticky_of};
use crate::core::routing::Routing;

mod way_back;

const MAXIMA: [u32; 4] = [1, 7, 100, 1000];
const EXPERIMENTS: [&str; 3] = ["trial-a", "reviews-c2-2-1-b", "trial-c"];

/// One destination, with a field that nobody knows.
fn destination() -> impl Strategy<Value = Value> {
    let names = [
        ("reviews", Some("stable")),
        ("reviews", Some("canary")),
        ("reviews.shop.svc.cluster.local", Some("canary")),
        ("other", Some("pinned")),
        ("reviews", Some("pinned")),
        ("foreign", None),
        ("trial-a", None),
        ("reviews-c2-2-1-b.shop", None),
    ];
    let weight = option::of(0..200_u32);
    (sample::select(names.to_vec()), weight, any::<u8>()).prop_map(
        |((host, subset), weight, unknown)| {
            let mut destination = json!({"destination": {"host": host}, "x-unknown": unknown});
            if let Some(subset) = subset {
                destination["destination"]["subset"] = json!(subset);
            }
            if let Some(weight) = weight {
                destination["weight"] = json!(weight);
            }
            destination
        },
    )
}

/// A route for both sides and whatever else, in any order.
fn route() -> impl Strategy<Value = Value> {
    let sides = ["stable", "canary"]
        .map(|subset| json!({"destination": {"host": "reviews", "subset": subset}}));
    collection::vec(destination(), 0..5)
        .prop_map(move |more| [sides.to_vec(), more].concat())
        .prop_shuffle()
        .prop_map(|destinations| json!({"route": destinations, "x-unknown": {"deep": [1, null]}}))
}

/// A route that the built-in reconciler has left over from a header or a mirror step.
fn leftover() -> impl Strategy<Value = Value> {
    let canary = json!({"host": "reviews", "subset": "canary"});
    let header = json!({"name": "beta", "route": [{"destination": canary}]});
    let mirror = route().prop_map(move |mut route| {
        route["name"] = json!("shadow");
        route["mirror"] = canary.clone();
        route
    });
    prop_oneof![Just(header), mirror]
}

/// The `spec` of a VirtualService with all protocols or some.
fn virtual_service() -> impl Strategy<Value = Value> {
    let routes = (option::of(leftover()), route());
    (routes, option::of(route()), option::of(route())).prop_map(|((leftover, http), tls, tcp)| {
        let http: Vec<Value> = leftover.into_iter().chain([http]).collect();
        let mut spec = json!({"hosts": ["reviews"], "http": http, "x-unknown": 1});
        for (protocol, route) in [("tls", tls), ("tcp", tcp)] {
            if let Some(route) = route {
                spec[protocol] = json!([route]);
            }
        }
        spec
    })
}

fn experiments() -> impl Strategy<Value = Vec<WeightDestination>> {
    let experiment = (
        sample::select(&EXPERIMENTS[..]),
        0..150,
        option::of("[a-z]{2}"),
    );
    let experiment = experiment.prop_map(|(name, weight, hash)| WeightDestination {
        weight,
        service_name: name.to_owned(),
        pod_template_hash: hash.unwrap_or_default(),
    });
    collection::vec(experiment, 0..3)
}

/// What one reconcile of the controller finds and asks for.
#[derive(Clone, Debug)]
struct Reconcile {
    current: &'static str,
    aborted: bool,
    canary_has_pods: bool,
    weight: i32,
    experiments: Vec<WeightDestination>,
}

fn reconcile() -> impl Strategy<Value = Reconcile> {
    let current = sample::select(&["c2", "c3", "s1"][..]);
    let weight = 0..1200;
    (current, any::<bool>(), any::<bool>(), weight, experiments()).prop_map(
        |(current, aborted, canary_has_pods, weight, experiments)| Reconcile {
            current,
            aborted,
            canary_has_pods,
            weight: if aborted || !canary_has_pods || current == "s1" {
                0
            } else {
                weight
            },
            experiments,
        },
    )
}

impl Reconcile {
    fn rollout(&self, max: u32, sticky: bool, earlier: &[WeightDestination]) -> Rollout {
        let earlier: Vec<Value> = earlier
            .iter()
            .map(|experiment| json!({"serviceName": experiment.service_name, "weight": experiment.weight}))
            .collect();
        let step = json!({"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x", "headerValue": {"exact": "1"}}]}});
        let keys = sticky.then(|| json!({"keys": [{"cookie": "user"}]}));
        rollout(json!({
            "spec": {"strategy": {"canary": {
                "steps": [step, {"setWeight": 20}],
                "trafficRouting": {"maxTrafficWeight": max, "plugins": {"serin/istio": {
                    "virtualService": {"routes": null},
                    "destinationRule": {"additionalSubsetNames": ["pinned"]},
                    "sticky": keys,
                }}},
            }}},
            "status": {
                "currentPodHash": self.current, "abort": self.aborted, "currentStepIndex": 1,
                "canary": {"weights": {"additional": earlier}},
            },
        }))
    }

    fn calls(&self) -> Vec<Call<'_>> {
        let removes =
            self.weight == 0 && (self.aborted || !self.canary_has_pods || self.current == "s1");
        let removal = removes.then_some(Call::RemoveManagedRoutes);
        removal
            .into_iter()
            .chain([
                Call::UpdateHash(self.hashes()),
                Call::SetWeight(self.weights()),
            ])
            .collect()
    }

    fn hashes(&self) -> PodHashes<'_> {
        PodHashes {
            canary: self.current,
            stable: "s1",
            additional: &self.experiments,
        }
    }

    fn weights(&self) -> Weights<'_> {
        Weights {
            canary: self.weight,
            additional: &self.experiments,
        }
    }
}

/// Carries out writes until there are none, and says how many there were.
fn settle(rollout: &Rollout, observed: &mut Observed, call: Call<'_>) -> usize {
    let routing = Routing::of(rollout).unwrap();
    for count in 0..20 {
        let safe = has_endpoints(observed);
        let pending = writes(rollout, &routing, observed, call).unwrap();
        let Some(write) = pending.into_iter().next() else {
            return count;
        };
        if let Write::Spec { object, spec } = &write {
            assert_ne!(object.spec, *spec, "a write must change something");
        }
        carry_out(write, observed);
        assert!(!safe || has_endpoints(observed), "{call:?}: write {count}");
        check_lanes(&routing, observed);
    }
    panic!("{call:?} doesn't settle");
}

/// True if all traffic of the Rollout's own subsets, lane routes' too, finds available pods.
fn has_endpoints(observed: &Observed) -> bool {
    let rule = observed.destination_rule.as_ref().unwrap();
    let versions = Versions::of(&observed.replica_sets);
    let spec = &observed.virtual_services[0].as_ref().unwrap().spec;
    let routes = ["http", "tls", "tcp"].map(|protocol| spec[protocol].as_array());
    routes.into_iter().flatten().flatten().all(|route| {
        let destinations = route["route"].as_array().unwrap();
        destinations.iter().all(|destination| {
            let takes = destinations.len() == 1 || destination["weight"].as_u64().unwrap_or(0) > 0;
            let hash = destination["destination"]["subset"]
                .as_str()
                .and_then(|subset| hash_of(rule, subset));
            !takes || hash.is_none_or(|hash| versions.has_pods(hash))
        })
    })
}

/// No policy uses a lane without its route.
fn check_lanes(routing: &Routing, observed: &Observed) {
    let spec = &observed.virtual_services[0].as_ref().unwrap().spec;
    let routes = spec["http"].as_array().unwrap();
    for lane in Policies::live(routing, observed).lanes() {
        let name = format!("serin-shop.reviews.{lane}");
        assert!(routes.iter().any(|route| route["name"] == *name), "{name}");
    }
}

/// All lists of destinations that have weights to share.
fn splits(spec: &Value) -> Vec<&Vec<Value>> {
    ["http", "tls", "tcp"]
        .into_iter()
        .filter_map(|protocol| spec[protocol].as_array())
        .flatten()
        .filter_map(|route| route["route"].as_array())
        .filter(|destinations| destinations.len() > 1)
        .collect()
}

/// What the user wrote: all but weights, destinations that are the Rollout's to add and remove, and lane routes.
fn users(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let routes = spec["http"].as_array_mut().unwrap();
    routes.retain(|route| route.get("name").is_none());
    for protocol in ["http", "tls", "tcp"] {
        for route in spec[protocol].as_array_mut().into_iter().flatten() {
            let destinations = route["route"].as_array_mut().unwrap();
            destinations.retain(|destination| destination["destination"].get("subset").is_some());
            for destination in destinations {
                destination.as_object_mut().unwrap().remove("weight");
            }
        }
    }
    spec
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Seen after every single write, with whatever experiments beside.
    #[test]
    fn a_ramp_moves_each_user_once_and_an_abort_back(
        http in route(),
        shares in collection::vec(0..=100_u32, 0..6),
        max in sample::select(&[7, 100, 1000][..]),
        experiments in experiments(),
        ends in sample::select(&["promoted", "aborted", "rolled back", "promoted in full"][..]),
    ) {
        let mut world = observed(json!([http]));
        let wasm_before = world.filters.clone();
        let mut weights: Vec<u32> = shares.iter().map(|share| share * max / 100).collect();
        weights.sort_unstable();
        if ends == "promoted" {
            weights.push(max);
        }
        let last = weights.last().copied().unwrap_or(0);
        let ramp = Reconcile { current: "c2", aborted: false, canary_has_pods: true, weight: 0, experiments };
        let end = Reconcile {
            aborted: ends == "aborted",
            current: if ends == "rolled back" { "s1" } else { "c2" },
            ..ramp.clone()
        };
        let (mut going, mut ended) = (ramp.rollout(max, true, &[]), end.rollout(max, true, &ramp.experiments));
        for rollout in [&mut going, &mut ended] {
            // Nobody is to leave the ramp by a header.
            let canary = rollout.spec.strategy.canary.as_mut().unwrap();
            canary.steps.clear();
            // Nor is all the weight to be elsewhere.
            let plugins = &mut canary.traffic_routing.as_mut().unwrap().plugins;
            plugins.get_mut("serin/istio").unwrap()["destinationRule"]["additionalSubsetNames"] = Value::Null;
        }
        let routing = Routing::of(&going).unwrap();
        let (canary, stable) = if ends.starts_with("promoted") {
            ended.status.stable_rs = "c2".to_owned();
            ("c2", "c2")
        } else {
            (end.current, "s1")
        };
        let mut users = Users::default();
        let mut walk = |rollout: &Rollout, call: Call<'_>| {
            for count in 0..20 {
                users.look(&routing, &world);
                let pending = writes(rollout, &routing, &world, call).unwrap();
                let Some(write) = pending.into_iter().next() else { return };
                carry_out(write, &mut world);
                assert!(count < 19, "{call:?} doesn't settle");
            }
        };
        // The first reconcile comes before any weight, and takes what is not the Rollout's off the routes.
        walk(&going, Call::SetWeight(ramp.weights()));
        for weight in &weights {
            let weight = i32::try_from(*weight).unwrap();
            walk(&going, Call::UpdateHash(ramp.hashes()));
            walk(&going, Call::SetWeight(Weights { canary: weight, ..ramp.weights() }));
        }
        walk(&ended, Call::RemoveManagedRoutes);
        walk(&ended, Call::UpdateHash(PodHashes { canary, stable, additional: &[] }));
        walk(&ended, Call::SetWeight(Weights::default()));

        for (bucket, history) in users.histories() {
            let expected: &[&str] = match ends {
                "promoted" | "promoted in full" => &["s1", "c2"],
                _ if bucket < last => &["s1", "c2", "s1"],
                _ => &["s1"],
            };
            // The routes as the user has written them may lead anywhere.
            let seen: Vec<&str> = history.iter().map(|version| &**version).skip_while(|version| *version != "s1").collect();
            prop_assert_eq!(&seen, expected, "user {} of {:?}, {}", bucket, history, ends);
        }
        prop_assert_eq!(world.filters, wasm_before);
        let routes = world.virtual_services[0].as_ref().unwrap().spec["http"].clone();
        prop_assert_eq!(routes.as_array().unwrap().len(), 1, "lanes are left");
    }

    #[test]
    fn any_sequence_of_reconciles_settles(
        spec in virtual_service(),
        reconciles in collection::vec(reconcile(), 1..6),
        max in sample::select(&MAXIMA[..]),
        sticky in any::<bool>(),
    ) {
        let mut world = observed(json!([]));
        Arc::make_mut(world.virtual_services[0].as_mut().unwrap()).spec = spec.clone();
        let rule_before = world.destination_rule.as_ref().unwrap().spec["subsets"][0]["labels"]["app"].clone();
        let mut earlier: &[WeightDestination] = &[];
        for reconcile in &reconciles {
            let rollout = reconcile.rollout(max, sticky, earlier);
            let routing = Routing::of(&rollout).unwrap();
            world.replica_sets = vec![
                Arc::new(replica_set("s1", 3)),
                Arc::new(replica_set(reconcile.current, i64::from(reconcile.canary_has_pods))),
            ];
            for call in reconcile.calls() {
                settle(&rollout, &mut world, call);
                prop_assert_eq!(settle(&rollout, &mut world, call), 0, "the same call twice");
            }
            let standing = Standing {
                hashes: Some(reconcile.hashes()),
                weights: Some(reconcile.weights()),
            };
            prop_assert_eq!(settle(&rollout, &mut world, Call::Keep(standing)), 0, "Keep");
            prop_assert!(weight_is_live(&rollout, &routing, &world, reconcile.weights()).unwrap());

            let policy = live_policy(&world);
            let share = sticky_of(policy).map(|sticky| i32::try_from(sticky.canary).unwrap());
            let is_over = reconcile.aborted || reconcile.current == "s1";
            let expected = (sticky && !is_over).then(|| reconcile.weight.min(i32::try_from(max).unwrap()));
            prop_assert_eq!(share, expected, "the share follows the weight");

            let found = &world.virtual_services[0].as_ref().unwrap().spec;
            for destinations in splits(found) {
                let weights: Vec<u64> = destinations
                    .iter()
                    .map(|destination| destination["weight"].as_u64().unwrap_or(0))
                    .collect();
                prop_assert_eq!(weights.iter().sum::<u64>(), u64::from(max), "{:?}", weights);
            }
            prop_assert_eq!(users(found), users(&spec), "the user's fields");
            let routes = found["http"].as_array().unwrap();
            let names = routes.iter().filter_map(|route| route["name"].as_str());
            prop_assert!(names.into_iter().all(|name| name.starts_with("serin-")), "a leftover");
            let subsets = world.destination_rule.as_ref().unwrap().spec["subsets"].as_array().unwrap();
            for subset in &subsets[2..] {
                let runs = |experiment: &WeightDestination| subset["name"] == *experiment.service_name;
                prop_assert!(reconcile.experiments.iter().any(runs), "left over: {}", subset);
            }
            earlier = &reconcile.experiments;
        }
        let rule = &world.destination_rule.as_ref().unwrap().spec["subsets"][0];
        prop_assert_eq!(&rule["labels"]["app"], &rule_before);
    }
}
