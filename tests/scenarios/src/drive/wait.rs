//! What a step waits for: states of Rollouts, objects as a file says, and VirtualServices as they were.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{DESTINATION_RULE, Drive, Stack};
use crate::api::{self, Kind, ROLLOUT, VIRTUAL_SERVICE};
use crate::contain::contains;
use crate::error::Error;
use crate::scenario::Until;

/// Limits what a step may take; a step that hangs is a failed scenario.
const STEP_LIMIT: Duration = Duration::from_secs(90);
/// How long the VirtualService may take to get back its shape after the last step.
const RESTORE_LIMIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);

const WASM_PLUGIN: Kind = ("extensions.istio.io/v1alpha1", "WasmPlugin");
const POD: Kind = ("v1", "Pod");

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
    async fn reached(&self, until: &Until) -> Result<Result<(), String>, Error> {
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

    /// Waits until the live objects contain what the file says.
    pub(super) async fn shown(&mut self, file: &Path) -> Result<(), Error> {
        let path = self.scenario.folder.join(file);
        let expected = api::read_yaml(&path)?;
        let began = Instant::now();
        loop {
            let mut difference = None;
            for expected in &expected {
                if let Err(found) = self.shows(expected).await? {
                    difference = Some(found);
                    break;
                }
            }
            let Some(seen) = difference else {
                return Ok(());
            };
            if began.elapsed() > STEP_LIMIT {
                return Err(Error::Waited {
                    what: format!("the objects of {}", file.display()),
                    limit: STEP_LIMIT,
                    seen,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn shows(&self, expected: &Value) -> Result<Result<(), String>, Error> {
        let kind = match expected["kind"].as_str() {
            Some("VirtualService") => VIRTUAL_SERVICE,
            Some("DestinationRule") => DESTINATION_RULE,
            Some("WasmPlugin") => WASM_PLUGIN,
            _ => ROLLOUT,
        };
        let name = expected
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let live = self
            .shared
            .cluster
            .get(kind, &self.scenario.name, name)
            .await?;
        Ok(contains(spec(&live), spec(expected))
            .map_err(|found| format!("{}/{name}{found}", kind.1)))
    }

    pub(super) async fn virtual_services(&self) -> Result<BTreeMap<String, String>, Error> {
        let mut specs = BTreeMap::new();
        for (namespace, name) in self.scenario.placed(VIRTUAL_SERVICE.1) {
            let cluster = &self.shared.cluster;
            let live = cluster.get(VIRTUAL_SERVICE, &namespace, &name).await?;
            // serde_json sorts keys: equal objects have equal text.
            specs.insert(format!("{namespace}/{name}"), spec(&live).to_string());
        }
        Ok(specs)
    }

    /// Waits until the VirtualServices are what they were; a difference that stays is a problem.
    pub(super) async fn restored(
        &mut self,
        before: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Error> {
        let began = Instant::now();
        loop {
            let now = self.virtual_services().await?;
            if now == *before {
                self.say("every VirtualService is what it was");
                return Ok(Vec::new());
            }
            if began.elapsed() > RESTORE_LIMIT {
                let differs = |(name, spec): &(&String, &String)| before.get(*name) != Some(*spec);
                return Ok(now
                    .iter()
                    .filter(differs)
                    .map(|(name, spec)| {
                        let was = before.get(name).map_or("nothing", String::as_str);
                        format!("VirtualService {name} is not what it was.\n      was {was}\n      is  {spec}")
                    })
                    .collect());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn spec(object: &Value) -> &Value {
    object.get("spec").unwrap_or(&Value::Null)
}
