//! The Argo controller's sudden end and its next start.

use std::time::{Duration, Instant};

use scenarios::Via;

use super::Stack;
use crate::error::Error;
use crate::processes::{self, Process};
use crate::proxy;

/// How long the plugin's process may outlive the controller.
const ORPHAN_LIMIT: Duration = Duration::from_secs(3);
/// The controller's name in messages.
const CONTROLLER: &str = "the Argo controller";

impl Stack {
    /// Kills the Argo controller without warning and starts it again after `pause`; its children have to end soon, and
    /// if `plugin` is set, there has to be one.
    pub(crate) async fn kill_controller(
        &mut self,
        pause: Duration,
        plugin: bool,
    ) -> Result<(), Error> {
        let Some(controller) = &mut self.controller else {
            return Err(Error::NoController);
        };
        let children = controller.id().map(processes::children).unwrap_or_default();
        controller.kill().await?;
        let killed = Instant::now();
        let ended = orphans(&children).await;
        tokio::time::sleep(pause.saturating_sub(killed.elapsed())).await;
        // Also if a child is left: the other scenarios need the controller.
        controller.start_again()?;
        if plugin && children.is_empty() {
            return Err(Error::Childless {
                parent: CONTROLLER.to_owned(),
            });
        }
        ended
    }
}

impl Stack {
    /// Ends a proxy in good order and starts it again, without anything that it had.
    pub(crate) async fn restart_proxy(&mut self, via: Via) -> Result<(), Error> {
        let name = proxy::name(via);
        for program in &mut self.programs {
            if program.name() == name {
                program.stop().await?;
                program.start_again()?;
            }
        }
        Ok(())
    }
}

/// Waits until the controller's children have ended.
async fn orphans(children: &[Process]) -> Result<(), Error> {
    for child in children {
        if !child.ends_within(ORPHAN_LIMIT).await {
            return Err(Error::Survived {
                pid: child.pid,
                parent: CONTROLLER.to_owned(),
                limit: ORPHAN_LIMIT,
            });
        }
    }
    Ok(())
}
