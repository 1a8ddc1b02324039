//! From any state that calls have brought about, after any one change of an object and of the configuration, the calls
//! of an abort, a rollback and a promotion take all traffic off the canary.

use std::collections::BTreeSet;
use std::sync::Arc;

use argo_rollouts::Rollout;
use proptest::prelude::*;
use proptest::{option, sample};
use serde_json::{Value, json};

use crate::config::FilterKind;
use crate::core::destination_rule::hash_of;
use crate::core::filter::policy_of;
use crate::core::fixtures::{
    carry_out, destination_rule, replica_set, rollout, traffic_extension, wasm_plugin,
};
use crate::core::lane_route::{belongs_to, is_lane_of};
use crate::core::plan::{
    Call, Observed, Plan, PodHashes, Versions, Weights, is_way_back, way_back, writes,
};
use crate::core::routing::Routing;
use crate::core::rules::RouteStep;
use crate::core::weights::{Side, destinations, side_of, weight_of};
use crate::object::{Kind, Object, ObjectId};

/// How the Rollout splits traffic.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
struct Setup {
    by_host: bool,
    /// Names of the VirtualServices.
    services: Vec<&'static str>,
    several_routes: bool,
    with_tcp: bool,
    sticky: bool,
    header: bool,
    mirror: bool,
    declared: bool,
    /// A filter object of each kind, in place of a WasmPlugin alone.
    two_filters: bool,
    weights: Vec<i32>,
}

fn setup() -> impl Strategy<Value = Setup> {
    let services = sample::select(vec![
        vec!["web"],
        vec!["web", "edge"],
        vec!["edge", "web", "tv"],
    ]);
    let weights = proptest::collection::vec(sample::select(vec![0, 1, 20, 55, 100]), 0..3);
    let flags = (any::<[bool; 8]>(), services, weights);
    flags.prop_map(|(flags, services, weights)| {
        let [
            by_host,
            several_routes,
            with_tcp,
            sticky,
            header,
            mirror,
            declared,
            two_filters,
        ] = flags;
        Setup {
            by_host,
            services,
            several_routes,
            with_tcp,
            sticky,
            header,
            mirror,
            declared,
            two_filters,
            weights,
        }
    })
}

impl Setup {
    fn configuration(&self) -> Value {
        let routes = if self.several_routes {
            json!(["primary", "second"])
        } else {
            json!(["primary"])
        };
        let services: Vec<Value> = self
            .services
            .iter()
            .map(|name| json!({"name": name, "routes": routes}))
            .collect();
        let rule =
            json!({"name": "reviews", "canarySubsetName": "canary", "stableSubsetName": "stable"});
        let mut configuration = json!({"virtualServices": services});
        if !self.by_host {
            configuration["destinationRule"] = rule;
        }
        if self.declared {
            configuration["lanes"] = json!("declared");
        }
        if self.two_filters {
            let filter =
                |kind: &str| json!({"kind": kind, "namespace": "istio-system", "name": "serin"});
            configuration["filters"] = json!([filter("WasmPlugin"), filter("TrafficExtension")]);
        }
        if self.sticky {
            configuration["sticky"] = json!({"keys": [{"cookie": "user"}]});
        }
        configuration
    }

    fn rollout(&self, configuration: &Value, status: &Value) -> Rollout {
        let mut steps = Vec::new();
        if self.header {
            steps.push(json!({"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x", "headerValue": {"exact": "1"}}]}}));
        }
        if self.mirror {
            steps.push(json!({"setMirrorRoute": {"name": "shadow", "percentage": 30, "match": [{"path": {"prefix": "/"}}]}}));
        }
        steps.push(json!({"pause": {}}));
        let services = self
            .by_host
            .then_some(("reviews", "reviews-canary"))
            .unzip();
        let index = steps.len() - 1;
        let mut rollout = rollout(json!({
            "spec": {"strategy": {"canary": {
                "stableService": services.0, "canaryService": services.1, "steps": steps,
            }}},
            "status": {"currentStepIndex": index},
        }));
        let canary = rollout.spec.strategy.canary.as_mut().unwrap();
        let traffic = canary.traffic_routing.as_mut().unwrap();
        traffic
            .plugins
            .insert("serin/istio".to_owned(), configuration.clone());
        let mut whole = serde_json::to_value(&rollout).unwrap();
        json_patch::merge(&mut whole, &json!({"status": status}));
        serde_json::from_value(whole).unwrap()
    }

    fn destinations(&self) -> Value {
        if self.by_host {
            json!([{"destination": {"host": "reviews"}, "weight": 100}, {"destination": {"host": "reviews-canary"}, "weight": 0}])
        } else {
            json!([
                {"destination": {"host": "reviews", "subset": "stable"}, "weight": 100},
                {"destination": {"host": "reviews", "subset": "canary"}, "weight": 0},
            ])
        }
    }

    fn virtual_service(&self, name: &str) -> Object {
        let mut http = vec![
            json!({"name": "pinned", "match": [{"uri": {"prefix": "/pin"}}], "route": [{"destination": {"host": "other"}}]}),
        ];
        if self.several_routes {
            http.push(json!({"name": "second", "match": [{"uri": {"prefix": "/b"}}], "route": self.destinations()}));
        }
        http.push(json!({"name": "primary", "route": self.destinations()}));
        let mut spec = json!({"hosts": [name], "http": http});
        if self.with_tcp {
            spec["tcp"] = json!([{"match": [{"port": 9}], "route": self.destinations()}]);
        }
        Object {
            id: ObjectId::new(Kind::VirtualService, "shop", name),
            resource_version: "1".to_owned(),
            labels: std::collections::BTreeMap::new(),
            spec,
            available_replicas: 0,
            wanted_replicas: 0,
        }
    }

    fn filters(&self) -> Vec<Object> {
        let mut filters = vec![wasm_plugin(), traffic_extension()];
        filters.truncate(1 + usize::from(self.two_filters));
        filters
    }

    fn world(&self) -> World {
        if self.declared {
            // The user has written down what Serin would have added.
            let managed = Self {
                declared: false,
                weights: vec![0],
                ..self.clone()
            };
            let mut world = managed.world();
            managed.go_forth(&mut world);
            world
                .objects
                .retain(|object| FilterKind::of(object.id.kind).is_none());
            world.objects.extend(self.filters());
            return world;
        }
        let objects = self.services.iter().map(|name| self.virtual_service(name));
        let mut all: Vec<Object> = objects.collect();
        if !self.by_host {
            all.push(destination_rule("s1", "s1"));
        }
        all.extend(self.filters());
        World {
            objects: all,
            pods: vec![("s1", 3), ("c2", 2)],
            unwritable: BTreeSet::new(),
        }
    }

    /// What the controller has called before: steps and weights, each with its UpdateHash.
    fn go_forth(&self, world: &mut World) -> i32 {
        let rollout = self.rollout(&self.configuration(), &json!({}));
        let mut last = 0;
        let canary = rollout.canary().unwrap();
        for step in &canary.steps {
            let header = step.set_header_route.as_ref().map(RouteStep::Header);
            let mirror = step.set_mirror_route.as_ref().map(RouteStep::Mirror);
            for step in header.into_iter().chain(mirror) {
                world.call(&rollout, Call::SetRoute(step));
            }
        }
        for &weight in &self.weights {
            world.call(&rollout, Call::UpdateHash(HASHES));
            let weights = Weights {
                canary: weight,
                additional: &[],
            };
            world.call(&rollout, Call::SetWeight(weights));
            last = weight;
        }
        last
    }
}

const HASHES: PodHashes<'static> = PodHashes {
    canary: "c2",
    stable: "s1",
    additional: &[],
};

/// The cluster.
#[derive(Clone, Debug)]
struct World {
    objects: Vec<Object>,
    pods: Vec<(&'static str, i64)>,
    unwritable: BTreeSet<ObjectId>,
}

impl World {
    fn observed(&self, routing: &Routing) -> Observed {
        let find = |id: &ObjectId| {
            let mut objects = self.objects.iter();
            objects
                .find(|object| object.id == *id)
                .cloned()
                .map(Arc::new)
        };
        Observed {
            virtual_services: routing
                .virtual_services
                .iter()
                .map(|one| find(&one.id))
                .collect(),
            destination_rule: routing
                .destination_rule
                .as_ref()
                .and_then(|one| find(&one.id)),
            filters: routing.filter_ids().map(find).collect(),
            replica_sets: self
                .pods
                .iter()
                .map(|(hash, pods)| Arc::new(replica_set(hash, *pods)))
                .collect(),
            ..Observed::default()
        }
    }

    fn write(
        &mut self,
        routing: &Routing,
        write: crate::core::plan::Write,
    ) -> Result<(), ObjectId> {
        if self.unwritable.contains(write.target()) {
            return Err(write.target().clone());
        }
        let mut observed = self.observed(routing);
        carry_out(write, &mut observed);
        let written = observed
            .virtual_services
            .into_iter()
            .chain([observed.destination_rule])
            .chain(observed.filters);
        for object in written.flatten() {
            let place = self
                .objects
                .iter_mut()
                .find(|one| one.id == object.id)
                .unwrap();
            *place = Arc::unwrap_or_clone(object);
        }
        Ok(())
    }

    /// A call on the way to the canary, in an orderly world.
    fn call(&mut self, rollout: &Rollout, call: Call<'_>) {
        let routing = Routing::of(rollout).unwrap();
        for _ in 0..30 {
            let pending = writes(rollout, &routing, &self.observed(&routing), call).unwrap();
            let Some(first) = pending.into_iter().next() else {
                return;
            };
            self.write(&routing, first).unwrap();
        }
        panic!("{call:?} doesn't end");
    }

    /// A call on the way back; returns what is left.
    fn call_back(&mut self, rollout: &Rollout, routing: &Routing, call: Call<'_>) -> Vec<String> {
        assert!(is_way_back(rollout, call), "{call:?}");
        let mut refused = BTreeSet::new();
        for _ in 0..40 {
            let Plan { writes, problems } =
                way_back(rollout, routing, &self.observed(routing), call, &refused);
            let Some(first) = writes.into_iter().next() else {
                let refused = refused.iter().map(ToString::to_string);
                return problems
                    .iter()
                    .map(ToString::to_string)
                    .chain(refused)
                    .collect();
            };
            if let Err(id) = self.write(routing, first) {
                refused.insert(id);
            }
        }
        panic!("{call:?} doesn't end");
    }
}

/// One thing that somebody else does meanwhile.
#[derive(Clone, Debug)]
enum Change {
    Delete(usize),
    /// The field at that place among all fields of all objects' specs goes, or gets another value.
    Field(usize, usize, Option<Value>),
    Unwritable(usize),
    PodsGone(bool),
}

fn change() -> impl Strategy<Value = Option<Change>> {
    let values = vec![
        None,
        Some(Value::Null),
        Some(json!("renamed")),
        Some(json!(7)),
        Some(json!([])),
        Some(json!({})),
        Some(json!([{"destination": {"host": "reviews", "subset": "canary"}}])),
        Some(json!([{"destination": {"host": "reviews-canary"}}])),
        Some(json!([{"name": "primary", "redirect": {"uri": "/maintenance"}}])),
        Some(json!([{"name": "main", "route": [{"destination": {"host": "maintenance"}}]}])),
    ];
    option::weighted(
        0.9,
        prop_oneof![
            1 => (0..6_usize).prop_map(Change::Delete),
            6 => (0..6_usize, any::<usize>(), sample::select(values))
                .prop_map(|(object, field, value)| Change::Field(object, field, value)),
            1 => (0..6_usize).prop_map(Change::Unwritable),
            1 => any::<bool>().prop_map(Change::PodsGone),
        ],
    )
}

/// All paths below `value`, those of lists' entries too.
fn paths(value: &Value, at: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                all.push(at.clone());
                paths(value, &at, all);
            }
        }
        Value::Array(entries) => {
            for (index, value) in entries.iter().enumerate() {
                let at = format!("{at}/{index}");
                all.push(at.clone());
                paths(value, &at, all);
            }
        }
        _ => {}
    }
}

fn set(whole: &mut Value, path: &str, value: Option<Value>) {
    let (parent, name) = path.rsplit_once('/').unwrap();
    match (whole.pointer_mut(parent).unwrap(), value) {
        (Value::Object(fields), Some(value)) => {
            fields.insert(name.replace("~1", "/").replace("~0", "~"), value);
        }
        (Value::Object(fields), None) => {
            fields.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        (Value::Array(entries), Some(value)) => entries[name.parse::<usize>().unwrap()] = value,
        (Value::Array(entries), None) => {
            entries.remove(name.parse().unwrap());
        }
        _ => unreachable!(),
    }
}

impl Change {
    fn apply(self, world: &mut World) {
        let count = world.objects.len();
        match self {
            Self::Delete(index) => {
                world.objects.remove(index % count);
            }
            Self::Field(index, field, value) => {
                let spec = &mut world.objects[index % count].spec;
                let mut all = Vec::new();
                paths(spec, "", &mut all);
                let path = &all[field % all.len()];
                set(spec, path, value);
            }
            Self::Unwritable(index) => {
                let id = world.objects[index % count].id.clone();
                world.unwritable.insert(id);
            }
            Self::PodsGone(stable) => world.pods[usize::from(!stable)].1 = 0,
        }
    }
}

/// One thing that happens to the configuration: a field gets another value, or goes.
fn change_of_configuration() -> impl Strategy<Value = Option<(usize, Option<Value>)>> {
    let values = vec![
        None,
        Some(json!(7)),
        Some(json!("x")),
        Some(json!([])),
        Some(json!({"betta": {}})),
    ];
    option::weighted(0.3, (any::<usize>(), sample::select(values)))
}

/// True if `route` still sends something to the canary.
fn takes_canary(route: &Value, routing: &Routing) -> bool {
    let all = destinations(route);
    all.iter().any(|one| {
        let takes = all.len() == 1 || weight_of(one) > 0;
        takes && side_of("shop", one, routing) == Some(Side::Canary)
    })
}

/// 10,000; `cargo xtask test --long` says another number.
fn cases() -> u32 {
    let given = std::env::var("SERIN_WAY_BACK_CASES").ok();
    given.and_then(|given| given.parse().ok()).unwrap_or(10_000)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn no_change_blocks_the_way_back(
        setup in setup(),
        change in change(),
        broken in change_of_configuration(),
        end in sample::select(vec!["abort", "rollback", "promotion"]),
    ) {
        let mut world = setup.world();
        let weight = setup.go_forth(&mut world);
        let good = setup.configuration();
        if end == "promotion" {
            world.pods[1].1 = 3;
        }
        let set_up = world.clone();
        if let Some(change) = change.clone() {
            change.apply(&mut world);
        }
        let mut configuration = good.clone();
        let broken_is_none = broken.is_none();
        if let Some((field, value)) = broken {
            let mut all = Vec::new();
            paths(&configuration, "", &mut all);
            set(&mut configuration, &all[field % all.len()].clone(), value);
        }
        let status = match end {
            "abort" => json!({"abort": true}),
            "rollback" => json!({"currentPodHash": "s1"}),
            _ => json!({"stableRS": "c2"}),
        };
        let weights = json!({"canary": {"weight": weight, "podTemplateHash": "c2"}, "stable": {"weight": 100 - weight, "podTemplateHash": "s1"}});
        let mut whole = status.clone();
        whole["canary"] = json!({"weights": weights});
        let rollout = setup.rollout(&configuration, &whole);
        // As the plugin remembers them: what the canary went by, and what the configuration is now.
        let went_by = Routing::with(&rollout, &good).unwrap();
        let now = Routing::of(&rollout).ok().filter(|now| *now != went_by);
        let hashes = match end {
            "abort" => HASHES,
            "rollback" => PodHashes { canary: "s1", ..HASHES },
            _ => PodHashes { stable: "c2", ..HASHES },
        };
        let mut left = Vec::new();
        // An abort sets the index back, perhaps to a header step.
        let steps = &rollout.canary().unwrap().steps;
        let first = steps.first().and_then(|step| step.set_header_route.as_ref());
        let header = first.map(|step| Call::SetRoute(RouteStep::Header(step)));
        let rest = [Call::UpdateHash(hashes), Call::SetWeight(Weights::default())];
        for call in std::iter::once(Call::RemoveManagedRoutes).chain(header).chain(rest) {
            for routing in [Some(&went_by), now.as_ref()].into_iter().flatten() {
                left.extend(world.call_back(&rollout, routing, call));
            }
        }

        let said = left.join("\n");
        let observed = world.observed(&went_by);
        let never_had_traffic = weight == 0 && end != "abort";
        let is_held = said.contains("until then traffic stays at subset");
        for object in observed.virtual_services.iter().flatten() {
            if world.unwritable.contains(&object.id) {
                let was = set_up.objects.iter().find(|one| one.id == object.id).unwrap();
                let had = was.spec["http"].as_array().unwrap().iter().any(|route| {
                    if is_lane_of(route, &went_by.rollout) {
                        !setup.declared
                    } else {
                        takes_canary(route, &went_by)
                    }
                });
                prop_assert!(!had || said.contains(&object.id.to_string()), "{}: {}", object.id, said);
                continue;
            }
            for protocol in ["http", "tcp"] {
                for route in object.spec[protocol].as_array().into_iter().flatten() {
                    let name = route["name"].as_str().unwrap_or("");
                    if name == "pinned" {
                        // The user's own, wherever it routes to.
                        continue;
                    }
                    let is_lane = belongs_to(name, &went_by.rollout);
                    if setup.declared && (is_lane || is_lane_of(route, &went_by.rollout)) {
                        continue;
                    }
                    let stays_sticky = is_held && setup.sticky;
                    prop_assert!(!is_lane || stays_sticky, "{} is left: {}", name, said);
                    // One that no call has given weight to is the user's to mend.
                    let is_told = never_had_traffic && said.contains(&object.id.to_string());
                    prop_assert!(is_held || is_told || !takes_canary(route, &went_by), "{} {}: {:#}\n{}", object.id, protocol, route, said);
                }
            }
        }
        if is_held {
            // The right version, by the subset that was there.
            let rule = observed.destination_rule.as_ref().unwrap();
            prop_assert_eq!(hash_of(rule, "canary"), Some("c2"));
            prop_assert!(Versions::of(&observed.replica_sets).has_pods("c2"));
        }
        for filter in observed.filters.iter().flatten() {
            let policy = policy_of(filter, &went_by.rollout);
            let may_stay = world.unwritable.contains(&filter.id);
            prop_assert!(policy.is_none() || (is_held && setup.sticky) || (may_stay && said.contains(&filter.id.to_string())), "{:?}: {}", policy, said);
        }
        if change.is_none() && broken_is_none {
            prop_assert!(left.is_empty(), "{}", said);
        }
    }
}
