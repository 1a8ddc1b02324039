//! What the records of a scenario show, against what it expects. Pure: records in, verdict out.

mod cookies;
mod lanes;
mod runs;
mod users;

use std::time::{Duration, Instant};

use self::cookies::judge_cookies;
use self::lanes::Look;
use self::users::judge_users;
use crate::drive::Pace;
use crate::recorder::{Copy, Outcome, Record};
use crate::scenario::{Expect, Stream};
use testbed::mesh::Via;

/// Requests per second that a scenario's streams have at least, together.
pub const RATE: u32 = 200;

/// How far a share may be from the weight, in standard deviations of as many independent draws.
const DEVIATIONS: f64 = 4.0;

/// One step as it went.
#[derive(Debug)]
pub(crate) struct Phase {
    /// The step's name.
    pub(crate) name: String,
    /// When its actions were done.
    pub(crate) acted: Instant,
    /// When the Rollout had reached the state that was waited for.
    pub(crate) stepped: Instant,
    /// When the proxies had it too, where that can be told.
    pub(crate) known: Option<Instant>,
    /// From when on shares and copies have to follow.
    pub(crate) settled: Instant,
    /// The state stays what it was: its lanes hold from `acted` on, which is also `stepped` and `settled`.
    pub(crate) throughout: bool,
    /// When it was over.
    pub(crate) ended: Instant,
    /// The canary's image for each stream, by the stream's index; none before there is one.
    pub(crate) canaries: Vec<Option<String>>,
    /// The versions that may answer each stream from `settled` on, by the stream's index; none where it has no Rollout.
    pub(crate) versions: Vec<Option<Versions>>,
    /// How long requests may stray from the lane that is theirs before and after the step, from the first to the last.
    pub(crate) strays_within: Option<Duration>,
    /// A request in the wrong lane so long after the step is wrong, where it isn't the stack's usual time.
    pub(crate) late: Option<Duration>,
    /// How long requests may fail, from the first to the last.
    pub(crate) fails_within: Option<Duration>,
    /// What is expected, with the stream's index.
    pub(crate) expect: Vec<(usize, Expect)>,
}

/// Pod hashes of a Rollout, as its status names them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    /// The stable version and the one that is being rolled out.
    pub(crate) own: Vec<String>,
    /// Those of its experiments that have a weight.
    pub(crate) experiments: Vec<String>,
}

/// One line of the report: a stream, one way, in one step.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) step: String,
    pub(crate) stream: String,
    pub(crate) via: Via,
    /// The step's state is not to change.
    pub(crate) throughout: bool,
    /// The stream's users are told apart.
    pub(crate) has_users: bool,
    /// Requests that were judged: from the settled moment on, or where the lane is certain, from the moment that
    /// allows no exception.
    pub(crate) requests: usize,
    /// Percent that the canary answered.
    pub(crate) share: f64,
    /// Percent expected, and by how much it may differ.
    pub(crate) expected: f64,
    pub(crate) tolerance: f64,
    /// Copies that the canary got.
    pub(crate) copies: usize,
    /// Percent that an experiment's pods answered.
    pub(crate) experiment: f64,
    /// Requests in the wrong lane between the step and the moment that allows no exception.
    pub(crate) late: usize,
    /// Milliseconds from the step to the last request in the wrong lane.
    pub(crate) last_late: u128,
    /// Milliseconds from the step's actions to the first request in its lane, where all were in the other one before.
    pub(crate) first: Option<u128>,
    /// Requests that left the lane which was theirs before and after the step, where the step allows it for a time.
    pub(crate) strays: usize,
    /// Milliseconds from the first of them to the last.
    pub(crate) strays_for: u128,
    /// Requests in the wrong lane, where that is a problem: where one lane is the only one, those that were in the other;
    /// where a step holds a share throughout, those that came to one version in a row beyond what chance allows.
    pub(crate) wrong: usize,
}

/// What a scenario showed.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) requests: usize,
    pub(crate) failed: usize,
    pub(crate) late: usize,
    pub(crate) copies: usize,
    /// Requests per second over all steps, of the slower way.
    pub(crate) rate: f64,
    /// The longest time from a request to its answer.
    pub(crate) slowest: Duration,
    pub(crate) rows: Vec<Row>,
    /// Users who saw another version than the one that was theirs.
    pub(crate) moved: usize,
    /// Failures that a step allows, one line per step.
    pub(crate) allowed: Vec<String>,
    /// What is wrong, one line each; empty if the scenario passed.
    pub(crate) problems: Vec<String>,
}

/// Judges all records of a scenario.
pub(crate) fn judge(
    streams: &[Stream],
    pace: &Pace,
    phases: &[Phase],
    records: &[Record],
    copies: &[Copy],
) -> Verdict {
    let mut verdict = Verdict {
        requests: records.len(),
        copies: copies.len(),
        ..Verdict::default()
    };
    failures(streams, phases, records, &mut verdict);
    rates(streams, pace.minimum_rate, phases, records, &mut verdict);
    for (number, phase) in phases.iter().enumerate() {
        let previous = number.checked_sub(1).and_then(|before| phases.get(before));
        for (index, expect) in &phase.expect {
            let stream = streams.get(*index);
            let ways = stream.map_or(&[][..], Stream::ways);
            let users = stream.and_then(|stream| stream.users.as_ref());
            for &via in ways {
                let look = Look {
                    phase,
                    previous,
                    index: *index,
                    expect,
                    via,
                    late: phase.late.unwrap_or(pace.late),
                    users: users.map(|users| users.count),
                };
                let row = look.row(records, copies, &mut verdict.problems);
                verdict.late += row.late;
                verdict.rows.push(row);
            }
        }
    }
    stray_copies(streams, phases, copies, &mut verdict.problems);
    judge_cookies(streams, records, &mut verdict.problems);
    verdict.moved = judge_users(streams, phases, records, &mut verdict.problems);
    verdict
}

/// Every failed request, with its time and step.
fn failures(streams: &[Stream], phases: &[Phase], records: &[Record], verdict: &mut Verdict) {
    let Some(began) = phases.first().map(|phase| phase.acted) else {
        return;
    };
    for (number, phase) in phases.iter().enumerate() {
        let next = phases.get(number + 1).map(|next| next.acted);
        let sent_in = |record: &&Record| {
            (number == 0 || record.sent >= phase.acted)
                && next.is_none_or(|next| record.sent < next)
        };
        let failed: Vec<(&Record, String)> = records
            .iter()
            .filter(sent_in)
            .filter_map(|record| Some((record, failure(&record.outcome)?)))
            .collect();
        verdict.failed += failed.len();
        let moments: Vec<Instant> = failed.iter().map(|(record, _)| record.sent).collect();
        if phase
            .fails_within
            .is_some_and(|allowed| span(&moments) <= allowed)
        {
            if let Some(last) = moments.iter().max() {
                verdict.allowed.push(format!(
                    "step \"{}\": {} requests failed within {} ms, the last {} ms after it began",
                    phase.name,
                    failed.len(),
                    span(&moments).as_millis(),
                    last.saturating_duration_since(phase.acted).as_millis()
                ));
            }
            continue;
        }
        for (record, what) in failed {
            let stream = streams
                .get(record.stream)
                .map_or("?", |stream| &stream.name);
            verdict.problems.push(format!(
                "failed request at {:.3} s, in step \"{}\", stream {stream} through the {}: {what}",
                record.sent.saturating_duration_since(began).as_secs_f64(),
                phase.name,
                record.via.word(),
            ));
        }
    }
}

/// What is wrong with an answer; none if nothing is.
fn failure(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Pod(_) => None,
        Outcome::Wrong(who) => Some(format!("answered by {who}")),
        Outcome::Failed(error) => Some(error.to_string()),
    }
}

/// From the first to the last.
fn span(moments: &[Instant]) -> Duration {
    let (first, last) = (moments.iter().min(), moments.iter().max());
    first.zip(last).map_or(Duration::ZERO, |(first, last)| {
        last.saturating_duration_since(*first)
    })
}

/// The rate that each way has carried, and the slowest answer.
fn rates(
    streams: &[Stream],
    minimum: u32,
    phases: &[Phase],
    records: &[Record],
    verdict: &mut Verdict,
) {
    let (Some(first), Some(last)) = (phases.first(), phases.last()) else {
        return;
    };
    let seconds = (last.ended - first.acted).as_secs_f64();
    let taken = |via: &Via| streams.iter().any(|stream| stream.ways().contains(via));
    let rates = Via::ALL.into_iter().filter(taken).map(|via| {
        let sent = records
            .iter()
            .filter(|record| record.via == via)
            .filter(|record| record.sent >= first.acted && record.sent < last.ended)
            .count();
        let rate = count(sent) / seconds;
        if rate < f64::from(minimum) {
            verdict.problems.push(format!(
                "the {} carried {rate:.1} requests a second from the first step to the last, expected at least {minimum}",
                via.word()
            ));
        }
        rate
    });
    verdict.rate = rates.fold(f64::INFINITY, f64::min);
    verdict.slowest = records
        .iter()
        .map(|record| record.took)
        .max()
        .unwrap_or_default();
}

/// Copies that reached pods other than a canary's.
fn stray_copies(streams: &[Stream], phases: &[Phase], copies: &[Copy], problems: &mut Vec<String>) {
    let canaries: Vec<&str> = phases
        .iter()
        .flat_map(|phase| phase.canaries.iter().flatten())
        .map(String::as_str)
        .collect();
    let known = |copy: &&Copy| streams.iter().any(|stream| stream.name == copy.stream);
    let stray = copies
        .iter()
        .filter(known)
        .filter(|copy| !canaries.contains(&copy.image.as_str()));
    let stray = stray.count();
    if stray > 0 {
        problems.push(format!("{stray} copies reached pods that are no canary's"));
    }
}

/// The one lane that every request has to be in, if there is one.
fn certain(percent: f64) -> Option<bool> {
    if percent <= 0.0 {
        Some(false)
    } else if percent >= 100.0 {
        Some(true)
    } else {
        None
    }
}

/// [`DEVIATIONS`] standard deviations of a share of `requests` draws, in percent; none where every draw is certain.
fn tolerance_of(expected: f64, requests: usize) -> f64 {
    if requests == 0 {
        return 0.0;
    }
    let share = (expected / 100.0).clamp(0.0, 1.0);
    DEVIATIONS * (share * (1.0 - share) / count(requests)).sqrt() * 100.0
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        count(part) * 100.0 / count(whole)
    }
}

/// Counts of a run are far below the 52 bits that a float holds exactly.
#[allow(clippy::cast_precision_loss)]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
