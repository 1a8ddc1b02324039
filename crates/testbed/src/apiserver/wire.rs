//! Objects, lists and deletions as they go over the wire, and bodies as they come from it.

use std::fmt::Display;

use serde_json::{Map, Value, json};

use super::object;
use super::request::Target;
use super::status::{InvalidField, Status};
use super::store::list::Page;

impl Target {
    fn api_version(&self) -> String {
        self.resource.api_version(&self.version)
    }

    /// The stored object at the version that was asked for.
    pub(super) fn show(&self, object: &Value) -> Value {
        object::at_version(object, &self.api_version())
    }

    pub(super) fn show_page(&self, page: &Page) -> Value {
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
    pub(super) fn deleted(&self, last: &Value) -> Value {
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
    pub(super) fn decode(&self, content_type: &str, body: &[u8]) -> Result<Value, Status> {
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
    pub(super) fn check_kind(&self, object: &Value) -> Result<(), Status> {
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

    pub(super) fn check_name(&self, object: &Value) -> Result<(), Status> {
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
