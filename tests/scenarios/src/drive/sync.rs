//! A GitOps tool that applies the user's manifests again and again in mid-canary, and how soon each is put right.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::drift::DRIFTS;
use super::wait::spec;
use super::{DESTINATION_RULE, Drive, Stack};
use crate::api::{Kind, VIRTUAL_SERVICE, at};
use crate::error::Error;

/// How often an object is looked at until it is as it was before the sync.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// From then on it is taken for not put right at all.
const GIVEN_UP: Duration = Duration::from_secs(2);
/// What every other sync is later by, so that syncs don't keep step with anything.
const LATER: [u64; 4] = [0, 130, 70, 310];

/// One object in one sync.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Synced {
    /// From the answer to the apply to the first look at which the object was as before; none if there was no such look.
    pub(crate) took: Option<Duration>,
}

/// An object of the user's, and its spec before the sync.
struct Before {
    kind: Kind,
    manifest: Value,
    namespace: String,
    name: String,
    spec: Value,
}

impl<S: Stack> Drive<'_, S> {
    /// Applies all VirtualServices and DestinationRules so often, with `every` from one time to the next: by server-side
    /// apply, and every other time as client-side apply does.
    pub(super) async fn sync(&mut self, times: u32, every: Duration) -> Result<(), Error> {
        let began = Instant::now();
        let mut late = 0;
        for number in 0..times {
            let before = self.before_sync().await?;
            let mut applied = Vec::new();
            for object in &before {
                self.apply_again(object, number % 2 == 0).await?;
                applied.push(Instant::now());
            }
            for (object, applied) in before.iter().zip(applied) {
                let took = self.until_restored(object, applied).await?;
                late += u32::from(took.is_none());
                self.syncs.push(Synced { took });
            }
            let more = usize::try_from(number).unwrap_or_default() % LATER.len();
            let more = LATER.get(more).copied().unwrap_or_default();
            let next = every * (number + 1) + Duration::from_millis(more);
            tokio::time::sleep(next.saturating_sub(began.elapsed())).await;
        }
        self.say(&format!(
            "{times} syncs, {late} objects not put right within {} ms",
            GIVEN_UP.as_millis()
        ));
        if late > 0 {
            self.problems.push(format!(
                "{late} objects were not as before {} ms after a sync",
                GIVEN_UP.as_millis()
            ));
        }
        Ok(())
    }

    async fn before_sync(&self) -> Result<Vec<Before>, Error> {
        let mut all = Vec::new();
        for kind in [VIRTUAL_SERVICE, DESTINATION_RULE] {
            for (namespace, name) in self.scenario.placed(kind.1) {
                let Some(manifest) = self.scenario.manifest(kind.1, &name) else {
                    continue;
                };
                let live = self.shared.cluster.get(kind, &namespace, &name).await?;
                all.push(Before {
                    kind,
                    manifest: manifest.clone(),
                    spec: spec(&live).clone(),
                    namespace,
                    name,
                });
            }
        }
        Ok(all)
    }

    async fn apply_again(&mut self, object: &Before, server_side: bool) -> Result<(), Error> {
        self.drifts += 1;
        let mark = json!({ DRIFTS: self.drifts.to_string() });
        let cluster = &self.shared.cluster;
        if server_side {
            let mut manifest = object.manifest.clone();
            if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("annotations".to_owned(), mark);
            }
            return cluster.apply(&manifest, Some(&object.namespace)).await;
        }
        // Of an object without a schema for merges, lists are replaced.
        let patch =
            json!({"metadata": {"annotations": mark}, "spec": at(&object.manifest, "/spec")});
        let Before {
            kind,
            namespace,
            name,
            ..
        } = object;
        cluster.merge(*kind, namespace, name, &patch, false).await
    }

    async fn until_restored(
        &self,
        object: &Before,
        applied: Instant,
    ) -> Result<Option<Duration>, Error> {
        let Before {
            kind,
            namespace,
            name,
            ..
        } = object;
        loop {
            let asked = Instant::now();
            let live = self.shared.cluster.get(*kind, namespace, name).await?;
            if *spec(&live) == object.spec {
                return Ok(Some(asked.saturating_duration_since(applied)));
            }
            if applied.elapsed() > GIVEN_UP {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
