//! What makes a shipped file the same bytes wherever and whenever it is built: no paths, no times, no flags of the user's.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;
use crate::run;

/// The variables that would add to or take the place of [`flags`].
const FLAGS_OF_USERS: [&str; 3] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
];

/// Lets `cargo` compile for `target` so that the file names no folder of this machine.
pub(crate) fn compile(cargo: &mut Command, target: &str) {
    for variable in FLAGS_OF_USERS {
        cargo.env_remove(variable);
    }
    let name = target.to_uppercase().replace('-', "_");
    cargo.env(format!("CARGO_TARGET_{name}_RUSTFLAGS"), flags());
    // C in dependencies.
    let maps =
        folders().map(|(folder, name)| format!("-ffile-prefix-map={}={name}", folder.display()));
    cargo.env(
        format!("CFLAGS_{}", target.replace('-', "_")),
        maps.join(" "),
    );
}

/// For the compiler. The last that fits a path counts, and the target folder is often below the root.
fn flags() -> String {
    let maps =
        folders().map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()));
    maps.join(" ")
}

/// The folders that a build has paths of, and the names that they get.
fn folders() -> [(PathBuf, &'static str); 3] {
    [
        (cargo_home(), "cargo"),
        (run::root(), "serin"),
        (run::target(), "target"),
    ]
}

/// Where cargo keeps what it downloads.
pub(crate) fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    )
}

/// When what is built was made, in seconds since 1970: `SOURCE_DATE_EPOCH`, else the last commit's time, else none.
pub(crate) fn made() -> Result<Option<i64>, Failure> {
    if let Some(set) = std::env::var_os("SOURCE_DATE_EPOCH") {
        let text = set.to_string_lossy().into_owned();
        return match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => Err(Failure::Epoch { found: text }),
        };
    }
    let told = Command::new("git")
        .current_dir(run::root())
        .args(["log", "-1", "--format=%ct"])
        .output();
    // Sources out of an archive have no commits.
    Ok(told
        .ok()
        .filter(|told| told.status.success())
        .and_then(|told| String::from_utf8_lossy(&told.stdout).trim().parse().ok()))
}
