//! What can keep the demo from running. A story that doesn't go as told is no error but a failed check.

use std::io::ErrorKind;
use std::path::PathBuf;

use testbed::apiserver::Status;
use testbed::embedded::EmbeddedError;

/// What stopped the demo.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Ctrl-C and the like.
    #[error("interrupted")]
    Interrupted,
    /// There are no threads to run on.
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
    /// Nobody would clear up.
    #[error("cannot start a second process of the demo")]
    Guard(#[source] std::io::Error),
    /// There is no cluster.
    #[error("cannot start the embedded cluster")]
    Cluster(#[from] EmbeddedError),
    /// The page has no port.
    #[error("cannot serve the page on 127.0.0.1:{port}")]
    Port {
        port: u16,
        #[source]
        source: std::io::Error,
    },
    /// Working files have no place.
    #[error("cannot make a temporary folder")]
    Folder(#[source] std::io::Error),
    /// A file that was told on the command line isn't there.
    #[error("{flag} names {}, which is no file", path.display())]
    NoFile { flag: &'static str, path: PathBuf },
    /// A file that was told on the command line is something else.
    #[error("--module names {}, which is no WebAssembly module", path.display())]
    NoModule { path: PathBuf },
    /// One of the demo's own manifests.
    #[error("the demo's manifest {name} is not valid YAML")]
    Manifest {
        name: &'static str,
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// The embedded API server refused an object.
    #[error("the API server refused {object}: {}", status.message)]
    Refused { object: String, status: Box<Status> },
}

impl Error {
    /// The one thing to do next.
    pub(crate) fn next(&self) -> &'static str {
        match self {
            Self::Interrupted => "start it again",
            Self::Cluster(_) => {
                "start it with `cargo xtask demo`, which builds what it needs; what is named above isn't that"
            }
            Self::Port { source, .. } if source.kind() == ErrorKind::AddrInUse => {
                "another program has the port: choose one with --port, or leave the flag out"
            }
            Self::Port { .. } => "choose another port with --port, or leave the flag out",
            Self::Runtime(_) | Self::Guard(_) => {
                "check how many processes, threads and files this user may have"
            }
            Self::Folder(_) => "check space and permissions of the temporary folder (TMPDIR)",
            Self::NoFile { .. } | Self::NoModule { .. } => {
                "start it with `cargo xtask demo`, which builds what it needs"
            }
            Self::Manifest { .. } | Self::Refused { .. } => "mend crates/demo/resources",
        }
    }
}
