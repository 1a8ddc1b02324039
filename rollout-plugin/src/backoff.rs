//! When the next repair may come: where another writer keeps undoing them, and where they fail. And what is reported
//! once and not again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A change that comes so soon after a repair answers it: the other writer watches the object too. A change that comes
/// later has a reason of its own, as the next sync of a GitOps tool has.
const ANSWER: Duration = Duration::from_millis(500);

/// Repairs in a row that come at once though each is answered: a sync that touches an object twice is no quarrel.
const FREE: u32 = 3;

/// The wait after those; it doubles with each repair.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST: Duration = Duration::from_mins(5);

/// How many repairs may come at once where nobody answers them, one after the other.
const BURST: u32 = 30;

/// After so long there may be one more.
const REGAINED: Duration = Duration::from_secs(2);

/// A repair that comes so long after the last is the first of a new row, as is one after twice the last wait.
const ROW: Duration = Duration::from_secs(30);

/// The repairs of one object in a row.
///
/// Two kinds of other writers undo what a Rollout needs. One syncs: each of its writes leaves users at the wrong version
/// until it is put right, which costs two writes and ends there. The other answers each repair, and what is put right at
/// once is undone at once, for ever. Only the second is made to wait; the first has a limit that no sync reaches.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// All of them.
    repairs: u32,
    /// The first, and those that answers to the ones before have made necessary.
    quarrel: u32,
    last: Instant,
    /// When the last of [`BURST`] is regained.
    whole: Instant,
    /// What the last repair has left behind.
    left: Option<Value>,
    /// Since when it is known to have been changed.
    changed: Option<Instant>,
}

impl Row {
    /// None so far.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            repairs: 0,
            quarrel: 0,
            last: now,
            whole: now,
            left: None,
            changed: None,
        }
    }

    /// How long the next repair has to wait; `None` if nobody has changed what the last one left behind. Then it is
    /// Serin that wants something else now, as it does when a canary loses its pods and gets them back over and over.
    pub(crate) fn wait(&mut self, found: Option<&Value>, now: Instant) -> Option<Duration> {
        if self.left.as_ref() == found {
            return None;
        }
        self.changed.get_or_insert(now);
        let since = now.saturating_duration_since(self.last);
        let pause = if self.is_quarrel() {
            self.pause()
        } else {
            Duration::ZERO
        };
        Some(pause.saturating_sub(since))
    }

    /// Takes in what a repair has left behind, and counts it if it was contested. True if this is the one to warn at:
    /// the first that another follows too closely.
    pub(crate) fn repaired(
        &mut self,
        left: Option<Value>,
        is_contested: bool,
        now: Instant,
    ) -> bool {
        self.left = left;
        if !is_contested {
            return false;
        }
        self.quarrel = if self.is_quarrel() {
            self.quarrel.saturating_add(1)
        } else {
            1
        };
        if self.is_over(now) {
            self.repairs = 0;
        }
        self.repairs = self.repairs.saturating_add(1);
        self.whole = self.whole.max(now) + REGAINED;
        self.last = now;
        self.changed = None;
        self.repairs == FREE + 1
    }

    /// True if it is forgotten.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > ROW.max(self.pause() * 2)
    }

    /// True if the change that is to be put right answers the last repair, or follows too many of them.
    fn is_quarrel(&self) -> bool {
        let changed = self.changed.unwrap_or(self.last);
        self.repairs > 0
            && (changed.saturating_duration_since(self.last) < ANSWER
                || self.whole.saturating_duration_since(changed) > REGAINED * BURST)
    }

    fn pause(&self) -> Duration {
        match self.quarrel.checked_sub(FREE) {
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

/// How many reasons are reported for one version: texts that never repeat must not make events without end.
const REPORTED: usize = 8;

/// The reasons that have been reported for one version of a Rollout.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reported {
    version: String,
    reasons: BTreeSet<String>,
}

impl Reported {
    /// True if the reason is to be reported: it is the first time for that version.
    pub(crate) fn is_new(&mut self, version: &str, reason: &str) -> bool {
        if self.version != version {
            version.clone_into(&mut self.version);
            self.reasons.clear();
        }
        self.reasons.len() < REPORTED && self.reasons.insert(reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reason_is_reported_once_for_each_version() {
        let mut reported = Reported::default();
        let calls = [
            ("c2", "a"),
            ("c2", "a"),
            ("c2", "b"),
            ("c2", "a"),
            ("c3", "a"),
            ("c3", "a"),
        ];
        let news = calls.map(|(version, reason)| reported.is_new(version, reason));
        assert_eq!(news, [true, false, true, false, true, false]);
        let other = (0..100).filter(|number| reported.is_new("c3", &number.to_string()));
        assert_eq!(other.count(), REPORTED - 1);
    }

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

    /// The waits of so many repairs in seconds, each as soon as it may come, and how many of them warn. `later`: how long
    /// after a repair the other writer's next change comes.
    fn waits(row: &mut Row, start: Instant, later: Duration, repairs: u32) -> (Vec<u64>, u32) {
        let mut now = start;
        let mut waits = Vec::new();
        let mut warnings = 0;
        let others = json!("others");
        for repair in 0..repairs {
            let wait = row.wait(Some(&others), now).unwrap();
            waits.push(wait.as_secs());
            // A look in between changes nothing.
            assert!(row.wait(Some(&others), now + wait / 2).unwrap() <= wait);
            now += wait;
            warnings += u32::from(row.repaired(Some(json!(repair)), true, now));
            assert_eq!(row.wait(Some(&json!(repair)), now), None);
            now += later;
        }
        (waits, warnings)
    }

    #[test]
    fn a_quarrel_costs_less_and_less_and_is_warned_of_once() {
        let start = Instant::now();
        let mut row = Row::new(start);
        let (found, warnings) = waits(&mut row, start, Duration::from_millis(20), 14);
        assert_eq!(found, [0, 0, 0, 0, 1, 3, 7, 15, 31, 63, 127, 255, 299, 299]);
        assert_eq!(warnings, 1);
        // Peace, and then a single change.
        let now = row.last + LONGEST * 3;
        assert!(row.is_over(now));
        assert_eq!(row.wait(Some(&json!("sync")), now), Some(Duration::ZERO));
        assert!(!row.repaired(None, true, now));
        assert_eq!(row.pause(), Duration::ZERO);
    }

    #[test]
    fn every_sync_is_put_right_at_once_and_warned_of_once() {
        for later in [600, 1000, 5000, 20_000] {
            let start = Instant::now();
            let mut row = Row::new(start);
            let (found, warnings) = waits(&mut row, start, Duration::from_millis(later), 40);
            assert_eq!(found, [0; 40], "{later} ms");
            assert_eq!(warnings, 1, "{later} ms");
        }
        // A new row each time, as of a tool that syncs every minute.
        let start = Instant::now();
        let mut row = Row::new(start);
        let (found, warnings) = waits(&mut row, start, Duration::from_mins(1), 40);
        assert_eq!((found, warnings), (vec![0; 40], 0));
    }

    #[test]
    fn who_answers_late_for_ever_has_to_wait_too() {
        let start = Instant::now();
        let mut row = Row::new(start);
        let (found, _) = waits(&mut row, start, Duration::from_millis(600), 200);
        let took = row.last.duration_since(start);
        assert!(found.iter().any(|wait| *wait > 0));
        assert!(took > REGAINED * 150, "200 repairs in {took:?}");
    }

    #[test]
    fn what_serin_itself_wants_otherwise_is_no_quarrel() {
        let start = Instant::now();
        let mut row = Row::new(start);
        let mut left = json!("others");
        assert_eq!(row.wait(Some(&left), start), Some(Duration::ZERO));
        row.repaired(Some(left.clone()), true, start);
        for change in 0..20 {
            assert_eq!(row.wait(Some(&left), start), None);
            left = json!(change);
            assert!(!row.repaired(Some(left.clone()), false, start));
        }
    }
}
