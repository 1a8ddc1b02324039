//! What users do to a VirtualService by hand while a canary is under way.

use serde_json::{Map, Value, json};

use super::{Drive, Stack};
use crate::api::VIRTUAL_SERVICE;
use crate::error::Error;
use crate::scenario::Action;

/// Counts edits in the object's annotations, so that whoever looks at its revisions can tell the user's changes.
const EDITS: &str = "serin-e2e/edits";
/// How often an edit is begun anew because somebody else has written meanwhile.
const ATTEMPTS: u32 = 20;

/// One edit; it can be done to any revision of the object.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) virtual_service: String,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Set {
        route: String,
        fields: Map<String, Value>,
    },
    Add {
        above: String,
        route: Value,
    },
}

impl Edit {
    /// None if the action is something else.
    pub(super) fn of(action: &Action) -> Option<Self> {
        match action {
            Action::EditRoute {
                virtual_service,
                route,
                set,
            } => Some(Self {
                virtual_service: virtual_service.clone(),
                change: Change::Set {
                    route: route.clone(),
                    fields: set.clone(),
                },
            }),
            Action::AddRoute {
                virtual_service,
                above,
                add,
            } => Some(Self {
                virtual_service: virtual_service.clone(),
                change: Change::Add {
                    above: above.clone(),
                    route: add.clone(),
                },
            }),
            _ => None,
        }
    }

    /// Does it to a VirtualService's spec; false if the route that it names isn't there.
    pub(super) fn change(&self, spec: &mut Value) -> bool {
        let Some(routes) = spec.get_mut("http").and_then(Value::as_array_mut) else {
            return false;
        };
        match &self.change {
            Change::Set { route, fields } => {
                let found = routes.iter_mut().find(|one| is_named(one, route));
                let Some(found) = found.and_then(Value::as_object_mut) else {
                    return false;
                };
                found.extend(fields.clone());
            }
            Change::Add { above, route } => {
                let Some(mut index) = routes.iter().position(|one| is_named(one, above)) else {
                    return false;
                };
                // Lane routes belong to the route below them, wherever the plugin has put them.
                while index.checked_sub(1).is_some_and(|before| {
                    let name = routes.get(before).and_then(|one| one.get("name")?.as_str());
                    name.is_some_and(|name| name.starts_with("serin-"))
                }) {
                    index -= 1;
                }
                routes.insert(index, route.clone());
            }
        }
        true
    }
}

fn is_named(route: &Value, name: &str) -> bool {
    route.get("name").and_then(Value::as_str) == Some(name)
}

impl<S: Stack> Drive<'_, S> {
    /// Does it as `kubectl edit` does: reads the object, and writes it unless somebody else has written meanwhile.
    pub(super) async fn edit(&mut self, edit: Edit) -> Result<(), Error> {
        let (cluster, namespace) = (&self.shared.cluster, &self.scenario.name);
        let name = &edit.virtual_service;
        let mut attempts = 0;
        loop {
            let mut live = cluster.get(VIRTUAL_SERVICE, namespace, name).await?;
            if !live.get_mut("spec").is_some_and(|spec| edit.change(spec)) {
                return Err(Error::Lacks {
                    object: format!("VirtualService {namespace}/{name}"),
                    field: "the route that is edited",
                });
            }
            if let Some(metadata) = live.get_mut("metadata").and_then(Value::as_object_mut) {
                let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
                if let Some(annotations) = annotations.as_object_mut() {
                    let count = (self.edits.len() + 1).to_string();
                    annotations.insert(EDITS.to_owned(), json!(count));
                }
            }
            attempts += 1;
            match cluster.replace(VIRTUAL_SERVICE, &live).await {
                Err(error) if error.is_conflict() && attempts < ATTEMPTS => {}
                done => break done.map(drop)?,
            }
        }
        self.say(&format!("{name}: {:?}", edit.change));
        self.edits.push(edit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_added_above_the_lanes_of_the_one_below() {
        let mut spec =
            json!({"http": [{"name": "other"}, {"name": "serin-a.b.canary"}, {"name": "primary"}]});
        let edit = |change| Edit {
            virtual_service: "web".to_owned(),
            change,
        };
        let add = edit(Change::Add {
            above: "primary".to_owned(),
            route: json!({"name": "new"}),
        });
        assert!(add.change(&mut spec));
        let fields = json!({"timeout": "2s"}).as_object().cloned().unwrap();
        let set = edit(Change::Set {
            route: "primary".to_owned(),
            fields,
        });
        assert!(set.change(&mut spec));
        assert_eq!(
            spec,
            json!({"http": [
                {"name": "other"}, {"name": "new"}, {"name": "serin-a.b.canary"},
                {"name": "primary", "timeout": "2s"},
            ]})
        );
        assert!(!add.change(&mut json!({"http": []})));
    }
}
