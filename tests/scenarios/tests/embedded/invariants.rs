//! What holds at every revision of the cluster, whatever a scenario does: what requests can't show, since the weights take
//! those for which a lane or its route is missing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use testbed::apiserver::{ChangeKind, Store};

/// Where the harness counts what it has done by a user's hand.
const EDITS: &str = "serin-e2e/edits";
/// Where it counts what it has taken back to the manifest, as another tool does; a namespace's, how often all pods of a
/// version were deleted in it.
const DRIFTS: &str = "serin-e2e/drifts";
const HASH: &str = "rollouts-pod-template-hash";

/// Violations, and how many revisions showed each.
pub(crate) type Violations = Arc<Mutex<BTreeMap<String, usize>>>;

/// Looks at every revision until it is aborted.
pub(crate) async fn watch(store: Store, violations: Violations) {
    let mut changes = store.subscribe();
    let mut cluster = Objects::default();
    while let Ok(change) = changes.next().await {
        let key = Key::of(change.resource.plural, &change.object);
        let found = if change.kind == ChangeKind::Deleted {
            cluster.all.remove(&key);
            Vec::new()
        } else {
            cluster.put(key, Value::clone(&change.object))
        };
        let standing = cluster.standing();
        let mut violations = violations.lock().unwrap();
        for violation in found.into_iter().chain(standing) {
            *violations.entry(violation).or_default() += 1;
        }
    }
}

/// Resource, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(String, String, String);

impl Key {
    fn of(plural: &str, object: &Value) -> Self {
        let field = |path| text(object, path).to_owned();
        let (namespace, name) = (field("/metadata/namespace"), field("/metadata/name"));
        Self(plural.to_owned(), namespace, name)
    }
}

/// All objects at one revision.
#[derive(Default)]
struct Objects {
    all: BTreeMap<Key, Value>,
    /// The VirtualServices as the user has left them, as far as they are the user's, and how often it was edited.
    users: BTreeMap<Key, (Value, Value)>,
    /// Where something has to be put right first, and whether it has been seen to be wrong.
    drifting: BTreeMap<String, bool>,
}

impl Objects {
    /// What doesn't hold now, but where it has to be put right first; how soon that is, the scenario says.
    fn standing(&mut self) -> Vec<String> {
        let all = self.violations();
        let of = |namespace: &str| all.iter().filter(move |one| one.0 == namespace).count();
        self.drifting.retain(|namespace, seen| {
            let wrong = of(namespace) > 0;
            let over = *seen && !wrong;
            *seen |= wrong;
            !over
        });
        let others = all.iter().filter(|one| !self.drifting.contains_key(&one.0));
        others.map(|one| one.1.clone()).collect()
    }

    /// Takes an object; the violations are those of its change.
    fn put(&mut self, key: Key, object: Value) -> Vec<String> {
        let mut violations = Vec::new();
        let drifts = |object: &Value| {
            let annotations = &object["metadata"]["annotations"];
            [DRIFTS, EDITS].map(|counter| annotations[counter].clone())
        };
        if self
            .all
            .get(&key)
            .is_some_and(|old| drifts(old) != drifts(&object))
        {
            // What a user or a tool has written is wrong at once; pods that are deleted, once they are gone.
            let (namespace, at_once) = match key.0.as_str() {
                "namespaces" => (&key.2, false),
                _ => (&key.1, true),
            };
            self.drifting.insert(namespace.clone(), at_once);
        }
        match key.0.as_str() {
            "virtualservices" => {
                let edits = object["metadata"]["annotations"][EDITS].clone();
                let now = (edits, users_part(&object));
                let users = self.users.entry(key.clone()).or_insert_with(|| now.clone());
                if users.0 != now.0 {
                    *users = now;
                } else if *users != now {
                    violations.push(format!("{}/{}: the user's part has changed", key.1, key.2));
                }
            }
            "destinationrules" => {
                for subset in list(&object, "/spec/subsets") {
                    let old = self.all.get(&key).and_then(|old| {
                        let mut subsets = list(old, "/spec/subsets");
                        subsets.find(|old| old["name"] == subset["name"])
                    });
                    let (Some(old), Some(new)) = (old.and_then(hash), hash(subset)) else {
                        continue;
                    };
                    if old != new && self.has_pods(&key.1, old) && !self.has_pods(&key.1, new) {
                        violations.push(format!(
                            "{}/{}: subset {} moved from {old} to {new}, which has no pods",
                            key.1, key.2, subset["name"]
                        ));
                    }
                }
            }
            _ => {}
        }
        self.all.insert(key, object);
        violations
    }

    /// Namespace and violation.
    fn violations(&self) -> Vec<(String, String)> {
        let mut violations = self.lanes_without_routes();
        for (key, object) in self.of("virtualservices") {
            for route in list(object, "/spec/http") {
                let nowhere = self.leads_nowhere(key, route).into_iter();
                violations.extend(nowhere.map(|one| (key.1.clone(), one)));
                if is_lane_route(route) && !has_twin(object, route) {
                    let violation = format!(
                        "{}/{}: lane route {} is no clone of a route of the user's",
                        key.1, key.2, route["name"]
                    );
                    violations.push((key.1.clone(), violation));
                }
            }
        }
        violations
    }

    /// Make before break: a lane that a policy names has its route in each of the policy's VirtualServices.
    fn lanes_without_routes(&self) -> Vec<(String, String)> {
        let mut violations = Vec::new();
        for (_, plugin) in self.of("wasmplugins") {
            let policies = plugin.pointer("/spec/pluginConfig/rollouts");
            for (rollout, policy) in policies.and_then(Value::as_object).into_iter().flatten() {
                let prefix = format!("serin-{}.", rollout.replace('/', "."));
                let services = policy["virtualServices"].as_object();
                for service in services.into_iter().flat_map(|services| services.keys()) {
                    let rules = list(policy, "/rules").map(|rule| text(rule, "/lane"));
                    let sticky = policy.get("sticky").map(|_| ["canary", "stable"]);
                    for lane in rules.chain(sticky.into_iter().flatten()) {
                        let lane = format!("{prefix}{lane}");
                        let routes = self.virtual_service(service);
                        let mut routes = routes.into_iter().flat_map(|one| list(one, "/spec/http"));
                        if !routes.any(|route| text(route, "/name").starts_with(&lane)) {
                            let namespace = service.split('/').next().unwrap_or_default();
                            let violation = format!(
                                "the policy of {rollout} leads to {lane}, which {service} doesn't have"
                            );
                            violations.push((namespace.to_owned(), violation));
                        }
                    }
                }
            }
        }
        violations
    }

    /// A subset that takes requests is at a hash with available pods.
    fn leads_nowhere(&self, key: &Key, route: &Value) -> Vec<String> {
        let only = list(route, "/route").count() == 1;
        let takes = |destination: &&Value| only || destination["weight"].as_u64() > Some(0);
        let mut violations = Vec::new();
        for destination in list(route, "/route").filter(takes) {
            let rules = self.of("destinationrules").filter(|(rule, object)| {
                rule.1 == key.1
                    && object.pointer("/spec/host") == destination.pointer("/destination/host")
            });
            for subset in rules.flat_map(|(_, rule)| list(rule, "/spec/subsets")) {
                let named = Some(&subset["name"]) == destination.pointer("/destination/subset");
                if let Some(hash) = hash(subset)
                    && named
                    && !self.has_pods(&key.1, hash)
                {
                    violations.push(format!(
                        "{}/{}: route {} leads to subset {} at {hash}, which has no pods",
                        key.1, key.2, route["name"], subset["name"]
                    ));
                }
            }
        }
        violations
    }

    fn has_pods(&self, namespace: &str, wanted: &str) -> bool {
        self.of("replicasets").any(|(key, set)| {
            key.1 == namespace
                && set["metadata"]["labels"][HASH] == wanted
                && set["status"]["availableReplicas"].as_u64() > Some(0)
        })
    }

    /// `namespace/name`.
    fn virtual_service(&self, name: &str) -> Option<&Value> {
        self.of("virtualservices")
            .find(|(key, _)| format!("{}/{}", key.1, key.2) == name)
            .map(|(_, object)| object)
    }

    fn of(&self, plural: &str) -> impl Iterator<Item = (&Key, &Value)> {
        self.all.iter().filter(move |(key, _)| key.0 == plural)
    }
}

/// The spec without lane routes and weights.
fn users_part(object: &Value) -> Value {
    let mut spec = object["spec"].clone();
    if let Some(routes) = spec.get_mut("http").and_then(Value::as_array_mut) {
        routes.retain(|route| !is_lane_route(route));
        let destinations = routes
            .iter_mut()
            .filter_map(|route| route["route"].as_array_mut());
        for destination in destinations.flatten().filter_map(Value::as_object_mut) {
            destination.remove("weight");
        }
    }
    spec
}

/// Whether a route of the user's has all that the lane route has, but for what makes it a lane route.
fn has_twin(virtual_service: &Value, lane_route: &Value) -> bool {
    let rest = |route: &Value| {
        let mut fields = route.as_object().cloned().unwrap_or_default();
        for own in [
            "name",
            "match",
            "route",
            "mirror",
            "mirrors",
            "mirrorPercentage",
        ] {
            fields.remove(own);
        }
        fields
    };
    list(virtual_service, "/spec/http")
        .filter(|route| !is_lane_route(route))
        .any(|route| rest(route) == rest(lane_route))
}

fn is_lane_route(route: &Value) -> bool {
    text(route, "/name").starts_with("serin-")
}

fn hash(subset: &Value) -> Option<&str> {
    subset["labels"][HASH].as_str()
}

fn list<'a>(object: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    let items = object.pointer(path).and_then(Value::as_array);
    items.into_iter().flatten()
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    let found = object.pointer(path).and_then(Value::as_str);
    found.unwrap_or_default()
}
