//! What can go wrong in a check.

use std::path::PathBuf;

/// Why a check has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program can't be started.
    #[error("cannot start `{command}`: {source}")]
    Start {
        command: String,
        source: std::io::Error,
    },
    /// A program has failed.
    #[error("`{command}` ended with {status}:\n{output}")]
    Program {
        command: String,
        status: std::process::ExitStatus,
        output: String,
    },
    /// A program has succeeded where it should not have.
    #[error("`{command}` succeeded, expected {expected}:\n{output}")]
    Succeeded {
        command: String,
        expected: String,
        output: String,
    },
    /// A file can't be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// What a program has printed is not what it should have.
    #[error("{what}: {fault}")]
    Output { what: String, fault: String },
    /// Rules are broken; each is a line.
    #[error("{}", .0.join("\n"))]
    Broken(Vec<String>),
}

impl Error {
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
