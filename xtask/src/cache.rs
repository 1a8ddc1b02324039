//! The cache outside the checkout: what is built or fetched once per machine and survives `cargo clean`.
//!
//! An entry is a folder that appears whole (built beside its place, then renamed) and never changes; whoever makes it
//! holds the entry's lock file meanwhile, so two runs at once never build the same thing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// `$SERIN_CACHE`, else `$XDG_CACHE_HOME/serin`, else `~/.cache/serin`; the checkout's target folder where there is no home.
pub(crate) fn folder() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("SERIN_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("serin")))
        .or_else(|| set("HOME").map(|home| home.join(".cache").join("serin")))
        .unwrap_or_else(|| crate::run::target().join("cache"))
}

/// The entry `name`, made by `fill` (given an empty folder to fill) if it isn't there yet.
///
/// A second caller waits for the first and then finds the entry.
pub(crate) fn entry(
    name: &str,
    fill: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let place = folder().join(name);
    if place.is_dir() {
        return Ok(place);
    }
    let parent = folder();
    fs::create_dir_all(&parent).map_err(Failure::file("create", &parent))?;
    let lock_path = parent.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).map_err(Failure::file("create", &lock_path))?;
    if lock.try_lock().is_err() {
        eprintln!("    waiting for another run that is making {name}");
        lock.lock().map_err(Failure::file("lock", &lock_path))?;
    }
    if place.is_dir() {
        return Ok(place);
    }
    // Under the lock: whatever is here was left by a run that was killed.
    let building = parent.join(format!("{name}.building"));
    if building.exists() {
        fs::remove_dir_all(&building).map_err(Failure::file("remove", &building))?;
    }
    fs::create_dir(&building).map_err(Failure::file("create", &building))?;
    let made = fill(&building);
    if made.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&building);
    }
    made?;
    fs::rename(&building, &place).map_err(Failure::file("move into place", &place))?;
    Ok(place)
}
