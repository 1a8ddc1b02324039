//! The patch types that the server accepts.
//!
//! JSON patch (RFC 6902), merge patch (RFC 7396) and server-side apply, which `apply.rs` carries out.
//! Strategic merge needs the patch strategies of each built-in type and is refused with `415`.

use std::borrow::Cow;
use std::slice;

use json_patch::jsonptr::Pointer;
use json_patch::{AddOperation, PatchOperation};
use serde_json::Value;

use super::status::Status;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// How many operations a JSON patch may have (k8s.io/apiserver v0.36.3 `handlers.maxJSONPatchOperations`).
const MAX_OPERATIONS: usize = 10_000;

/// A patch, decoded.
#[derive(Debug, Clone)]
pub(super) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
}

/// The body of a patch request.
#[derive(Debug, Clone)]
pub(super) enum Body<'a> {
    /// Changes the object that is there.
    Patch(Patch),
    /// Server-side apply, not read yet: the real server looks for the object first.
    Apply(&'a [u8]),
}

impl<'a> Body<'a> {
    pub(super) fn parse(content_type: &str, body: &'a [u8]) -> Result<Self, Status> {
        match content_type {
            APPLY_PATCH => Ok(Self::Apply(body)),
            _ => Patch::parse(content_type, body).map(Self::Patch),
        }
    }
}

impl Patch {
    fn parse(content_type: &str, body: &[u8]) -> Result<Self, Status> {
        let unreadable = |found: serde_json::Error| {
            Status::bad_request(format!("error decoding patch: {found}"))
        };
        match content_type {
            JSON_PATCH => serde_json::from_slice(body)
                .map(Self::Json)
                .map_err(unreadable),
            MERGE_PATCH => {
                let merge: Value = serde_json::from_slice(body).map_err(unreadable)?;
                if merge.is_object() {
                    Ok(Self::Merge(merge))
                } else {
                    Err(Status::bad_request(format!(
                        "error decoding patch: found {merge}, expected an object"
                    )))
                }
            }
            _ => Err(Status::unsupported_media_type(&format!(
                "{JSON_PATCH}, {MERGE_PATCH}, {APPLY_PATCH}"
            ))),
        }
    }

    /// The object that the patch makes of `object`.
    pub(super) fn apply(&self, object: &Value) -> Result<Value, Status> {
        let mut patched = object.clone();
        match self {
            Self::Json(patch) => {
                if patch.0.len() > MAX_OPERATIONS {
                    return Err(Status::too_many_operations(MAX_OPERATIONS, patch.0.len()));
                }
                for operation in &patch.0 {
                    let Some(operation) = as_go_does(operation, &patched) else {
                        continue;
                    };
                    // Without undo: a failed attempt is thrown away whole.
                    json_patch::patch_unsafe(&mut patched, slice::from_ref(&*operation))
                        .map_err(|_cause| Status::patch_failed())?;
                }
            }
            Self::Merge(merge) => json_patch::merge(&mut patched, merge),
        }
        if patched.is_object() {
            Ok(patched)
        } else {
            Err(Status::patch_failed())
        }
    }
}

/// Where Go's library (`gopkg.in/evanphx/json-patch.v4`) departs from RFC 6902: `replace` of a
/// missing key adds it, and a missing key passes a `test` for null.
fn as_go_does<'a>(operation: &'a PatchOperation, to: &Value) -> Option<Cow<'a, PatchOperation>> {
    let missing = |path: &Pointer| {
        let parent = path.parent().and_then(|at| at.resolve(to).ok());
        path.resolve(to).is_err() && parent.is_some_and(Value::is_object)
    };
    match operation {
        PatchOperation::Replace(replace) if missing(&replace.path) => {
            Some(Cow::Owned(PatchOperation::Add(AddOperation {
                path: replace.path.clone(),
                value: replace.value.clone(),
            })))
        }
        PatchOperation::Test(test) if test.value.is_null() && missing(&test.path) => None,
        _ => Some(Cow::Borrowed(operation)),
    }
}
