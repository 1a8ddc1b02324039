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
use super::files::{self, Section};
use super::translate::{Cluster, Configuration, Plugin};
use crate::envoy::Envoy;

/// How long Envoy may take to take one file. It does in a few milliseconds; a busy machine takes longer.
const TAKEN_WITHIN: Duration = Duration::from_secs(20);
/// How often to look meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Why an Envoy doesn't do what the store says.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: Arc<io::Error>,
    },
    /// It doesn't answer.
    #[error("the {} is gone; its log ends with:\n{log}", via.word())]
    Gone {
        /// Which.
        via: Via,
        /// The end of its log.
        log: String,
    },
    /// It refuses a part of its configuration, and goes on with what it had.
    #[error("the {} refuses its {part}; its log ends with:\n{log}", via.word())]
    Refused {
        /// Which.
        via: Via,
        /// What is refused.
        part: String,
        /// The end of its log, which says why.
        log: String,
    },
    /// It has not taken a part of its configuration in time.
    #[error("the {} has not taken its {part} after {} s; its log ends with:\n{log}", via.word(), TAKEN_WITHIN.as_secs())]
    Slow {
        /// Which.
        via: Via,
        /// What is not taken.
        part: String,
        /// The end of its log.
        log: String,
    },
}

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
    /// What is live. Of clusters it may be more than what is wanted.
    live: Configuration,
    /// The clusters that are wanted.
    wanted: BTreeMap<String, Cluster>,
    /// Updates refused so far.
    refused: BTreeMap<Section, u64>,
}

impl Front {
    pub(super) fn new(via: Via, folder: PathBuf, envoy: &Arc<Envoy>, probe: SocketAddr) -> Self {
        Self {
            via,
            folder,
            envoy: Arc::downgrade(envoy),
            admin: envoy.admin_address(),
            probe,
            version: 0,
            live: Configuration::default(),
            wanted: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Makes `to` live. On an error the rest goes on, but nothing is taken away; the first one is returned.
    pub(super) async fn apply(&mut self, to: &Configuration) -> Result<(), ApplyError> {
        let together = with_old(&to.clusters, &self.live.clusters);
        let made = self.clusters(together).await;
        let routes = self.routes(&to.hosts).await;
        let plugins = self.plugins(&to.plugins).await;
        made.and(routes).and(plugins)?;
        // Until the worker has the new routes it uses the old ones, with all that they name.
        self.worker().await?;
        self.wanted.clone_from(&to.clusters);
        Ok(())
    }

    /// Whether there are clusters that no longer belong to anything.
    pub(super) fn has_old(&self) -> bool {
        self.live.clusters != self.wanted
    }

    /// Removes those. A while after [`apply`](Self::apply): a request that is delayed or retried looks for its cluster
    /// again.
    pub(super) async fn remove_old(&mut self) -> Result<(), ApplyError> {
        self.clusters(self.wanted.clone()).await
    }

    async fn clusters(&mut self, to: BTreeMap<String, Cluster>) -> Result<(), ApplyError> {
        if self.live.clusters != to {
            self.publish(&[(Section::Clusters, files::clusters(&to))])
                .await?;
            self.live.clusters = to;
        }
        Ok(())
    }

    async fn routes(&mut self, to: &[Value]) -> Result<(), ApplyError> {
        if self.live.hosts != to {
            self.publish(&[(Section::Routes, files::routes(self.via, to))])
                .await?;
            self.live.hosts = to.to_vec();
        }
        Ok(())
    }

    /// A plugin's configuration is there before the listener asks for it, and goes after.
    async fn plugins(&mut self, to: &[Plugin]) -> Result<(), ApplyError> {
        let changed = to
            .iter()
            .filter(|plugin| !self.live.plugins.contains(plugin));
        let mut parts: Vec<(Section, Vec<Value>)> = changed
            .map(|plugin| (Section::Plugin(plugin.name.clone()), files::plugin(plugin)))
            .collect();
        let names = |plugins: &[Plugin]| -> Vec<String> {
            plugins.iter().map(|plugin| plugin.name.clone()).collect()
        };
        let (old, new) = (names(&self.live.plugins), names(to));
        if old != new {
            parts.push((
                Section::Listeners,
                files::listeners(self.via, &self.folder, &new),
            ));
        }
        if !parts.is_empty() {
            self.publish(&parts).await?;
            self.live.plugins = to.to_vec();
        }
        for gone in old.into_iter().filter(|name| !new.contains(name)) {
            let section = Section::Plugin(gone);
            self.refused.remove(&section);
            // What is left of it is overwritten when it comes back.
            let _ = tokio::fs::remove_file(section.path(&self.folder)).await;
        }
        Ok(())
    }

    /// Writes parts in their order and waits until all are taken.
    async fn publish(&mut self, parts: &[(Section, Vec<Value>)]) -> Result<(), ApplyError> {
        self.version += 1;
        for (section, resources) in parts {
            write(&self.folder, section, self.version, resources).await?;
        }
        let began = Instant::now();
        loop {
            let Ok(stats) = Stats::read(self.admin).await else {
                return Err(ApplyError::Gone {
                    via: self.via,
                    log: self.log(),
                });
            };
            let mut missing = None;
            for (section, _) in parts {
                let of = section.stats(self.via);
                let refused = stats.count(&format!("{of}.update_rejected"));
                if self
                    .refused
                    .insert(section.clone(), refused)
                    .unwrap_or_default()
                    < refused
                {
                    let (via, part, log) = (self.via, section.word(), self.log());
                    return Err(ApplyError::Refused { via, part, log });
                }
                let warming = match section {
                    Section::Clusters => stats.count("cluster_manager.warming_clusters"),
                    Section::Listeners => stats.count("listener_manager.total_listeners_warming"),
                    Section::Routes | Section::Plugin(_) => 0,
                };
                let version = stats.text(&format!("{of}.version_text"));
                if version != Some(self.version.to_string().as_str()) || warming > 0 {
                    missing = Some(section);
                }
            }
            let Some(missing) = missing else {
                return Ok(());
            };
            if began.elapsed() > TAKEN_WITHIN {
                let (via, part, log) = (self.via, missing.word(), self.log());
                return Err(ApplyError::Slow { via, part, log });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the worker has done all that it was told.
    async fn worker(&self) -> Result<(), ApplyError> {
        let answer = admin::get(self.probe, "/").await;
        answer.map(drop).map_err(|_| ApplyError::Gone {
            via: self.via,
            log: self.log(),
        })
    }

    fn log(&self) -> String {
        self.envoy
            .upgrade()
            .map(|envoy| envoy.log_end())
            .unwrap_or_default()
    }
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
mod tests {
    use super::*;

    #[test]
    fn clusters_stay_as_long_as_old_routes_name_them() {
        let clusters = |list: &[(&str, &[u16])]| -> BTreeMap<String, Cluster> {
            let cluster = |ports: &[u16]| {
                let endpoints = ports
                    .iter()
                    .map(|port| SocketAddr::from(([127, 0, 0, 1], *port)));
                Cluster::of(endpoints.collect())
            };
            list.iter()
                .map(|(name, ports)| ((*name).to_owned(), cluster(ports)))
                .collect()
        };
        let old = clusters(&[("moved", &[1]), ("emptied", &[2]), ("gone", &[3])]);
        let new = clusters(&[("moved", &[4]), ("emptied", &[]), ("new", &[5])]);
        let together = clusters(&[
            ("moved", &[4]),
            ("emptied", &[]),
            ("gone", &[3]),
            ("new", &[5]),
        ]);
        assert_eq!(with_old(&new, &old), together);
    }
}
