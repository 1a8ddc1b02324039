//! Why an Envoy doesn't do what the store says.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Via;

/// How long Envoy may take to take one file. It does in a few milliseconds; a busy machine takes longer.
pub(super) const TAKEN_WITHIN: Duration = Duration::from_secs(20);

/// Why an Envoy doesn't do what the store says.
///
/// All but [`Refused`](Self::Refused) may pass without a change of the store.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: Arc<io::Error>,
    },
    /// It doesn't answer, however often it is asked.
    #[error("the {} is gone; its log ends with:\n{log}", via.word())]
    Gone {
        /// Which.
        via: Via,
        /// The end of its log.
        log: String,
    },
    /// It refuses a part of its configuration, and goes on with what it had.
    #[error("the {} refuses its {part}; its log ends with:\n{log}", via.word())]
    Refused {
        /// Which.
        via: Via,
        /// What is refused.
        part: String,
        /// The end of its log, which says why.
        log: String,
    },
    /// It has not taken a part of its configuration in time.
    #[error("the {} has not taken its {part} after {} s; its log ends with:\n{log}", via.word(), TAKEN_WITHIN.as_secs())]
    Slow {
        /// Which.
        via: Via,
        /// What is not taken.
        part: String,
        /// The end of its log.
        log: String,
    },
}

impl ApplyError {
    /// It in one line, the same whenever the same goes wrong: without times, and of the log only why it refuses.
    pub(super) fn line(&self) -> String {
        let text = self.to_string();
        let what = text.split(';').next().unwrap_or_default();
        match self {
            Self::Refused { log, .. } => format!("{what}: {}", reason(log)),
            Self::File { source, .. } => format!("{text}: {source}"),
            Self::Gone { .. } | Self::Slow { .. } => what.to_owned(),
        }
    }
}

/// The last refusal in a log, without `[time][thread][level][logger] [file:line]` before it.
fn reason(log: &str) -> &str {
    let line = log.lines().rfind(|line| line.contains("rejected"));
    let line = line.unwrap_or_default();
    line.splitn(3, "] ").last().unwrap_or_default()
}
