//! Folders of the checkout, copied to where they may be changed.

use std::fs;
use std::path::Path;

use crate::error::Error;

/// Copies a file, or a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    if from.is_dir() {
        fs::create_dir_all(to).map_err(Error::file("create", to))?;
        for item in fs::read_dir(from).map_err(Error::file("read", from))? {
            let item = item.map_err(Error::file("read", from))?;
            copy(&item.path(), &to.join(item.file_name()))?;
        }
        return Ok(());
    }
    fs::copy(from, to)
        .map(drop)
        .map_err(Error::file("copy", from))
}
