//! What the records of a scenario show, against what it expects. Pure: records in, verdict out.

use std::time::{Duration, Instant};

use crate::proxy::Via;
use crate::recorder::{Copy, Outcome, Record};
use crate::scenario::{Expect, Stream};

/// A request that is still in the wrong lane this long after its step is wrong; until then it is late.
const LATE: Duration = Duration::from_secs(2);

/// How far a share may be from the weight, in standard deviations of as many independent draws.
const DEVIATIONS: f64 = 4.0;

/// Copies are counted where they arrive, requests where they are sent: at both ends of a phase some are under way.
const COPIES_UNDER_WAY: f64 = 5.0;

/// One step as it went.
#[derive(Debug)]
pub(crate) struct Phase {
    /// The step's name.
    pub(crate) name: String,
    /// When its actions were done.
    pub(crate) acted: Instant,
    /// When the Rollout had reached the state that was waited for.
    pub(crate) stepped: Instant,
    /// From when on every request has to follow.
    pub(crate) settled: Instant,
    /// When it was over.
    pub(crate) ended: Instant,
    /// The canary's image for each stream, by the stream's index; none before there is one.
    pub(crate) canaries: Vec<Option<String>>,
    /// What is expected, with the stream's index.
    pub(crate) expect: Vec<(usize, Expect)>,
}

/// One line of the report: a stream, one way, in one step.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) step: String,
    pub(crate) stream: String,
    pub(crate) via: Via,
    /// Requests from the settled moment to the end.
    pub(crate) requests: usize,
    /// Percent that the canary answered.
    pub(crate) share: f64,
    /// Percent expected, and by how much it may differ.
    pub(crate) expected: f64,
    pub(crate) tolerance: f64,
    /// Copies that the canary got.
    pub(crate) copies: usize,
    /// Requests in the wrong lane between the step and the settled moment, where the lane is certain.
    pub(crate) late: usize,
    /// Milliseconds from the step to the last request in the wrong lane.
    pub(crate) last_late: u128,
}

/// What a scenario showed.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) requests: usize,
    pub(crate) failed: usize,
    pub(crate) late: usize,
    pub(crate) copies: usize,
    pub(crate) rows: Vec<Row>,
    /// What is wrong, one line each; empty if the scenario passed.
    pub(crate) problems: Vec<String>,
}

/// Judges all records of a scenario.
pub(crate) fn judge(
    streams: &[Stream],
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
    for phase in phases {
        for (index, expect) in &phase.expect {
            for via in Via::ALL {
                let row = row(
                    phase,
                    *index,
                    expect,
                    via,
                    records,
                    copies,
                    &mut verdict.problems,
                );
                verdict.late += row.late;
                verdict.rows.push(row);
            }
        }
    }
    stray_copies(streams, phases, copies, &mut verdict.problems);
    verdict
}

/// Every failed request, with its time and step.
fn failures(streams: &[Stream], phases: &[Phase], records: &[Record], verdict: &mut Verdict) {
    let Some(began) = phases.first().map(|phase| phase.acted) else {
        return;
    };
    for record in records {
        let what = match &record.outcome {
            Outcome::Image(_) => continue,
            Outcome::Wrong(who) => format!("answered by {who}"),
            Outcome::Failed(error) => error.to_string(),
        };
        verdict.failed += 1;
        let step = phases.iter().rev().find(|phase| phase.acted <= record.sent);
        let stream = streams
            .get(record.stream)
            .map_or("?", |stream| &stream.name);
        verdict.problems.push(format!(
            "failed request at {:.3} s, in step \"{}\", stream {stream} through the {}: {what}",
            record.sent.saturating_duration_since(began).as_secs_f64(),
            step.map_or("?", |phase| &phase.name),
            record.via.word(),
        ));
    }
}

fn row(
    phase: &Phase,
    index: usize,
    expect: &Expect,
    via: Via,
    records: &[Record],
    copies: &[Copy],
    problems: &mut Vec<String>,
) -> Row {
    let canary = phase.canaries.get(index).and_then(Option::as_deref);
    // An unanswered request is in no lane; it has been counted as failed.
    let lanes = records
        .iter()
        .filter(|record| record.stream == index && record.via == via)
        .filter_map(|record| match &record.outcome {
            Outcome::Image(image) => Some((record.sent, canary == Some(&**image))),
            Outcome::Wrong(_) | Outcome::Failed(_) => None,
        });
    let (mut requests, mut hits, mut late, mut last_late) = (0_usize, 0_usize, 0, Duration::ZERO);
    let certain = certain(expect.canary);
    for (sent, hit) in lanes {
        if sent >= phase.settled && sent < phase.ended {
            requests += 1;
            hits += usize::from(hit);
        }
        if let Some(lane) = certain
            && hit != lane
            && sent >= phase.stepped
            && sent < phase.ended
        {
            late += usize::from(sent < phase.settled);
            last_late = last_late.max(sent - phase.stepped);
        }
    }
    let place = format!(
        "step \"{}\", stream {} through the {}",
        phase.name,
        expect.stream,
        via.word()
    );
    if last_late > LATE {
        problems.push(format!(
            "{place}: a request was in the wrong lane {} ms after the step, allowed are {}",
            last_late.as_millis(),
            LATE.as_millis()
        ));
    }
    let share = percent(hits, requests);
    let tolerance = tolerance_of(expect.canary, requests);
    if requests == 0 {
        problems.push(format!("{place}: no request was answered"));
    } else if (share - expect.canary).abs() > tolerance {
        problems.push(format!(
            "{place}: the canary answered {share:.2} % of {requests} requests, expected {:.0} ± {tolerance:.2}",
            expect.canary
        ));
    }
    let arrived = copies
        .iter()
        .filter(|copy| copy.at >= phase.settled && copy.at < phase.ended)
        .filter(|copy| copy.stream == expect.stream && copy.via == via.word())
        .filter(|copy| canary == Some(copy.image.as_str()))
        .count();
    let due = count(requests) * expect.copies / 100.0;
    let slack = tolerance_of(expect.copies, requests) * count(requests) / 100.0
        + if expect.copies > 0.0 {
            COPIES_UNDER_WAY
        } else {
            0.0
        };
    if (count(arrived) - due).abs() > slack {
        problems.push(format!(
            "{place}: the canary got {arrived} copies of {requests} requests, expected {due:.0} ± {slack:.0}"
        ));
    }
    Row {
        step: phase.name.clone(),
        stream: expect.stream.clone(),
        via,
        requests,
        share,
        expected: expect.canary,
        tolerance,
        copies: arrived,
        late,
        last_late: last_late.as_millis(),
    }
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
