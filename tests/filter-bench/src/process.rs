//! What a process has used, from `/proc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Failure;

/// A running process.
#[derive(Debug, Clone)]
pub(crate) struct Process(PathBuf);

impl Process {
    pub(crate) fn new(id: u32) -> Self {
        Self(Path::new("/proc").join(id.to_string()))
    }

    /// CPU time of all its threads, user and system, in nanoseconds' resolution (`schedstat`, proc(5), where `stat` has
    /// hundredths of a second). Threads that have ended are not in it; Envoy's don't end.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let tasks = self.0.join("task");
        let mut sum = Duration::ZERO;
        for task in fs::read_dir(&tasks).map_err(Failure::file(&tasks))? {
            let path = task.map_err(Failure::file(&tasks))?.path();
            sum += on_cpu(&path.join("schedstat"))?;
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

fn on_cpu(path: &Path) -> Result<Duration, Failure> {
    let text = fs::read_to_string(path).map_err(Failure::file(path))?;
    let first = text.split(' ').next().unwrap_or_default();
    let nanoseconds = first.parse().map_err(|_| Failure::Unreadable {
        path: path.to_path_buf(),
        found: text.clone(),
        expected: "nanoseconds first",
    })?;
    Ok(Duration::from_nanos(nanoseconds))
}

fn resident(status: &str) -> Option<u32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_its_line() {
        let status = "VmHWM:\t    9 kB\nVmRSS:\t  1234 kB\nRssAnon:\t 5 kB\n";
        assert_eq!(resident(status), Some(1234));
        assert_eq!(resident("VmHWM:\t 9 kB\n"), None);
    }

    #[test]
    fn this_process_uses_cpu_time_and_memory() {
        let own = Process::new(std::process::id());
        let before = own.cpu().unwrap();
        let mut sum = 0u64;
        while own.cpu().unwrap() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(own.resident().unwrap() > 100);
    }
}
