//! What is in our images: the plugin for each kind of machine, and the filter's module as Istio's agent looks for it.

use std::collections::HashMap;
use std::io;

use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, Os, PlatformBuilder, RootFsBuilder,
};

use oci_spec::OciSpecError;

use crate::archive::{self, Entry};
use crate::layout::{Blobs, Layout, digest_of};

/// Where the plugin is in its image.
const PROGRAM: &str = "serin";
/// The user of the Argo controller's own image (argo-rollouts v1.10.1 `Dockerfile`). A number, so that a kubelet can prove
/// `runAsNonRoot`.
const USER: &str = "999";
/// The file that Istio's agent looks for, by its base name, in the topmost layer (istio 1.29.1 `pkg/wasm/imagefetcher.go`,
/// `extractWasmPluginBinary`).
const MODULE: &str = "plugin.wasm";
/// Where images have the licences of what is in them.
const LICENCES: &str = "licenses/";

/// What is said of an image in its annotations.
#[derive(Debug, Clone)]
pub struct About {
    /// One line.
    pub title: &'static str,
    /// A sentence.
    pub description: &'static str,
    /// The release.
    pub version: String,
    /// Where the sources are, if that is known.
    pub source: Option<String>,
    /// When it was made, as in `SOURCE_DATE_EPOCH`.
    pub created: Option<jiff::Timestamp>,
}

impl About {
    fn annotations(&self) -> HashMap<String, String> {
        let created = self.created.map(|time| time.to_string());
        let said = [
            ("title", Some(self.title.to_owned())),
            ("description", Some(self.description.to_owned())),
            ("version", Some(self.version.clone())),
            ("licenses", Some("Apache-2.0".to_owned())),
            ("source", self.source.clone()),
            ("created", created),
        ];
        said.into_iter()
            .filter_map(|(name, value)| Some((format!("org.opencontainers.image.{name}"), value?)))
            .collect()
    }
}

/// Licence texts by file name.
pub type Licences = [(String, Vec<u8>)];

/// The plugin's image: an index of one image for each kind of machine, each of one layer with the program.
pub fn plugin(
    about: &About,
    programs: &[(Arch, Vec<u8>)],
    licences: &Licences,
) -> Result<Layout, OciSpecError> {
    let mut blobs = Blobs::default();
    let mut manifests = Vec::new();
    for (arch, program) in programs {
        let run = ConfigBuilder::default()
            .user(USER)
            .entrypoint([format!("/{PROGRAM}")])
            .working_dir("/")
            .build()?;
        let file = Entry {
            path: PROGRAM,
            executable: true,
            content: program,
        };
        let mut manifest = image(&mut blobs, about, arch, Some(run), file, licences)?;
        let platform = PlatformBuilder::default()
            .architecture(arch.clone())
            .os(Os::Linux)
            .build()?;
        manifest.set_platform(Some(platform));
        manifests.push(manifest);
    }
    let index = ImageIndexBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .annotations(about.annotations())
        .build()?;
    let top = blobs.add_json(MediaType::ImageIndex, &index)?;
    Ok(Layout::new(blobs, top))
}

/// A module's image in the form that Istio calls "compat": one layer, which has the module.
///
/// It has to name a kind of machine. Image tools and kubelets take the one that they run on or amd64; a module runs on any.
pub fn module(about: &About, module: &[u8], licences: &Licences) -> Result<Layout, OciSpecError> {
    let mut blobs = Blobs::default();
    let file = Entry {
        path: MODULE,
        executable: false,
        content: module,
    };
    let top = image(&mut blobs, about, &Arch::Amd64, None, file, licences)?;
    Ok(Layout::new(blobs, top))
}

/// Adds an image of one layer, `file` first in it, and returns what names its manifest.
fn image(
    blobs: &mut Blobs,
    about: &About,
    arch: &Arch,
    run: Option<oci_spec::image::Config>,
    file: Entry<'_>,
    licences: &Licences,
) -> Result<Descriptor, OciSpecError> {
    let tar = layer(file, licences)?;
    let root = RootFsBuilder::default()
        .typ("layers")
        .diff_ids([digest_of(&tar)])
        .build()?;
    let mut config = ImageConfigurationBuilder::default()
        .architecture(arch.clone())
        .os(Os::Linux)
        .rootfs(root)
        .build()?;
    config.set_config(run);
    config.set_created(about.created.map(|time| time.to_string()));
    let config = blobs.add_json(MediaType::ImageConfig, &config)?;
    let layer = blobs.add(MediaType::ImageLayerGzip, archive::gzip(&tar)?)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers([layer])
        .annotations(about.annotations())
        .build()?;
    blobs.add_json(MediaType::ImageManifest, &manifest)
}

fn layer(file: Entry<'_>, licences: &Licences) -> io::Result<Vec<u8>> {
    let names: Vec<_> = licences
        .iter()
        .map(|(name, _)| format!("{LICENCES}{name}"))
        .collect();
    let text = |path, content| Entry {
        path,
        executable: false,
        content,
    };
    let mut entries = vec![file];
    if !licences.is_empty() {
        entries.push(text(LICENCES, &[]));
    }
    for (name, (_, content)) in names.iter().zip(licences) {
        entries.push(text(name, content));
    }
    archive::tar(&entries)
}

#[cfg(test)]
mod tests;
