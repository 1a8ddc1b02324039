//! What other tools do to the objects while a canary is under way, and what users do to the Rollout beyond its canary.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::end::POLICIES;
use super::wait::{POLL, STEP_LIMIT};
use super::{DESTINATION_RULE, Drive, Stack};
use crate::api::{Kind, ROLLOUT, VIRTUAL_SERVICE, at};
use crate::error::Error;

/// Counts in the object's annotations what it has lost to another tool, so that whoever looks at its revisions can tell
/// that it has to be put right first.
pub(super) const DRIFTS: &str = "serin-e2e/drifts";
/// How often a write is begun anew because somebody else has written meanwhile.
const ATTEMPTS: u32 = 20;

impl<S: Stack> Drive<'_, S> {
    /// The manifest's spec over the live one; the resourceVersion that it left.
    pub(super) async fn reapply(&mut self, kind: &str, name: &str) -> Result<String, Error> {
        let (cluster, namespace) = (&self.shared.cluster, &self.scenario.name);
        let live_kind = kind_of(kind);
        let manifest = self.scenario.manifest(kind, name);
        let wanted = manifest.map(|manifest| at(manifest, "/spec").clone());
        let mut attempts = 0;
        let version = loop {
            let mut live = cluster.get(live_kind, namespace, name).await?;
            self.drifts += 1;
            if let Some(fields) = live.as_object_mut() {
                fields.insert("spec".to_owned(), wanted.clone().unwrap_or_default());
            }
            if let Some(metadata) = live.get_mut("metadata").and_then(Value::as_object_mut) {
                let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
                if let Some(annotations) = annotations.as_object_mut() {
                    annotations.insert(DRIFTS.to_owned(), json!(self.drifts.to_string()));
                }
            }
            attempts += 1;
            match cluster.replace(live_kind, &live).await {
                Err(error) if error.is_conflict() && attempts < ATTEMPTS => {}
                done => break done?,
            }
        };
        self.say(&format!("{kind} {name}: its manifest applied again"));
        Ok(version)
    }

    /// Applies it so often, each time as soon as somebody else has changed it; how long that took.
    pub(super) async fn keep_reapplying(
        &mut self,
        kind: &str,
        name: &str,
        times: u32,
    ) -> Result<Duration, Error> {
        let began = Instant::now();
        let mut left = self.reapply(kind, name).await?;
        for _ in 1..times {
            while self.version(kind_of(kind), name).await? == left {
                if began.elapsed() > STEP_LIMIT {
                    return Err(Error::Waited {
                        what: format!("{kind} {name} to be put right"),
                        limit: STEP_LIMIT,
                        seen: "what was applied".to_owned(),
                    });
                }
                tokio::time::sleep(POLL).await;
            }
            left = self.reapply(kind, name).await?;
        }
        Ok(began.elapsed())
    }

    async fn version(&self, kind: Kind, name: &str) -> Result<String, Error> {
        let live = self.shared.cluster.get(kind, &self.scenario.name, name);
        let live = live.await?;
        let version = at(&live, "/metadata/resourceVersion").as_str();
        Ok(version.unwrap_or_default().to_owned())
    }

    pub(super) async fn delete_policy(&mut self, rollout: &str) -> Result<(), Error> {
        let key = format!("{}/{rollout}", self.scenario.name);
        let filter = self.shared.stack.filter();
        let patch = filter.patch(&json!({"pluginConfig": {"rollouts": {key: null}}}));
        let cluster = &self.shared.cluster;
        let (namespace, name) = POLICIES;
        cluster
            .merge(filter.kind(), namespace, name, &patch, false)
            .await?;
        self.say(&format!("{rollout}: policy deleted"));
        Ok(())
    }

    pub(super) async fn delete_rollout(&mut self, rollout: &str) -> Result<(), Error> {
        // The versions that answer stay those that it had.
        self.versions().await?;
        let cluster = &self.shared.cluster;
        cluster
            .orphan(ROLLOUT, &self.scenario.name, rollout)
            .await?;
        self.deleted.insert(rollout.to_owned());
        self.say(&format!("{rollout}: deleted, its pods left"));
        Ok(())
    }

    /// What is left of a Rollout's lanes and policy, one line each.
    pub(super) async fn left_of(&self, rollout: &str) -> Result<Vec<String>, Error> {
        let cluster = &self.shared.cluster;
        let mut left = Vec::new();
        let prefix = format!("serin-{}.{rollout}.", self.scenario.name);
        for (namespace, name) in self.scenario.placed(VIRTUAL_SERVICE.1) {
            let live = cluster.get(VIRTUAL_SERVICE, &namespace, &name).await?;
            for route in at(&live, "/spec/http").as_array().into_iter().flatten() {
                let route = at(route, "/name").as_str().unwrap_or_default();
                if route.starts_with(&prefix) {
                    left.push(format!(
                        "the lane route {route} is left in {namespace}/{name}"
                    ));
                }
            }
        }
        // Argo's own support has none.
        let filter = self.shared.stack.filter();
        for object in cluster.list(filter.kind(), Some(POLICIES.0)).await? {
            let key = format!("{}/{rollout}", self.scenario.name);
            let policies = at(filter.module(&object), "/pluginConfig/rollouts");
            if at(&object, "/metadata/name") == POLICIES.1
                && let Some(policy) = policies.get(&key)
            {
                left.push(format!("the policy of {key} is left: {policy}"));
            }
        }
        Ok(left)
    }
}

fn kind_of(kind: &str) -> Kind {
    if kind == DESTINATION_RULE.1 {
        DESTINATION_RULE
    } else {
        VIRTUAL_SERVICE
    }
}
