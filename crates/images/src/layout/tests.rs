//! An image's file, read back whole or not at all.

use super::*;
use crate::image::{self, About};

/// The image of a module.
pub(crate) fn module() -> Layout {
    let about = About {
        title: "Serin's filter",
        description: "A module",
        version: "1.2.3".to_owned(),
        source: None,
        created: None,
    };
    image::module(&about, b"\0asm", &[]).unwrap()
}

/// The names and contents in the tar at `path`.
fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let content = fs::read(path).unwrap();
    let mut archive = tar::Archive::new(content.as_slice());
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        })
        .collect()
}

/// Writes a tar of these to `path`.
fn put(path: &Path, entries: &[(String, Vec<u8>)]) {
    let entries: Vec<_> = entries
        .iter()
        .map(|(name, content)| Entry {
            path: name,
            executable: false,
            content,
        })
        .collect();
    fs::write(path, archive::tar(&entries).unwrap()).unwrap();
}

#[test]
fn an_image_comes_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.oci.tar");
    let image = module();
    image.write(&path, "1.2.3").unwrap();
    assert_eq!(Layout::read(&path).unwrap(), image);
    let first = fs::read(&path).unwrap();
    image.write(&path, "1.2.3").unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
}

#[test]
fn readers_find_marker_index_and_tag() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.oci.tar");
    module().write(&path, "1.2.3").unwrap();
    let entries = entries(&path);
    let content = |name: &str| {
        let found = entries.iter().find(|(found, _)| found == name).unwrap();
        serde_json::from_slice::<serde_json::Value>(&found.1).unwrap()
    };
    assert_eq!(
        content("oci-layout"),
        serde_json::json!({"imageLayoutVersion": "1.0.0"})
    );
    let top = &content("index.json")["manifests"][0];
    assert_eq!(top["annotations"][REF_NAME], "1.2.3");
    assert_eq!(top["digest"], module().top().digest().to_string());
}

#[test]
fn a_broken_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.oci.tar");
    let refused = || Layout::read(&path).unwrap_err().to_string();
    assert!(refused().contains("cannot read"), "{}", refused());
    module().write(&path, "1.2.3").unwrap();
    let whole = entries(&path);
    for (name, _) in whole.iter().filter(|(name, _)| !name.ends_with('/')) {
        if name == "oci-layout" {
            continue;
        }
        let without: Vec<_> = whole
            .iter()
            .filter(|(other, _)| other != name)
            .cloned()
            .collect();
        put(&path, &without);
        assert!(refused().contains("a.oci.tar"), "{name}: {}", refused());
        let mut changed = whole.clone();
        for (other, content) in &mut changed {
            if other == name {
                content.push(b'x');
            }
        }
        put(&path, &changed);
        let expected = if name == "index.json" {
            name
        } else {
            "found content with the sum"
        };
        assert!(refused().contains(expected), "{name}: {}", refused());
    }
}
