//! The Rollout, as far as traffic routers read it.
//!
//! Follows argo-rollouts v1.10.1 `pkg/apis/rollouts/v1alpha1/types.go` and the Kubernetes types it
//! stands on. Each field reads under its JSON name (the API) and its Go name (gob). Unknown fields
//! are skipped and missing ones are the default. Not carried: the pod template's `spec`, analysis,
//! anti-affinity, blue-green details, other routers' configuration, and the status of ALBs.
//!
//! **Zero behind a pointer.** Go's gob does not tell a pointer to zero (or `false`) from nil, so
//! in a call from the controller an `Option` number or bool that reads `None` may be `Some(0)` or
//! `Some(false)` in the API: `replicas`, `percentage`, `max_traffic_weight`, `SetCanaryScale`'s
//! numbers, `verified`. Where it can be told, it is undone: a step that holds nothing is
//! `setWeight: 0`, and where there are steps, no `current_step_index` is the first.

use serde::{Deserialize, Deserializer};

mod canary;
mod int_or_string;
mod json;
mod meta;
mod rollout;
mod route;
mod status;
mod step;
mod time;
mod traffic_routing;

pub use canary::{CanaryStrategy, PingPongSpec, PodTemplateMetadata, ReplicaProgressThreshold};
pub use int_or_string::IntOrString;
pub use meta::{LabelSelector, LabelSelectorRequirement, ObjectMeta, OwnerReference};
pub use rollout::{
    BlueGreenStrategy, ObjectRef, PodTemplate, RollbackWindowSpec, Rollout, RolloutSpec,
    RolloutStrategy,
};
pub use route::{HeaderRoutingMatch, RouteMatch, SetHeaderRoute, SetMirrorRoute, StringMatch};
pub use status::{
    CanaryStatus, PauseCondition, RolloutCondition, RolloutStatus, TrafficWeights,
    WeightDestination,
};
pub use step::{
    AnalysisStep, AnalysisTemplateRef, CanaryStep, ExperimentStep, ExperimentTemplate, PluginStep,
    RolloutPause, SetCanaryScale, TemplateService,
};
pub use time::{ParseTimeError, Time};
pub use traffic_routing::{
    IstioDestinationRule, IstioTrafficRouting, IstioVirtualService, MangedRoutes, TcpRoute,
    TlsRoute, TrafficRouting,
};

/// Takes null for the default, as Go's JSON does; gob has no null.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_reads_as_not_set() {
        let rollout: Rollout = serde_json::from_str(
            r#"{
                "metadata": {"name": "reviews", "labels": null, "creationTimestamp": null},
                "spec": {
                    "selector": null,
                    "template": {"metadata": {"creationTimestamp": null}, "spec": {"containers": []}},
                    "strategy": {"canary": {
                        "steps": [{"setHeaderRoute": {"name": "beta", "match": null}}],
                        "trafficRouting": {"managedRoutes": null, "plugins": {"a/b": null}}
                    }}
                },
                "status": null
            }"#,
        )
        .unwrap();
        let mut expected = Rollout::default();
        expected.metadata.name = "reviews".into();
        let mut canary = CanaryStrategy::default();
        canary.steps.push(CanaryStep {
            set_header_route: Some(SetHeaderRoute {
                name: "beta".into(),
                matches: Vec::new(),
            }),
            ..CanaryStep::default()
        });
        let mut routing = TrafficRouting::default();
        routing
            .plugins
            .insert("a/b".into(), serde_json::Value::Null);
        canary.traffic_routing = Some(routing);
        expected.spec.strategy.canary = Some(canary);
        assert_eq!(rollout, expected);
    }
}
