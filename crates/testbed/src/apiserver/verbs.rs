//! The verbs that end with one answer: all but watch.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::object;
use super::patch::Patch;
use super::request::{Query, Target, Verb};
use super::status::Status;
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
                    patch.apply(&target.show(old))
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
        if let Some(next) = &page.next {
            metadata.insert("continue".to_owned(), Value::from(next.as_str()));
        }
        if let Some(remaining) = page.remaining {
            metadata.insert("remainingItemCount".to_owned(), Value::from(remaining));
        }
        let items: Vec<Value> = page.items.iter().map(|object| self.show(object)).collect();
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
        let mut object: Value = serde_json::from_slice(body).map_err(|found| {
            Status::bad_request(format!("the object provided is unrecognized: {found}"))
        })?;
        if !object.is_object() {
            return Err(Status::bad_request(
                "the object provided is unrecognized: expected an object",
            ));
        }
        let expected = self.api_version();
        for (key, expected, what) in [
            ("apiVersion", expected.as_str(), "API version"),
            ("kind", self.resource.kind, "kind"),
        ] {
            match object.get(key).and_then(Value::as_str) {
                Some(found) if found == expected => {}
                None | Some("") if !self.resource.custom => {
                    object::set_top(&mut object, key, Some(Value::from(expected)));
                }
                found => {
                    let found = found.unwrap_or_default();
                    return Err(Status::bad_request(format!(
                        "the {what} in the data ({found}) does not match the expected {what} ({expected})"
                    )));
                }
            }
        }
        Ok(object)
    }

    fn check_name(&self, object: &Value) -> Result<(), Status> {
        let found = object::meta(object, "name");
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
    Err(Status::precondition(
        &target.resource,
        &target.name,
        "UID",
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
