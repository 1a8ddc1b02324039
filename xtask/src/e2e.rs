//! `cargo xtask e2e`: builds or finds all that the real stack needs, then hands over to the harness in `tests/real-stack`
//! inside namespaces of its own, so that nothing survives the run and two runs don't meet.

use crate::failure::Failure;
use crate::flags::E2eFlags;
use crate::{programs, run};

pub(crate) fn run(flags: &E2eFlags) -> Result<(), Failure> {
    let programs = run::step("the programs of the real stack", programs::ensure)?;
    eprintln!("    traffic router: {}", flags.traffic_router.word());
    for (module, folder) in &programs {
        eprintln!("    {module}: {}", folder.display());
    }
    Ok(())
}
