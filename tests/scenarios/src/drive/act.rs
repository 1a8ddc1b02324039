//! What a step does.

use std::time::Duration;

use serde_json::json;

use super::{Drive, Stack};
use crate::api::ROLLOUT;
use crate::error::Error;
use crate::scenario::Action;

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
                let patch = json!({"status": {"pauseConditions": null}});
                cluster
                    .merge(ROLLOUT, namespace, rollout, &patch, true)
                    .await?;
                self.say(&format!("{rollout}: promoted"));
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
