//! Istio's upgrade in place: the custom resources first, then another istiod on the same store.

use std::path::Path;

use testbed::probe;

use super::{ISTIOD_READY, START_LIMIT, Stack, api_server, check, plans, until};
use crate::error::Error;
use crate::program::Program;

impl Stack {
    /// Puts the istiod of the folder `next` in the place of the one that runs, and waits until it is ready. The proxies go on
    /// with what they have meanwhile, and connect to it by themselves.
    pub(crate) async fn upgrade_istio(&mut self, next: &Path) -> Result<(), Error> {
        api_server::define_istio(next, &self.cluster, &mut self.programs).await?;
        let plan = plans::istiod(next, &self.folder, &self.admin)?;
        self.istiod.kill().await?;
        self.istiod = Program::start(plan, &self.folder)?;
        ready(&mut self.istiod, &mut self.programs).await
    }
}

/// Waits until istiod has read its objects.
pub(super) async fn ready(istiod: &mut Program, programs: &mut [Program]) -> Result<(), Error> {
    until(
        "istiod",
        START_LIMIT,
        || {
            check(programs)?;
            istiod.check()
        },
        async || {
            let answer = probe::get(ISTIOD_READY, "/ready").await;
            answer.map(drop).map_err(|error| error.to_string())
        },
    )
    .await
}
