//! What users have seen of a canary, pure: who met which version, and whose requests failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use testbed::load::{RequestError, Sample};

use crate::Failure;

/// The versions, by their pods' hashes.
#[derive(Clone, Debug)]
pub(crate) struct Hashes {
    pub(crate) stable: String,
    pub(crate) canary: String,
}

/// What came out.
pub(crate) struct Verdict {
    /// In lines.
    pub(crate) report: String,
    /// When the first request was sent that has failed.
    pub(crate) first_failure: Option<Instant>,
}

/// Which version has answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Stable,
    Canary,
}

/// Judges the samples of each way. A bad canary has failed some of its own users' requests and nobody else's, and all users are at
/// the stable version from `back` on.
pub(crate) fn judge(
    ways: &[Vec<Sample>],
    hashes: &Hashes,
    is_bad: bool,
    back: Instant,
) -> Result<Verdict, Failure> {
    let mut canary_users = BTreeSet::new();
    let mut unlucky = BTreeSet::new();
    let mut users = BTreeSet::new();
    let (mut requests, mut failed, mut late) = (0_usize, 0_usize, 0_usize);
    let mut first_failure: Option<Instant> = None;
    for samples in ways {
        let mut seen = BTreeMap::<u32, Vec<Side>>::new();
        let mut samples: Vec<&Sample> = samples.iter().collect();
        samples.sort_by_key(|sample| sample.sent);
        for sample in samples {
            let user = sample.user.unwrap_or_default();
            let side = side(sample, hashes)?;
            requests += 1;
            users.insert(user);
            if sample.outcome.is_err() {
                failed += 1;
                unlucky.insert(user);
                first_failure =
                    Some(first_failure.map_or(sample.sent, |first| first.min(sample.sent)));
            }
            if side == Side::Canary {
                canary_users.insert(user);
                if is_bad && sample.sent > back + SETTLED {
                    late += 1;
                }
            }
            let sides = seen.entry(user).or_default();
            if sides.last() != Some(&side) {
                sides.push(side);
            }
        }
        if let Some((user, sides)) = seen
            .iter()
            .find(|(_, sides)| sides.len() > 3 || sides.first() == Some(&Side::Canary))
        {
            return Err(format!(
                "user {user} has changed the version {} times, expected to the canary and back",
                sides.len() - 1
            )
            .into());
        }
    }
    let report = format!(
        "  {requests} requests of {} users: {failed} failed, of {} of the {} users of the canary and of none of the {} others",
        users.len(),
        unlucky.len(),
        canary_users.len(),
        users.len() - canary_users.len(),
    );
    let faults = [
        (canary_users.is_empty(), "nobody has met the canary"),
        (
            canary_users.len() * 2 > users.len(),
            "more than half of the users have met the canary, expected some 30 %",
        ),
        (
            !unlucky.is_subset(&canary_users),
            "requests of users failed who never met the canary",
        ),
        (is_bad && failed == 0, "no request failed"),
        (!is_bad && failed > 0, "requests failed"),
        (
            late > 0,
            "requests went to the canary after all had gone back",
        ),
    ];
    match faults.into_iter().find(|(is_so, _)| *is_so) {
        Some((_, fault)) => Err(format!("{fault}\n{report}").into()),
        None => Ok(Verdict {
            report,
            first_failure,
        }),
    }
}

/// istiod waits 100 ms for more changes before it pushes (`PILOT_DEBOUNCE_AFTER`), and a busy machine takes longer.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(2);

/// Who has answered a request. One that no pod of the Rollout has answered is an error: it was lost on its way.
fn side(sample: &Sample, hashes: &Hashes) -> Result<Side, Failure> {
    let of = |name: &dyn Fn(&str) -> bool| match (name(&hashes.stable), name(&hashes.canary)) {
        (true, false) => Some(Side::Stable),
        (false, true) => Some(Side::Canary),
        _ => None,
    };
    let found = match &sample.outcome {
        Ok(answer) => of(&|hash| answer.identity.hash.as_deref() == Some(hash)),
        // The body is an answer's, cut off; it begins with the pod's name, which has the hash in it.
        Err(RequestError::Status { body, .. }) => of(&|hash| body.contains(&format!("-{hash}-"))),
        Err(_) => None,
    };
    found.ok_or_else(|| {
        let outcome = sample.outcome.as_ref().map(|answer| &answer.identity);
        format!("a request was not answered by a pod of either version ({hashes:?}): {outcome:?}")
            .into()
    })
}

#[cfg(test)]
mod tests;
