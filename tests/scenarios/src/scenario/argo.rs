//! Argo's own fixtures as scenarios: their objects from Argo's module, moved to the plugin; what is done with them, and
//! what must be seen, from tables of this repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::table::{Adapt, Table};
use super::{Scenario, is_rollout, table};
use crate::api;
use crate::error::Error;

/// The folders of Argo's end-to-end tests that have Rollouts for Istio.
const FOLDERS: [&str; 3] = ["istio", "header-routing", "mirror-route"];
/// Where a Rollout says how its traffic is moved.
pub(crate) const ROUTING: &str = "/spec/strategy/canary/trafficRouting";
const BUILT_IN: &str = "istio";
/// The plugin's name in a Rollout.
pub(crate) const PLUGIN: &str = "serin/istio";

/// Reads the tables in `tables`, each for the fixture of its name under `argo` (Argo's `test/e2e`).
///
/// A fixture without a table is an error, so that those of a newer Argo are noticed.
pub(super) fn read(tables: &Path, argo: &Path) -> Result<Vec<Scenario>, Error> {
    let mut fixtures = BTreeMap::new();
    for folder in FOLDERS {
        for path in files(&argo.join(folder), "yaml")? {
            let objects = api::read_yaml(&path)?;
            if objects.iter().any(|object| {
                is_rollout(object) && object.pointer(&format!("{ROUTING}/{BUILT_IN}")).is_some()
            }) {
                fixtures.insert(stem(&path), (path, objects));
            }
        }
    }
    let mut scenarios = Vec::new();
    for path in files(tables, "toml")? {
        let name = stem(&path);
        let Some((_, objects)) = fixtures.remove(&name) else {
            return Err(Error::Reference {
                path,
                field: "the file's name",
                value: name,
                expected: format!("a fixture with a Rollout for Istio in {}", argo.display()),
            });
        };
        scenarios.push(scenario(tables, &path, name, objects)?);
    }
    if let Some((name, (path, _))) = fixtures.pop_first() {
        return Err(Error::Reference {
            path,
            field: "the fixture's name",
            value: name,
            expected: format!("one that has a table in {}", tables.display()),
        });
    }
    Ok(scenarios)
}

fn scenario(
    folder: &Path,
    path: &Path,
    name: String,
    mut objects: Vec<Value>,
) -> Result<Scenario, Error> {
    let table: Table = table::read(path)?;
    for adapt in &table.adapt {
        set(&mut objects, adapt).ok_or_else(|| Error::Reference {
            path: path.to_path_buf(),
            field: "adapt",
            value: format!("{} {}/{}", adapt.kind, adapt.at, adapt.field),
            expected: "a place that the fixture has".to_owned(),
        })?;
    }
    objects
        .iter_mut()
        .filter(|object| is_rollout(object))
        .for_each(to_plugin);
    objects.sort_by_key(is_rollout);
    let scenario = Scenario {
        name,
        folder: folder.to_path_buf(),
        table,
        objects,
    };
    scenario.check(path)?;
    Ok(scenario)
}

/// None if there is no such place.
fn set(objects: &mut [Value], adapt: &Adapt) -> Option<()> {
    let object = objects
        .iter_mut()
        .find(|object| object["kind"] == adapt.kind.as_str())?;
    match object.pointer_mut(&adapt.at)? {
        Value::Object(fields) => {
            fields.insert(adapt.field.clone(), adapt.value.clone());
        }
        Value::Array(items) => {
            let index: usize = adapt.field.parse().ok()?;
            *items.get_mut(index)? = adapt.value.clone();
        }
        _ => return None,
    }
    Some(())
}

/// Moves the built-in block, as it is, to the plugin's place.
pub(crate) fn to_plugin(rollout: &mut Value) {
    if let Some(routing) = routing(rollout)
        && let Some(block) = routing.remove(BUILT_IN)
    {
        routing.insert("plugins".to_owned(), json!({ PLUGIN: block }));
    }
}

/// Moves the plugin's block, as it is, to the built-in's place.
pub fn to_built_in(rollout: &mut Value) {
    if let Some(routing) = routing(rollout)
        && let Some(plugins) = routing.get_mut("plugins").and_then(Value::as_object_mut)
        && let Some(block) = plugins.remove(PLUGIN)
    {
        routing.remove("plugins");
        routing.insert(BUILT_IN.to_owned(), block);
    }
}

fn routing(rollout: &mut Value) -> Option<&mut Map<String, Value>> {
    rollout.pointer_mut(ROUTING)?.as_object_mut()
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(Error::file("read", folder))?
        .filter_map(|item| item.ok().map(|item| item.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    Ok(files)
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
