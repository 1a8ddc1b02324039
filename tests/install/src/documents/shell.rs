//! A reader's shell: each block is a program of its own, which begins with the variables and functions, and in the folder, that
//! the one before has left. The first command that fails ends a block.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::error::Error;

/// After so many seconds a block is ended.
const LIMIT: &str = "300";
/// Around a block: $1 is the file with the variables, $2 the block.
const AROUND: &str = r#"set -euo pipefail
set -a
. "$1"
trap 'code=$?; { export -p; declare -f; printf "cd %q\n" "$PWD"; } > "$1"; exit $code' EXIT
. "$2"
"#;

/// A folder of its own, and what blocks leave for each other.
pub(super) struct Shell {
    folder: TempDir,
    state: TempDir,
}

/// How a block has ended.
pub(super) struct Ended {
    pub(super) code: i32,
    /// Both of its outputs.
    pub(super) output: String,
}

impl Shell {
    pub(super) fn new() -> Result<Self, Error> {
        let make = || tempfile::tempdir().map_err(Error::file("create", "a temporary folder"));
        let own = Self {
            folder: make()?,
            state: make()?,
        };
        write(&own.variables(), "")?;
        Ok(own)
    }

    /// Where the reader is.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn variables(&self) -> PathBuf {
        self.state.path().join("variables")
    }

    /// Runs a block to its end.
    pub(super) fn run(&self, script: &str) -> Result<Ended, Error> {
        let (block, output) = (
            self.state.path().join("block"),
            self.state.path().join("output"),
        );
        write(&block, script)?;
        let file = fs::File::create(&output).map_err(Error::file("create", &output))?;
        let again = file.try_clone().map_err(Error::file("open", &output))?;
        let status = Command::new("timeout")
            .args([LIMIT, "bash", "-c", AROUND, "bash"])
            .arg(self.variables())
            .arg(&block)
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(again)
            .status()
            .map_err(|source| Error::Start {
                command: "timeout bash".to_owned(),
                source,
            })?;
        let bytes = fs::read(&output).map_err(Error::file("read", &output))?;
        Ok(Ended {
            code: status.code().unwrap_or(-1),
            output: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_the_folder_stay_from_block_to_block() {
        let shell = Shell::new().unwrap();
        let script = "A='x y'\nf() { echo \"f $1\"; }\nmkdir sub\ncd sub";
        let first = shell.run(script).unwrap();
        assert_eq!(first.code, 0, "{}", first.output);
        let second = shell.run("echo \"$A\" \"${PWD##*/}\"\nf g").unwrap();
        assert_eq!(second.output, "x y sub\nf g\n");
    }

    #[test]
    fn the_first_command_that_fails_ends_a_block() {
        let shell = Shell::new().unwrap();
        let ended = shell.run("echo a\nfalse\necho b").unwrap();
        assert_eq!((ended.code, ended.output.as_str()), (1, "a\n"));
        let ended = shell.run("false | cat\necho b").unwrap();
        assert_eq!(ended.code, 1);
    }
}
