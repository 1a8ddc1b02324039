//! The verbs that end with one answer: all but watch.

use http::StatusCode;
use serde_json::Value;

use super::apply::Writer;
use super::object;
use super::patch;
use super::query::Query;
use super::request::{Target, Verb};
use super::status::Status;
use super::store::list::ListOptions;
use super::store::write::{Deletion, Part, Preconditions, Write};
use super::store::{Key, Store};

mod apply;

/// What a client sends besides path and query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    /// Media type of the body.
    pub(super) content_type: &'a str,
    pub(super) user_agent: &'a str,
    pub(super) body: &'a [u8],
}

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
    sent: &Sent<'_>,
) -> Result<Answer, Status> {
    let key = Key::new(&target.resource, &target.namespace, &target.name);
    let resource = &target.resource;
    let part = if target.subresource == "status" {
        Part::Status
    } else {
        Part::Main
    };
    let dry_run = query.dry_run();
    let writer = Writer::update(
        query.manager(sent.user_agent),
        &resource.api_version(&target.version),
        &target.subresource,
    );
    let write = Write {
        part,
        dry_run,
        writer: &writer,
    };
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
            let object = target.decode(sent.content_type, sent.body)?;
            let made =
                store.write(|state| state.create(resource, &target.namespace, object, write))?;
            target.show(&made)
        }
        Verb::Update => {
            let object = target.decode(sent.content_type, sent.body)?;
            target.check_name(&object)?;
            let updated = store.write(|state| {
                state.update(resource, &key, write, |old| {
                    check_uid(target, old, &object)?;
                    Ok(object)
                })
            })?;
            target.show(&updated)
        }
        Verb::Patch => {
            let patch = patch::Body::parse(sent.content_type, sent.body)?;
            let force = query.patch_options(matches!(patch, patch::Body::Apply(_)))?;
            let patched = match patch {
                patch::Body::Patch(patch) => store.write(|state| {
                    state.update(resource, &key, write, |old| {
                        let new = patch.apply(&target.show(old))?;
                        target.check_name(&new)?;
                        target.check_kind(&new)?;
                        Ok(new)
                    })
                })?,
                patch::Body::Apply(config) => {
                    let applied =
                        store.write(|state| apply::run(state, target, write, config, force))?;
                    code = applied.0;
                    applied.1
                }
            };
            target.show(&patched)
        }
        Verb::Delete => {
            let options = delete_options(sent.body)?;
            let dry_run = dry_run || options.dry_run;
            let done = store
                .write(|state| state.delete(resource, &key, &options.preconditions, dry_run))?;
            match done {
                Deletion::Gone(last) if !resource.returns_deleted => target.deleted(&last),
                Deletion::Gone(last) | Deletion::Pending(last) => target.show(&last),
            }
        }
        Verb::DeleteCollection => {
            let options = delete_options(sent.body)?;
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
            orphan: options.get("propagationPolicy").and_then(Value::as_str) == Some("Orphan"),
        },
        dry_run: options
            .get("dryRun")
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().any(|one| one == "All")),
    })
}
