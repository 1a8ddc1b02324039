//! The patch types that the server accepts.
//!
//! JSON patch (RFC 6902) and merge patch (RFC 7396). Strategic merge needs the patch strategies of
//! each built-in type, and server-side apply needs a record of who owns which field: neither can be
//! right without the schemas, so both are refused with `415`.

use serde_json::Value;

use super::status::Status;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// A patch, decoded.
#[derive(Debug, Clone)]
pub(super) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
}

impl Patch {
    pub(super) fn parse(content_type: &str, body: &[u8]) -> Result<Self, Status> {
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
                "{JSON_PATCH}, {MERGE_PATCH}"
            ))),
        }
    }

    /// The object that the patch makes of `object`.
    pub(super) fn apply(&self, object: &Value) -> Result<Value, Status> {
        let mut patched = object.clone();
        match self {
            // Without undo: a failed attempt is thrown away whole.
            Self::Json(patch) => json_patch::patch_unsafe(&mut patched, patch)
                .map_err(|_cause| Status::patch_failed())?,
            Self::Merge(merge) => json_patch::merge(&mut patched, merge),
        }
        if patched.is_object() {
            Ok(patched)
        } else {
            Err(Status::patch_failed())
        }
    }
}
