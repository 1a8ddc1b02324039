//! The lanes and the copies of one stream, one way, in one step.

use std::time::{Duration, Instant};

use super::{Phase, Row, Versions, certain, count, percent, runs, span, tolerance_of};
use crate::recorder::{Copy, Outcome, Pod, Record};
use crate::scenario::Expect;
use testbed::mesh::Via;

/// Copies are counted where they arrive, requests where they are sent: at both ends of a phase some are under way.
const COPIES_UNDER_WAY: f64 = 5.0;

/// What is looked at: one stream, one way, in one step.
pub(super) struct Look<'a> {
    pub(super) phase: &'a Phase,
    /// The step before.
    pub(super) previous: Option<&'a Phase>,
    /// The stream's index.
    pub(super) index: usize,
    pub(super) expect: &'a Expect,
    pub(super) via: Via,
    /// A request in the wrong lane so long after its step is wrong.
    pub(super) late: Duration,
    /// How many users send the requests, where they are told apart.
    pub(super) users: Option<u32>,
}

impl Look<'_> {
    /// The lane was certain before the step and is the same after it: nothing that happens between may move a request.
    fn held_since(&self) -> Option<Instant> {
        let previous = self.previous?;
        let lane = certain(self.expect.canary)?;
        let before = self.before()?;
        // With another canary, all of it is another lane; none of it is the stable version's either way.
        let same =
            !lane || previous.canaries.get(self.index) == self.phase.canaries.get(self.index);
        (before == lane && same).then_some(previous.ended)
    }

    /// The lane that was the only one before the step.
    fn before(&self) -> Option<bool> {
        let mut expect = self.previous?.expect.iter();
        let (_, expect) = expect.find(|(index, _)| *index == self.index)?;
        certain(expect.canary)
    }

    /// From when on every request counts.
    fn from(&self) -> Instant {
        if let Some(since) = self.held_since() {
            since
        } else if self.phase.throughout || certain(self.expect.canary).is_none() {
            self.phase.settled
        } else {
            self.latest()
        }
    }

    /// A request in the wrong lane after this is wrong.
    fn latest(&self) -> Instant {
        let latest = self.phase.stepped + self.late;
        self.phase.known.map_or(latest, |known| latest.max(known))
    }

    /// When the requests were sent that were answered, and whether by the canary.
    fn lanes(&self, records: &[Record]) -> Vec<(Instant, bool)> {
        let canary = self.canary();
        records
            .iter()
            .filter(|record| record.stream == self.index && record.via == self.via)
            .filter_map(|record| match &record.outcome {
                Outcome::Pod(pod) => Some((
                    record.sent,
                    canary == Some(&*pod.image) && !self.is_experiment(pod),
                )),
                // An unanswered request is in no lane; it has been counted as failed.
                Outcome::Wrong(_) | Outcome::Failed(_) => None,
            })
            .filter(|(sent, _)| *sent < self.phase.ended)
            .collect()
    }

    fn versions(&self) -> Option<&Versions> {
        self.phase.versions.get(self.index)?.as_ref()
    }

    fn is_experiment(&self, pod: &Pod) -> bool {
        self.versions()
            .is_some_and(|versions| is_among(pod, &versions.experiments))
    }

    /// The percentage that experiments' pods answered from the settled moment on; that of versions which have no part in
    /// the Rollout any more has to be 0.
    fn experiment(&self, place: &str, records: &[Record], problems: &mut Vec<String>) -> f64 {
        let Some(versions) = self.versions() else {
            return 0.0;
        };
        let answers: Vec<(Instant, &Pod)> = records
            .iter()
            .filter(|record| record.stream == self.index && record.via == self.via)
            .filter(|record| record.sent >= self.phase.settled && record.sent < self.phase.ended)
            .filter_map(|record| match &record.outcome {
                Outcome::Pod(pod) => Some((record.sent, pod)),
                Outcome::Wrong(_) | Outcome::Failed(_) => None,
            })
            .collect();
        let experiments = answers
            .iter()
            .filter(|(_, pod)| self.is_experiment(pod))
            .count();
        let strangers = answers
            .iter()
            .filter(|(sent, _)| *sent >= self.latest())
            .filter(|(_, pod)| !self.is_experiment(pod) && !is_among(pod, &versions.own))
            .count();
        if strangers > 0 {
            problems.push(format!(
                "{place}: {strangers} of {} requests were answered by pods that are neither stable nor the canary's",
                answers.len()
            ));
        }
        let share = percent(experiments, answers.len());
        let expected = self.expect.experiment;
        let tolerance = tolerance_of(expected, answers.len());
        if (share - expected).abs() > tolerance {
            problems.push(format!(
                "{place}: experiments answered {share:.2} % of {} requests, expected {expected:.0} ± {tolerance:.2}",
                answers.len()
            ));
        }
        share
    }

    fn canary(&self) -> Option<&str> {
        self.phase
            .canaries
            .get(self.index)
            .and_then(Option::as_deref)
    }

    /// The line of the report, and what is wrong with it.
    pub(super) fn row(
        &self,
        records: &[Record],
        copies: &[Copy],
        problems: &mut Vec<String>,
    ) -> Row {
        let (phase, expect) = (self.phase, self.expect);
        let lanes = self.lanes(records);
        let from = self.from();
        let judged = || lanes.iter().filter(|(sent, _)| *sent >= from);
        let requests = judged().count();
        let hits = judged().filter(|(_, hit)| *hit).count();
        let share = percent(hits, requests);
        // Who is told apart is drawn once, however many requests come.
        let draws = self.users.map_or(requests, |users| {
            usize::try_from(users).map_or(requests, |users| users.min(requests))
        });
        let tolerance = tolerance_of(expect.canary, draws);
        let place = format!(
            "step \"{}\", stream {} through the {}",
            phase.name,
            expect.stream,
            self.via.word()
        );
        let (mut late, mut last_late) = (0, Duration::ZERO);
        let (mut strayed, mut strayed_for) = (0, Duration::ZERO);
        let mut astray = 0;
        let mut first = None;
        if requests == 0 {
            problems.push(format!("{place}: no request was answered"));
        }
        if let Some(lane) = certain(expect.canary) {
            let strays: Vec<Instant> = lanes
                .iter()
                .filter(|(sent, hit)| *hit != lane && *sent >= from.min(phase.stepped))
                .map(|(sent, _)| *sent)
                .collect();
            let mut wrong = strays.iter().filter(|sent| **sent >= from).count();
            let allowed = self.held_since().and(phase.strays_within);
            if let Some(allowed) = allowed {
                strayed = strays.len();
                strayed_for = span(&strays);
                if strayed_for <= allowed {
                    wrong = 0;
                }
            } else {
                late = strays.len() - wrong;
                first = self.first(&lanes, lane);
                if let Some(last) = strays.iter().max() {
                    last_late = last.saturating_duration_since(phase.stepped);
                }
            }
            if wrong > 0 {
                problems.push(self.stray(&place, &strays, wrong, requests));
            }
            astray = wrong;
        } else if requests > 0 && (share - expect.canary).abs() > tolerance {
            problems.push(format!(
                "{place}: the canary answered {share:.2} % of {requests} requests, expected {:.0} ± {tolerance:.2}",
                expect.canary
            ));
        }
        if phase.throughout && self.users.is_none() {
            astray += runs::astray(&place, expect.canary, &lanes, from, problems);
        }
        let arrived = self.copies(&place, &lanes, copies, problems);
        let experiment = self.experiment(&place, records, problems);
        Row {
            step: phase.name.clone(),
            stream: expect.stream.clone(),
            via: self.via,
            throughout: phase.throughout,
            has_users: self.users.is_some(),
            requests,
            share,
            expected: expect.canary,
            tolerance,
            copies: arrived,
            experiment,
            late,
            last_late: last_late.as_millis(),
            first: first.map(|first| first.as_millis()),
            strays: strayed,
            strays_for: strayed_for.as_millis(),
            wrong: astray,
        }
    }

    /// From the step's actions to the first request in `lane`, where the other one was the only one before.
    fn first(&self, lanes: &[(Instant, bool)], lane: bool) -> Option<Duration> {
        self.before().filter(|before| *before != lane)?;
        let sent = lanes.iter().filter(|(_, hit)| *hit == lane);
        let sent = sent.map(|(sent, _)| *sent);
        let first = sent.filter(|sent| *sent >= self.phase.acted).min()?;
        Some(first - self.phase.acted)
    }

    /// Says how many requests were in the wrong lane, and when.
    fn stray(&self, place: &str, strays: &[Instant], wrong: usize, requests: usize) -> String {
        let after =
            |moment: Instant, from: Instant| moment.saturating_duration_since(from).as_millis();
        let first = strays.iter().min().copied().unwrap_or(self.phase.acted);
        let last = strays.iter().max().copied().unwrap_or(self.phase.acted);
        if self.held_since().is_some() {
            let allowed = self.phase.strays_within.map_or(String::new(), |allowed| {
                format!(", allowed are {} ms", allowed.as_millis())
            });
            return format!(
                "{place}: {wrong} of {requests} requests left the lane that was theirs before and after the step, \
                 {} to {} ms after it began{allowed}",
                after(first, self.phase.acted),
                after(last, self.phase.acted),
            );
        }
        let allowed = if self.phase.throughout {
            Duration::ZERO
        } else {
            self.late
        };
        format!(
            "{place}: {wrong} of {requests} requests were in the wrong lane, the last {} ms after the step, allowed are \
             {}",
            after(last, self.phase.stepped),
            allowed.as_millis()
        )
    }

    /// How many copies the canary got; too few and too many are problems.
    fn copies(
        &self,
        place: &str,
        lanes: &[(Instant, bool)],
        copies: &[Copy],
        problems: &mut Vec<String>,
    ) -> usize {
        let (phase, expect) = (self.phase, self.expect);
        let canary = self.canary();
        let requests = lanes
            .iter()
            .filter(|(sent, _)| *sent >= phase.settled)
            .count();
        let arrived = copies
            .iter()
            .filter(|copy| copy.at >= phase.settled && copy.at < phase.ended)
            .filter(|copy| copy.stream == expect.stream && copy.via == self.via.word())
            .filter(|copy| canary == Some(copy.image.as_str()))
            .count();
        let due = count(requests) * expect.copies / 100.0;
        let under_way = if expect.copies > 0.0 {
            COPIES_UNDER_WAY
        } else {
            0.0
        };
        let slack = tolerance_of(expect.copies, requests) * count(requests) / 100.0 + under_way;
        if (count(arrived) - due).abs() > slack {
            problems.push(format!(
                "{place}: the canary got {arrived} copies of {requests} requests, expected {due:.0} ± {slack:.0}"
            ));
        }
        arrived
    }
}

fn is_among(pod: &Pod, hashes: &[String]) -> bool {
    pod.hash
        .as_deref()
        .is_some_and(|hash| hashes.iter().any(|one| one == hash))
}
