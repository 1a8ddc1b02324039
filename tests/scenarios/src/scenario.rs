//! A scenario as it is written: `scenario.toml` and `resources/*.yaml` in a folder of its own, whose name is also the
//! namespace it runs in.
//!
//! The table says what is done and what must be seen, nothing about how: any cluster with a driver can run it.

mod action;
mod argo;
mod check;
mod table;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::api;
use crate::error::Error;

pub(crate) use action::{Action, RouterName};
pub use argo::to_built_in;
pub(crate) use argo::{PLUGIN, ROUTING, to_plugin};
#[cfg(test)]
pub(crate) use table::Cookies;
pub use table::Module;
pub(crate) use table::{
    Expect, Issued, LANES_HEADER, Matches, Step, Stream, Table, Told, Until, Users,
};

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

fn for_each_text(value: &mut Value, change: &impl Fn(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| for_each_text(item, change)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| for_each_text(field, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_rollout(object: &Value) -> bool {
    object["kind"] == api::ROLLOUT.1
}

impl Scenario {
    /// Reads a folder and checks that its names fit together.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("scenario.toml");
        let table = table::read(&path)?;
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

    /// True if it moves a Rollout from one traffic router to the other.
    pub fn moves(&self) -> bool {
        let mut actions = self.table.step.iter().flat_map(|step| &step.actions);
        let to_built_in = |action: &Action| {
            matches!(
                action,
                Action::Move {
                    to: RouterName::BuiltIn,
                    ..
                }
            )
        };
        actions.any(to_built_in)
    }

    /// Requests per second that its streams send on each way that all of them take.
    pub fn rate(&self) -> u32 {
        self.table.stream.iter().map(|stream| stream.rate).sum()
    }

    /// The same for Argo's own support, in a namespace beside this one. It has no stickiness, so that nobody tells users
    /// apart.
    #[must_use]
    pub fn into_built_in(mut self) -> Self {
        let name = format!("{}-built-in", self.name);
        let renamed = |text: &str| text.replace(&*self.name, &name);
        for object in &mut self.objects {
            for_each_text(object, &|text| *text = renamed(text));
            if let Some(Value::Object(block)) = object.pointer_mut(&format!("{ROUTING}/plugins"))
                && let Some(Value::Object(block)) = block.get_mut(PLUGIN)
            {
                block.remove("sticky");
            }
            to_built_in(object);
        }
        for stream in &mut self.table.stream {
            stream.sidecar = renamed(&stream.sidecar);
            stream.gateway = renamed(&stream.gateway);
            stream.users = None;
        }
        self.name = name;
        self
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

    /// The object of that kind and name, as its manifest has it.
    pub(crate) fn manifest(&self, kind: &str, name: &str) -> Option<&Value> {
        self.objects
            .iter()
            .find(|object| object["kind"] == kind && *api::at(object, "/metadata/name") == *name)
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

/// Where the tables for Argo's own fixtures are, among the scenarios.
const FIXTURES: &str = "argo-fixtures";

/// Reads the scenarios with these names, or all (there must be one), in the order of their names: those in `folder`, and
/// if Argo's own fixtures are at hand (`argo`, the folder `test/e2e` of its module), those made of them.
pub fn read_all(
    folder: &Path,
    argo: Option<&Path>,
    names: &[String],
) -> Result<Vec<Scenario>, Error> {
    let folders: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(Error::file("read", folder))?
        .filter_map(|item| item.ok().map(|item| item.path()))
        .filter(|path| path.join("scenario.toml").is_file())
        .collect();
    if folders.is_empty() {
        return Err(Error::NoScenario {
            folder: folder.to_path_buf(),
        });
    }
    let mut all = folders
        .iter()
        .map(|folder| Scenario::read(folder))
        .collect::<Result<Vec<_>, _>>()?;
    let fixtures = folder.join(FIXTURES);
    if let Some(argo) = argo.filter(|_| fixtures.is_dir()) {
        all.extend(argo::read(&fixtures, argo)?);
    }
    all.sort_by(|left, right| left.name.cmp(&right.name));
    let known: Vec<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
    for name in names {
        if !known.contains(&name.as_str()) {
            return Err(Error::Reference {
                path: folder.to_path_buf(),
                field: "the command line",
                value: name.clone(),
                expected: format!("one of {}", known.join(", ")),
            });
        }
    }
    all.retain(|scenario| names.is_empty() || names.contains(&scenario.name));
    Ok(all)
}

#[cfg(test)]
mod tests;
