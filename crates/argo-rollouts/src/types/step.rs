//! The steps of a canary.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::canary::PodTemplateMetadata;
use super::int_or_string::IntOrString;
use super::json;
use super::meta::LabelSelector;
use super::or_default;
use super::route::{SetHeaderRoute, SetMirrorRoute};

/// One step; exactly one field is set. Go's `v1alpha1.CanaryStep`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStep {
    /// The canary's share from here on.
    #[serde(alias = "SetWeight")]
    pub set_weight: Option<i32>,
    /// Waits, for a time or for a person.
    #[serde(alias = "Pause")]
    pub pause: Option<RolloutPause>,
    /// Runs further versions beside canary and stable.
    #[serde(alias = "Experiment")]
    pub experiment: Option<ExperimentStep>,
    /// Runs an analysis.
    #[serde(alias = "Analysis")]
    pub analysis: Option<AnalysisStep>,
    /// Sets the canary's number of pods apart from its weight.
    #[serde(alias = "SetCanaryScale")]
    pub set_canary_scale: Option<SetCanaryScale>,
    /// Adds, changes or removes a header route.
    #[serde(alias = "SetHeaderRoute")]
    pub set_header_route: Option<SetHeaderRoute>,
    /// Adds, changes or removes a mirror route.
    #[serde(alias = "SetMirrorRoute")]
    pub set_mirror_route: Option<SetMirrorRoute>,
    /// Runs a step plugin.
    #[serde(alias = "Plugin")]
    pub plugin: Option<PluginStep>,
}

/// A pause. Go's `v1alpha1.RolloutPause`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutPause {
    /// Seconds, or a Go duration such as `10m`; `None` waits for a person.
    #[serde(alias = "Duration")]
    pub duration: Option<IntOrString>,
}

/// An experiment. Go's `v1alpha1.RolloutExperimentStep`, without its analyses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentStep {
    /// The versions to run.
    #[serde(alias = "Templates", deserialize_with = "or_default")]
    pub templates: Vec<ExperimentTemplate>,
    /// How long, as a Go duration; empty means until its analyses end.
    #[serde(alias = "Duration")]
    pub duration: String,
    /// Seconds before its ReplicaSets are scaled down.
    #[serde(alias = "ScaleDownDelaySeconds")]
    pub scale_down_delay_seconds: Option<i32>,
}

/// One version in an experiment. Go's `v1alpha1.RolloutExperimentTemplate`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentTemplate {
    /// Name, unique within the experiment.
    #[serde(alias = "Name")]
    pub name: String,
    /// Whose template is used: `canary` or `stable`.
    #[serde(alias = "SpecRef")]
    pub spec_ref: String,
    /// Number of pods.
    #[serde(alias = "Replicas")]
    pub replicas: Option<i32>,
    /// Further labels and annotations.
    #[serde(alias = "Metadata", deserialize_with = "or_default")]
    pub metadata: PodTemplateMetadata,
    /// Which pods belong to it.
    #[serde(alias = "Selector")]
    pub selector: Option<LabelSelector>,
    /// Its share of the traffic, if it gets any.
    #[serde(alias = "Weight")]
    pub weight: Option<i32>,
    /// Asks for a service of its own.
    #[serde(alias = "Service")]
    pub service: Option<TemplateService>,
}

/// An experiment's service. Go's `v1alpha1.TemplateService`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateService {
    /// Its name; empty lets the controller choose.
    #[serde(alias = "Name")]
    pub name: String,
}

/// An analysis, of which only the templates' names are carried. Go's `v1alpha1.RolloutAnalysis`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalysisStep {
    /// What is measured.
    #[serde(alias = "Templates", deserialize_with = "or_default")]
    pub templates: Vec<AnalysisTemplateRef>,
}

/// An analysis template. Go's `v1alpha1.AnalysisTemplateRef`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalysisTemplateRef {
    /// Its name.
    #[serde(alias = "TemplateName")]
    pub template_name: String,
    /// Whether it is a ClusterAnalysisTemplate.
    #[serde(alias = "ClusterScope")]
    pub cluster_scope: Option<bool>,
}

/// The canary's scale. Go's `v1alpha1.SetCanaryScale`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetCanaryScale {
    /// Percent of the desired pods.
    #[serde(alias = "Weight")]
    pub weight: Option<i32>,
    /// Pods.
    #[serde(alias = "Replicas")]
    pub replicas: Option<i32>,
    /// Back to following the traffic weight.
    #[serde(alias = "MatchTrafficWeight")]
    pub match_traffic_weight: bool,
}

/// A step plugin. Go's `v1alpha1.PluginStep`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginStep {
    /// The plugin's name.
    #[serde(alias = "Name")]
    pub name: String,
    /// Its configuration, as the API shows it; null when absent.
    #[serde(alias = "Config", deserialize_with = "json::value")]
    pub config: Value,
}
