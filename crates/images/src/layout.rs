//! One image as one file: an OCI image layout in a tar, which `skopeo`, `podman` and `docker load` read (as
//! `oci-archive:`), and `crane push` once it is unpacked.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::image::{
    Descriptor, DescriptorBuilder, Digest, ImageIndex, ImageIndexBuilder, ImageManifest, MediaType,
    OciLayoutBuilder,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::archive::{self, Entry};

/// Under this annotation readers of a layout look for an image's tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A file that is no image of ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The file can't be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file of the layout is missing.
    #[error("{} has no {name}, expected an OCI image layout in a tar", path.display())]
    Missing {
        /// The image's file.
        path: PathBuf,
        /// The name in it.
        name: String,
    },
    /// The content of a blob isn't what its name says.
    #[error("{}: {name}: found content with the sum {found}", path.display())]
    Sum {
        /// The image's file.
        path: PathBuf,
        /// The name in it.
        name: String,
        /// The sum of what is there.
        found: String,
    },
    /// A manifest or an index is not JSON of its kind.
    #[error("{}: {name}: {source}", path.display())]
    Json {
        /// The image's file.
        path: PathBuf,
        /// The name in it.
        name: String,
        /// What is wrong.
        source: OciSpecError,
    },
}

/// An image: its blobs by digest, and the manifest or index at its top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    blobs: BTreeMap<String, Vec<u8>>,
    top: Descriptor,
}

impl Layout {
    /// An image that has a manifest at its top.
    pub fn new(blobs: Blobs, top: Descriptor) -> Self {
        Self {
            blobs: blobs.0,
            top,
        }
    }

    /// The manifest or index that a tag names.
    pub fn top(&self) -> &Descriptor {
        &self.top
    }

    /// The content with this digest.
    pub fn blob(&self, digest: &Digest) -> Option<&[u8]> {
        self.blobs.get(digest.as_ref()).map(Vec::as_slice)
    }

    /// The image's manifests by kind of machine: one for each that the index names, else the only one.
    pub fn manifests(&self) -> Result<Vec<(Descriptor, ImageManifest)>, OciSpecError> {
        let descriptors = if *self.top.media_type() == MediaType::ImageIndex {
            ImageIndex::from_reader(self.content(&self.top))?
                .manifests()
                .clone()
        } else {
            vec![self.top.clone()]
        };
        descriptors
            .into_iter()
            .map(|descriptor| {
                let manifest = ImageManifest::from_reader(self.content(&descriptor))?;
                Ok((descriptor, manifest))
            })
            .collect()
    }

    /// The content that a descriptor names; nothing, which no reader takes, if it isn't there.
    fn content(&self, descriptor: &Descriptor) -> &[u8] {
        self.blob(descriptor.digest()).unwrap_or_default()
    }

    /// Writes the image to the file `path`, as `tag`.
    pub fn write(&self, path: &Path, tag: &str) -> Result<(), LayoutError> {
        let file = |source| LayoutError::File {
            action: "write",
            path: path.to_owned(),
            source,
        };
        let content = self.bytes(tag).map_err(io::Error::other).map_err(file)?;
        fs::write(path, content).map_err(file)
    }

    fn bytes(&self, tag: &str) -> Result<Vec<u8>, OciSpecError> {
        let marker = OciLayoutBuilder::default()
            .image_layout_version("1.0.0")
            .build()?;
        let mut top = self.top.clone();
        top.set_annotations(Some([(REF_NAME.to_owned(), tag.to_owned())].into()));
        let index = ImageIndexBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageIndex)
            .manifests([top])
            .build()?;
        let (marker, index) = (json(&marker)?, json(&index)?);
        let names: Vec<_> = self.blobs.keys().map(|digest| blob_name(digest)).collect();
        let file = |path, content| Entry {
            path,
            executable: false,
            content,
        };
        let mut entries = vec![
            file("oci-layout", marker.as_slice()),
            file("index.json", &index),
            file("blobs/", b""),
            file("blobs/sha256/", b""),
        ];
        for (name, content) in names.iter().zip(self.blobs.values()) {
            entries.push(file(name, content));
        }
        Ok(archive::tar(&entries)?)
    }

    /// Reads what [`Layout::write`] has written; a blob whose content isn't what its name says is an error.
    pub fn read(path: &Path) -> Result<Self, LayoutError> {
        let file = |source| LayoutError::File {
            action: "read",
            path: path.to_owned(),
            source,
        };
        let (mut index, mut blobs) = (None, BTreeMap::new());
        let content = fs::read(path).map_err(file)?;
        let mut archive = tar::Archive::new(content.as_slice());
        for entry in archive.entries().map_err(file)? {
            let mut entry = entry.map_err(file)?;
            let name = entry.path().map_err(file)?.display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(file)?;
            if name == "index.json" {
                index = Some(content);
            } else if let Some(hex) = name
                .strip_prefix("blobs/sha256/")
                .filter(|hex| !hex.is_empty())
            {
                let (digest, found) = (format!("sha256:{hex}"), digest_of(&content));
                if digest != found {
                    return Err(LayoutError::Sum {
                        path: path.to_owned(),
                        name,
                        found,
                    });
                }
                blobs.insert(digest, content);
            }
        }
        let missing = |name: String| LayoutError::Missing {
            path: path.to_owned(),
            name,
        };
        let index = index.ok_or_else(|| missing("index.json".to_owned()))?;
        let index =
            ImageIndex::from_reader(index.as_slice()).map_err(|source| LayoutError::Json {
                path: path.to_owned(),
                name: "index.json".to_owned(),
                source,
            })?;
        let mut top = index
            .manifests()
            .first()
            .ok_or_else(|| missing("manifest in index.json".to_owned()))?
            .clone();
        top.set_annotations(None);
        let layout = Self { blobs, top };
        layout.check(path)?;
        Ok(layout)
    }

    /// An error unless all that the image names is there.
    fn check(&self, path: &Path) -> Result<(), LayoutError> {
        let manifests = self.manifests().map_err(|source| LayoutError::Json {
            path: path.to_owned(),
            name: blob_name(self.top.digest().as_ref()),
            source,
        })?;
        for (_, manifest) in manifests {
            for part in manifest.layers().iter().chain([manifest.config()]) {
                if self.blob(part.digest()).is_none() {
                    return Err(LayoutError::Missing {
                        path: path.to_owned(),
                        name: blob_name(part.digest().as_ref()),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The blobs of an image that is being made.
#[derive(Debug, Default)]
pub struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    /// Adds `content` and returns what names it.
    pub fn add(
        &mut self,
        media_type: MediaType,
        content: Vec<u8>,
    ) -> Result<Descriptor, OciSpecError> {
        let digest = digest_of(&content);
        let descriptor = DescriptorBuilder::default()
            .media_type(media_type)
            .digest(Digest::try_from(digest.as_str())?)
            .size(content.len() as u64)
            .build()?;
        self.0.insert(digest, content);
        Ok(descriptor)
    }

    /// As [`Blobs::add`], of JSON.
    pub fn add_json(
        &mut self,
        media_type: MediaType,
        content: &impl Serialize,
    ) -> Result<Descriptor, OciSpecError> {
        self.add(media_type, json(content)?)
    }
}

/// JSON with its keys in order: `oci-spec` keeps annotations in maps without one.
fn json(content: &impl Serialize) -> Result<Vec<u8>, OciSpecError> {
    let mut value = serde_json::to_value(content)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}

fn blob_name(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// `sha256:` and the sum's digits.
pub fn digest_of(content: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut digest = "sha256:".to_owned();
    for byte in Sha256::digest(content) {
        // Writing to a String can't fail.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

#[cfg(test)]
pub(crate) mod tests;
