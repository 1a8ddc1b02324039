//! A scenario as it is written: `scenario.toml` and `resources/*.yaml` in a folder of its own, whose name is also the
//! namespace it runs in.
//!
//! The table says what is done and what must be seen, nothing about how: any cluster with a driver can run it.

mod check;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::api;
use crate::error::Error;
use testbed::mesh::Via;

/// One scenario, read and checked.
#[derive(Debug)]
pub struct Scenario {
    /// The folder's name, which is also the namespace.
    pub(crate) name: String,
    /// Where it was read from.
    pub(crate) folder: PathBuf,
    /// The table.
    pub(crate) table: Table,
    /// The objects, in the order of the files' names, Rollouts last.
    pub(crate) objects: Vec<Value>,
}

/// `scenario.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Table {
    /// What is shown, in one line.
    pub(crate) title: String,
    /// True if it disturbs others and so runs alone.
    #[serde(default)]
    pub(crate) alone: bool,
    /// Why the embedded cluster can't run it, where it can't.
    pub(crate) real_only: Option<String>,
    /// Requests that are sent from start to end.
    pub(crate) stream: Vec<Stream>,
    /// What is done, in order. The first may do nothing: it looks at the beginning.
    pub(crate) step: Vec<Step>,
}

/// Requests of one kind, sent at a steady rate through the sidecar and through the gateway, or one of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Stream {
    /// Its name in expectations and reports.
    pub(crate) name: String,
    /// The authority inside the mesh.
    pub(crate) sidecar: String,
    /// The authority at the gateway.
    pub(crate) gateway: String,
    /// Path and query.
    #[serde(default = "root")]
    pub(crate) path: String,
    /// Method.
    #[serde(default = "get")]
    pub(crate) method: String,
    /// Headers.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Requests per second on each of its ways.
    pub(crate) rate: u32,
    /// The one way that they take; absent for both.
    pub(crate) only: Option<Way>,
    /// The application (label `app`) that has to answer.
    pub(crate) app: String,
    /// The Rollout whose versions answer; absent where no Rollout is involved.
    pub(crate) rollout: Option<String>,
}

/// The word for a way in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// [`Via::Sidecar`].
    Sidecar,
    /// [`Via::Gateway`].
    Gateway,
}

/// One step: what is done, what is waited for, what must be seen from then on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Step {
    /// Its name in reports.
    pub(crate) name: String,
    /// Done at once, one after the other.
    #[serde(default)]
    pub(crate) actions: Vec<Action>,
    /// Waited for, all of it.
    #[serde(default)]
    pub(crate) until: Vec<Until>,
    /// A file of objects; each must be contained in the one that is live. Waited for after `until`.
    pub(crate) objects: Option<PathBuf>,
    /// The expectations hold from the moment before the actions on: the state stays what it was.
    #[serde(default)]
    pub(crate) throughout: bool,
    /// What each stream must see.
    #[serde(default)]
    pub(crate) expect: Vec<Expect>,
    /// Seconds of requests that are looked at.
    #[serde(default = "observed")]
    pub(crate) seconds: u64,
}

/// What is done to a Rollout, or to its controller.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    tag = "do"
)]
pub(crate) enum Action {
    /// A new version: the first container's image.
    SetImage {
        /// The Rollout.
        rollout: String,
        /// The image; requests that its pods answer count as the canary's.
        image: String,
    },
    /// On to the next step, as `kubectl argo rollouts promote` does.
    Promote {
        /// The Rollout.
        rollout: String,
    },
    /// Back to the stable version, as `kubectl argo rollouts abort` does.
    Abort {
        /// The Rollout.
        rollout: String,
    },
    /// The controller is killed without warning and started again after a pause.
    KillController {
        /// Between its end and its start.
        pause_seconds: u64,
    },
}

/// A state of a Rollout.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Until {
    /// The Rollout.
    pub(crate) rollout: String,
    /// It pauses at the step with this index.
    pub(crate) paused_at: Option<i64>,
    /// Its phase (`Healthy`, `Degraded`…), with its latest change seen by the controller.
    pub(crate) phase: Option<String>,
    /// So many pods are left, the terminating ones included: the old version has gone.
    pub(crate) pods: Option<usize>,
}

/// What a stream must see.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Expect {
    /// The stream's name.
    pub(crate) stream: String,
    /// Percent of its requests that the canary answers; 0 and 100 mean every one.
    pub(crate) canary: f64,
    /// Percent of its requests of which the canary gets a copy.
    #[serde(default)]
    pub(crate) copies: f64,
}

fn root() -> String {
    "/".to_owned()
}

fn get() -> String {
    "GET".to_owned()
}

fn is_rollout(object: &Value) -> bool {
    object["kind"] == api::ROLLOUT.1
}

fn observed() -> u64 {
    5
}

impl Stream {
    /// The ways that its requests take.
    pub(crate) fn ways(&self) -> &'static [Via] {
        match self.only {
            None => &Via::ALL,
            Some(Way::Sidecar) => &[Via::Sidecar],
            Some(Way::Gateway) => &[Via::Gateway],
        }
    }

    /// The authority on one of the two ways.
    pub(crate) fn authority(&self, via: Via) -> &str {
        match via {
            Via::Sidecar => &self.sidecar,
            Via::Gateway => &self.gateway,
        }
    }
}

impl Scenario {
    /// Reads a folder and checks that its names fit together.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("scenario.toml");
        let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let table: Table = toml::from_str(&text).map_err(|source| Error::Scenario {
            path: path.clone(),
            source: Box::new(source),
        })?;
        let resources = folder.join("resources");
        let mut files: Vec<PathBuf> = std::fs::read_dir(&resources)
            .map_err(Error::file("read", &resources))?
            .filter_map(|item| item.ok().map(|item| item.path()))
            .collect();
        files.sort();
        let mut objects = Vec::new();
        for file in files {
            objects.extend(api::read_yaml(&file)?);
        }
        // A Rollout whose Services aren't there yet is invalid for as long.
        objects.sort_by_key(is_rollout);
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let scenario = Self {
            name,
            folder: folder.to_path_buf(),
            table,
            objects,
        };
        scenario.check(&path)?;
        Ok(scenario)
    }

    /// True if it disturbs others, so that it needs a stack for itself.
    pub fn is_alone(&self) -> bool {
        self.table.alone
    }

    /// Why only the real stack can run it; `None` for those that any cluster can.
    pub fn real_only(&self) -> Option<&str> {
        self.table.real_only.as_deref()
    }

    /// The folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is applied first, and the Rollouts, which are applied last.
    pub(crate) fn before_and_rollouts(&self) -> (&[Value], &[Value]) {
        let first = self.objects.partition_point(|object| !is_rollout(object));
        self.objects.split_at(first)
    }

    /// The names of the Rollouts among its objects.
    pub(crate) fn rollouts(&self) -> Vec<String> {
        self.named(api::ROLLOUT.1)
    }

    /// Namespaces and names of the objects of a kind.
    pub(crate) fn placed(&self, kind: &str) -> Vec<(String, String)> {
        let text = |object: &Value, field: &str| {
            let text = object.pointer(field).and_then(Value::as_str);
            text.map(str::to_owned)
        };
        let objects = self.objects.iter().filter(|object| object["kind"] == kind);
        let placed = objects.filter_map(|object| {
            let namespace = text(object, "/metadata/namespace");
            Some((
                namespace.unwrap_or_else(|| self.name.clone()),
                text(object, "/metadata/name")?,
            ))
        });
        placed.collect()
    }

    /// The names of the objects of a kind.
    pub(crate) fn named(&self, kind: &str) -> Vec<String> {
        self.objects
            .iter()
            .filter(|object| object["kind"] == kind)
            .filter_map(|object| object.pointer("/metadata/name")?.as_str())
            .map(str::to_owned)
            .collect()
    }
}

/// Reads the scenarios with these names, or all (there must be one), in the order of their folders' names.
pub fn read_all(folder: &Path, names: &[String]) -> Result<Vec<Scenario>, Error> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(Error::file("read", folder))?
        .filter_map(|item| item.ok().map(|item| item.path()))
        .filter(|path| path.join("scenario.toml").is_file())
        .collect();
    if folders.is_empty() {
        return Err(Error::NoScenario {
            folder: folder.to_path_buf(),
        });
    }
    folders.sort();
    let all: Vec<String> = folders
        .iter()
        .map(|folder| {
            folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    for name in names {
        if !all.contains(name) {
            return Err(Error::Reference {
                path: folder.to_path_buf(),
                field: "the command line",
                value: name.clone(),
                expected: format!("one of {}", all.join(", ")),
            });
        }
    }
    folders
        .iter()
        .zip(&all)
        .filter(|(_, name)| names.is_empty() || names.contains(name))
        .map(|(folder, _)| Scenario::read(folder))
        .collect()
}

#[cfg(test)]
mod tests;
