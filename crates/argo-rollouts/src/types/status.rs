//! What the controller has made of a Rollout so far.

use serde::{Deserialize, Serialize};

use super::or_default;
use super::time::Time;

/// The state of a Rollout. Go's `v1alpha1.RolloutStatus`, without blue-green and ALB details.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStatus {
    /// Whether the update was aborted.
    #[serde(alias = "Abort")]
    pub abort: bool,
    /// Why the controller waits.
    #[serde(alias = "PauseConditions", deserialize_with = "or_default")]
    pub pause_conditions: Vec<PauseCondition>,
    /// Whether the controller has paused the Rollout.
    #[serde(alias = "ControllerPause")]
    pub controller_pause: bool,
    /// When the update was aborted.
    #[serde(alias = "AbortedAt")]
    pub aborted_at: Option<Time>,
    /// Pod-template hash of the version wanted: the canary's, and the stable's once done.
    #[serde(alias = "CurrentPodHash")]
    pub current_pod_hash: String,
    /// Hash of the steps that the index counts in.
    #[serde(alias = "CurrentStepHash")]
    pub current_step_hash: String,
    /// All pods.
    #[serde(alias = "Replicas")]
    pub replicas: i32,
    /// Pods of the version wanted.
    #[serde(alias = "UpdatedReplicas")]
    pub updated_replicas: i32,
    /// Ready pods.
    #[serde(alias = "ReadyReplicas")]
    pub ready_replicas: i32,
    /// Available pods.
    #[serde(alias = "AvailableReplicas")]
    pub available_replicas: i32,
    /// The step in progress, counted from 0; the number of steps once all are done. In a call it
    /// is set wherever there are steps.
    #[serde(alias = "CurrentStepIndex")]
    pub current_step_index: Option<i32>,
    /// Collisions of hashes so far.
    #[serde(alias = "CollisionCount")]
    pub collision_count: Option<i32>,
    /// The generation seen, as a string.
    #[serde(alias = "ObservedGeneration")]
    pub observed_generation: String,
    /// Conditions.
    #[serde(alias = "Conditions", deserialize_with = "or_default")]
    pub conditions: Vec<RolloutCondition>,
    /// What concerns the canary.
    #[serde(alias = "Canary", deserialize_with = "or_default")]
    pub canary: CanaryStatus,
    /// Pods that an autoscaler counts.
    #[serde(rename = "HPAReplicas")]
    pub hpa_replicas: i32,
    /// The selector as a string, for autoscalers.
    #[serde(alias = "Selector")]
    pub selector: String,
    /// Pod-template hash of the stable ReplicaSet.
    #[serde(rename = "stableRS", alias = "StableRS")]
    pub stable_rs: String,
    /// When pods were last restarted.
    #[serde(alias = "RestartedAt")]
    pub restarted_at: Option<Time>,
    /// Whether the rest of the steps is being skipped.
    #[serde(alias = "PromoteFull")]
    pub promote_full: bool,
    /// `Healthy`, `Degraded`, `Progressing` or `Paused`.
    #[serde(alias = "Phase")]
    pub phase: String,
    /// Why.
    #[serde(alias = "Message")]
    pub message: String,
    /// The generation seen of the workload referred to.
    #[serde(alias = "WorkloadObservedGeneration")]
    pub workload_observed_generation: String,
}

/// A reason to wait. Go's `v1alpha1.PauseCondition`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PauseCondition {
    /// Such as `CanaryPauseStep`.
    #[serde(alias = "Reason")]
    pub reason: String,
    /// Since when.
    #[serde(alias = "StartTime")]
    pub start_time: Option<Time>,
}

/// A condition. Go's `v1alpha1.RolloutCondition`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutCondition {
    /// Such as `Available`. Go's `Type`.
    #[serde(rename = "type", alias = "Type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[serde(alias = "Status")]
    pub status: String,
    /// When it was last written.
    #[serde(alias = "LastUpdateTime")]
    pub last_update_time: Option<Time>,
    /// When `status` last changed.
    #[serde(alias = "LastTransitionTime")]
    pub last_transition_time: Option<Time>,
    /// One word.
    #[serde(alias = "Reason")]
    pub reason: String,
    /// For people.
    #[serde(alias = "Message")]
    pub message: String,
}

/// What concerns the canary. Go's `v1alpha1.CanaryStatus`, without analysis and step plugins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStatus {
    /// The experiment that runs.
    #[serde(alias = "CurrentExperiment")]
    pub current_experiment: String,
    /// The weights last set.
    #[serde(alias = "Weights")]
    pub weights: Option<TrafficWeights>,
    /// Which of `ping` and `pong` is stable now.
    #[serde(alias = "StablePingPong")]
    pub stable_ping_pong: String,
}

/// The weights last set. Go's `v1alpha1.TrafficWeights`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficWeights {
    /// The canary's.
    #[serde(alias = "Canary", deserialize_with = "or_default")]
    pub canary: WeightDestination,
    /// The stable's.
    #[serde(alias = "Stable", deserialize_with = "or_default")]
    pub stable: WeightDestination,
    /// Experiments'.
    #[serde(alias = "Additional", deserialize_with = "or_default")]
    pub additional: Vec<WeightDestination>,
    /// What `verify_weight` last said.
    #[serde(alias = "Verified")]
    pub verified: Option<bool>,
}

/// A service, its pods and its share. Go's `v1alpha1.WeightDestination`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WeightDestination {
    /// Its share of `max_traffic_weight`.
    #[serde(alias = "Weight")]
    pub weight: i32,
    /// The service.
    #[serde(alias = "ServiceName")]
    pub service_name: String,
    /// The pods' hash.
    #[serde(alias = "PodTemplateHash")]
    pub pod_template_hash: String,
}
