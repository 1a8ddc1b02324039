//! Verdicts on records made by hand: each rule has a record set that keeps it and one that breaks it.

use std::collections::BTreeMap;
use std::sync::Arc;

use testbed::load::RequestError;

use super::*;
use crate::recorder::Pod;

const STABLE: &str = "web:1";
const CANARY: &str = "web:2";

/// A pod of an experiment, which has the canary's image.
const EXPERIMENT: &str = "web:2 in an experiment";
/// A version that was given up.
const FORMER: &str = "web:1.5";

fn hash_of(image: &str) -> &str {
    image.strip_prefix("web:").unwrap_or(image)
}

const PACE: Pace = Pace {
    rate: 1.0,
    minimum_rate: RATE,
    seconds: 1.0,
    settle: Duration::from_secs(1),
    late: Duration::from_secs(2),
    patience: 1,
};

fn stream() -> Stream {
    Stream {
        name: "users".to_owned(),
        sidecar: "web".to_owned(),
        gateway: "web.example.com".to_owned(),
        path: "/".to_owned(),
        method: "GET".to_owned(),
        headers: BTreeMap::new(),
        http2: false,
        http2_to_pods: false,
        users: None,
        cookies: None,
        front: None,
        rate: 100,
        only: None,
        app: "web".to_owned(),
        rollout: Some("web".to_owned()),
    }
}

/// Steps at 1 s, settled at 2 s, over at 12 s.
fn phase(began: Instant, canary: f64, copies: f64) -> Phase {
    Phase {
        name: "a step".to_owned(),
        acted: began,
        stepped: began + Duration::from_secs(1),
        settled: began + Duration::from_secs(2),
        known: None,
        throughout: false,
        ended: began + Duration::from_secs(12),
        canaries: vec![Some(CANARY.to_owned())],
        versions: vec![Some(Versions {
            own: vec![hash_of(STABLE).to_owned(), hash_of(CANARY).to_owned()],
            experiments: vec![hash_of(EXPERIMENT).to_owned()],
        })],
        strays_within: None,
        fails_within: None,
        late: None,
        expect: vec![(
            0,
            Expect {
                stream: "users".to_owned(),
                canary,
                copies,
                experiment: 0.0,
            },
        )],
    }
}

/// One request every 5 ms from the start on, both ways, answered by what `image` says of its number.
fn records(began: Instant, image: impl Fn(u64) -> &'static str) -> Vec<Record> {
    Via::ALL
        .into_iter()
        .flat_map(|via| (0..2400).map(move |number| (via, number)))
        .map(|(via, number)| Record {
            sent: began + Duration::from_millis(number * 5),
            took: Duration::from_millis(3),
            via,
            stream: 0,
            user: None,
            cookies: Vec::new(),
            outcome: Outcome::Pod(Pod {
                image: Arc::from(image(number)),
                hash: Some(Arc::from(hash_of(image(number)))),
            }),
        })
        .collect()
}

fn verdict(phase: Phase, records: &[Record], copies: &[Copy]) -> Verdict {
    judge(&[stream()], &PACE, &[phase], records, copies)
}

#[test]
fn a_share_within_four_deviations_passes() {
    let began = Instant::now();
    let records = records(
        began,
        |number| if number % 10 == 0 { CANARY } else { STABLE },
    );
    let verdict = verdict(phase(began, 10.0, 0.0), &records, &[]);
    assert_eq!(verdict.problems, Vec::<String>::new());
    assert_eq!(verdict.requests, 4800);
    assert!(
        verdict
            .rows
            .iter()
            .all(|row| row.requests == 2000 && (row.share - 10.0).abs() < 1e-9)
    );
}

#[test]
fn a_share_beyond_four_deviations_is_named() {
    let began = Instant::now();
    let records = records(
        began,
        |number| if number % 5 == 0 { CANARY } else { STABLE },
    );
    let verdict = verdict(phase(began, 10.0, 0.0), &records, &[]);
    assert_eq!(
        verdict.problems.first().map(String::as_str),
        Some(
            "step \"a step\", stream users through the sidecar: the canary answered 20.00 % of 2000 requests, expected \
             10 ± 2.68"
        )
    );
}

#[test]
fn proxies_that_learn_late_are_waited_for_where_that_can_be_told() {
    let began = Instant::now();
    let records = records(began, |number| if number < 900 { STABLE } else { CANARY });
    let mut step = phase(began, 100.0, 0.0);
    step.known = Some(began + Duration::from_millis(4500));
    assert_eq!(verdict(step, &records, &[]).problems, Vec::<String>::new());
    assert_eq!(
        verdict(phase(began, 100.0, 0.0), &records, &[])
            .problems
            .len(),
        2
    );
}

#[test]
fn one_request_in_the_wrong_lane_is_too_many_where_the_lane_is_certain() {
    let began = Instant::now();
    let records = records(began, |number| if number == 700 { STABLE } else { CANARY });
    assert_eq!(
        verdict(phase(began, 100.0, 0.0), &records, &[])
            .problems
            .len(),
        2
    );
}

#[test]
fn requests_in_the_old_lane_right_after_the_step_are_late_but_no_problem() {
    let began = Instant::now();
    let records = records(began, |number| if number < 260 { STABLE } else { CANARY });
    let verdict = verdict(phase(began, 100.0, 0.0), &records, &[]);
    assert_eq!(verdict.problems, Vec::<String>::new());
    assert_eq!(verdict.late, 120);
    assert!(verdict.rows.iter().all(|row| row.last_late == 295));
}

#[test]
fn a_failed_request_is_named_with_its_time_and_step() {
    let began = Instant::now();
    let mut records = records(began, |_| STABLE);
    records[300].outcome = Outcome::Failed(RequestError::Timeout {
        limit: Duration::from_secs(1),
    });
    records[301].outcome = Outcome::Wrong("shop/other".to_owned());
    let verdict = verdict(phase(began, 0.0, 0.0), &records, &[]);
    assert_eq!(verdict.failed, 2);
    assert_eq!(
        verdict.problems,
        [
            "failed request at 1.500 s, in step \"a step\", stream users through the sidecar: no answer within 1000 ms",
            "failed request at 1.505 s, in step \"a step\", stream users through the sidecar: answered by shop/other",
        ]
    );
}

#[test]
fn copies_are_counted_and_belong_to_the_canary() {
    let began = Instant::now();
    let records = records(began, |_| STABLE);
    let copy = |number: u64, via: Via, image: &str| Copy {
        at: began + Duration::from_millis(number * 5 + 1),
        via: via.word().to_owned(),
        stream: "users".to_owned(),
        image: image.to_owned(),
    };
    let both = |image| -> Vec<Copy> {
        Via::ALL
            .into_iter()
            .flat_map(|via| (0..2400).map(move |number| copy(number, via, image)))
            .collect()
    };
    assert_eq!(
        verdict(phase(began, 0.0, 100.0), &records, &both(CANARY)).problems,
        Vec::<String>::new()
    );
    assert_eq!(
        verdict(phase(began, 0.0, 0.0), &records, &both(CANARY))
            .problems
            .len(),
        2
    );
    let stray = verdict(
        phase(began, 0.0, 0.0),
        &records,
        &[copy(500, Via::Gateway, STABLE)],
    );
    assert_eq!(
        stray.problems,
        ["1 copies reached pods that are no canary's"]
    );
}

#[test]
fn silence_is_a_problem() {
    let began = Instant::now();
    let verdict = verdict(phase(began, 0.0, 0.0), &[], &[]);
    // No rate and no answers, each on both ways.
    assert_eq!(verdict.problems.len(), 4);
}

#[test]
fn a_certain_lane_is_judged_from_two_seconds_after_the_step_on() {
    let began = Instant::now();
    // The step is at 1 s, which is request 200.
    let until = |last: u64| {
        let records = records(
            began,
            move |number| {
                if number <= last { STABLE } else { CANARY }
            },
        );
        verdict(phase(began, 100.0, 0.0), &records, &[])
    };
    let late = until(500);
    assert_eq!(late.problems, Vec::<String>::new());
    assert!(
        late.rows
            .iter()
            .all(|row| row.late == 301 && row.last_late == 1500 && row.requests == 1800)
    );
    assert_eq!(until(599).problems, Vec::<String>::new());
    assert_eq!(
        until(600).problems.first().map(String::as_str),
        Some(
            "step \"a step\", stream users through the sidecar: 1 of 1800 requests were in the wrong lane, the last 2000 \
             ms after the step, allowed are 2000"
        )
    );
}

/// Two steps: the first is over at 5 s; the second begins at 6 s, steps at 7 s and is over at 12 s.
fn two(began: Instant, canary: [f64; 2]) -> [Phase; 2] {
    let mut first = phase(began, canary[0], 0.0);
    first.ended = began + Duration::from_secs(5);
    let mut second = phase(began + Duration::from_secs(6), canary[1], 0.0);
    second.ended = began + Duration::from_secs(12);
    [first, second]
}

#[test]
fn a_lane_that_is_the_same_before_and_after_a_step_is_judged_without_a_gap() {
    let began = Instant::now();
    // At 5.5 s the first step is over and the second has not begun, at 6.5 s it is being done.
    for (held, moment) in [(100.0, 1100), (100.0, 1300), (0.0, 1100), (0.0, 1300)] {
        let (lane, other) = if held > 0.0 {
            (CANARY, STABLE)
        } else {
            (STABLE, CANARY)
        };
        let records = records(began, |number| if number == moment { other } else { lane });
        let verdict = judge(&[stream()], &PACE, &two(began, [held, held]), &records, &[]);
        assert_eq!(
            verdict.problems.len(),
            2,
            "{held} {moment}: {:?}",
            verdict.problems
        );
        assert!(
            verdict.problems[0].contains(
                "1 of 1400 requests left the lane that was theirs before and after the step"
            ),
            "{:?}",
            verdict.problems
        );
        assert_eq!(verdict.late, 0);
    }
}

#[test]
fn a_lane_that_changes_with_the_step_has_its_time_to_follow() {
    let began = Instant::now();
    let records = records(began, |number| if number < 1500 { STABLE } else { CANARY });
    let mut phases = two(began, [0.0, 100.0]);
    assert_eq!(
        judge(&[stream()], &PACE, &phases, &records, &[]).problems,
        Vec::<String>::new()
    );
    // All of another canary is another lane as well.
    phases[0].expect[0].1.canary = 100.0;
    phases[0].canaries = vec![Some(STABLE.to_owned())];
    assert_eq!(
        judge(&[stream()], &PACE, &phases, &records, &[]).problems,
        Vec::<String>::new()
    );
}

#[test]
fn a_step_that_changes_nothing_allows_nothing() {
    let began = Instant::now();
    let records = records(began, |number| if number == 1 { STABLE } else { CANARY });
    let mut phase = phase(began, 100.0, 0.0);
    (phase.stepped, phase.settled, phase.throughout) = (began, began, true);
    assert_eq!(verdict(phase, &records, &[]).problems.len(), 2);
}

#[test]
fn a_way_that_carries_less_than_its_rate_is_named() {
    let began = Instant::now();
    let mut records = records(began, |_| STABLE);
    records[7].took = Duration::from_millis(42);
    // One request of the gateway's less.
    records.pop();
    let verdict = verdict(phase(began, 0.0, 0.0), &records, &[]);
    assert_eq!(
        verdict.problems,
        [
            "the gateway carried 199.9 requests a second from the first step to the last, expected at least 200"
        ]
    );
    assert!((verdict.rate - 2399.0 / 12.0).abs() < 1e-9);
    assert_eq!(verdict.slowest, Duration::from_millis(42));
}

#[test]
fn a_step_may_let_requests_stray_for_a_time() {
    let began = Instant::now();
    let records = records(began, |number| match number {
        1300 | 1310 | 1320 => STABLE,
        _ => CANARY,
    });
    let mut phases = two(began, [100.0, 100.0]);
    phases[1].strays_within = Some(Duration::from_millis(100));
    let verdict = judge(&[stream()], &PACE, &phases, &records, &[]);
    assert_eq!(verdict.problems, Vec::<String>::new());
    assert_eq!(
        (verdict.rows[2].strays, verdict.rows[2].strays_for),
        (3, 100)
    );
    phases[1].strays_within = Some(Duration::from_millis(99));
    let problems = judge(&[stream()], &PACE, &phases, &records, &[]).problems;
    assert!(
        problems[0].contains("3 of 1400 requests left the lane")
            && problems[0].ends_with("500 to 600 ms after it began, allowed are 99 ms"),
        "{problems:?}"
    );
}

#[test]
fn an_experiments_pods_are_not_the_canarys() {
    let began = Instant::now();
    let mut records = records(began, |number| match number % 10 {
        0 => CANARY,
        1 | 2 => EXPERIMENT,
        _ => STABLE,
    });
    for record in &mut records {
        if let Outcome::Pod(pod) = &mut record.outcome
            && &*pod.image == EXPERIMENT
        {
            pod.image = Arc::from(CANARY);
        }
    }
    let mut phase = phase(began, 10.0, 0.0);
    phase.expect[0].1.experiment = 20.0;
    assert_eq!(verdict(phase, &records, &[]).problems, Vec::<String>::new());
    let mut phase = self::phase(began, 10.0, 0.0);
    phase.expect[0].1.experiment = 15.0;
    let problems = verdict(phase, &records, &[]).problems;
    assert!(
        problems[0].contains("experiments answered 20.00 % of 2000 requests, expected 15"),
        "{problems:?}"
    );
}

#[test]
fn a_version_that_was_given_up_answers_nothing() {
    let began = Instant::now();
    // Two seconds after the step are request 600.
    for (number, problems) in [(599, 0), (600, 2)] {
        let records = records(began, |sent| if sent == number { FORMER } else { STABLE });
        let verdict = verdict(phase(began, 0.0, 0.0), &records, &[]);
        assert_eq!(verdict.problems.len(), problems, "{:?}", verdict.problems);
    }
}

#[test]
fn a_step_may_let_requests_fail_for_a_time() {
    let began = Instant::now();
    let mut records = records(began, |_| STABLE);
    for number in [300, 320] {
        records[number].outcome = Outcome::Wrong("shop/other".to_owned());
    }
    for (allowed, problems) in [(100, 0), (99, 2)] {
        let mut phase = phase(began, 0.0, 0.0);
        phase.fails_within = Some(Duration::from_millis(allowed));
        let verdict = verdict(phase, &records, &[]);
        assert_eq!(verdict.failed, 2);
        assert_eq!(verdict.problems.len(), problems, "{:?}", verdict.problems);
    }
}

/// Twenty users take turns from both ways, for two steps: at first none at the canary, then those below `share`.
fn of_users(change: impl Fn(&mut Record, u32, bool)) -> Vec<String> {
    let began = Instant::now();
    let second = began + Duration::from_secs(12);
    let mut stream = stream();
    stream.users = Some(crate::scenario::Users {
        count: 20,
        header: "x-user".to_owned(),
        value: "{}".to_owned(),
    });
    let mut all = Vec::new();
    for (began, after) in [(began, false), (second, true)] {
        for (number, mut record) in (0..).zip(records(began, |_| STABLE)) {
            let user = number % 20;
            record.user = Some(user);
            if after && user < 10 {
                record.outcome = canary();
            }
            change(&mut record, user, after);
            all.push(record);
        }
    }
    let phases = [phase(began, 0.0, 0.0), phase(second, 50.0, 0.0)];
    judge(&[stream], &PACE, &phases, &all, &[]).problems
}

fn canary() -> Outcome {
    Outcome::Pod(Pod {
        image: Arc::from(CANARY),
        hash: Some(Arc::from(hash_of(CANARY))),
    })
}

#[test]
fn users_move_once_and_on_both_ways() {
    assert_eq!(of_users(|_, _, _| {}), [""; 0]);

    // 13 of 20 are within four deviations of twenty draws, though not of as many as there are requests.
    let more = of_users(|record, user, after| {
        if after && (10..13).contains(&user) {
            record.outcome = canary();
        }
    });
    assert_eq!(more, [""; 0]);

    let torn = of_users(|record, user, after| {
        if after && user == 3 && record.via == Via::Gateway {
            record.outcome = records(record.sent, |_| STABLE).remove(0).outcome;
        }
    });
    assert_eq!(
        torn[0],
        "step \"a step\", stream users: 1 users see several versions: 3"
    );
}

#[test]
fn users_of_one_way_are_looked_at_on_that_way() {
    let problems = of_users(|record, _, _| record.via = Via::Sidecar);
    let moved = problems.iter().find(|one| one.contains("moved"));
    assert_eq!(moved, None);
}

#[test]
fn a_user_who_flips_between_two_steps_is_named() {
    let first = std::cell::Cell::new(None::<Instant>);
    let flips = of_users(|record, user, after| {
        let began = first.get().unwrap_or(record.sent);
        first.set(Some(began));
        let since = record.sent.saturating_duration_since(began);
        // Before anything has been looked at.
        if !after && user == 7 && since < Duration::from_millis(300) {
            record.outcome = canary();
        }
    });
    let words = "users moved more than once between two steps: 7";
    assert!(flips.iter().any(|one| one.contains(words)), "{flips:?}");
}

#[test]
fn each_user_is_given_one_cookie() {
    use crate::scenario::{Cookies, Issued, Users};

    let judged = |issued, given: [usize; 2]| {
        let began = Instant::now();
        let mut stream = stream();
        stream.users = Some(Users {
            count: 2,
            header: "x-user".to_owned(),
            value: "{}".to_owned(),
        });
        stream.cookies = Some(Cookies {
            name: "id".to_owned(),
            issued,
        });
        let mut all = records(began, |_| STABLE);
        for (record, number) in all.iter_mut().zip(0..) {
            record.user = Some(number % 2);
            // Another's cookie doesn't count.
            record.cookies = vec!["id2=1; Path=/".to_owned()];
        }
        for (user, times) in [(0, given[0]), (1, given[1])] {
            let of_user = all.iter_mut().filter(|record| record.user == Some(user));
            for record in of_user.take(times) {
                record.cookies.push("id=1; Path=/".to_owned());
            }
        }
        judge(&[stream], &PACE, &[phase(began, 0.0, 0.0)], &all, &[]).problems
    };
    assert_eq!(judged(Issued::Once, [1, 1]), [""; 0]);
    assert_eq!(judged(Issued::Never, [0, 0]), [""; 0]);
    assert_eq!(
        judged(Issued::Once, [1, 2]),
        [
            "stream users: 1 of 2 users were not given the cookie id 1 times, the first of them, 1, 2 times"
        ]
    );
    assert_eq!(judged(Issued::Once, [0, 1]).len(), 1);
    assert_eq!(judged(Issued::Never, [0, 1]).len(), 1);
}

#[test]
fn a_row_says_when_the_first_request_came_to_its_new_lane() {
    let began = Instant::now();
    let second = began + Duration::from_secs(12);
    let mut all = records(began, |_| STABLE);
    all.extend(records(
        second,
        |number| if number < 100 { STABLE } else { CANARY },
    ));
    let phases = [phase(began, 0.0, 0.0), phase(second, 100.0, 0.0)];
    let verdict = judge(&[stream()], &PACE, &phases, &all, &[]);
    let first: Vec<_> = verdict.rows.iter().map(|row| row.first).collect();
    assert_eq!(first, [None, None, Some(500), Some(500)]);
    assert_eq!(verdict.problems, [""; 0]);
}
