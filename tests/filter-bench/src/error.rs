//! Why there are no figures.

use std::io;
use std::path::PathBuf;

use testbed::envoy::EnvoyError;

/// What went wrong, in one sentence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Envoy.
    #[error(transparent)]
    Envoy(#[from] EnvoyError),
    /// A file.
    #[error("cannot use {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The content of a file of `/proc`.
    #[error("{}: found {found:?}, expected {expected}", path.display())]
    Unreadable {
        path: PathBuf,
        found: String,
        expected: &'static str,
    },
    /// A connection to Envoy.
    #[error("{listener}: the connection broke")]
    Connection {
        listener: String,
        #[source]
        source: io::Error,
    },
    /// Not the answer that the case is about.
    #[error("{listener}: found the answer {found:?}, expected 200 with the body {expected:?}")]
    Answer {
        listener: String,
        found: String,
        expected: String,
    },
    /// A configuration that Envoy has not taken.
    #[error("{what}: not within {seconds} s; envoy's log ends with:\n{log}")]
    Late {
        what: &'static str,
        seconds: u64,
        log: String,
    },
    /// Envoy has not taken what was published.
    #[error(
        "envoy has taken {found} configurations and refused {refused}, expected {expected} and none"
    )]
    Changes {
        found: u64,
        refused: u64,
        expected: u64,
    },
    /// The module.
    #[error("{}: not a WebAssembly module", path.display())]
    Module { path: PathBuf },
}

impl Failure {
    /// For `map_err`, about the file at `path`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// For `map_err`, about a connection to `listener`.
    pub(crate) fn connection(listener: &str) -> impl Fn(io::Error) -> Self + use<> {
        let listener = listener.to_owned();
        move |source| Self::Connection {
            listener: listener.clone(),
            source,
        }
    }
}
