//! What shall stand: which hashes and weights a repair goes back to, and when it keeps its hands off.
//!
//! The Rollout's status tells what the controller's last whole reconcile has brought about, also after a restart. But
//! it lags: SetWeight(20) comes, and the status says 20 only when that reconcile has ended. So the last calls are
//! remembered, and neither what they have brought about nor what the status says is ever undone.

use std::time::Duration;

use argo_rollouts::{Rollout, WeightDestination};

use crate::core::error::CoreError;
use crate::core::plan::{Call, Observed, PodHashes, Standing, Weights, Write, writes};
use crate::core::routing::Routing;

/// How long the controller has to call after its Rollout has changed, before the status counts for more than its last
/// call.
const GRACE: Duration = Duration::from_secs(1);

/// Pod hashes as an UpdateHash or a status has named them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Hashes {
    pub(crate) canary: String,
    pub(crate) stable: String,
    pub(crate) additional: Vec<WeightDestination>,
}

impl Hashes {
    pub(crate) fn as_asked(&self) -> PodHashes<'_> {
        PodHashes {
            canary: &self.canary,
            stable: &self.stable,
            additional: &self.additional,
        }
    }
}

/// Weights as a SetWeight or a status has named them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shares {
    pub(crate) canary: i32,
    pub(crate) additional: Vec<WeightDestination>,
}

impl Shares {
    pub(crate) fn as_asked(&self) -> Weights<'_> {
        Weights {
            canary: self.canary,
            additional: &self.additional,
        }
    }
}

/// What may stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stand {
    pub(crate) hashes: Option<Hashes>,
    pub(crate) weights: Option<Shares>,
}

impl Stand {
    /// What the controller has written down (argo-rollouts v1.10.1 `calculateWeightStatus`: the hashes and weights of
    /// its last calls). `None` before it has written any.
    pub(crate) fn of_status(rollout: &Rollout) -> Option<Self> {
        let weights = rollout.status.canary.weights.as_ref()?;
        let additional = &weights.additional;
        Some(Self {
            hashes: Some(Hashes {
                canary: weights.canary.pod_template_hash.clone(),
                stable: weights.stable.pod_template_hash.clone(),
                additional: additional.clone(),
            }),
            weights: Some(Shares {
                canary: weights.canary.weight,
                additional: additional.clone(),
            }),
        })
    }

    fn as_call(&self) -> Call<'_> {
        Call::Keep(Standing {
            hashes: self.hashes.as_ref().map(Hashes::as_asked),
            weights: self.weights.as_ref().map(Shares::as_asked),
        })
    }
}

/// What the calls of this process have brought about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// By the last successful UpdateHash and SetWeight.
    pub(crate) stand: Stand,
    /// The resourceVersion of the Rollout that the last of them came with.
    pub(crate) version: String,
    /// The last of them has failed, perhaps half way: the controller will call again, and until then nobody knows what
    /// hashes and weights are to be.
    pub(crate) failed: bool,
}

impl Memory {
    /// What no call has said yet, the status has.
    fn over(&self, status: Option<&Stand>) -> Option<Stand> {
        if self.stand == Stand::default() {
            return None;
        }
        let status = status.cloned().unwrap_or_default();
        Some(Stand {
            hashes: self.stand.hashes.clone().or(status.hashes),
            weights: self.stand.weights.clone().or(status.weights),
        })
    }
}

/// What is known about one Rollout when a repair is considered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// As it is now: watched, or brought by a call where that is newer.
    pub(crate) rollout: &'a Rollout,
    /// What calls have said.
    pub(crate) memory: &'a Memory,
    /// For how long this version of it has been known.
    pub(crate) since: Duration,
}

/// Which hashes and weights are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// Those of the last calls.
    Calls,
    /// Those of the status.
    Status,
    /// What is there stays: lanes and policy alone are a function of the Rollout.
    Neither,
    /// It can't be told yet.
    Later(Duration),
}

/// What a candidate looks like beside the live objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Live {
    /// There is no such candidate.
    Absent,
    /// The objects are as it says.
    Same,
    /// They are not.
    Other,
}

/// The decision. `changed_since`: for how long a Rollout newer than the last call's has been known; `None` if it isn't
/// newer.
fn choose(calls: Live, status: Live, failed: bool, changed_since: Option<Duration>) -> Choice {
    match (calls, status) {
        // It has to be told from what a half failed call has left.
        _ if failed => Choice::Neither,
        (Live::Same, _) | (Live::Other, Live::Absent) => Choice::Calls,
        (_, Live::Same) | (Live::Absent, Live::Other) => Choice::Status,
        (Live::Absent, Live::Absent) => Choice::Neither,
        (Live::Other, Live::Other) => match changed_since {
            None => Choice::Calls,
            Some(since) if since >= GRACE => Choice::Status,
            Some(since) => Choice::Later(GRACE.saturating_sub(since)),
        },
    }
}

/// What a repair has to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Repair {
    /// These writes, the first of them first; none if all is as it shall be.
    Write(Vec<Write>),
    /// Ask again after that long.
    Later(Duration),
}

/// Decides what is to be put right.
///
/// # Errors
/// As [`writes`]: the controller's next call will say so too.
pub(crate) fn repair(
    known: Known<'_>,
    routing: &Routing,
    observed: &Observed,
) -> Result<Repair, CoreError> {
    let Known {
        rollout, memory, ..
    } = known;
    let status = Stand::of_status(rollout);
    let calls = memory.over(status.as_ref());
    let look = |candidate: &Option<Stand>| match candidate {
        None => Live::Absent,
        Some(stand) if is_live(rollout, routing, observed, stand) => Live::Same,
        Some(_) => Live::Other,
    };
    let is_newer = is_newer(&rollout.metadata.resource_version, &memory.version);
    // Where both say the same there is nothing to choose.
    let differ = calls != status;
    let changed_since = (is_newer && differ).then_some(known.since);
    let live_calls = look(&calls);
    // A look plans three times, which a repair would have to wait for.
    let live_status = if differ { look(&status) } else { live_calls };
    let stand = match choose(live_calls, live_status, memory.failed, changed_since) {
        Choice::Calls => calls,
        Choice::Status => status,
        Choice::Neither => None,
        Choice::Later(wait) => return Ok(Repair::Later(wait)),
    };
    let stand = stand.unwrap_or_default();
    writes(rollout, routing, observed, stand.as_call()).map(Repair::Write)
}

/// True if neither hashes nor weights have to be moved for it.
fn is_live(rollout: &Rollout, routing: &Routing, observed: &Observed, stand: &Stand) -> bool {
    let ask = |call: Call<'_>| writes(rollout, routing, observed, call).ok();
    let moves_subsets = stand.hashes.as_ref().is_some_and(|hashes| {
        ask(Call::UpdateHash(hashes.as_asked())).is_none_or(|writes| !writes.is_empty())
    });
    let hashes_alone = Stand {
        weights: None,
        ..stand.clone()
    };
    let (all, rest) = (ask(stand.as_call()), ask(hashes_alone.as_call()));
    !moves_subsets && all.is_some() && all == rest
}

/// True if `version` is certainly newer than `than`.
pub(crate) fn is_newer(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version > than,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
