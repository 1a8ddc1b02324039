//! Users who are told apart: each is at one version at a time, on both ways at the same, and comes to it once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::Phase;
use crate::recorder::{Outcome, Record};
use crate::scenario::Stream;
use testbed::mesh::Via;

/// How many users are named where something is wrong with several.
const NAMED: usize = 5;

/// The images that answered one user, one way, in the order of the requests.
type Answers<'a> = BTreeMap<(u32, &'static str), Vec<(Instant, &'a str)>>;

/// Where a user was whenever a step had settled.
#[derive(Default)]
struct History<'a> {
    /// In how many steps there was an answer.
    looks: usize,
    /// Each version once for each time that the user had come to it.
    images: Vec<&'a str>,
}

/// What is wrong with the users of all streams that have some; how many of them saw several versions in one step, or moved
/// more than once between two.
pub(super) fn judge_users(
    streams: &[Stream],
    phases: &[Phase],
    records: &[Record],
    problems: &mut Vec<String>,
) -> usize {
    let mut moved = 0;
    for (index, stream) in streams.iter().enumerate() {
        if stream.users.is_none() {
            continue;
        }
        let is_expected = |phase: &Phase| phase.expect.iter().any(|(of, _)| *of == index);
        let answers = answers(index, records);
        let mut histories: BTreeMap<u32, History<'_>> = BTreeMap::new();
        for phase in phases {
            if is_expected(phase) {
                moved += window(stream, phase, &answers, &mut histories, problems);
            }
        }
        // Where a step says nothing of a stream, nobody knows what its users may see meanwhile.
        if phases.iter().all(is_expected) {
            moved += between(stream, phases, &answers, &histories, problems);
        }
    }
    moved
}

fn answers(index: usize, records: &[Record]) -> Answers<'_> {
    let mut answers: Answers<'_> = BTreeMap::new();
    for record in records.iter().filter(|record| record.stream == index) {
        if let (Some(user), Outcome::Pod(pod)) = (record.user, &record.outcome) {
            let of_user = answers.entry((user, record.via.word())).or_default();
            of_user.push((record.sent, &pod.image));
        }
    }
    for of_user in answers.values_mut() {
        of_user.sort_by_key(|(sent, _)| *sent);
    }
    answers
}

/// Once a step has settled, each user is at one version; adds it to where the user has been before.
fn window<'a>(
    stream: &Stream,
    phase: &Phase,
    answers: &Answers<'a>,
    histories: &mut BTreeMap<u32, History<'a>>,
    problems: &mut Vec<String>,
) -> usize {
    let mut seen: BTreeMap<u32, BTreeSet<&'a str>> = BTreeMap::new();
    for ((user, _), of_user) in answers {
        let settled = of_user
            .iter()
            .filter(|(sent, _)| *sent >= phase.settled && *sent < phase.ended);
        seen.entry(*user)
            .or_default()
            .extend(settled.map(|(_, image)| *image));
    }
    let torn: Vec<u32> = seen
        .iter()
        .filter(|(_, images)| images.len() > 1)
        .map(|(user, _)| *user)
        .collect();
    if !torn.is_empty() {
        problems.push(format!(
            "step \"{}\", stream {}: {} users see several versions: {}",
            phase.name,
            stream.name,
            torn.len(),
            named(&torn)
        ));
    }
    for (user, images) in seen {
        let history = histories.entry(user).or_default();
        let Some(image) = images.first() else {
            continue;
        };
        history.looks += 1;
        if history.images.last() != Some(image) {
            history.images.push(image);
        }
    }
    torn.len()
}

/// From the first step to the last a user has seen the versions of the steps, each once, and nothing between.
fn between(
    stream: &Stream,
    phases: &[Phase],
    answers: &Answers<'_>,
    histories: &BTreeMap<u32, History<'_>>,
    problems: &mut Vec<String>,
) -> usize {
    let Some((began, ended)) = phases
        .first()
        .map(|phase| phase.acted)
        .zip(phases.last().map(|phase| phase.ended))
    else {
        return 0;
    };
    let mut moved = 0;
    // A stream may have one way only; that there are answers at all is judged elsewhere.
    let used = |via: &Via| answers.keys().any(|(_, way)| *way == via.word());
    for via in Via::ALL.into_iter().filter(used) {
        let mut astray: Vec<(u32, String)> = Vec::new();
        for (user, history) in histories {
            let of_user = answers.get(&(*user, via.word())).into_iter().flatten();
            let mut images: Vec<&str> = of_user
                .filter(|(sent, _)| *sent >= began && *sent < ended)
                .map(|(_, image)| *image)
                .collect();
            images.dedup();
            // On a busy machine some have no turn while a step is looked at: nobody knows what it was to be for them.
            if history.looks == phases.len() && images != history.images {
                let steps = history.images.join(", ");
                astray.push((
                    *user,
                    format!("{} where the steps show {steps}", images.join(", ")),
                ));
            }
        }
        moved += astray.len();
        if let Some((_, first)) = astray.first() {
            let users: Vec<u32> = astray.iter().map(|(user, _)| *user).collect();
            problems.push(format!(
                "stream {} through the {}: {} users moved more than once between two steps: {}; the first saw {first}",
                stream.name,
                via.word(),
                users.len(),
                named(&users)
            ));
        }
    }
    let again = |history: &&History<'_>| {
        let versions: BTreeSet<&str> = history.images.iter().copied().collect();
        versions.len() < history.images.len()
    };
    let returned = histories.values().filter(again).count();
    let returns = phases.iter().flat_map(|phase| &phase.expect);
    let weights: Vec<f64> = returns
        .filter(|(_, expect)| expect.stream == stream.name)
        .map(|(_, expect)| expect.canary)
        .collect();
    if weights.is_sorted() && returned > 0 {
        problems.push(format!(
            "stream {}: {returned} users came back to a version that they had left, though the weight never fell",
            stream.name
        ));
    }
    moved
}

fn named(users: &[u32]) -> String {
    let names: Vec<String> = users.iter().take(NAMED).map(u32::to_string).collect();
    let more = if users.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}
