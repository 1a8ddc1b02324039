//! One Envoy: gives it a configuration part by part, in an order in which no request meets a hole.
//!
//! Clusters come first and are waited for, then what names them, and what nothing names any more goes last. Each file is
//! replaced in one move, which Envoy sees; whether it has taken it is read from its statistics, and that its worker knows
//! by the answer of the probe, which comes after all that the worker was told before.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Via;
use super::admin::{self, Stats};
use super::error::{ApplyError, TAKEN_WITHIN};
use super::files::{self, Section};
use super::translate::{Cluster, Configuration, Plugin};
use crate::envoy::Envoy;
use crate::probe;

/// How often to look meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// One Envoy and what it has taken.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) via: Via,
    folder: PathBuf,
    /// The mesh's own: it ends with it, not with this.
    envoy: Weak<Envoy>,
    admin: SocketAddr,
    probe: SocketAddr,
    /// Counts writes.
    version: u64,
    /// What it is known to have, by file. A file that it was given and has not taken isn't here.
    live: BTreeMap<Section, Vec<Value>>,
    /// The clusters that it has, which may be more than are wanted.
    clusters: BTreeMap<String, Cluster>,
    /// The clusters that are wanted.
    wanted: BTreeMap<String, Cluster>,
}

impl Front {
    pub(super) fn new(
        via: Via,
        folder: PathBuf,
        envoy: Weak<Envoy>,
        admin: SocketAddr,
        probe: SocketAddr,
    ) -> Self {
        Self {
            via,
            folder,
            envoy,
            admin,
            probe,
            version: 0,
            live: BTreeMap::new(),
            clusters: BTreeMap::new(),
            wanted: BTreeMap::new(),
        }
    }

    /// Makes `to` live. What is refused keeps nothing else back, but then nothing is taken away; the first error is
    /// returned.
    pub(super) async fn apply(&mut self, to: &Configuration) -> Result<(), ApplyError> {
        let outcome = self.add(to).await;
        self.wanted.clone_from(match outcome {
            Ok(()) => &to.clusters,
            Err(_) => &self.clusters,
        });
        outcome
    }

    /// Whether there are clusters that no longer belong to anything.
    pub(super) fn has_old(&self) -> bool {
        self.clusters != self.wanted
    }

    /// Removes those. A while after [`apply`](Self::apply): a request that is delayed or retried looks for its cluster
    /// again.
    pub(super) async fn remove_old(&mut self) -> Result<(), ApplyError> {
        let outcome = self.clusters(self.wanted.clone()).await;
        if outcome.is_err() {
            self.wanted.clone_from(&self.clusters);
        }
        outcome
    }

    async fn add(&mut self, to: &Configuration) -> Result<(), ApplyError> {
        let refused = [
            refusal(self.clusters(with_old(&to.clusters, &self.clusters)).await)?,
            refusal(self.routes(&to.hosts).await)?,
            refusal(self.plugins(&to.plugins).await)?,
        ];
        self.worker().await?;
        refused.into_iter().flatten().next().map_or(Ok(()), Err)
    }

    async fn clusters(&mut self, to: BTreeMap<String, Cluster>) -> Result<(), ApplyError> {
        self.publish(vec![(Section::Clusters, files::clusters(&to))])
            .await?;
        self.clusters = to;
        Ok(())
    }

    async fn routes(&mut self, to: &[Value]) -> Result<(), ApplyError> {
        self.publish(vec![(Section::Routes, files::routes(self.via, to))])
            .await
    }

    /// A plugin's configuration is there before the listener asks for it.
    async fn plugins(&mut self, to: &[Plugin]) -> Result<(), ApplyError> {
        let names: Vec<String> = to.iter().map(|plugin| plugin.name.clone()).collect();
        let mut parts: Vec<(Section, Vec<Value>)> = to
            .iter()
            .map(|plugin| (Section::Plugin(plugin.name.clone()), files::plugin(plugin)))
            .collect();
        parts.push((
            Section::Listeners,
            files::listeners(self.via, &self.folder, &names),
        ));
        self.publish(parts).await?;
        // Envoy forgets those that the listener doesn't name.
        self.live.retain(|section, _| match section {
            Section::Plugin(name) => names.contains(name),
            _ => true,
        });
        Ok(())
    }

    /// Writes what it doesn't have, in this order, and waits until each part is taken or refused.
    async fn publish(&mut self, parts: Vec<(Section, Vec<Value>)>) -> Result<(), ApplyError> {
        let mut parts = parts;
        parts.retain(|(section, resources)| self.live.get(section) != Some(resources));
        if parts.is_empty() {
            return Ok(());
        }
        let stats = self.stats().await?;
        self.version += 1;
        let mut waiting = Vec::new();
        for (section, resources) in parts {
            self.live.remove(&section);
            write(&self.folder, &section, self.version, &resources).await?;
            let refusals = refusals(&stats, &section, self.via);
            waiting.push((section, resources, refusals));
        }
        let version = self.version.to_string();
        let began = Instant::now();
        let mut refused = None;
        loop {
            let stats = self.stats().await?;
            for (section, resources, before) in std::mem::take(&mut waiting) {
                let refusals = refusals(&stats, &section, self.via);
                if refusals > before {
                    refused.get_or_insert_with(|| section.word());
                } else if is_taken(&stats, &section, self.via, &version) {
                    self.live.insert(section, resources);
                } else {
                    // Envoy counts from 0 again if it had forgotten the part.
                    waiting.push((section, resources, refusals));
                }
            }
            let Some((section, ..)) = waiting.first() else {
                break;
            };
            if began.elapsed() > TAKEN_WITHIN {
                let (via, part, log) = (self.via, section.word(), self.log());
                return Err(ApplyError::Slow { via, part, log });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        refused.map_or(Ok(()), |part| {
            let (via, log) = (self.via, self.log());
            Err(ApplyError::Refused { via, part, log })
        })
    }

    async fn stats(&self) -> Result<Stats, ApplyError> {
        let stats = admin::insist(|| Stats::read(self.admin)).await;
        stats.map_err(|_| self.gone())
    }

    /// Waits until the worker has done all that it was told.
    async fn worker(&self) -> Result<(), ApplyError> {
        let answer = admin::insist(|| probe::get(self.probe, "/")).await;
        answer.map(drop).map_err(|_| self.gone())
    }

    fn gone(&self) -> ApplyError {
        let (via, log) = (self.via, self.log());
        ApplyError::Gone { via, log }
    }

    fn log(&self) -> String {
        self.envoy
            .upgrade()
            .map(|envoy| envoy.log_end())
            .unwrap_or_default()
    }
}

/// A refusal, which nothing else has to wait for; any other error ends it.
fn refusal(outcome: Result<(), ApplyError>) -> Result<Option<ApplyError>, ApplyError> {
    match outcome {
        Ok(()) => Ok(None),
        Err(refused @ ApplyError::Refused { .. }) => Ok(Some(refused)),
        Err(error) => Err(error),
    }
}

/// How many files of this part Envoy has refused.
fn refusals(stats: &Stats, section: &Section, via: Via) -> u64 {
    stats.count(&format!("{}.update_rejected", section.stats(via)))
}

/// Whether what it has is this version.
fn is_taken(stats: &Stats, section: &Section, via: Via, version: &str) -> bool {
    let warming = match section {
        Section::Clusters => stats.count("cluster_manager.warming_clusters"),
        Section::Listeners => stats.count("listener_manager.total_listeners_warming"),
        Section::Routes | Section::Plugin(_) => 0,
    };
    let live = stats.text(&format!("{}.version_text", section.stats(via)));
    live == Some(version) && warming == 0
}

/// The new clusters, and those old ones that only old routes name. Endpoints are the new ones: istiod too sends them
/// before the routes (Istio 1.29 `pilot/pkg/xds/ads.go`, `PushOrder`), so a subset that loses its last pod in the moment
/// in which it loses its weight fails requests for a moment.
fn with_old(
    new: &BTreeMap<String, Cluster>,
    old: &BTreeMap<String, Cluster>,
) -> BTreeMap<String, Cluster> {
    let mut together = old.clone();
    together.extend(new.clone());
    together
}

/// The files of an Envoy that knows nothing yet.
pub(super) async fn write_empty(via: Via, folder: &Path) -> Result<(), ApplyError> {
    for (section, resources) in [
        (Section::Clusters, Vec::new()),
        (Section::Routes, files::routes(via, &[])),
        (Section::Listeners, files::listeners(via, folder, &[])),
    ] {
        write(folder, &section, 0, &resources).await?;
    }
    Ok(())
}

async fn write(
    folder: &Path,
    section: &Section,
    version: u64,
    resources: &[Value],
) -> Result<(), ApplyError> {
    let path = section.path(folder);
    let beside = path.with_extension("new");
    let content = json!({"version_info": version.to_string(), "resources": resources}).to_string();
    let failed = |source: io::Error| ApplyError::File {
        path: path.clone(),
        source: Arc::new(source),
    };
    tokio::fs::write(&beside, content).await.map_err(failed)?;
    tokio::fs::rename(&beside, &path).await.map_err(failed)
}

#[cfg(test)]
mod tests;
