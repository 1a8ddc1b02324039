//! Folders that take the program and folders that don't.

use super::*;

/// An empty folder that goes with its guard.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("serin-install-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn the_file_is_this_program_and_can_be_started() {
    let folder = Folder::new("copy");
    let said = install(&folder.0).unwrap();
    let place = folder.0.join("serin");
    assert!(said.ends_with(&place.display().to_string()), "{said}");
    let own = fs::read(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(fs::read(&place).unwrap(), own);
    assert_eq!(fs::metadata(&place).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(folder.names(), ["serin"]);
}

#[test]
fn a_second_run_replaces_a_file_that_is_open() {
    let folder = Folder::new("again");
    let place = folder.0.join("serin");
    fs::write(&place, "an older one").unwrap();
    let old = File::open(&place).unwrap();
    install(&folder.0).unwrap();
    assert_eq!(io::read_to_string(old).unwrap(), "an older one");
    assert_eq!(folder.names(), ["serin"]);
}

#[test]
fn what_is_no_folder_is_named() {
    let folder = Folder::new("faults");
    let missing = folder.0.join("plugins");
    let error = install(&missing).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{} doesn't exist", missing.display())),
        "{error}"
    );
    let file = folder.0.join("file");
    fs::write(&file, "").unwrap();
    let error = install(&file).unwrap_err().to_string();
    assert!(error.contains("is not a folder"), "{error}");
    let error = install(&file.join("below")).unwrap_err().to_string();
    assert!(error.contains("cannot look at"), "{error}");
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let folder = Folder::new("taken");
    fs::create_dir(folder.0.join("serin")).unwrap();
    let error = install(&folder.0).unwrap_err().to_string();
    assert!(error.contains("takes a file named serin"), "{error}");
    assert_eq!(folder.names(), ["serin"]);
}

#[test]
fn an_error_says_what_the_volume_has_to_be() {
    for (kind, expected) in [
        (ErrorKind::ReadOnlyFilesystem, "without readOnly"),
        (ErrorKind::PermissionDenied, "may write"),
        (ErrorKind::StorageFull, "space for"),
    ] {
        let error = InstallError::Write {
            path: PathBuf::from("/plugins/serin"),
            source: kind.into(),
        };
        let line = error.to_string();
        assert!(line.contains("/plugins/serin"), "{line}");
        assert!(line.contains(expected), "{line}");
    }
}
