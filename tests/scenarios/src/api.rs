//! The cluster's API, object by object as JSON: the harness reads and writes kinds that it need not know.

use std::path::Path;

use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    PropagationPolicy,
};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::{Discovery, Scope};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::RwLock;

use crate::error::Error;

/// The field manager of what the harness applies: the user's hand.
const MANAGER: &str = "serin-e2e";

/// `apiVersion` and `kind`.
pub type Kind = (&'static str, &'static str);

pub(crate) const ROLLOUT: Kind = ("argoproj.io/v1alpha1", "Rollout");
pub(crate) const VIRTUAL_SERVICE: Kind = ("networking.istio.io/v1", "VirtualService");
pub(crate) const EVENT: Kind = ("v1", "Event");
/// What has to be there before anything else of its group.
pub const CRD: Kind = ("apiextensions.k8s.io/v1", "CustomResourceDefinition");

/// A client and what it has found out about the cluster's kinds.
pub struct Cluster {
    client: Client,
    kinds: RwLock<Discovery>,
}

impl Cluster {
    /// Knows no kinds before [`Cluster::discover`].
    pub fn new(client: Client) -> Self {
        let kinds = RwLock::new(Discovery::new(client.clone()));
        Self { client, kinds }
    }

    /// The client, for typed access.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Reads the kinds that the cluster has now.
    pub async fn discover(&self) -> Result<(), Error> {
        let found = Discovery::new(self.client.clone())
            .run_aggregated()
            .await
            .map_err(api("discover", "the cluster's kinds".to_owned()))?;
        *self.kinds.write().await = found;
        Ok(())
    }

    /// Applies an object as a user does (server-side apply); `namespace` is for objects that name none.
    pub async fn apply(&self, object: &Value, namespace: Option<&str>) -> Result<(), Error> {
        let mut object: DynamicObject =
            serde_json::from_value(object.clone()).map_err(|_| Error::Lacks {
                object: excerpt(object),
                field: "metadata",
            })?;
        let types = object.types.clone().unwrap_or_default();
        let name = object.metadata.name.clone().ok_or(Error::Lacks {
            object: types.kind.clone(),
            field: "metadata.name",
        })?;
        if object.metadata.namespace.is_none() {
            object.metadata.namespace = namespace.map(str::to_owned);
        }
        let (interface, namespaced) = self
            .interface(&types, object.metadata.namespace.as_deref())
            .await?;
        if !namespaced {
            object.metadata.namespace = None;
        }
        interface
            .patch(
                &name,
                &PatchParams::apply(MANAGER).force(),
                &Patch::Apply(&object),
            )
            .await
            .map_err(api("apply", format!("{} {name}", types.kind)))?;
        Ok(())
    }

    /// Reads an object.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Value, Error> {
        let (interface, _) = self.interface(&types(kind), Some(namespace)).await?;
        let object = interface
            .get(name)
            .await
            .map_err(api("get", format!("{} {namespace}/{name}", kind.1)))?;
        Ok(serde_json::to_value(object).unwrap_or_default())
    }

    /// Reads all objects of a kind, in one namespace or in all.
    pub async fn list(&self, kind: Kind, namespace: Option<&str>) -> Result<Vec<Value>, Error> {
        let (interface, _) = self.interface(&types(kind), namespace).await?;
        let objects = interface
            .list(&ListParams::default())
            .await
            .map_err(api("list", kind.1.to_owned()))?;
        Ok(objects
            .items
            .into_iter()
            .filter_map(|object| serde_json::to_value(object).ok())
            .collect())
    }

    /// Changes an object by a merge patch, its status if `status` is set.
    pub(crate) async fn merge(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &Value,
        status: bool,
    ) -> Result<(), Error> {
        let (interface, _) = self.interface(&types(kind), Some(namespace)).await?;
        let patch = Patch::Merge(patch);
        let parameters = PatchParams::default();
        let changed = if status {
            interface.patch_status(name, &parameters, &patch).await
        } else {
            interface.patch(name, &parameters, &patch).await
        };
        changed.map_err(api("patch", format!("{} {namespace}/{name}", kind.1)))?;
        Ok(())
    }

    /// Writes an object that was read, unless somebody has written it since. Its resourceVersion after that.
    pub(crate) async fn replace(&self, kind: Kind, object: &Value) -> Result<String, Error> {
        let object: DynamicObject =
            serde_json::from_value(object.clone()).map_err(|_| Error::Lacks {
                object: excerpt(object),
                field: "metadata",
            })?;
        let name = object.metadata.name.clone().unwrap_or_default();
        let namespace = object.metadata.namespace.as_deref();
        let (interface, _) = self.interface(&types(kind), namespace).await?;
        let written = interface
            .replace(&name, &PostParams::default(), &object)
            .await
            .map_err(api("replace", format!("{} {name}", kind.1)))?;
        Ok(written.metadata.resource_version.unwrap_or_default())
    }

    /// Deletes an object.
    pub(crate) async fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<(), Error> {
        self.delete_with(kind, namespace, name, &DeleteParams::default())
            .await
    }

    /// Deletes an object and leaves what it owns.
    pub(crate) async fn orphan(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<(), Error> {
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Orphan),
            ..DeleteParams::default()
        };
        self.delete_with(kind, namespace, name, &parameters).await
    }

    async fn delete_with(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        parameters: &DeleteParams,
    ) -> Result<(), Error> {
        let (interface, _) = self.interface(&types(kind), Some(namespace)).await?;
        interface
            .delete(name, parameters)
            .await
            .map_err(api("delete", format!("{} {namespace}/{name}", kind.1)))?;
        Ok(())
    }

    /// The interface for a kind, and whether its objects have a namespace.
    async fn interface(
        &self,
        types: &TypeMeta,
        namespace: Option<&str>,
    ) -> Result<(Api<DynamicObject>, bool), Error> {
        let unknown = || Error::Kind {
            api_version: types.api_version.clone(),
            kind: types.kind.clone(),
        };
        let kind = GroupVersionKind::try_from(types).map_err(|_| unknown())?;
        if (types.api_version.as_str(), types.kind.as_str()) == CRD {
            // Known in every cluster, and what has to be applied before discovery is of use.
            let resource = ApiResource::from_gvk(&kind);
            return Ok((Api::all_with(self.client.clone(), &resource), false));
        }
        let kinds = self.kinds.read().await;
        let (resource, capabilities) = kinds.resolve_gvk(&kind).ok_or_else(unknown)?;
        let client = self.client.clone();
        Ok(match (capabilities.scope, namespace) {
            (Scope::Namespaced, Some(namespace)) => {
                (Api::namespaced_with(client, namespace, &resource), true)
            }
            (Scope::Namespaced, None) => (Api::all_with(client, &resource), true),
            (Scope::Cluster, _) => (Api::all_with(client, &resource), false),
        })
    }
}

/// What a JSON pointer leads to in an object; null where there is nothing.
pub(crate) fn at<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer).unwrap_or(&Value::Null)
}

/// The documents of a YAML file.
pub fn read_yaml(path: &Path) -> Result<Vec<Value>, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|source| Error::Yaml {
            path: path.to_path_buf(),
            source: Box::new(source),
        })?;
    Ok(documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect())
}

fn types((api_version, kind): Kind) -> TypeMeta {
    TypeMeta {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    }
}

fn api(verb: &'static str, object: String) -> impl FnOnce(kube::Error) -> Error {
    move |source| Error::Api {
        verb,
        object,
        source: Box::new(source),
    }
}

fn excerpt(object: &Value) -> String {
    object.to_string().chars().take(120).collect()
}
