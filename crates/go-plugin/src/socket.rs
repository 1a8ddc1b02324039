//! The unix socket, in a folder of its own that only we may enter, and that goes when we go.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use thiserror::Error;
use tokio::net::UnixListener;

/// Why there is no socket.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The folder could not be made.
    #[error("making a folder for the socket in {dir:?}")]
    Folder {
        /// Where.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket could not be made.
    #[error("listening at {path:?}")]
    Listen {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A listening socket. Dropped, it takes its folder with it.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
    _folder: TempDir,
}

impl Socket {
    /// Listens in a new folder (mode 0700) under `dir`, or under the system's folder for
    /// temporary files.
    pub(crate) fn listen(dir: Option<PathBuf>) -> Result<Self, SocketError> {
        let dir = dir.unwrap_or_else(std::env::temp_dir);
        // A short name: the whole path may have 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix("plugin")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&dir)
            .map_err(|source| SocketError::Folder { dir, source })?;
        let path = folder.path().join("rpc");
        let listener = UnixListener::bind(&path).map_err(|source| SocketError::Listen {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            listener,
            path,
            _folder: folder,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_folder_is_private_and_goes_with_the_socket() {
        let socket = Socket::listen(None).unwrap();
        let folder = socket.path().parent().unwrap().to_owned();
        let mode = folder.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(socket);
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn a_missing_folder_is_named() {
        let error = Socket::listen(Some("/nowhere/at/all".into())).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
