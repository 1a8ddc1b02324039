//! Carries out one write of the core.

use std::fmt::Debug;

use json_patch::jsonptr::PointerBuf;
use json_patch::{PatchOperation, ReplaceOperation};
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde_json::Value;
use tracing::info;

use crate::cluster::cache::{answered, api};
use crate::cluster::decode::{Body, Specified};
use crate::cluster::error::status_code;
use crate::cluster::{Cluster, ClusterError};
use crate::core::diff::spec_patch;
use crate::core::plan::Write;
use crate::object::{Object, ObjectId};

/// Who wrote, in the objects' `managedFields` and the API server's audit log.
const FIELD_MANAGER: &str = "serin";

/// How a write ended.
#[derive(Debug)]
pub enum Written {
    /// It is in the API server, and in the cache.
    Done,
    /// The object has changed since it was read; the cache now has what the API server has.
    Overtaken,
    /// No answer: it may have happened or not. The cache now has what the API server has.
    Unanswered(ClusterError),
}

impl Cluster {
    /// Sends `write`, and takes the answer into the cache.
    ///
    /// # Errors
    /// The API server's refusal; the object is then as it was.
    pub async fn carry_out(&self, write: &Write) -> Result<Written, ClusterError> {
        match write {
            Write::Spec { object, spec } => self.replace_spec(object, spec).await,
            Write::Policy { object, patch } => self.merge(object, patch).await,
        }
    }

    /// Asks the API server whether it would take `policy`, and changes nothing.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn rehearse(&self, policy: &Write) -> Result<(), ClusterError> {
        let Write::Policy { object, patch } = policy else {
            return Ok(());
        };
        let params = PatchParams {
            dry_run: true,
            ..params()
        };
        match self.request(object, &params, &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(ClusterError::of_write(object, error)),
        }
    }

    async fn replace_spec(&self, object: &Object, spec: &Value) -> Result<Written, ClusterError> {
        let patch = guarded(object, spec);
        let result = self.patch(&object.id, &patch).await;
        self.judge(&object.id, Some(&object.resource_version), result)
            .await
    }

    async fn merge(&self, object: &ObjectId, patch: &Value) -> Result<Written, ClusterError> {
        let result = self.patch(object, &Patch::Merge(patch)).await;
        self.judge(object, None, result).await
    }

    /// Tells a lost race from a refusal. `based_on`: the version that the patch was made for, where it was guarded.
    async fn judge(
        &self,
        object: &ObjectId,
        based_on: Option<&str>,
        result: Result<(), kube::Error>,
    ) -> Result<Written, ClusterError> {
        let Err(error) = result else {
            return Ok(Written::Done);
        };
        let lost = match status_code(&error) {
            None | Some(409) => true,
            // A patch applies before its guard is checked, so against a shorter list it fails as 422 first.
            Some(422) => based_on.is_some(),
            Some(_) => false,
        };
        let is_answered = status_code(&error).is_some();
        let error = ClusterError::of_write(object, error);
        if !lost || self.cache.refresh(object).await.is_err() {
            return Err(error);
        }
        if !is_answered {
            return Ok(Written::Unanswered(error));
        }
        let now = self.cache.get(object).await?;
        if now.is_some_and(|now| Some(&*now.resource_version) == based_on) {
            return Err(error);
        }
        Ok(Written::Overtaken)
    }

    async fn patch<P: Serialize + Debug>(
        &self,
        object: &ObjectId,
        patch: &Patch<P>,
    ) -> Result<(), kube::Error> {
        let answer = self.request(object, &params(), patch).await?;
        info!(%object, "patched");
        self.cache.written(answer.object(object.kind));
        Ok(())
    }

    /// One request. An object that turns out to be gone leaves the cache.
    async fn request<P: Serialize + Debug>(
        &self,
        object: &ObjectId,
        params: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<Specified, kube::Error> {
        let api = api(self.clients.of(object.kind), object.kind, &object.namespace);
        let answer = answered(api.patch(&object.name, params, patch)).await;
        if let Err(error) = &answer
            && status_code(error) == Some(404)
        {
            self.cache.forget(object);
        }
        answer
    }
}

/// A JSON patch of what differs, behind a `replace` of the resourceVersion that was read: were it a `test`, a lost race
/// would be a 422 like any malformed patch, while this one is a 409.
fn guarded(object: &Object, spec: &Value) -> Patch<()> {
    let version = PointerBuf::from_tokens(["metadata", "resourceVersion"]);
    let guard = ReplaceOperation {
        path: version,
        value: Value::from(&*object.resource_version),
    };
    let mut operations = spec_patch(object, spec);
    operations.insert(0, PatchOperation::Replace(guard));
    Patch::Json(json_patch::Patch(operations))
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}
