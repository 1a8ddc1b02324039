//! What a process has used, from `/proc`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Failure;

/// No such process, the same number on every Linux.
const ESRCH: i32 = 3;

/// A running process.
#[derive(Debug, Clone)]
pub(crate) struct Process(PathBuf);

impl Process {
    pub(crate) fn new(id: u32) -> Self {
        Self(Path::new("/proc").join(id.to_string()))
    }

    /// CPU time of all its threads, user and system, in nanoseconds' resolution (`schedstat`, proc(5), where `stat` has
    /// hundredths of a second). Threads that have ended are not in it, nor is one that ends meanwhile; Envoy's don't end.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let tasks = self.0.join("task");
        let mut sum = Duration::ZERO;
        for task in fs::read_dir(&tasks).map_err(Failure::file(&tasks))? {
            let path = task.map_err(Failure::file(&tasks))?.path();
            sum += on_cpu(&path.join("schedstat"))?.unwrap_or_default();
        }
        Ok(sum)
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> Result<u32, Failure> {
        let path = self.0.join("status");
        let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
        resident(&text).ok_or(Failure::Unreadable {
            path,
            found: text,
            expected: "a line VmRSS",
        })
    }
}

/// What `schedstat` says of a thread; nothing where the thread has ended (ESRCH where it ends between open and read).
fn on_cpu(path: &Path) -> Result<Option<Duration>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(ESRCH) => return Ok(None),
        Err(error) => return Err(Failure::file(path)(error)),
    };
    let first = text.split(' ').next().unwrap_or_default();
    let nanoseconds = first.parse().map_err(|_| Failure::Unreadable {
        path: path.to_path_buf(),
        found: text.clone(),
        expected: "nanoseconds first",
    })?;
    Ok(Some(Duration::from_nanos(nanoseconds)))
}

fn resident(status: &str) -> Option<u32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn memory_is_read_from_its_line() {
        let status = "VmHWM:\t    9 kB\nVmRSS:\t  1234 kB\nRssAnon:\t 5 kB\n";
        assert_eq!(resident(status), Some(1234));
        assert_eq!(resident("VmHWM:\t 9 kB\n"), None);
    }

    #[test]
    fn a_process_that_works_uses_cpu_time_and_memory() {
        let mut child = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let busy = Process::new(child.id());
        let grown = busy.cpu().and_then(|before| {
            let until = Instant::now() + Duration::from_mins(1);
            while busy.cpu()? == before && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
            Ok(busy.cpu()? > before)
        });
        let resident = busy.resident();
        child.kill().unwrap();
        child.wait().unwrap();

        assert!(grown.unwrap());
        assert!(resident.unwrap() > 100);
    }

    #[test]
    fn a_thread_that_has_ended_is_not_counted() {
        let gone = Path::new("/proc/self/task/0/schedstat");
        assert_eq!(on_cpu(gone).unwrap(), None);
    }
}
