//! Processes that the harness didn't start itself: the children of the programs it did.

use std::fs;
use std::time::{Duration, Instant};

/// A process: its id may be given to another one later, but not with the same start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// When it was started, in the kernel's ticks.
    started: u64,
}

/// What is of use here in `/proc/<pid>/stat`.
struct Stat {
    state: char,
    parent: u32,
    started: u64,
}

impl Process {
    /// False if it has ended, also if nobody has taken note of it yet.
    fn runs(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid));
        stat.ok()
            .and_then(|text| parse(&text))
            .is_some_and(|stat| stat.started == self.started && !matches!(stat.state, 'Z' | 'X'))
    }

    /// Waits until it has ended, `limit` at most; false if it still runs then.
    pub(crate) async fn ends_within(&self, limit: Duration) -> bool {
        let began = Instant::now();
        while self.runs() {
            if began.elapsed() > limit {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }
}

/// The children of a process that run now.
pub(crate) fn children(parent: u32) -> Vec<Process> {
    let Ok(folder) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    folder
        .filter_map(|item| item.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            let stat = parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
            (stat.parent == parent && stat.state != 'Z').then_some(Process {
                pid,
                started: stat.started,
            })
        })
        .collect()
}

/// The name comes second, in brackets, and may hold brackets and spaces itself.
fn parse(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    Some(Stat {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        // Field 22 of the whole; the one before was field 4.
        started: fields.nth(17)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_skipped() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 0 0 0 2 1 0 0 20 0 1 0 4711 1 1";
        let stat = parse(text).unwrap();
        assert_eq!((stat.state, stat.parent, stat.started), ('S', 3, 4711));
        assert!(parse("7 (a").is_none());
    }

    #[tokio::test]
    async fn a_child_is_found_and_its_end_is_seen() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let found = children(std::process::id());
        let process = *found.iter().find(|one| one.pid == child.id()).unwrap();
        assert!(!process.ends_within(Duration::from_millis(100)).await);
        child.kill().unwrap();
        // Not waited for yet: it has ended all the same.
        assert!(process.ends_within(Duration::from_secs(5)).await);
        child.wait().unwrap();
    }
}
