//! When the next repair may come: where another writer keeps undoing them, and where they fail.

use std::time::{Duration, Instant};

use serde_json::Value;

/// Repairs in a row that come at once: a sync that touches an object twice is no quarrel.
const FREE: u32 = 3;

/// The wait after those; it doubles with each repair.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST: Duration = Duration::from_mins(5);

/// A repair that comes so long after the last is the first of a new row, as is one after twice the last wait.
const ROW: Duration = Duration::from_secs(30);

/// The repairs of one object in a row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    repairs: u32,
    last: Instant,
    /// What the last repair has left behind.
    left: Option<Value>,
}

impl Row {
    /// None so far.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            repairs: 0,
            last: now,
            left: None,
        }
    }

    /// True if somebody else has changed what the last repair left behind. If not, it is Serin that wants something
    /// else now, as it does when a canary loses its pods and gets them back over and over.
    pub(crate) fn is_contested(&self, found: Option<&Value>) -> bool {
        self.left.as_ref() != found
    }

    /// Takes in what a repair has left behind.
    pub(crate) fn leave(&mut self, left: Option<Value>) {
        self.left = left;
    }

    /// How long the next repair has to wait, if it is contested.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let since = now.saturating_duration_since(self.last);
        self.pause().saturating_sub(since)
    }

    /// Counts a repair. True if this is the one to warn at: the first that another follows too closely.
    pub(crate) fn repaired(&mut self, now: Instant) -> bool {
        if self.is_over(now) {
            self.repairs = 0;
        }
        self.repairs = self.repairs.saturating_add(1);
        self.last = now;
        self.repairs == FREE + 1
    }

    /// True if it is forgotten.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > ROW.max(self.pause() * 2)
    }

    fn pause(&self) -> Duration {
        match self.repairs.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(more) => FIRST
                .saturating_mul(1_u32.checked_shl(more).unwrap_or(u32::MAX))
                .min(LONGEST),
        }
    }
}

/// The wait after a repair that has failed; it doubles with each that follows.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The failed repairs of one Rollout in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures {
    count: u32,
    last: String,
}

impl Failures {
    /// Counts one. True if it is to be told: the reason is another than last time.
    pub(crate) fn failed(&mut self, reason: &str) -> bool {
        self.count = self.count.saturating_add(1);
        let is_new = self.last != reason;
        reason.clone_into(&mut self.last);
        is_new
    }

    /// How long to wait, if nothing happens to the Rollout or its objects before.
    pub(crate) fn wait(&self) -> Duration {
        let doubled = self.count.saturating_sub(1);
        AFTER_FAILURE
            .saturating_mul(1_u32.checked_shl(doubled).unwrap_or(u32::MAX))
            .min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_failing_is_tried_less_and_less_and_told_once() {
        let mut failures = Failures::default();
        let mut waits = Vec::new();
        let mut told = Vec::new();
        for reason in ["a", "a", "a", "b", "b", "a", "a"] {
            told.push(failures.failed(reason));
            waits.push(failures.wait().as_secs());
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(told, [true, false, false, true, false, true, false]);
    }

    #[test]
    fn a_quarrel_costs_less_and_less_and_is_warned_of_once() {
        let start = Instant::now();
        let mut row = Row::new(start);
        let mut now = start;
        let mut waits = Vec::new();
        let mut warnings = 0;
        for _ in 0..14 {
            let wait = row.wait(now);
            waits.push(wait.as_secs());
            now += wait;
            warnings += u32::from(row.repaired(now));
        }
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(warnings, 1);
        // Peace, and then a single change.
        now += LONGEST * 3;
        assert!(row.is_over(now));
        assert!(!row.repaired(now));
        assert_eq!(row.wait(now), Duration::ZERO);
    }
}
