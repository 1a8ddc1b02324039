//! Clears up after a demo that had no time to do it itself: Envoys don't notice that their parent is gone.
//!
//! The guard is this program once more, in a process group of its own, where no Ctrl-C reaches it. It waits for the end
//! of its standard input, which the demo holds open for as long as it lives.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The first argument that makes a process a guard; the second is the folder.
const WORD: &str = "guard";

/// A guard on duty. Dropped after everything else, it finds nothing to do.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    /// Starts one for the processes that name `folder` on their command line, and for the folder.
    pub(crate) fn start(folder: &Path) -> io::Result<Self> {
        let guard = Command::new(std::env::current_exe()?)
            .arg(WORD)
            .arg(folder)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()?;
        Ok(Self(guard))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Its input ends with this; an error means that it has gone already.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// If this process is a guard: does its duty.
pub(crate) fn duty() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let folder = arguments.next()?;
    // However it ends, nobody holds it open any more.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let folder = Path::new(&folder);
    // Also where somebody else has removed the folder: its name is nobody else's.
    for process in processes_of(folder) {
        // One that has ended meanwhile needs no end.
        let _ = kill_process(process, Signal::KILL);
    }
    // Usually it has gone. Files of a process that is just ending may come in between; a few files stay then.
    let _ = std::fs::remove_dir_all(folder);
    Some(ExitCode::SUCCESS)
}

/// The other processes that name the folder on their command line.
fn processes_of(folder: &Path) -> Vec<Pid> {
    let folder = folder.to_string_lossy();
    let own = rustix::process::getpid();
    let Ok(all) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    all.filter_map(|item| {
        let item = item.ok()?;
        let process = Pid::from_raw(item.file_name().to_str()?.parse().ok()?)?;
        let line = std::fs::read(item.path().join("cmdline")).ok()?;
        let names_it = String::from_utf8_lossy(&line).contains(&*folder);
        (names_it && process != own).then_some(process)
    })
    .collect()
}
