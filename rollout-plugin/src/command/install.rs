//! `serin install DIR`: an init container's way to hand the plugin to the controller. The image has no shell and no `cp`,
//! so the program copies itself.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The file's name in the folder, whatever this program's own file is called.
const NAME: &str = "serin";
/// The controller runs as another user than root, and starts a copy of the file.
const MODE: u32 = 0o755;

/// Why the program could not be installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// Nothing is mounted there.
    #[error(
        "{} doesn't exist, expected a folder: mount a volume there that the controller's container mounts too",
        .0.display()
    )]
    Missing(PathBuf),
    /// A file has been named.
    #[error("{} is not a folder, expected the folder to install into", .0.display())]
    NotAFolder(PathBuf),
    /// The folder can't be looked at.
    #[error("cannot look at {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The program's own file can't be read.
    #[error("cannot read this program's own file: {0}")]
    Own(io::Error),
    /// The folder takes no file.
    #[error("cannot write {}: {source}; {}", path.display(), expected(source))]
    Write { path: PathBuf, source: io::Error },
}

/// What the folder has to be for a write that ended in `error` to succeed.
fn expected(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            "expected a volume that is mounted without readOnly".to_owned()
        }
        ErrorKind::PermissionDenied => {
            // The owner of a process's folder in /proc is its user.
            let user = fs::metadata("/proc/self")
                .map_or("this user".to_owned(), |own| own.uid().to_string());
            format!(
                "expected a folder that user {user} may write, such as an emptyDir volume, or one with an fsGroup"
            )
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "expected space for this program's file beside the one that it replaces".to_owned()
        }
        _ => format!("expected a folder that takes a file named {NAME}"),
    }
}

/// Copies this program to `folder/serin` and returns what to say of it.
///
/// The copy is written beside its place and renamed, so that a controller that starts meanwhile finds the old file or the
/// new one, whole. A second run replaces the file.
pub(crate) fn install(folder: &Path) -> Result<String, InstallError> {
    let own = std::env::current_exe().map_err(InstallError::Own)?;
    let (place, size) = install_from(&own, folder)?;
    Ok(format!(
        "installed {NAME} {} for {}, {size} bytes: {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        place.display()
    ))
}

/// The file's place and size.
fn install_from(program: &Path, folder: &Path) -> Result<(PathBuf, u64), InstallError> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(InstallError::NotAFolder(folder.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(InstallError::Missing(folder.to_owned()));
        }
        Err(source) => {
            return Err(InstallError::Unreadable {
                path: folder.to_owned(),
                source,
            });
        }
    }
    let mut from = File::open(program).map_err(InstallError::Own)?;
    let place = folder.join(NAME);
    let beside = folder.join(beside());
    let written = write(&mut from, &beside).and_then(|size| {
        fs::rename(&beside, &place)?;
        // Some file systems of volumes can't sync a folder; the file itself is written.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(size)
    });
    match written {
        Ok(size) => Ok((place, size)),
        Err(source) => {
            // The first error is the one to report.
            let _ = fs::remove_file(&beside);
            Err(InstallError::Write {
                path: place,
                source,
            })
        }
    }
}

/// A name that no other writer of a shared folder takes: in a container every first process has the same number.
fn beside() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!(".{NAME}.new-{}-{}", std::process::id(), since.as_nanos())
}

fn write(from: &mut File, to: &Path) -> io::Result<u64> {
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(to)?;
    let size = io::copy(from, &mut new)?;
    // Whatever the umask is.
    new.set_permissions(Permissions::from_mode(MODE))?;
    new.sync_all()?;
    Ok(size)
}

#[cfg(test)]
mod tests;
