//! The end of the host: a plugin that nobody calls any more should go.
//!
//! The kernel's own signal for it (`PR_SET_PDEATHSIG`) is tied to the thread that forked, and Go
//! ends threads at will, so the parent's process id is watched instead: it changes when the parent
//! dies. It being 1 says nothing, as a controller in a container has that id.

use std::time::Duration;

use rustix::process::{Pid, getppid};

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(500);

/// The process that started this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parent(Option<Pid>);

impl Parent {
    pub(crate) fn now() -> Self {
        Self(getppid())
    }

    /// Waits until that process is gone.
    pub(crate) async fn gone(self) {
        while getppid() == self.0 {
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
