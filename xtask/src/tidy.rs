//! The house rules that no compiler checks: module docs, no machine's paths, and documents whose paths and links lead to
//! files that exist.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::{checkout, run};

/// The document whose paths are checked.
const MAP: &str = "ARCHITECTURE.md";

/// The documents whose links are checked.
const README: &str = "README.md";

/// Folders at the root that belong to one machine. Joined here so that this file keeps its own rule.
const MACHINE: &[&[&str]] = &[
    &["/wo", "rk/"],
    &["/ro", "ot/"],
    &["/ho", "me/"],
    &["/tm", "p/"],
];

pub(crate) fn run() -> Result<(), Failure> {
    let root = run::root();
    let mut broken = Vec::new();
    for file in &checkout::files()? {
        // Binary files and files that are deleted but not yet committed have no lines to check.
        let Ok(text) = fs::read_to_string(root.join(file)) else {
            continue;
        };
        broken.extend(rules(file, &text));
        if file == MAP {
            broken.extend(paths(&root, &text));
        }
        if Path::new(file).file_name() == Some(OsStr::new(README)) {
            broken.extend(links(&root, file, &text));
        }
    }
    for line in &broken {
        eprintln!("    {line}");
    }
    match broken.len() {
        0 => Ok(()),
        broken => Err(Failure::Tidy { broken }),
    }
}

/// The broken rules of one file, as `file:line: what`.
fn rules(file: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let extension = Path::new(file).extension().and_then(|end| end.to_str());
    if extension == Some("rs") && !text.starts_with("//!") {
        broken.push(format!("{file}:1: no module doc (`//!`) on the first line"));
    }
    if matches!(extension, Some("lock" | "sum")) {
        return broken;
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(folder) = MACHINE
            .iter()
            .map(|parts| parts.concat())
            .find(|folder| names(line, folder))
        {
            broken.push(format!(
                "{file}:{}: names {folder}, a path of one machine",
                number + 1
            ));
        }
    }
    broken
}

/// True if `line` has `folder` at the start of an absolute path, not in the middle of a longer one.
fn names(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        !before.is_some_and(|end| {
            end.is_alphanumeric() || matches!(end, '.' | '_' | '-' | '}' | '~' | '*')
        })
    })
}

/// The paths in back-quotes in `text` that don't exist under `root`.
fn paths(root: &Path, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for quoted in line.split('`').skip(1).step_by(2) {
            if is_path(quoted) && !root.join(quoted.trim_end_matches('/')).exists() {
                broken.push(format!("{MAP}:{}: {quoted} doesn't exist", number + 1));
            }
        }
    }
    broken
}

/// The relative links of the document `file` that lead nowhere.
fn links(root: &Path, file: &str, text: &str) -> Vec<String> {
    let folder = root
        .join(file)
        .parent()
        .map_or(root.to_path_buf(), Path::to_path_buf);
    let mut broken = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for link in line.split("](").skip(1) {
            let target = link.split([')', ' ']).next().unwrap_or_default();
            // The part after `#` is a place in the file.
            let path = target.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if !elsewhere && !folder.join(path).exists() {
                broken.push(format!(
                    "{file}:{}: the link to {target} leads nowhere",
                    number + 1
                ));
            }
        }
    }
    broken
}

/// True for what is meant as a path of this checkout: a folder below the root, no pattern, nothing that is built.
fn is_path(quoted: &str) -> bool {
    let ours = [
        "crates/",
        "envoy-filter/",
        "rollout-plugin/",
        "manifests/",
        "tests/",
        "xtask/",
        "docs/",
        ".ci/",
    ];
    ours.iter().any(|start| quoted.starts_with(start))
        && !quoted.contains(|letter: char| letter.is_whitespace() || "*<>{}".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rust_file_without_a_module_doc_is_named() {
        let broken = rules("a/b.rs", "use std::fs;\n");
        assert_eq!(
            broken,
            ["a/b.rs:1: no module doc (`//!`) on the first line"]
        );
    }

    #[test]
    fn a_machine_path_is_named_with_its_line() {
        let text = format!("ok\nsee {}/x\n", "/ro".to_owned() + "ot");
        assert_eq!(rules("a.md", &text).len(), 1, "{text}");
        assert!(rules("a.md", &text)[0].starts_with("a.md:2:"));
    }

    #[test]
    fn a_folder_of_that_name_inside_a_path_is_fine() {
        let text = format!(
            "tests{}x and ${{HERE}}{}y",
            "/tm".to_owned() + "p/",
            "/wo".to_owned() + "rk/"
        );
        assert_eq!(rules("a.md", &text), Vec::<String>::new());
    }

    #[test]
    fn a_missing_path_of_the_map_is_named() {
        let broken = paths(
            &run::root(),
            "see `xtask/src/tidy.rs`, `xtask/src/gone.rs`, `tests/e2e/<scenario>/`\n",
        );
        assert_eq!(
            broken,
            ["ARCHITECTURE.md:1: xtask/src/gone.rs doesn't exist"]
        );
    }

    #[test]
    fn a_link_of_a_readme_that_leads_nowhere_is_named() {
        let text = "[a](xtask/src/tidy.rs#x) [b](gone.md#y) [c](https://example.com/d)\n[e](#here) [f](no/where)\n";
        assert_eq!(
            links(&run::root(), "README.md", text),
            [
                "README.md:1: the link to gone.md#y leads nowhere",
                "README.md:2: the link to no/where leads nowhere",
            ]
        );
    }

    #[test]
    fn a_link_starts_at_its_documents_folder() {
        let text = "[a](../README.md) [b](README.md)\n";
        assert_eq!(
            links(&run::root(), "xtask/README.md", text),
            ["xtask/README.md:1: the link to README.md leads nowhere"]
        );
    }
}
