//! What readers look for in our images, and that nothing in them depends on when or where they were made.

use std::io::Read;

use oci_spec::image::{ImageConfiguration, ImageManifest};

use super::*;

fn about() -> About {
    About {
        title: "Serin",
        description: "A plugin",
        version: "1.2.3".to_owned(),
        source: Some("https://example.com/serin".to_owned()),
        created: Some(jiff::Timestamp::from_second(1_000_000_000).unwrap()),
    }
}

fn licences() -> Vec<(String, Vec<u8>)> {
    vec![("LICENSE".to_owned(), b"text".to_vec())]
}

fn programs() -> [(Arch, Vec<u8>); 2] {
    [
        (Arch::Amd64, b"for amd64".to_vec()),
        (Arch::ARM64, b"for arm64".to_vec()),
    ]
}

/// Names, modes and contents of the only layer; its uncompressed bytes' digest has to be the configuration's.
fn files(layout: &Layout, manifest: &ImageManifest) -> Vec<(String, u32, Vec<u8>)> {
    let [layer] = manifest.layers().as_slice() else {
        panic!("{:?}", manifest.layers());
    };
    assert_eq!(*layer.media_type(), MediaType::ImageLayerGzip);
    let zipped = layout.blob(layer.digest()).unwrap();
    assert_eq!(layer.size(), zipped.len() as u64);
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(zipped)
        .read_to_end(&mut tar)
        .unwrap();
    let diffs = config(layout, manifest).rootfs().diff_ids().clone();
    assert_eq!(diffs, [digest_of(&tar)]);
    let mut archive = tar::Archive::new(tar.as_slice());
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let path = entry.path().unwrap().display().to_string();
            (path, entry.header().mode().unwrap(), content)
        })
        .collect()
}

fn config(layout: &Layout, manifest: &ImageManifest) -> ImageConfiguration {
    let content = layout.blob(manifest.config().digest()).unwrap();
    ImageConfiguration::from_reader(content).unwrap()
}

#[test]
fn the_plugins_image_is_one_program_for_each_kind_of_machine() {
    let layout = plugin(&about(), &programs(), &licences()).unwrap();
    assert_eq!(*layout.top().media_type(), MediaType::ImageIndex);
    let manifests = layout.manifests().unwrap();
    for ((descriptor, manifest), (arch, program)) in manifests.iter().zip(programs()) {
        let platform = descriptor.platform().as_ref().unwrap();
        assert_eq!(
            (platform.architecture(), platform.os()),
            (&arch, &Os::Linux)
        );
        let config = config(&layout, manifest);
        assert_eq!(*config.architecture(), arch);
        let run = config.config().as_ref().unwrap();
        assert_eq!(run.user().as_deref(), Some("999"));
        assert_eq!(run.entrypoint(), &Some(vec!["/serin".to_owned()]));
        assert_eq!(
            files(&layout, manifest),
            [
                ("serin".to_owned(), 0o755, program),
                ("licenses/".to_owned(), 0o755, Vec::new()),
                ("licenses/LICENSE".to_owned(), 0o644, b"text".to_vec()),
            ]
        );
    }
    assert_eq!(manifests.len(), 2);
}

/// As istio 1.29.1 `pkg/wasm/imagefetcher.go` reads it (`extractOCIStandardImage`).
#[test]
fn a_modules_image_is_one_layer_that_begins_with_the_module() {
    let layout = module(&about(), b"\0asm", &licences()).unwrap();
    assert_eq!(*layout.top().media_type(), MediaType::ImageManifest);
    let manifests = layout.manifests().unwrap();
    let [(descriptor, manifest)] = manifests.as_slice() else {
        panic!("{manifests:?}");
    };
    assert_eq!(descriptor, layout.top());
    let files = files(&layout, manifest);
    assert_eq!(
        files.first(),
        Some(&("plugin.wasm".to_owned(), 0o644, b"\0asm".to_vec()))
    );
}

#[test]
fn annotations_say_what_is_known() {
    let said = about().annotations();
    let said = |name: &str| {
        said.get(&format!("org.opencontainers.image.{name}"))
            .cloned()
    };
    for (name, value) in [
        ("version", "1.2.3"),
        ("source", "https://example.com/serin"),
        ("licenses", "Apache-2.0"),
        ("created", "2001-09-09T01:46:40Z"),
    ] {
        assert_eq!(said(name).as_deref(), Some(value), "{name}");
    }
    let unknown = About {
        source: None,
        created: None,
        ..about()
    };
    let names: Vec<_> = unknown.annotations().into_keys().collect();
    assert!(
        !names
            .iter()
            .any(|name| name.ends_with("source") || name.ends_with("created")),
        "{names:?}"
    );
}

/// Maps without an order are drawn anew each time, so a dozen would show one.
#[test]
fn the_same_files_make_the_same_image() {
    let first = plugin(&about(), &programs(), &licences()).unwrap();
    for _ in 0..12 {
        assert_eq!(plugin(&about(), &programs(), &licences()).unwrap(), first);
    }
    let other = plugin(&about(), &programs(), &[]).unwrap();
    assert_ne!(other.top().digest(), first.top().digest());
}
