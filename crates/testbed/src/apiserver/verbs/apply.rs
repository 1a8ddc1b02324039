//! A server-side apply: reads the configuration, and creates or updates the object.
//!
//! Follows `applyPatcher` of `k8s.io/apiserver/pkg/endpoints/handlers/patch.go`. What the fields become
//! is decided in `apiserver/apply.rs`.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use crate::apiserver::apply::{self, Scope, Writer};
use crate::apiserver::object;
use crate::apiserver::request::Target;
use crate::apiserver::status::Status;
use crate::apiserver::store::write::{Part, Write};
use crate::apiserver::store::{Key, State};

/// Carries an apply out. `write` names who applies; `config` is the body, `201` says that the object
/// is new.
pub(super) fn run(
    state: &mut State,
    target: &Target,
    write: Write<'_>,
    config: &[u8],
    force: bool,
) -> Result<(StatusCode, Arc<Value>), Status> {
    let resource = &target.resource;
    let key = Key::new(resource, &target.namespace, &target.name);
    let writer = Writer::apply(
        &write.writer.manager,
        &write.writer.api_version,
        &write.writer.subresource,
    );
    let write = Write {
        writer: &writer,
        ..write
    };
    let scope = match write.part {
        Part::Status => Scope::Status,
        Part::Main if resource.status => Scope::AllButStatus,
        Part::Main | Part::Whole => Scope::All,
    };
    let applied = |live: &Value| {
        let config = target.decode_apply(config)?;
        apply::apply(live, &config, &writer, scope, force, &object::timestamp())
    };
    match state.get(resource, &key) {
        Ok(_) => {
            let updated = state.update(resource, &key, write, |old| {
                let new = applied(&target.show(old))?;
                target.check_name(&new)?;
                Ok(new)
            })?;
            Ok((StatusCode::OK, updated))
        }
        Err(missing) if write.part == Part::Status => Err(missing),
        Err(_missing) => {
            let mut new = applied(&Value::Object(Map::new()))?;
            let uid = object::meta(&new, "uid");
            if !uid.is_empty() {
                return Err(Status::no_object_of_uid(resource, &target.name, uid));
            }
            target.check_name(&new)?;
            // There is no version to be guarded against yet.
            object::set_meta(&mut new, "resourceVersion", Value::Null);
            let made = state.create(resource, &target.namespace, new, write)?;
            Ok((StatusCode::CREATED, made))
        }
    }
}

impl Target {
    /// Reads what is to be applied. The real server reads YAML; every client in use sends JSON.
    fn decode_apply(&self, body: &[u8]) -> Result<Value, Status> {
        let unreadable = |found: &str| {
            Status::bad_request(format!(
                "error decoding YAML: the embedded server reads apply patches as JSON: {found}"
            ))
        };
        let config: Value =
            serde_json::from_slice(body).map_err(|found| unreadable(&found.to_string()))?;
        if !config.is_object() {
            return Err(unreadable(&format!("found {config}, expected an object")));
        }
        let (api_version, kind) = (
            object::text(&config, "apiVersion"),
            object::text(&config, "kind"),
        );
        if api_version != self.resource.api_version(&self.version) || kind != self.resource.kind {
            let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
            return Err(Status::bad_request(format!(
                "invalid object type: {group}/{version}, Kind={kind}"
            )));
        }
        let managed = config.get("metadata").and_then(|m| m.get("managedFields"));
        if managed.is_some_and(|entries| !entries.is_null()) {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        Ok(config)
    }
}
