//! Says on stderr how far the run is: what is measured, and each half minute which round of how many.

use std::fmt::Display;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(30);

/// One part of the run.
pub(crate) struct Progress {
    what: String,
    rounds: usize,
    said: Instant,
}

impl Progress {
    /// Says that it begins.
    pub(crate) fn of(what: impl Display, rounds: usize) -> Self {
        let what = what.to_string();
        eprintln!("    {what}: {rounds} rounds");
        Self {
            what,
            rounds,
            said: Instant::now(),
        }
    }

    /// `round` of them have ended.
    pub(crate) fn ended(&mut self, round: usize) {
        if self.said.elapsed() >= EVERY {
            eprintln!("    {}: round {round} of {}", self.what, self.rounds);
            self.said = Instant::now();
        }
    }
}
