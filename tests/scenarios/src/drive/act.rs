//! What a step does.

use std::time::Duration;

use serde_json::{Value, json};

use super::edit::Edit;
use super::wait::POD;
use super::{Drive, Stack};
use crate::api::ROLLOUT;
use crate::error::Error;
use crate::scenario::{Action, RouterName, to_built_in, to_plugin};

impl<S: Stack> Drive<'_, S> {
    /// Does what `kubectl argo rollouts` does (argo-rollouts v1.10.1, `pkg/kubectl-argo-rollouts/cmd`).
    pub(super) async fn act(&mut self, action: &Action) -> Result<(), Error> {
        let namespace = self.scenario.name.as_str();
        let cluster = &self.shared.cluster;
        match action {
            Action::SetImage { rollout, image } => {
                let live = cluster.get(ROLLOUT, namespace, rollout).await?;
                let mut containers = live
                    .pointer("/spec/template/spec/containers")
                    .cloned()
                    .unwrap_or_default();
                if let Some(first) = containers.get_mut(0) {
                    first["image"] = json!(image);
                }
                let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
                cluster
                    .merge(ROLLOUT, namespace, rollout, &patch, false)
                    .await?;
                self.canaries.insert(rollout.clone(), image.clone());
                self.say(&format!("{rollout}: image {image}"));
            }
            Action::Promote { rollout } => {
                let live = cluster.get(ROLLOUT, namespace, rollout).await?;
                let status = |field: &str| &live["status"][field];
                let paused = status("pauseConditions")
                    .as_array()
                    .is_some_and(|conditions| !conditions.is_empty());
                let mut patch = json!({"status": {"pauseConditions": null}});
                if !paused {
                    // An experiment goes on until somebody promotes.
                    let index = status("currentStepIndex").as_i64().unwrap_or(0);
                    patch["status"]["currentStepIndex"] = json!(index.saturating_add(1));
                }
                cluster
                    .merge(ROLLOUT, namespace, rollout, &patch, true)
                    .await?;
                self.say(&format!("{rollout}: promoted"));
            }
            Action::PromoteFull { rollout } => {
                let live = cluster.get(ROLLOUT, namespace, rollout).await?;
                if live["status"]["currentPodHash"] != live["status"]["stableRS"] {
                    let patch = json!({"status": {"promoteFull": true}});
                    cluster
                        .merge(ROLLOUT, namespace, rollout, &patch, true)
                        .await?;
                }
                self.say(&format!("{rollout}: promoted to the end"));
            }
            Action::Retry { rollout } => {
                let patch = json!({"status": {"abort": false}});
                cluster
                    .merge(ROLLOUT, namespace, rollout, &patch, true)
                    .await?;
                self.say(&format!("{rollout}: retried"));
            }
            Action::Scale { rollout, replicas } => {
                let patch = json!({"spec": {"replicas": replicas}});
                cluster
                    .merge(ROLLOUT, namespace, rollout, &patch, false)
                    .await?;
                self.say(&format!("{rollout}: {replicas} replicas"));
            }
            Action::DeleteCanaryPods { rollout } => {
                let live = cluster.get(ROLLOUT, namespace, rollout).await?;
                let pods = self.pods_of(&live["status"]["currentPodHash"]).await?;
                for pod in &pods {
                    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                    cluster.delete(POD, namespace, name).await?;
                }
                self.say(&format!("{rollout}: {} pods deleted", pods.len()));
            }
            Action::Move { rollout, to } => {
                let live = cluster.get(ROLLOUT, namespace, rollout).await?;
                let mut moved = live.clone();
                match to {
                    RouterName::Plugin => to_plugin(&mut moved),
                    RouterName::BuiltIn => to_built_in(&mut moved),
                }
                let path = "/spec/strategy/canary/trafficRouting";
                let mut routing = moved.pointer(path).cloned().unwrap_or_default();
                // A merge patch takes away what it names as null.
                for field in ["istio", "plugins"] {
                    if let Some(fields) = routing.as_object_mut() {
                        fields.entry(field).or_insert(Value::Null);
                    }
                }
                let patch = json!({"spec": {"strategy": {"canary": {"trafficRouting": routing}}}});
                cluster
                    .merge(ROLLOUT, namespace, rollout, &patch, false)
                    .await?;
                self.say(&format!("{rollout}: moved to {to:?}"));
            }
            Action::EditRoute { .. } | Action::AddRoute { .. } => {
                if let Some(edit) = Edit::of(action) {
                    self.edit(edit).await?;
                }
            }
            Action::Abort { rollout } => {
                let patch = json!({"status": {"abort": true}});
                cluster
                    .merge(ROLLOUT, namespace, rollout, &patch, true)
                    .await?;
                self.say(&format!("{rollout}: aborted"));
            }
            Action::KillController { pause_seconds } => {
                let pause = Duration::from_secs(*pause_seconds);
                self.shared.stack.kill_controller(pause).await?;
                self.say(&format!(
                    "controller killed, its children have ended, started again after {pause_seconds} s"
                ));
            }
        }
        Ok(())
    }
}
