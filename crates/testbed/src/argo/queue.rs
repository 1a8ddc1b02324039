//! When which Rollout is reconciled: changes are coalesced, errors retried with a back-off, one at a time per Rollout.
//!
//! Stands for the rate-limited work queue of argo-rollouts v1.10.1 (`utils/queue/queue.go`), in fewer steps.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::observe::Key;

/// Two reconciliations of one Rollout begin at least this far apart, so that changes made together are seen together.
/// The real queue lets through some tens a second too, where a controller keeps changing what it watches.
const PACE: Duration = Duration::from_millis(20);
/// The first retry after an error, doubled by each further one.
const FIRST_RETRY: Duration = Duration::from_millis(5);
/// The longest wait for a retry.
const LAST_RETRY: Duration = Duration::from_secs(1);

/// Rollouts that have something to be done.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: HashMap<Key, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    due: Option<Instant>,
    running: bool,
    /// Something has changed while it ran.
    dirty: bool,
    began: Option<Instant>,
    failures: u32,
}

impl Entry {
    fn sooner(&mut self, due: Instant) {
        self.due = Some(self.due.map_or(due, |other| other.min(due)));
    }

    fn soon(&mut self, now: Instant) {
        let paced = self.began.map_or(now, |began| now.max(began + PACE));
        self.sooner(paced);
    }
}

impl Queue {
    /// Something about a Rollout has changed.
    pub(super) fn add(&mut self, key: Key, now: Instant) {
        let entry = self.entries.entry(key).or_default();
        if entry.running {
            entry.dirty = true;
        } else {
            entry.soon(now);
        }
    }

    /// Takes what is due.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Key> {
        let mut taken = Vec::new();
        for (key, entry) in &mut self.entries {
            if !entry.running && entry.due.is_some_and(|due| due <= now) {
                entry.due = None;
                entry.running = true;
                entry.dirty = false;
                entry.began = Some(now);
                taken.push(key.clone());
            }
        }
        taken
    }

    /// A reconciliation has ended well, and wants to come again after some time, or not.
    pub(super) fn done(&mut self, key: &Key, again_after: Option<Duration>, now: Instant) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.running = false;
        entry.failures = 0;
        if entry.dirty {
            entry.soon(now);
        }
        if let Some(due) = again_after.and_then(|after| now.checked_add(after)) {
            entry.sooner(due);
        }
    }

    /// A reconciliation has failed.
    pub(super) fn failed(&mut self, key: &Key, now: Instant) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.running = false;
        let doubled = FIRST_RETRY.saturating_mul(1 << entry.failures.min(16));
        entry.failures = entry.failures.saturating_add(1);
        entry.sooner(now + doubled.min(LAST_RETRY));
        // As client-go's queue does with what was added while it was worked on (`util/workqueue/queue.go`, `Done`).
        if entry.dirty {
            entry.soon(now);
        }
    }

    /// The Rollout is gone.
    pub(super) fn forget(&mut self, key: &Key, now: Instant) {
        let dirty = self.entries.remove(key).is_some_and(|entry| entry.dirty);
        if dirty {
            self.add(key.clone(), now);
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let waiting = self.entries.values().filter(|entry| !entry.running);
        waiting.filter_map(|entry| entry.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        }
    }

    #[test]
    fn changes_are_coalesced_and_paced() {
        let mut queue = Queue::default();
        let start = Instant::now();
        queue.add(key(), start);
        queue.add(key(), start);
        assert_eq!(queue.take(start), [key()]);
        assert_eq!(queue.take(start), []);
        queue.add(key(), start);
        assert_eq!(queue.next(), None, "it still runs");
        queue.done(&key(), None, start);
        assert_eq!(queue.next(), Some(start + PACE));
        assert_eq!(queue.take(start), []);
        assert_eq!(queue.take(start + PACE), [key()]);
        queue.done(&key(), Some(Duration::from_secs(3)), start + PACE);
        assert_eq!(queue.next(), Some(start + PACE + Duration::from_secs(3)));
        queue.add(key(), start + 2 * PACE);
        assert_eq!(queue.next(), Some(start + 2 * PACE));
    }

    #[test]
    fn retries_slow_down_until_one_succeeds() {
        let mut queue = Queue::default();
        let mut now = Instant::now();
        queue.add(key(), now);
        let mut waits = Vec::new();
        for _ in 0..10 {
            assert_eq!(queue.take(now), [key()]);
            queue.failed(&key(), now);
            let due = queue.next().unwrap();
            waits.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(queue.take(now), [key()]);
        queue.done(&key(), None, now);
        assert_eq!(queue.next(), None);
        queue.add(key(), now + PACE);
        assert_eq!(queue.take(now + PACE), [key()]);
        queue.failed(&key(), now);
        assert_eq!(queue.next(), Some(now + FIRST_RETRY));
    }

    #[test]
    fn a_change_during_a_failure_does_not_wait_for_the_retry() {
        let mut queue = Queue::default();
        let mut now = Instant::now();
        queue.add(key(), now);
        for _ in 0..10 {
            assert_eq!(queue.take(now), [key()]);
            queue.failed(&key(), now);
            now = queue.next().unwrap();
        }
        assert_eq!(queue.take(now), [key()]);
        queue.add(key(), now);
        queue.failed(&key(), now + PACE);
        assert_eq!(queue.next(), Some(now + PACE));
        assert_eq!(queue.take(now + PACE), [key()]);
        queue.failed(&key(), now + PACE);
        assert_eq!(queue.next(), Some(now + PACE + LAST_RETRY), "it is seen");
    }
}
