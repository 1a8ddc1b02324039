//! What a step does.

use std::time::Duration;

use serde_json::{Value, json};

use super::drift::DRIFTS;
use super::edit::Edit;
use super::wait::POD;
use super::{Drive, Stack};
use crate::api::{Kind, ROLLOUT, at};
use crate::error::Error;
use crate::scenario::{Action, PLUGIN, ROUTING, RouterName, Users, to_built_in, to_plugin};

const NAMESPACE: Kind = ("v1", "Namespace");
const DEPLOYMENT: Kind = ("apps/v1", "Deployment");
/// Where a Rollout says who moves its traffic.
const ROUTERS: [&str; 2] = ["istio", "plugins"];

impl<S: Stack> Drive<'_, S> {
    /// Does what `kubectl argo rollouts` does (argo-rollouts v1.10.1, `pkg/kubectl-argo-rollouts/cmd`).
    pub(super) async fn act(&mut self, action: &Action) -> Result<(), Error> {
        match action {
            Action::SetImage { rollout, image } => self.set_image(rollout, image).await?,
            Action::Promote { rollout } => self.promote(rollout).await?,
            Action::PromoteFull { rollout } => {
                let live = self.rollout(rollout).await?;
                if at(&live, "/status/currentPodHash") != at(&live, "/status/stableRS") {
                    let patch = json!({"status": {"promoteFull": true}});
                    self.patch(rollout, &patch, true).await?;
                }
                self.say(&format!("{rollout}: promoted to the end"));
            }
            Action::Abort { rollout } => {
                let patch = json!({"status": {"abort": true}});
                self.patch(rollout, &patch, true).await?;
                self.say(&format!("{rollout}: aborted"));
            }
            Action::Retry { rollout } => {
                let patch = json!({"status": {"abort": false}});
                self.patch(rollout, &patch, true).await?;
                self.say(&format!("{rollout}: retried"));
            }
            Action::Scale { rollout, replicas } => {
                let patch = json!({"spec": {"replicas": replicas}});
                self.patch(rollout, &patch, false).await?;
                self.say(&format!("{rollout}: {replicas} replicas"));
            }
            Action::AddMatches {
                rollout,
                route,
                users,
            } => self.add_matches(rollout, route, users).await?,
            Action::DeleteCanaryPods { rollout } => self.delete_canary_pods(rollout).await?,
            Action::Move { rollout, to } => self.move_to(rollout, *to).await?,
            Action::EditRoute { .. } | Action::AddRoute { .. } => {
                if let Some(edit) = Edit::of(action) {
                    self.edit(edit).await?;
                }
            }
            Action::Reapply { kind, name } => {
                self.reapply(kind, name).await?;
            }
            Action::KeepReapplying {
                kind,
                name,
                times,
                at_least_seconds,
            } => {
                let took = self.keep_reapplying(kind, name, *times).await?;
                if took < Duration::from_secs(*at_least_seconds) {
                    self.problems.push(format!(
                        "{kind} {name} was put right {times} times in {} ms, expected no sooner than in {at_least_seconds} s",
                        took.as_millis()
                    ));
                }
            }
            Action::Sync { times, every_ms } => {
                self.sync(*times, Duration::from_millis(*every_ms)).await?;
            }
            Action::DeletePolicy { rollout } => self.delete_policy(rollout).await?,
            Action::DeleteRollout { rollout } => self.delete_rollout(rollout).await?,
            Action::KillController { pause_seconds } => {
                let pause = Duration::from_secs(*pause_seconds);
                self.shared.stack.kill_controller(pause).await?;
                self.say(&format!(
                    "controller killed, its children have ended, started again after {pause_seconds} s"
                ));
            }
            Action::UpgradeIstio {} => {
                self.shared.stack.upgrade_istio().await?;
                self.say("the next Istio's control plane is ready");
            }
            Action::RotateToken {} => {
                self.shared.stack.rotate_token().await?;
                self.say("the controller's token is a new one, the old one is refused");
            }
        }
        Ok(())
    }

    async fn rollout(&self, name: &str) -> Result<Value, Error> {
        let cluster = &self.shared.cluster;
        cluster.get(ROLLOUT, &self.scenario.name, name).await
    }

    async fn patch(&self, rollout: &str, patch: &Value, status: bool) -> Result<(), Error> {
        let (cluster, namespace) = (&self.shared.cluster, &self.scenario.name);
        cluster
            .merge(ROLLOUT, namespace, rollout, patch, status)
            .await
    }

    async fn set_image(&mut self, rollout: &str, image: &str) -> Result<(), Error> {
        let live = self.rollout(rollout).await?;
        let (cluster, namespace) = (&self.shared.cluster, &self.scenario.name);
        // With `workloadRef`, the Deployment has the template.
        let deployment = at(&live, "/spec/workloadRef/name").as_str();
        let (kind, name) = deployment.map_or((ROLLOUT, rollout), |name| (DEPLOYMENT, name));
        let live = cluster.get(kind, namespace, name).await?;
        let mut containers = at(&live, "/spec/template/spec/containers").clone();
        if let Some(first) = containers.get_mut(0).and_then(Value::as_object_mut) {
            first.insert("image".to_owned(), json!(image));
        }
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        cluster.merge(kind, namespace, name, &patch, false).await?;
        self.canaries.insert(rollout.to_owned(), image.to_owned());
        self.say(&format!("{rollout}: image {image}"));
        Ok(())
    }

    async fn promote(&mut self, rollout: &str) -> Result<(), Error> {
        let live = self.rollout(rollout).await?;
        let pauses = at(&live, "/status/pauseConditions").as_array();
        let patch = if pauses.is_some_and(|pauses| !pauses.is_empty()) {
            json!({"status": {"pauseConditions": null}})
        } else {
            // An experiment without a duration goes on until somebody promotes.
            let index = at(&live, "/status/currentStepIndex").as_i64().unwrap_or(0);
            let next = index.saturating_add(1);
            json!({"status": {"pauseConditions": null, "currentStepIndex": next}})
        };
        self.patch(rollout, &patch, true).await?;
        self.say(&format!("{rollout}: promoted"));
        Ok(())
    }

    async fn add_matches(
        &mut self,
        rollout: &str,
        route: &str,
        users: &Users,
    ) -> Result<(), Error> {
        let entry = |user| json!({"headers": {&users.header: {"exact": users.value_of(user)}}});
        let entries: Vec<Value> = (0..users.count).map(entry).collect();
        let plugins = json!({PLUGIN: {"routes": {route: {"match": entries}}}});
        let patch =
            json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": plugins}}}}});
        self.patch(rollout, &patch, false).await?;
        self.say(&format!(
            "{rollout}: {} entries for {route}, a patch of {} bytes",
            users.count,
            patch.to_string().len()
        ));
        Ok(())
    }

    async fn delete_canary_pods(&mut self, rollout: &str) -> Result<(), Error> {
        let (cluster, namespace) = (&self.shared.cluster, &self.scenario.name);
        let live = self.rollout(rollout).await?;
        let pods = self.pods_of(at(&live, "/status/currentPodHash")).await?;
        // Whoever looks at the revisions must not take it for the plugin's fault.
        self.drifts += 1;
        let patch = json!({"metadata": {"annotations": {DRIFTS: self.drifts.to_string()}}});
        cluster
            .merge(NAMESPACE, "", namespace, &patch, false)
            .await?;
        for pod in &pods {
            let name = at(pod, "/metadata/name").as_str().unwrap_or_default();
            cluster.delete(POD, namespace, name).await?;
        }
        self.say(&format!("{rollout}: {} pods deleted", pods.len()));
        Ok(())
    }

    async fn move_to(&mut self, rollout: &str, to: RouterName) -> Result<(), Error> {
        let mut live = self.rollout(rollout).await?;
        match to {
            RouterName::Plugin => to_plugin(&mut live),
            RouterName::BuiltIn => to_built_in(&mut live),
            RouterName::Nobody => {}
        }
        let mut routing = at(&live, ROUTING).clone();
        let mut manifest = self.scenario.manifest(ROLLOUT.1, rollout).cloned();
        if let Some(manifest) = &mut manifest {
            self.shared.stack.adapt(manifest);
        }
        if let Some(fields) = routing.as_object_mut() {
            match to {
                RouterName::Nobody => fields.retain(|field, _| !ROUTERS.contains(&&**field)),
                RouterName::Plugin if !fields.contains_key(ROUTERS[1]) => {
                    // It was with nobody.
                    let written = manifest.as_ref().map(|manifest| at(manifest, ROUTING));
                    routing = written.cloned().unwrap_or_default();
                }
                RouterName::Plugin | RouterName::BuiltIn => {}
            }
        }
        // A merge patch takes away what it names as null.
        for field in ROUTERS {
            if let Some(fields) = routing.as_object_mut() {
                fields.entry(field).or_insert(Value::Null);
            }
        }
        let patch = json!({"spec": {"strategy": {"canary": {"trafficRouting": routing}}}});
        self.patch(rollout, &patch, false).await?;
        self.say(&format!("{rollout}: moved to {to:?}"));
        Ok(())
    }
}
