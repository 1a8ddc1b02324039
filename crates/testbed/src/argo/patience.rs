//! The limits for a plugin that doesn't answer, at all or in time.

use std::time::Duration;

/// How long a plugin may be silent until it counts as gone.
///
/// Go has no limit for calls; it has one for the connection, so that a plugin that works may take its time, and one that
/// doesn't answer at all (SIGSTOP) is lost.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From one sign of life to the next question for one.
    pub interval: Duration,
    /// How long the answer may take. `InitPlugin` and the ping before each use have both times, one after the other.
    pub answer: Duration,
}

impl Default for Patience {
    /// hashicorp/yamux v0.1.2 `mux.go`, `DefaultConfig`: `KeepAliveInterval`, `ConnectionWriteTimeout`.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            answer: Duration::from_secs(10),
        }
    }
}

impl Patience {
    /// Both times.
    pub(super) fn total(self) -> Duration {
        self.interval.saturating_add(self.answer)
    }
}
