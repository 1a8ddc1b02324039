//! `manifests/` and the chart: rendered, held to their rules, applied to the real API server, and taken out again.

mod argo_rollouts;
mod chart;
mod cluster;
mod overlays;
mod rules;

use std::path::Path;

use crate::ManifestFlags;
use crate::error::Error;
use crate::manifests::overlays::Overlays;

/// The overlay that has Argo Rollouts in it too.
const WITH_ARGO_ROLLOUTS: &str = "with-argo-rollouts";

/// Renders and applies everything; prints a line for each step.
pub(crate) fn check(flags: &ManifestFlags) -> Result<(), Error> {
    let overlays = Overlays::copy(&flags.checkout, &flags.argo_rollouts)?;
    let rendered = overlays.render()?;
    let broken: Vec<String> = rendered.iter().flat_map(rules::broken).collect();
    if !broken.is_empty() {
        return Err(Error::Broken(broken));
    }
    println!("{} overlays render, and keep the rules", rendered.len());
    cluster::prepare()?;
    for one in rendered
        .iter()
        .filter(|one| !one.names_argo_rollouts() && one.name != WITH_ARGO_ROLLOUTS)
    {
        if one.has("TrafficExtension") && !flags.traffic_extensions {
            println!("overlay {}: this Istio has no TrafficExtension", one.name);
            continue;
        }
        cluster::comes_and_goes(one)?;
    }
    argo_rollouts::check(&overlays)?;
    if flags.tools {
        // Argo Rollouts' own objects keep not all of Istio's rules, and what is Serin's of it is in the other overlays.
        for one in rendered.iter().filter(|one| one.name != WITH_ARGO_ROLLOUTS) {
            if one.has("TrafficExtension") && !flags.traffic_extensions {
                continue;
            }
            cluster::istioctl(one)?;
        }
        chart::check(&flags.checkout, flags.traffic_extensions)?;
    }
    Ok(())
}

/// A path as an argument.
fn word(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
