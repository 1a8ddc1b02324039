//! The verbs that end with one answer: all but watch.

use std::fmt::Display;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::object;
use super::patch::Patch;
use super::request::{Query, Target, Verb};
use super::status::{InvalidField, Status};
use super::store::list::{ListOptions, Page};
use super::store::write::{Deletion, Part, Preconditions};
use super::store::{Key, Store};

/// A successful answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: StatusCode,
    pub(super) body: Value,
}

/// Carries a request out.
pub(super) fn run(
    store: &Store,
    verb: Verb,
    target: &Target,
    query: &Query,
    content_type: &str,
    body: &[u8],
) -> Result<Answer, Status> {
    let key = Key::new(&target.resource, &target.namespace, &target.name);
    let resource = &target.resource;
    let part = if target.subresource == "status" {
        Part::Status
    } else {
        Part::Main
    };
    let dry_run = query.dry_run();
    let mut code = StatusCode::OK;
    let body = match verb {
        Verb::Get => {
            store.read(|state| state.get(resource, &key).map(|found| target.show(found)))?
        }
        // A watch has a stream for an answer and never comes here.
        Verb::List | Verb::Watch => {
            let options = query.list_options(resource)?;
            let page = store.read(|state| state.list(resource, &target.namespace, &options))?;
            target.show_page(&page)
        }
        Verb::Create => {
            code = StatusCode::CREATED;
            let object = target.decode(content_type, body)?;
            let made = store
                .write(|state| state.create(resource, &target.namespace, object, part, dry_run))?;
            target.show(&made)
        }
        Verb::Update => {
            let object = target.decode(content_type, body)?;
            target.check_name(&object)?;
            let updated = store.write(|state| {
                state.update(resource, &key, part, dry_run, |old| {
                    check_uid(target, old, &object)?;
                    Ok(object)
                })
            })?;
            target.show(&updated)
        }
        Verb::Patch => {
            let patch = Patch::parse(content_type, body)?;
            let patched = store.write(|state| {
                state.update(resource, &key, part, dry_run, |old| {
                    let new = patch.apply(&target.show(old))?;
                    target.check_name(&new)?;
                    target.check_kind(&new)?;
                    Ok(new)
                })
            })?;
            target.show(&patched)
        }
        Verb::Delete => {
            let options = delete_options(body)?;
            let dry_run = dry_run || options.dry_run;
            let done = store
                .write(|state| state.delete(resource, &key, &options.preconditions, dry_run))?;
            match done {
                Deletion::Gone(last) if !resource.returns_deleted => target.deleted(&last),
                Deletion::Gone(last) | Deletion::Pending(last) => target.show(&last),
            }
        }
        Verb::DeleteCollection => {
            let options = delete_options(body)?;
            let dry_run = dry_run || options.dry_run;
            let list = ListOptions {
                selector: query.selector(resource)?,
                ..ListOptions::default()
            };
            let page = store.write(|state| {
                let page = state.list(resource, &target.namespace, &list)?;
                for object in &page.items {
                    let key = Key::new(
                        resource,
                        object::meta(object, "namespace"),
                        object::meta(object, "name"),
                    );
                    state.delete(resource, &key, &options.preconditions, dry_run)?;
                }
                Ok::<_, Status>(page)
            })?;
            target.show_page(&page)
        }
    };
    Ok(Answer { code, body })
}

impl Target {
    fn api_version(&self) -> String {
        self.resource.api_version(&self.version)
    }

    /// The stored object at the version that was asked for.
    fn show(&self, object: &Value) -> Value {
        object::at_version(object, &self.api_version())
    }

    fn show_page(&self, page: &Page) -> Value {
        let mut metadata = Map::new();
        metadata.insert(
            "resourceVersion".to_owned(),
            Value::from(page.revision.to_string()),
        );
        match page.next.as_deref() {
            Some(next) => metadata.insert("continue".to_owned(), Value::from(next)),
            // A typed list leaves it out, an unstructured one doesn't.
            None if self.resource.custom => metadata.insert("continue".to_owned(), Value::from("")),
            None => None,
        };
        if let Some(remaining) = page.remaining {
            metadata.insert("remainingItemCount".to_owned(), Value::from(remaining));
        }
        let items: Vec<Value> = page
            .items
            .iter()
            .map(|object| {
                let mut item = self.show(object);
                if !self.resource.custom {
                    // Items of a typed list don't say what they are.
                    object::set_top(&mut item, "apiVersion", None);
                    object::set_top(&mut item, "kind", None);
                }
                item
            })
            .collect();
        json!({
            "kind": format!("{}List", self.resource.kind),
            "apiVersion": self.api_version(),
            "metadata": metadata,
            "items": items,
        })
    }

    /// The `Status` that stands for an object that is gone.
    fn deleted(&self, last: &Value) -> Value {
        let mut details = json!({
            "name": self.name,
            "kind": self.resource.plural,
            "uid": object::meta(last, "uid"),
        });
        if let (false, Some(map)) = (self.resource.group.is_empty(), details.as_object_mut()) {
            map.insert("group".to_owned(), Value::from(self.resource.group));
        }
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        })
    }

    /// Reads an object and checks that it is of the resource that the path names.
    fn decode(&self, content_type: &str, body: &[u8]) -> Result<Value, Status> {
        if !matches!(content_type, "" | "application/json") {
            return Err(Status::unsupported_media_type("application/json"));
        }
        let kind = self.resource.kind;
        let unrecognized = |why: &dyn Display| {
            Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): {why}"
            ))
        };
        let no_json = |why: &dyn Display| {
            unrecognized(&format!(
                "couldn't get version/kind; json parse error: {why}"
            ))
        };
        let mut object: Value = serde_json::from_slice(body).map_err(|found| no_json(&found))?;
        if !object.is_object() {
            return Err(no_json(&format!("found {object}, expected an object")));
        }
        let api_version = self.api_version();
        if !self.resource.custom {
            // A typed resource takes what is missing from the path.
            for (key, value) in [("apiVersion", api_version.as_str()), ("kind", kind)] {
                if object::text(&object, key).is_empty() {
                    object::set_top(&mut object, key, Some(Value::from(value)));
                }
            }
        }
        let found = (
            object::text(&object, "apiVersion"),
            object::text(&object, "kind"),
        );
        if !self.resource.custom && (found.0 != api_version || found.1 != kind) {
            return Err(Status::bad_request(format!(
                "{} in version \"{}\" cannot be handled as a {kind}: expected {api_version}",
                found.1, found.0
            )));
        }
        if found.1.is_empty() {
            return Err(unrecognized(&format!(
                "Object 'Kind' is missing in '{object}'"
            )));
        }
        if found.0 != api_version {
            return Err(Status::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({api_version})",
                found.0
            )));
        }
        self.check_kind(&object)?;
        Ok(object)
    }

    /// An object of another kind is refused in that kind's name, as the real server does.
    fn check_kind(&self, object: &Value) -> Result<(), Status> {
        let kind = self.resource.kind;
        let found = object
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if found == kind {
            return Ok(());
        }
        let (shown, expected) = (format!("\"{found}\""), format!("must be {kind}"));
        let cause = InvalidField::invalid("kind", &shown, &expected);
        Err(Status::invalid_kind(
            self.resource.group,
            found,
            object::meta(object, "name"),
            &cause,
        ))
    }

    fn check_name(&self, object: &Value) -> Result<(), Status> {
        let found = object::meta(object, "name");
        if found.is_empty() {
            return Err(Status::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                self.name
            )));
        }
        if found == self.name {
            return Ok(());
        }
        Err(Status::bad_request(format!(
            "the name of the object ({found}) does not match the name on the URL ({})",
            self.name
        )))
    }
}

/// A replacement that carries another object's `uid` is for an object that is gone.
fn check_uid(target: &Target, old: &Value, new: &Value) -> Result<(), Status> {
    let (have, want) = (object::meta(old, "uid"), object::meta(new, "uid"));
    if want.is_empty() || want == have {
        return Ok(());
    }
    Err(Status::other_uid(
        &target.resource,
        &target.namespace,
        &target.name,
        want,
        have,
    ))
}

struct DeleteOptions {
    preconditions: Preconditions,
    dry_run: bool,
}

fn delete_options(body: &[u8]) -> Result<DeleteOptions, Status> {
    let options: Value = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(body).map_err(|found| {
            Status::bad_request(format!("the object provided is unrecognized: {found}"))
        })?
    };
    let wanted = |key: &str| {
        let value = options.get("preconditions")?.get(key)?.as_str()?;
        Some(value.to_owned())
    };
    Ok(DeleteOptions {
        preconditions: Preconditions {
            uid: wanted("uid"),
            revision: wanted("resourceVersion"),
        },
        dry_run: options
            .get("dryRun")
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().any(|one| one == "All")),
    })
}
