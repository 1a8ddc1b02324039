//! The failures that the server knows, each as the real one words it.

use serde_json::{Value, json};

use super::{InvalidField, Status};
use crate::apiserver::resource::Resource;

impl Status {
    /// A failure that an injected fault answers with; reason and message follow the code as in
    /// Go's `NewGenericServerResponse`.
    pub fn from_code(code: u16) -> Self {
        let (reason, message) = match code {
            400 => (
                "BadRequest",
                "the server rejected our request for an unknown reason",
            ),
            401 => (
                "Unauthorized",
                "the server has asked for the client to provide credentials",
            ),
            403 => ("Forbidden", "forbidden"),
            404 => (
                "NotFound",
                "the server could not find the requested resource",
            ),
            405 => (
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            ),
            409 => ("Conflict", "the server reported a conflict"),
            410 => ("Expired", "too old resource version"),
            422 => (
                "Invalid",
                "the server rejected our request due to an error in our request",
            ),
            429 => (
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
            ),
            503 => (
                "ServiceUnavailable",
                "the server is currently unable to handle the request",
            ),
            504 => (
                "Timeout",
                "the server was unable to return a response in the time allotted, but may still be processing the request",
            ),
            _ => (
                "InternalError",
                "an error on the server has prevented the request from succeeding",
            ),
        };
        Self::new(code, reason, message.to_owned(), Value::Null)
    }

    /// No such object (`NewNotFound`).
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(
            404,
            "NotFound",
            format!("{} \"{name}\" not found", resource.qualified()),
            details(resource.group, resource.plural, name),
        )
    }

    /// A failure without a reason, as Go errors that are no `StatusError` become.
    pub fn unreasoned(message: impl Into<String>) -> Self {
        Self::new(500, "", message.into(), Value::Null)
    }

    /// No such path.
    pub fn no_such_path() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource".to_owned(),
            json!({}),
        )
    }

    /// The name is taken (`NewAlreadyExists`).
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        Self::new(
            409,
            "AlreadyExists",
            format!("{} \"{name}\" already exists", resource.qualified()),
            details(resource.group, resource.plural, name),
        )
    }

    /// `resourceVersion` is not the stored one (`OptimisticLockErrorMsg`).
    pub fn modified(resource: &Resource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// Can't be done with the object as it is (`NewConflict`).
    pub fn conflict(resource: &Resource, name: &str, cause: &str) -> Self {
        Self::new(
            409,
            "Conflict",
            format!(
                "Operation cannot be fulfilled on {} \"{name}\": {cause}",
                resource.qualified()
            ),
            details(resource.group, resource.plural, name),
        )
    }

    /// A replacement that carries another object's `uid` (Go `Preconditions.Check`, as
    /// `NewInvalidObjError` of the storage words it).
    pub fn other_uid(
        resource: &Resource,
        namespace: &str,
        name: &str,
        want: &str,
        have: &str,
    ) -> Self {
        let group = if resource.custom { resource.group } else { "" };
        let place: Vec<&str> = [group, resource.plural, namespace, name]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        Self::conflict(
            resource,
            name,
            &format!(
                "StorageError: invalid object, Code: 4, Key: /registry/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {want}, UID in object meta: {have}",
                place.join("/")
            ),
        )
    }

    /// A precondition of a delete that doesn't hold (`BeforeDelete`, which puts the kind in the
    /// resource's place). `field` is `UID` or `ResourceVersion`.
    pub fn precondition(
        resource: &Resource,
        name: &str,
        field: &str,
        want: &str,
        have: &str,
    ) -> Self {
        let end = if field == "UID" {
            "deleted and then recreated"
        } else {
            "modified"
        };
        Self::new(
            409,
            "Conflict",
            format!(
                "Operation cannot be fulfilled on {} \"{name}\": the {field} in the precondition ({want}) does not match the {field} in record ({have}). The object might have been {end}",
                resource.qualified_kind()
            ),
            details(resource.group, resource.kind, name),
        )
    }

    /// An object that breaks one rule (`NewInvalid` of a single cause).
    pub fn invalid(resource: &Resource, name: &str, cause: &InvalidField<'_>) -> Self {
        Self::invalid_kind(resource.group, resource.kind, name, cause)
    }

    /// [`invalid`](Self::invalid) for something that is no stored object, like `ListOptions`.
    pub fn invalid_kind(group: &str, kind: &str, name: &str, cause: &InvalidField<'_>) -> Self {
        let qualified = if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        };
        let body = cause.body();
        let mut all = details(group, kind, name);
        if let Some(map) = all.as_object_mut() {
            map.insert(
                "causes".to_owned(),
                json!([{"reason": cause.reason, "message": body, "field": cause.field}]),
            );
        }
        Self::new(
            422,
            "Invalid",
            format!("{qualified} \"{name}\" is invalid: {}: {body}", cause.field),
            all,
        )
    }

    /// The request can't be understood (`NewBadRequest`).
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message.into(), Value::Null)
    }

    /// A JSON patch that can't be applied, a failing `test` among them: the real server keeps the
    /// cause to itself.
    pub fn patch_failed() -> Self {
        Self::new(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request".to_owned(),
            json!({}),
        )
    }

    /// Not allowed for this user (`NewForbidden` with the words of the RBAC authorizer).
    pub fn forbidden(
        resource: &Resource,
        verb: &str,
        namespace: &str,
        name: &str,
        user: &str,
    ) -> Self {
        let target = resource.qualified();
        let named = if name.is_empty() {
            target
        } else {
            format!("{target} \"{name}\"")
        };
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        Self::new(
            403,
            "Forbidden",
            format!(
                "{named} is forbidden: User \"{user}\" cannot {verb} resource \"{}\" in API group \"{}\" {place}",
                resource.plural, resource.group
            ),
            details(resource.group, resource.plural, name),
        )
    }

    /// The verb doesn't exist here.
    pub fn method_not_allowed() -> Self {
        let mut status = Self::from_code(405);
        status.details = json!({});
        status
    }

    /// The body's type is not accepted; `accepted` are those that are.
    pub fn unsupported_media_type(accepted: &str) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {accepted}"
            ),
            json!({}),
        )
    }

    /// The body is longer than `limit` bytes.
    pub fn too_long(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
            json!({}),
        )
    }

    /// A JSON patch of `found` operations, where `limit` are allowed.
    pub fn too_many_operations(limit: usize, found: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!(
                "Request entity too large: The allowed maximum operations in a JSON patch is {limit}, got {found}"
            ),
            Value::Null,
        )
    }

    /// History before this has been thrown away (`NewResourceExpired`).
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message.into(), Value::Null)
    }

    /// A `resourceVersion` that is still to come (`NewTooLargeResourceVersionError`).
    pub fn too_large(wanted: u64, current: u64) -> Self {
        Self::new(
            504,
            "Timeout",
            format!("Timeout: Too large resource version: {wanted}, current: {current}"),
            json!({
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1,
            }),
        )
    }
}

fn details(group: &str, kind: &str, name: &str) -> Value {
    let mut map = serde_json::Map::new();
    for (key, value) in [("group", group), ("kind", kind), ("name", name)] {
        if !value.is_empty() {
            map.insert(key.to_owned(), Value::from(value));
        }
    }
    Value::Object(map)
}
