//! The failures of server-side apply.

use serde_json::{Value, json};

use super::{InvalidField, Status};
use crate::apiserver::resource::Resource;

impl Status {
    /// Other managers own fields that would change (`NewApplyConflict`). `causes` are manager and
    /// path of each.
    pub fn apply_conflict(message: String, causes: &[(&str, &str)]) -> Self {
        let causes: Vec<Value> = causes
            .iter()
            .map(|(manager, path)| {
                json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with {manager}"),
                    "field": path,
                })
            })
            .collect();
        Self::new(409, "Conflict", message, json!({"causes": causes}))
    }

    /// An apply that names the `uid` of an object, where there is none.
    pub fn no_object_of_uid(resource: &Resource, name: &str, uid: &str) -> Self {
        Self::conflict(
            resource,
            name,
            &format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            ),
        )
    }

    /// A parameter of a patch that breaks a rule (`ValidatePatchOptions`).
    pub fn invalid_patch_options(cause: &InvalidField<'_>) -> Self {
        Self::invalid_kind("meta.k8s.io", "PatchOptions", "", cause)
    }
}
