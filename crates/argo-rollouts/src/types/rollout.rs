//! The Rollout itself and its spec.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::canary::CanaryStrategy;
use super::meta::{LabelSelector, ObjectMeta};
use super::or_default;
use super::status::RolloutStatus;
use super::step::CanaryStep;
use super::time::Time;
use super::traffic_routing::TrafficRouting;

/// Argo's Rollout. Go's `v1alpha1.Rollout`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// Name, namespace, labels and so on. (Embedded in Go, hence its gob name.)
    #[serde(alias = "ObjectMeta", deserialize_with = "or_default")]
    pub metadata: ObjectMeta,
    /// What the user wants.
    #[serde(alias = "Spec", deserialize_with = "or_default")]
    pub spec: RolloutSpec,
    /// What the controller has made of it so far.
    #[serde(alias = "Status", deserialize_with = "or_default")]
    pub status: RolloutStatus,
}

impl Rollout {
    /// The canary strategy, if that is the strategy.
    pub fn canary(&self) -> Option<&CanaryStrategy> {
        self.spec.strategy.canary.as_ref()
    }

    /// The canary's traffic routing, if there is any.
    pub fn traffic_routing(&self) -> Option<&TrafficRouting> {
        self.canary()?.traffic_routing.as_ref()
    }

    /// The configuration under `trafficRouting.plugins` of the plugin named `plugin`.
    pub fn plugin_config(&self, plugin: &str) -> Option<&Value> {
        self.traffic_routing()?.plugins.get(plugin)
    }

    /// Undoes what gob does to pointers to zero, where it can be told. `setWeight: 0` arrives as a
    /// step without anything, and no other step does, as all others are structs. A step index of 0
    /// arrives as none, which the controller itself takes for 0 where there are steps
    /// (argo-rollouts v1.10.1 `utils/replicaset/canary.go`, `GetCurrentCanaryStep`).
    pub(crate) fn restore_zeros(&mut self) {
        let Some(canary) = &mut self.spec.strategy.canary else {
            return;
        };
        for step in &mut canary.steps {
            if *step == CanaryStep::default() {
                step.set_weight = Some(0);
            }
        }
        if !canary.steps.is_empty() {
            self.status.current_step_index.get_or_insert(0);
        }
    }
}

/// What the user wants. Go's `v1alpha1.RolloutSpec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutSpec {
    /// Desired pods; the controller takes `None` for 1. In a call, `None` may also be 0.
    #[serde(alias = "Replicas")]
    pub replicas: Option<i32>,
    /// Which pods belong to the Rollout.
    #[serde(alias = "Selector")]
    pub selector: Option<LabelSelector>,
    /// The pod template's metadata. With `workload_ref`, calls carry the resolved template and the
    /// API none.
    #[serde(alias = "Template", deserialize_with = "or_default")]
    pub template: PodTemplate,
    /// The workload that the template is taken from, if it is not given here.
    #[serde(alias = "WorkloadRef")]
    pub workload_ref: Option<ObjectRef>,
    /// Seconds that a pod has to be ready to count as available.
    #[serde(alias = "MinReadySeconds")]
    pub min_ready_seconds: i32,
    /// How many revisions back a rollback skips the steps.
    #[serde(alias = "RollbackWindow")]
    pub rollback_window: Option<RollbackWindowSpec>,
    /// Canary or blue-green.
    #[serde(alias = "Strategy", deserialize_with = "or_default")]
    pub strategy: RolloutStrategy,
    /// Old ReplicaSets to keep.
    #[serde(alias = "RevisionHistoryLimit")]
    pub revision_history_limit: Option<i32>,
    /// Whether the user has paused the Rollout.
    #[serde(alias = "Paused")]
    pub paused: bool,
    /// Seconds without progress after which the Rollout is degraded.
    #[serde(alias = "ProgressDeadlineSeconds")]
    pub progress_deadline_seconds: Option<i32>,
    /// Whether to abort then.
    #[serde(alias = "ProgressDeadlineAbort")]
    pub progress_deadline_abort: bool,
    /// Pods older than this are restarted.
    #[serde(alias = "RestartAt")]
    pub restart_at: Option<Time>,
}

/// The pod template, of which only the metadata is carried. Go's `corev1.PodTemplateSpec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodTemplate {
    /// The pods' labels and annotations.
    #[serde(alias = "ObjectMeta", deserialize_with = "or_default")]
    pub metadata: ObjectMeta,
}

/// The workload a template is taken from. Go's `v1alpha1.ObjectRef`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// API group and version.
    #[serde(alias = "APIVersion")]
    pub api_version: String,
    /// Kind.
    #[serde(alias = "Kind")]
    pub kind: String,
    /// Name, in the Rollout's namespace.
    #[serde(alias = "Name")]
    pub name: String,
    /// `never`, `onsuccess` or `progressively`.
    #[serde(alias = "ScaleDown")]
    pub scale_down: String,
}

/// Go's `v1alpha1.RollbackWindowSpec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollbackWindowSpec {
    /// Revisions that count as a quick rollback.
    #[serde(alias = "Revisions")]
    pub revisions: i32,
}

/// Canary or blue-green. Go's `v1alpha1.RolloutStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStrategy {
    /// Set for blue-green Rollouts, which have no traffic routing.
    #[serde(alias = "BlueGreen")]
    pub blue_green: Option<BlueGreenStrategy>,
    /// Set for canary Rollouts.
    #[serde(alias = "Canary")]
    pub canary: Option<CanaryStrategy>,
}

/// The services of a blue-green Rollout. Go's `v1alpha1.BlueGreenStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlueGreenStrategy {
    /// The service of the live version.
    #[serde(alias = "ActiveService")]
    pub active_service: String,
    /// The service of the next version.
    #[serde(alias = "PreviewService")]
    pub preview_service: String,
}
