//! Questions to an Envoy that don't block: its statistics, and whether its worker is there.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::probe;

/// How often an Envoy is asked before it counts as gone: one slow answer on a busy machine says nothing.
const TRIES: u32 = 3;
/// How long to wait between two tries.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Asks until there is an answer, a few times at most; the last error.
pub(super) async fn insist<T, F>(ask: impl Fn() -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    for _ in 1..TRIES {
        if let Ok(answer) = ask().await {
            return Ok(answer);
        }
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
    }
    ask().await
}

/// Envoy's statistics, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats(String);

impl Stats {
    /// Reads those that say what configuration is taken.
    pub(super) async fn read(admin: SocketAddr) -> io::Result<Self> {
        let names = ["version_text", "update_rejected", "warming"].join("%7C");
        probe::get(admin, &format!("/stats?filter={names}"))
            .await
            .map(Self)
    }

    /// The text of one of them.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.map(|text| text.trim_matches('"'))
    }

    /// The value of a counter or gauge; 0 if there is none of that name yet.
    pub(super) fn count(&self, name: &str) -> u64 {
        self.text(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }
}
