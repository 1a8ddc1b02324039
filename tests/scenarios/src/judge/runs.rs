//! Requests in a row at one version, where each is drawn by itself: what a share over a whole step doesn't show.

use std::time::{Duration, Instant};

use super::{certain, count};

/// How likely a run that is called wrong may be in one stream of one step, if each request is drawn by itself.
const CHANCE: f64 = 1e-9;

/// How many requests were in a run at one version that chance doesn't allow, and says so. `lanes`: when each was sent, and
/// whether the canary answered it; `from` when on they count; `canary`: the percentage that it should have answered.
pub(super) fn astray(
    place: &str,
    canary: f64,
    lanes: &[(Instant, bool)],
    from: Instant,
    problems: &mut Vec<String>,
) -> usize {
    if certain(canary).is_some() {
        return 0;
    }
    let mut judged: Vec<(Instant, bool)> = lanes
        .iter()
        .copied()
        .filter(|(sent, _)| *sent >= from)
        .collect();
    judged.sort_unstable_by_key(|(sent, _)| *sent);
    let mut all = 0;
    let mut longest: &[(Instant, bool)] = &[];
    for run in judged.chunk_by(|(_, one), (_, next)| one == next) {
        let is_canary = run.first().is_some_and(|(_, canary)| *canary);
        let share = if is_canary { canary } else { 100.0 - canary };
        // It may begin with any request.
        if count(judged.len()) * (share / 100.0).powf(count(run.len())) >= CHANCE {
            continue;
        }
        all += run.len();
        if run.len() > longest.len() {
            longest = run;
        }
    }
    if let (Some((first, is_canary)), Some((last, _))) = (longest.first(), longest.last()) {
        let lasted: Duration = last.saturating_duration_since(*first);
        let who = if *is_canary {
            "the canary"
        } else {
            "the stable version"
        };
        problems.push(format!(
            "{place}: {all} of {} requests were in runs at one version that are longer than chance allows at {canary:.0} %; \
             the longest had {} at {who}, for {} ms",
            judged.len(),
            longest.len(),
            lasted.as_millis()
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn astray_of(canary: f64, lanes: &[bool]) -> (usize, Vec<String>) {
        let began = Instant::now();
        let mut lanes: Vec<(Instant, bool)> = (0..)
            .zip(lanes)
            .map(|(number, lane)| (began + Duration::from_millis(number), *lane))
            .collect();
        // They come in the order of their answers.
        lanes.reverse();
        let mut problems = Vec::new();
        let astray = astray("here", canary, &lanes, began, &mut problems);
        (astray, problems)
    }

    #[test]
    fn a_run_is_wrong_where_chance_does_not_allow_it() {
        let fair: Vec<bool> = (0..1000).map(|number| number % 2 == 0).collect();
        assert_eq!(astray_of(50.0, &fair), (0, Vec::new()));
        let mut gap = fair.clone();
        gap[300..400].fill(false);
        let (astray, problems) = astray_of(50.0, &gap);
        assert_eq!(astray, 101);
        assert_eq!(
            problems,
            [
                "here: 101 of 1000 requests were in runs at one version that are longer than chance allows at 50 %; the \
                 longest had 101 at the stable version, for 100 ms"
            ]
        );
        // A run of 30 happens.
        let mut short = fair;
        short[300..330].fill(true);
        assert_eq!(astray_of(50.0, &short), (0, Vec::new()));
        // Where nine of ten are stable's, so does one of a hundred.
        assert_eq!(astray_of(10.0, &[false; 100]).0, 0);
        assert_eq!(astray_of(90.0, &[false; 100]).0, 100);
        assert_eq!(astray_of(100.0, &[false; 100]).0, 0);
    }
}
