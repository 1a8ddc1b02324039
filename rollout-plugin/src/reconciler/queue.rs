//! Which Rollouts are to be looked at, and when.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crate::core::routing::RolloutKey;

/// Each Rollout stands in it once at most.
#[derive(Default)]
pub(super) struct Queue {
    by_time: BTreeSet<(Instant, RolloutKey)>,
    times: HashMap<RolloutKey, Instant>,
}

impl Queue {
    /// The Rollout is to be looked at by then, or sooner if that has been asked for before.
    pub(super) fn by(&mut self, key: RolloutKey, at: Instant) {
        match self.times.get(&key) {
            Some(sooner) if *sooner <= at => return,
            Some(later) => {
                self.by_time.remove(&(*later, key.clone()));
            }
            None => {}
        }
        self.times.insert(key.clone(), at);
        self.by_time.insert((at, key));
    }

    /// When the first is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The first, if it is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<RolloutKey> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.times.remove(&key);
        Some(key)
    }
}
