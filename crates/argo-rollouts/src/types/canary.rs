//! The canary strategy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::int_or_string::IntOrString;
use super::or_default;
use super::step::CanaryStep;
use super::traffic_routing::TrafficRouting;

/// How a canary proceeds. Go's `v1alpha1.CanaryStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStrategy {
    /// The service that selects canary pods; empty with subset-level splitting.
    #[serde(alias = "CanaryService")]
    pub canary_service: String,
    /// The service that selects stable pods; empty with subset-level splitting.
    #[serde(alias = "StableService")]
    pub stable_service: String,
    /// The steps, in order.
    #[serde(alias = "Steps", deserialize_with = "or_default")]
    pub steps: Vec<CanaryStep>,
    /// How traffic is split; none means by the number of pods.
    #[serde(alias = "TrafficRouting")]
    pub traffic_routing: Option<TrafficRouting>,
    /// Pods that may be unavailable during an update.
    #[serde(alias = "MaxUnavailable")]
    pub max_unavailable: Option<IntOrString>,
    /// Pods that may exist beyond the desired number.
    #[serde(alias = "MaxSurge")]
    pub max_surge: Option<IntOrString>,
    /// Labels and annotations for canary pods.
    #[serde(alias = "CanaryMetadata")]
    pub canary_metadata: Option<PodTemplateMetadata>,
    /// Labels and annotations for stable pods.
    #[serde(alias = "StableMetadata")]
    pub stable_metadata: Option<PodTemplateMetadata>,
    /// Seconds before the old ReplicaSet is scaled down.
    #[serde(alias = "ScaleDownDelaySeconds")]
    pub scale_down_delay_seconds: Option<i32>,
    /// Old ReplicaSets that may run until then.
    #[serde(alias = "ScaleDownDelayRevisionLimit")]
    pub scale_down_delay_revision_limit: Option<i32>,
    /// Seconds before the canary is scaled down after an abort; 0 means never.
    #[serde(alias = "AbortScaleDownDelaySeconds")]
    pub abort_scale_down_delay_seconds: Option<i32>,
    /// Whether the stable ReplicaSet shrinks as the canary grows.
    #[serde(alias = "DynamicStableScale")]
    pub dynamic_stable_scale: bool,
    /// Two services that swap roles instead of a canary and a stable one.
    #[serde(alias = "PingPong")]
    pub ping_pong: Option<PingPongSpec>,
    /// Pods that each ReplicaSet keeps while it has traffic.
    #[serde(alias = "MinPodsPerReplicaSet")]
    pub min_pods_per_replica_set: Option<i32>,
    /// When a step's scaling counts as done.
    #[serde(alias = "ReplicaProgressThreshold")]
    pub replica_progress_threshold: Option<ReplicaProgressThreshold>,
}

/// Labels and annotations for pods. Go's `v1alpha1.PodTemplateMetadata`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodTemplateMetadata {
    /// Labels.
    #[serde(alias = "Labels", deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(alias = "Annotations", deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

/// Two services that swap roles. Go's `v1alpha1.PingPongSpec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PingPongSpec {
    /// The ping service.
    #[serde(alias = "PingService")]
    pub ping_service: String,
    /// The pong service.
    #[serde(alias = "PongService")]
    pub pong_service: String,
}

/// When scaling counts as done. Go's `v1alpha1.ReplicaProgressThreshold`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaProgressThreshold {
    /// `Percent` or `Pods`. Go's `Type`.
    #[serde(rename = "type", alias = "Type")]
    pub kind: String,
    /// How many of that.
    #[serde(alias = "Value")]
    pub value: i32,
}
