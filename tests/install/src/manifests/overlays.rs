//! The overlays of `manifests/`, rendered by kubectl's kustomize.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::word;
use crate::error::Error;
use crate::files::copy;
use crate::tool;

/// Where Argo Rollouts' own manifests are, as the overlay that renders all in one names them. A copy of the same version
/// takes its place, since nothing is fetched here.
const REMOTE: &str =
    "https://github.com/argoproj/argo-rollouts/manifests/cluster-install?ref=v1.10.1";
/// The overlay that names them.
const WITH_ARGO: &str = "overlays/with-argo-rollouts/argo-rollouts/kustomization.yaml";

/// A copy of `manifests/`, which goes when it is dropped.
pub(crate) struct Overlays {
    folder: TempDir,
}

/// What an overlay is made into.
pub(crate) struct Rendered {
    /// The overlay's name.
    pub(crate) name: String,
    /// As printed.
    pub(crate) text: String,
    /// The objects in it.
    pub(crate) objects: Vec<Value>,
}

impl Overlays {
    /// Copies the manifests, and Argo's beside them.
    pub(crate) fn copy(checkout: &Path, argo_rollouts: &Path) -> Result<Self, Error> {
        let folder = tempfile::tempdir().map_err(Error::file("create", "a temporary folder"))?;
        let own = Self { folder };
        copy(
            &checkout.join("manifests"),
            &own.folder.path().join("serin"),
        )?;
        copy(&argo_rollouts.join("manifests"), &own.argo_rollouts())?;
        let path = own.path(WITH_ARGO);
        let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        if !text.contains(REMOTE) {
            return Err(Error::Output {
                what: format!("manifests/{WITH_ARGO}"),
                fault: format!("expected the resource {REMOTE}"),
            });
        }
        let text = text.replace(REMOTE, "../../../../argo-rollouts/cluster-install");
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        Ok(own)
    }

    /// A file or folder of the copy.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("serin").join(name)
    }

    fn argo_rollouts(&self) -> PathBuf {
        self.folder.path().join("argo-rollouts")
    }

    /// Argo Rollouts as its own manifests install it, in its namespace.
    pub(crate) fn plain_argo_rollouts(&self) -> Result<Rendered, Error> {
        render(&self.path("overlays/with-argo-rollouts/argo-rollouts"))
    }

    /// Every overlay.
    pub(crate) fn render(&self) -> Result<Vec<Rendered>, Error> {
        let folder = self.path("overlays");
        let mut folders: Vec<PathBuf> = fs::read_dir(&folder)
            .map_err(Error::file("read", &folder))?
            .filter_map(|item| item.ok().map(|item| item.path()))
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        folders.iter().map(|path| render(path)).collect()
    }
}

/// Renders one folder.
pub(crate) fn render(folder: &Path) -> Result<Rendered, Error> {
    let text = tool::run("kubectl", &["kustomize", &word(folder)], None)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Rendered::new(&name, text)
}

impl Rendered {
    /// What is in `text`.
    pub(crate) fn new(name: &str, text: String) -> Result<Self, Error> {
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(&text).map_err(|fault| Error::Output {
                what: format!("{name}, rendered"),
                fault: fault.to_string(),
            })?;
        Ok(Self {
            name: name.to_owned(),
            text,
            objects: objects.into_iter().filter(Value::is_object).collect(),
        })
    }

    /// True if it has an object of this kind.
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.objects.iter().any(|object| object["kind"] == kind)
    }

    /// True if it is for objects of Argo Rollouts that exist.
    pub(crate) fn names_argo_rollouts(&self) -> bool {
        self.has("Deployment")
    }
}
