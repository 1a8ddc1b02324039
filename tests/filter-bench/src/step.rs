//! What one sticky step costs a proxy, in bytes and CPU time: the whole plugin configuration comes again, with one number
//! changed in one Rollout's policy.

use std::path::Path;
use std::thread;
use std::time::Duration;

use testbed::envoy::Envoy;

use crate::discovery::Discovery;
use crate::error::Failure;
use crate::policy;
use crate::process::Process;
use crate::proxy::{self, PLUGIN};

const LISTENER: &str = "discovered";

/// One proxy's share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) bytes: usize,
    /// CPU time in milliseconds.
    pub(crate) cpu: f64,
}

/// The mean of `steps` steps, each `every` after the last, with policies of `rollouts` Rollouts.
///
/// Without load, and without asking Envoy anything meanwhile. What it uses when nothing changes is taken off.
pub(crate) fn measure(
    envoy: &Path,
    module: &Path,
    rollouts: u32,
    steps: u32,
    every: Duration,
) -> Result<Step, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file("a temporary folder"))?;
    let configuration = |share| policy::sticky(rollouts, 10, share);
    let mut discovery = Discovery::begin(folder.path(), module, &configuration(0))?;
    let filter = proxy::discovered(discovery.path());
    let listeners = [proxy::listener(LISTENER, Some(filter), 0)];
    let envoy = proxy::start(envoy, folder.path(), &listeners, 1)?;
    let process = Process::new(envoy.process());
    // The first ones compile the module's code for good.
    let warm_up = steps / 2;
    for step in 1..=warm_up {
        discovery.publish(&configuration(step))?;
        thread::sleep(every);
    }
    let before = process.cpu()?;
    for step in warm_up + 1..=warm_up + steps {
        discovery.publish(&configuration(step))?;
        thread::sleep(every);
    }
    let used = process.cpu()?.saturating_sub(before);
    let before = process.cpu()?;
    thread::sleep(every * steps);
    let idle = process.cpu()?.saturating_sub(before);
    taken(&envoy, warm_up + steps)?;
    let each = used.saturating_sub(idle).as_secs_f64() / f64::from(steps);
    Ok(Step {
        bytes: discovery.response(&configuration(0)).len(),
        cpu: each * 1e3,
    })
}

/// Fails unless Envoy has taken `changes` changes and refused none.
fn taken(envoy: &Envoy, changes: u32) -> Result<(), Failure> {
    let stat = |name: &str| {
        let name = format!("extension_config_discovery.http_filter.{PLUGIN}.{name}");
        Ok::<_, Failure>(envoy.stat(&name)?.unwrap_or_default())
    };
    // Its first configuration is one too.
    let (found, expected) = (stat("config_reload")?, u64::from(changes) + 1);
    let refused = stat("config_fail")?;
    if found == expected && refused == 0 {
        return Ok(());
    }
    Err(Failure::Changes {
        found,
        refused,
        expected,
    })
}
