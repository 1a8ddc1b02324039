//! What a step waits for: states of Rollouts, weights, and objects as a file says.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::end::POLICIES;
use super::{DESTINATION_RULE, Drive, Stack};
use crate::api::{self, Kind, ROLLOUT, VIRTUAL_SERVICE, at};
use crate::contain::contains;
use crate::error::Error;
use crate::judge::Versions;
use crate::scenario::{Matches, Step, Told, Until};

/// Limits what a step may take; a step that hangs is a failed scenario.
pub(super) const STEP_LIMIT: Duration = Duration::from_secs(90);
pub(super) const POLL: Duration = Duration::from_millis(100);

pub(super) const POD: Kind = ("v1", "Pod");
/// The label that tells versions apart.
pub(super) const HASH: &str = "rollouts-pod-template-hash";

impl<S: Stack> Drive<'_, S> {
    pub(super) async fn until(&mut self, until: &Until) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let seen = match self.reached(until).await? {
                Ok(()) => return Ok(()),
                Err(seen) => seen,
            };
            if began.elapsed() > STEP_LIMIT {
                return Err(Error::Waited {
                    what: format!(
                        "Rollout {}/{} to be as expected",
                        self.scenario.name, until.rollout
                    ),
                    limit: STEP_LIMIT,
                    seen,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The inner error says what is not as it should be.
    async fn reached(&mut self, until: &Until) -> Result<Result<(), String>, Error> {
        let namespace = self.scenario.name.as_str();
        let rollout = self
            .shared
            .cluster
            .get(ROLLOUT, namespace, &until.rollout)
            .await?;
        let status = |field: &str| {
            rollout
                .pointer(&format!("/status/{field}"))
                .cloned()
                .unwrap_or_default()
        };
        let generation = rollout
            .pointer("/metadata/generation")
            .cloned()
            .unwrap_or_default();
        if status("observedGeneration").as_str() != Some(generation.to_string().as_str()) {
            return Ok(Err(format!(
                "generation {generation} not yet seen by the controller"
            )));
        }
        if let Some(index) = until.paused_at {
            let at = status("currentStepIndex").as_i64();
            let paused = status("pauseConditions")
                .as_array()
                .is_some_and(|all| !all.is_empty());
            if at != Some(index) || !paused {
                return Ok(Err(format!(
                    "step {at:?}, paused: {paused}, {}",
                    status("message")
                )));
            }
        }
        if let Some(index) = until.step
            && status("currentStepIndex").as_i64() != Some(index)
        {
            return Ok(Err(format!(
                "step {}, {}",
                status("currentStepIndex"),
                status("message")
            )));
        }
        for (version, wanted) in [
            ("currentPodHash", until.canary_pods),
            ("stableRS", until.stable_pods),
        ] {
            let Some(wanted) = wanted else { continue };
            let hash = status(version);
            let ready = self
                .pods_of(&hash)
                .await?
                .iter()
                .filter(|pod| is_ready(pod))
                .count();
            if ready != wanted {
                return Ok(Err(format!("{ready} ready pods of {version} {hash}")));
            }
        }
        if let Some(phase) = &until.phase {
            let settled = *phase != "Healthy" || status("currentPodHash") == status("stableRS");
            if status("phase") != json!(phase) || !settled {
                return Ok(Err(format!(
                    "phase {}, {}",
                    status("phase"),
                    status("message")
                )));
            }
        }
        if let Some(weights) = &until.weights
            && let Err(found) = self.has_own_weights(&rollout, weights).await?
        {
            return Ok(Err(found));
        }
        if let Some(matches) = &until.matches
            && let Err(found) = self.has_matches(&until.rollout, matches).await?
        {
            return Ok(Err(found));
        }
        if let Some(wanted) = until.pods {
            let pods = self.shared.cluster.list(POD, Some(namespace)).await?;
            let prefix = format!("{}-", until.rollout);
            let own = |pod: &&Value| {
                pod.pointer("/metadata/name")
                    .and_then(Value::as_str)
                    .is_some_and(|name| name.starts_with(&prefix))
            };
            let count = pods.iter().filter(own).count();
            if count != wanted {
                return Ok(Err(format!("{count} pods")));
            }
        }
        Ok(Ok(()))
    }

    /// The entries of a rule, in the policy as it is live.
    async fn has_matches(
        &mut self,
        rollout: &str,
        matches: &Matches,
    ) -> Result<Result<(), String>, Error> {
        let (namespace, name) = POLICIES;
        let cluster = &self.shared.cluster;
        let filter = self.shared.stack.filter();
        let object = cluster.get(filter.kind(), namespace, name).await?;
        let policies = at(filter.module(&object), "/pluginConfig/rollouts");
        let policy = policies.get(format!("{}/{rollout}", self.scenario.name));
        let rules = policy.and_then(|policy| at(policy, "/rules").as_array());
        let mut rules = rules.into_iter().flatten();
        let entries = rules
            .find(|rule| at(rule, "/name") == &matches.rule)
            .and_then(|rule| at(rule, "/match").as_array())
            .map_or(0, Vec::len);
        if entries != matches.count {
            return Ok(Err(format!("{entries} entries of rule {}", matches.rule)));
        }
        self.say(&format!(
            "rule {} has {entries} entries, in a filter object of {} bytes",
            matches.rule,
            object.to_string().len()
        ));
        Ok(Ok(()))
    }

    /// The pods of a version.
    pub(super) async fn pods_of(&self, hash: &Value) -> Result<Vec<Value>, Error> {
        let mut pods = self
            .shared
            .cluster
            .list(POD, Some(&self.scenario.name))
            .await?;
        pods.retain(|pod| at(pod, "/metadata/labels").get(HASH) == Some(hash));
        Ok(pods)
    }

    /// Waits for what a step has beside the states of Rollouts.
    pub(super) async fn shown(&mut self, step: &Step) -> Result<(), Error> {
        let began = Instant::now();
        let path = step.objects.as_ref();
        let objects = path.map(|file| api::read_yaml(&self.scenario.folder.join(file)));
        let objects = objects.transpose()?.unwrap_or_default();
        loop {
            let Err(seen) = self.is_shown(step, &objects).await? else {
                break;
            };
            if began.elapsed() > STEP_LIMIT {
                return Err(Error::Waited {
                    what: format!("the objects of step \"{}\"", step.name),
                    limit: STEP_LIMIT,
                    seen,
                });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn is_shown(&self, step: &Step, objects: &[Value]) -> Result<Result<(), String>, Error> {
        if let Some(weights) = &step.weights
            && let Err(found) = self.has_weights(weights).await?
        {
            return Ok(Err(found));
        }
        for expected in objects {
            if let Err(found) = self.shows(expected).await? {
                return Ok(Err(found));
            }
        }
        for rollout in &step.clean {
            if let Some(left) = self.left_of(rollout).await?.pop() {
                return Ok(Err(left));
            }
        }
        for told in &step.events {
            let count = self.told(told).await?;
            if count != told.count {
                return Ok(Err(format!(
                    "{count} events {} of {}",
                    told.reason, told.rollout
                )));
            }
        }
        Ok(Ok(()))
    }

    /// How many events of that reason there are.
    async fn told(&self, told: &Told) -> Result<u64, Error> {
        let cluster = &self.shared.cluster;
        let events = cluster.list(api::EVENT, Some(&self.scenario.name)).await?;
        let of = |event: &&Value| {
            at(event, "/reason") == &told.reason
                && at(event, "/involvedObject/name") == &told.rollout
        };
        let count = |event: &Value| at(event, "/count").as_u64().unwrap_or(1);
        Ok(events.iter().filter(of).map(count).sum())
    }

    async fn shows(&self, expected: &Value) -> Result<Result<(), String>, Error> {
        let kind = match expected["kind"].as_str() {
            Some("VirtualService") => VIRTUAL_SERVICE,
            Some("DestinationRule") => DESTINATION_RULE,
            Some("WasmPlugin") => return self.shows_policy(expected).await,
            _ => ROLLOUT,
        };
        let field = |path: &str| expected.pointer(path).and_then(Value::as_str);
        let name = field("/metadata/name").unwrap_or_default();
        let namespace = field("/metadata/namespace").unwrap_or(&self.scenario.name);
        let live = self.shared.cluster.get(kind, namespace, name).await?;
        Ok(contains(spec(&live), spec(expected))
            .map_err(|found| format!("{}/{name}{found}", kind.1)))
    }

    /// A WasmPlugin stands for the filter object of the kind that the stack has.
    async fn shows_policy(&self, expected: &Value) -> Result<Result<(), String>, Error> {
        let (namespace, name) = POLICIES;
        let filter = self.shared.stack.filter();
        let cluster = &self.shared.cluster;
        let live = cluster.get(filter.kind(), namespace, name).await?;
        Ok(contains(filter.module(&live), spec(expected))
            .map_err(|found| format!("{}/{name}{found}", filter.kind().1)))
    }

    /// The versions of each stream's Rollout that may answer now.
    pub(super) async fn versions(&mut self) -> Result<Vec<Option<Versions>>, Error> {
        let mut all = Vec::new();
        for (index, stream) in self.scenario.table.stream.iter().enumerate() {
            let Some(rollout) = &stream.rollout else {
                all.push(None);
                continue;
            };
            if self.deleted.contains(rollout) {
                all.push(self.versions.get(index).cloned().flatten());
                continue;
            }
            let cluster = &self.shared.cluster;
            let live = cluster.get(ROLLOUT, &self.scenario.name, rollout).await?;
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let own = ["/status/stableRS", "/status/currentPodHash"]
                .into_iter()
                .filter_map(|path| text(live.pointer(path)?))
                .collect();
            let additional = live.pointer("/status/canary/weights/additional");
            let experiments = additional
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|one| text(at(one, "/podTemplateHash")))
                .collect();
            all.push(Some(Versions { own, experiments }));
        }
        self.versions.clone_from(&all);
        Ok(all)
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = at(pod, "/status/conditions").as_array();
    at(pod, "/metadata/deletionTimestamp").is_null()
        && conditions
            .into_iter()
            .flatten()
            .any(|one| one["type"] == "Ready" && one["status"] == "True")
}

pub(super) fn spec(object: &Value) -> &Value {
    object.get("spec").unwrap_or(&Value::Null)
}
