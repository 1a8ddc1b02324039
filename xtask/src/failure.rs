//! What can go wrong in a command, and the one thing to do about it.

use std::path::PathBuf;

/// A command's failure; `Display` says what happened, [`Failure::next`] what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A program that the command calls isn't on the PATH.
    #[error("the program `{program}` is needed {purpose} and isn't on the PATH")]
    Missing {
        program: &'static str,
        purpose: &'static str,
        next: &'static str,
    },
    /// A program ran and reported failure.
    #[error("`{command}` failed with {status}")]
    Program {
        command: String,
        status: std::process::ExitStatus,
        next: String,
    },
    /// A program could not be started.
    #[error("`{command}` could not be started")]
    Start {
        command: String,
        #[source]
        source: std::io::Error,
    },
    /// A file could not be read, written or moved.
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// House rules are broken; each has been printed.
    #[error("{broken} house rules are broken")]
    Tidy { broken: usize },
    /// The filter's module is not what Envoy needs.
    #[error(transparent)]
    Module(#[from] crate::wasm::ModuleFault),
    /// The plugin can't be started in the official image.
    #[error("{} can't be started in the official image", path.display())]
    NotStatic {
        path: PathBuf,
        #[source]
        fault: crate::plugin::Fault,
    },
    /// The plugin isn't shipped for this machine.
    #[error("found a machine of the kind {found}, expected x86_64 or aarch64")]
    Machine { found: &'static str },
    /// The folders of programs can't be put on the PATH.
    #[error("a program's folder can't be put on the PATH: {fault}")]
    Path { fault: String },
    /// A long check was named that doesn't exist.
    #[error("found {found:?}, expected one of: {known}")]
    NoCheck { found: String, known: String },
    /// Long checks have failed; what each said has been printed.
    #[error("{} failed", failed.join(", "))]
    Checks { failed: Vec<&'static str> },
    /// A check has found something else than it should.
    #[error("{what}: found {found}, expected {expected}")]
    Wrong {
        what: String,
        found: String,
        expected: String,
        next: &'static str,
    },
    /// What is to be pushed isn't what `dist --all` has left.
    #[error("{} is not what `cargo xtask dist --all` leaves", path.display())]
    NoDist { path: PathBuf },
    /// A time that is none.
    #[error("SOURCE_DATE_EPOCH: found {found:?}, expected seconds since 1970")]
    Epoch { found: String },
    /// A path was expected where something else was found.
    #[error("{} is not there after the build", path.display())]
    NotBuilt { path: PathBuf },
}

impl Failure {
    /// The one thing to do next.
    pub(crate) fn next(&self) -> String {
        match self {
            Self::Missing { next, .. } | Self::Wrong { next, .. } => (*next).to_owned(),
            Self::Program { next, .. } => next.clone(),
            Self::Start { .. } => {
                "check that the program is installed and may be executed".to_owned()
            }
            Self::File { path, .. } => format!("check space and permissions of {}", path.display()),
            Self::Tidy { .. } => {
                "mend the lines above, then run `cargo xtask lint` again".to_owned()
            }
            Self::Module(_) => {
                "compare the exports of envoy-filter/src/host/envoy.rs with xtask/src/wasm.rs"
                    .to_owned()
            }
            Self::NotStatic { .. } => {
                "look for a library in the plugin's dependencies that links against one of the system"
                    .to_owned()
            }
            Self::NoDist { .. } => "run `cargo xtask dist --all` first".to_owned(),
            Self::Epoch { .. } => "set it to a number, or to nothing at all".to_owned(),
            Self::Machine { .. } => "run it on such a machine".to_owned(),
            Self::Path { .. } => "set SERIN_CACHE to a folder without a colon in its path".to_owned(),
            Self::NoCheck { .. } => "see `cargo xtask e2e --long --help`".to_owned(),
            Self::Checks { .. } => "run the first of them alone: `cargo xtask e2e --long NAME`".to_owned(),
            Self::NotBuilt { .. } => "read the build's output above".to_owned(),
        }
    }

    /// For `map_err`: names what was being done to which file.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}
