//! The state of everything as the page shows it. Pure, but for the reading of the store.

use std::time::{Duration, Instant};

use argo_rollouts::{CanaryStep, Rollout};
use serde::Serialize;
use serde_json::Value;
use testbed::apiserver::Store;

use crate::board::{Board, Counts};
use crate::story::{Chapter, Told};
use crate::traffic::Headers;
use crate::yaml::yaml;
use crate::{actions, shop};

/// Requests are measured over so much of the past.
const MEASURED: Duration = Duration::from_secs(5);
/// From a change of the weight until all proxies have it, with much to spare.
const SETTLED: Duration = Duration::from_millis(500);
/// Fewer requests say nothing about a share.
const ENOUGH: usize = 50;

/// The whole, as JSON of the event `state`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    pub(crate) story: Told,
    pub(crate) rollout: RolloutState,
    pub(crate) versions: Vec<Version>,
    pub(crate) weight: Weight,
    pub(crate) virtual_service: VirtualService,
    /// YAML; empty when the filter has none.
    pub(crate) policy: String,
    pub(crate) counts: Counts,
    pub(crate) plugin: Plugin,
    /// Whether the API server refuses the plugin's writes.
    pub(crate) refusing: bool,
    pub(crate) you: You,
    /// Why nothing goes on, in a sentence.
    pub(crate) trouble: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RolloutState {
    pub(crate) phase: String,
    pub(crate) message: String,
    /// The current step, from 0; none when all are done.
    pub(crate) step: Option<usize>,
    pub(crate) steps: Vec<String>,
    pub(crate) aborted: bool,
    /// By a person.
    pub(crate) paused: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Version {
    pub(crate) image: String,
    pub(crate) hash: String,
    pub(crate) role: &'static str,
    pub(crate) pods: i64,
    pub(crate) ready: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Weight {
    /// The canary's percentage that the controller has set.
    pub(crate) wanted: i32,
    /// Of the requests that weights decide; none while too few have been seen.
    pub(crate) measured: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct VirtualService {
    pub(crate) now: String,
    pub(crate) users: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Plugin {
    pub(crate) running: bool,
    pub(crate) starts: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct You {
    pub(crate) headers: Headers,
}

/// What the state is made of beside the store and the board.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    /// Whether the story still goes as it is told.
    pub(crate) told: bool,
    pub(crate) plugin: Plugin,
    pub(crate) refusing: bool,
    pub(crate) headers: Headers,
    pub(crate) trouble: Option<String>,
}

/// Makes states; remembers when the weight was last changed.
#[derive(Debug)]
pub(crate) struct Viewer {
    /// The VirtualService as the team wrote it.
    users: String,
    weight: (i32, Instant),
}

impl Viewer {
    /// `store` has the VirtualService as the team wrote it.
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            users: spec_yaml(store, "virtualservices"),
            weight: (0, Instant::now()),
        }
    }

    /// The state now.
    pub(crate) fn state(&mut self, store: &Store, board: &Board, rest: Rest) -> State {
        let rollout = actions::rollout(store);
        let images = actions::images(store, &rollout);
        let wanted = wanted(&rollout);
        if wanted != self.weight.0 {
            self.weight = (wanted, Instant::now());
        }
        let versions = versions(store, &rollout);
        let canary = versions.iter().find(|version| version.role == "canary");
        let measured = measured(
            board,
            self.weight.1 + SETTLED,
            canary.map(|version| version.image.as_str()),
        );
        let virtual_service = VirtualService {
            now: spec_yaml(store, "virtualservices"),
            users: self.users.clone(),
        };
        let policy = policy(store).map_or_else(String::new, |policy| yaml(&policy));
        let told = match Chapter::of(&rollout, &images, rest.told) {
            Chapter::Aborted
                if !policy.is_empty() || virtual_service.now != virtual_service.users =>
            {
                Chapter::being_taken_back()
            }
            chapter => chapter.told(),
        };
        State {
            story: told,
            rollout: state_of(&rollout),
            versions,
            weight: Weight { wanted, measured },
            virtual_service,
            policy,
            counts: board.counts(),
            plugin: rest.plugin,
            refusing: rest.refusing,
            you: You {
                headers: rest.headers,
            },
            trouble: rest.trouble,
        }
    }
}

/// The canary's percentage, by the status.
fn wanted(rollout: &Rollout) -> i32 {
    let status = &rollout.status;
    if status.abort || status.current_pod_hash == status.stable_rs {
        return 0;
    }
    let weights = status.canary.weights.as_ref();
    weights.map_or(0, |weights| weights.canary.weight)
}

fn measured(board: &Board, settled: Instant, canary: Option<&str>) -> Option<f64> {
    let from = Instant::now()
        .checked_sub(MEASURED)
        .map_or(settled, |from| from.max(settled));
    let answered = board.answered_since(from);
    let by_weight = || {
        answered
            .iter()
            .filter(|one| matches!(&*one.lane, "" | "mirror"))
    };
    let all = by_weight().count();
    if all < ENOUGH {
        return None;
    }
    let hits = by_weight()
        .filter(|one| canary == Some(&*one.image))
        .count();
    Some((share(hits, all) * 10.0).round() / 10.0)
}

/// In percent.
#[allow(
    clippy::cast_precision_loss,
    reason = "some thousands of requests at most"
)]
pub(crate) fn share(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

fn state_of(rollout: &Rollout) -> RolloutState {
    let steps = rollout.canary().map_or(&[][..], |canary| &canary.steps);
    let status = &rollout.status;
    let moves = status.current_pod_hash != status.stable_rs && !status.abort;
    let step = status
        .current_step_index
        .and_then(|index| usize::try_from(index).ok());
    RolloutState {
        phase: status.phase.clone(),
        message: status.message.clone(),
        step: step.filter(|index| moves && *index < steps.len()),
        steps: steps.iter().map(words).collect(),
        aborted: status.abort,
        paused: rollout.spec.paused,
    }
}

/// A step in a line.
fn words(step: &CanaryStep) -> String {
    if let Some(weight) = step.set_weight {
        return format!("setWeight {weight}");
    }
    if let Some(pause) = &step.pause {
        let duration = pause
            .duration
            .as_ref()
            .and_then(|duration| serde_json::to_value(duration).ok());
        return match duration {
            Some(Value::String(text)) => format!("pause {text}"),
            Some(number) => format!("pause {number}s"),
            None => "pause".to_owned(),
        };
    }
    if let Some(scale) = &step.set_canary_scale {
        if scale.match_traffic_weight {
            return "setCanaryScale matchTrafficWeight".to_owned();
        }
        return match (scale.replicas, scale.weight) {
            (Some(replicas), _) => format!("setCanaryScale {replicas}"),
            (None, Some(weight)) => format!("setCanaryScale {weight} %"),
            (None, None) => "setCanaryScale".to_owned(),
        };
    }
    if let Some(route) = &step.set_header_route {
        let removes = if route.matches.is_empty() {
            " (removed)"
        } else {
            ""
        };
        return format!("setHeaderRoute {}{removes}", route.name);
    }
    if let Some(route) = &step.set_mirror_route {
        return match route.percentage {
            _ if route.matches.is_empty() => format!("setMirrorRoute {} (removed)", route.name),
            Some(percentage) => format!("setMirrorRoute {} {percentage} %", route.name),
            None => format!("setMirrorRoute {}", route.name),
        };
    }
    "a step that the demo doesn't have".to_owned()
}

/// The ReplicaSets that have pods or should have.
fn versions(store: &Store, rollout: &Rollout) -> Vec<Version> {
    let status = &rollout.status;
    let sets = store
        .list("replicasets", shop::NAMESPACE)
        .unwrap_or_default();
    let mut versions: Vec<Version> = sets
        .iter()
        .map(|set| {
            let text = |path: &str| {
                let found = set.pointer(path).and_then(Value::as_str);
                found.unwrap_or_default().to_owned()
            };
            let number = |path: &str| set.pointer(path).and_then(Value::as_i64).unwrap_or(0);
            let hash = text("/metadata/labels/rollouts-pod-template-hash");
            let role = if hash == status.stable_rs {
                "stable"
            } else if hash == status.current_pod_hash {
                "canary"
            } else {
                "old"
            };
            Version {
                image: actions::image_of(set),
                hash,
                role,
                pods: number("/spec/replicas").max(number("/status/replicas")),
                ready: number("/status/readyReplicas"),
            }
        })
        .filter(|version| version.pods > 0)
        .collect();
    let place = |version: &Version| {
        let others = version.role != "stable";
        (others, version.role, version.image.clone())
    };
    versions.sort_by_cached_key(place);
    versions
}

/// The Rollout's policy in the filter's configuration.
pub(crate) fn policy(store: &Store) -> Option<Value> {
    let plugin = store.get(&shop::wasm_plugin())?;
    let rollouts = plugin.pointer("/spec/pluginConfig/rollouts")?;
    rollouts
        .get(format!("{}/{}", shop::NAMESPACE, shop::NAME))
        .cloned()
}

fn spec_yaml(store: &Store, resource: &str) -> String {
    let object = store.get(&shop::object(resource)).unwrap_or_default();
    object.get("spec").map_or_else(String::new, yaml)
}
