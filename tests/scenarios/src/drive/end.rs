//! What a canary leaves behind: the user's objects as they were, and no policy.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::wait::{HASH, POLL, spec};
use super::{DESTINATION_RULE, Drive, Stack};
use crate::api::{Kind, VIRTUAL_SERVICE};
use crate::error::Error;

/// How long the objects may take to get back their shape after the last step.
const RESTORE_LIMIT: Duration = Duration::from_secs(15);
/// Where the policies are.
pub(super) const POLICIES: (&str, &str) = ("istio-system", "serin");

/// Specs by kind, namespace and name.
pub(super) type Written = BTreeMap<(&'static str, String, String), Value>;

impl<S: Stack> Drive<'_, S> {
    /// The user's objects as they are now, but for what is the Rollout's: pod hashes, and where the manifests begin in
    /// mid-canary the weights.
    pub(super) async fn written(&self) -> Result<Written, Error> {
        let mut all = Written::new();
        for kind in [VIRTUAL_SERVICE, DESTINATION_RULE] {
            for (namespace, name) in self.scenario.placed(kind.1) {
                let live = self.live_spec(kind, &namespace, &name).await?;
                all.insert((kind.1, namespace, name), live);
            }
        }
        Ok(all)
    }

    async fn live_spec(&self, kind: Kind, namespace: &str, name: &str) -> Result<Value, Error> {
        let live = self.shared.cluster.get(kind, namespace, name).await?;
        let mut spec = spec(&live).clone();
        if self.scenario.table.shape_only {
            for protocol in ["http", "tls", "tcp"] {
                for destination in lists(&mut spec, protocol)
                    .filter_map(|route| route.get_mut("route")?.as_array_mut())
                    .flatten()
                    .filter_map(Value::as_object_mut)
                {
                    destination.remove("weight");
                }
            }
        }
        for labels in lists(&mut spec, "subsets")
            .filter_map(|subset| subset.get_mut("labels")?.as_object_mut())
        {
            labels.remove(HASH);
        }
        Ok(spec)
    }

    /// Waits until the objects are what they were and nothing is left of the canary; a difference that stays is a problem.
    pub(super) async fn restored(&mut self, mut before: Written) -> Result<Vec<String>, Error> {
        for edit in &self.edits {
            let key = (
                VIRTUAL_SERVICE.1,
                self.scenario.name.clone(),
                edit.virtual_service.clone(),
            );
            if let Some(spec) = before.get_mut(&key) {
                edit.change(spec);
            }
        }
        let began = Instant::now();
        loop {
            let mut problems = Vec::new();
            for rollout in self.scenario.rollouts() {
                problems.extend(self.left_of(&rollout).await?);
            }
            for (key, now) in self.written().await? {
                let was = before.get(&key).unwrap_or(&Value::Null);
                if now != *was {
                    let (kind, namespace, name) = key;
                    problems.push(format!(
                        "{kind} {namespace}/{name} is not what it was.\n      was {was}\n      is  {now}"
                    ));
                }
            }
            if problems.is_empty() {
                self.say("every VirtualService and DestinationRule is what it was");
                return Ok(problems);
            }
            if began.elapsed() > RESTORE_LIMIT {
                return Ok(problems);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The items of a list in a spec; none if it isn't there.
fn lists<'a>(spec: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = spec.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}
