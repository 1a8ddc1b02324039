//! Verdicts on records made by hand: each rule has a record set that keeps it and one that breaks it.

use std::collections::BTreeMap;
use std::sync::Arc;

use testbed::load::RequestError;

use super::*;

const STABLE: &str = "web:1";
const CANARY: &str = "web:2";

fn stream() -> Stream {
    Stream {
        name: "users".to_owned(),
        sidecar: "web".to_owned(),
        gateway: "web.example.com".to_owned(),
        path: "/".to_owned(),
        method: "GET".to_owned(),
        headers: BTreeMap::new(),
        rate: 100,
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
        ended: began + Duration::from_secs(12),
        canaries: vec![Some(CANARY.to_owned())],
        expect: vec![(
            0,
            Expect {
                stream: "users".to_owned(),
                canary,
                copies,
            },
        )],
    }
}

/// One request every 10 ms from the start on, both ways, answered by what `image` says of its number.
fn records(began: Instant, image: impl Fn(u64) -> &'static str) -> Vec<Record> {
    Via::ALL
        .into_iter()
        .flat_map(|via| (0..1200).map(move |number| (via, number)))
        .map(|(via, number)| Record {
            sent: began + Duration::from_millis(number * 10),
            via,
            stream: 0,
            outcome: Outcome::Image(Arc::from(image(number))),
        })
        .collect()
}

fn verdict(phase: Phase, records: &[Record], copies: &[Copy]) -> Verdict {
    judge(&[stream()], &[phase], records, copies)
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
    assert_eq!(verdict.requests, 2400);
    assert!(
        verdict
            .rows
            .iter()
            .all(|row| row.requests == 1000 && (row.share - 10.0).abs() < 1e-9)
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
            "step \"a step\", stream users through the sidecar: the canary answered 20.00 % of 1000 requests, expected \
             10 ± 3.79"
        )
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
        4
    );
}

#[test]
fn requests_in_the_old_lane_right_after_the_step_are_late_but_no_problem() {
    let began = Instant::now();
    let records = records(began, |number| if number < 130 { STABLE } else { CANARY });
    let verdict = verdict(phase(began, 100.0, 0.0), &records, &[]);
    assert_eq!(verdict.problems, Vec::<String>::new());
    assert_eq!(verdict.late, 60);
    assert!(verdict.rows.iter().all(|row| row.last_late == 290));
}

#[test]
fn a_failed_request_is_named_with_its_time_and_step() {
    let began = Instant::now();
    let mut records = records(began, |_| STABLE);
    records[150].outcome = Outcome::Failed(RequestError::Timeout {
        limit: Duration::from_secs(1),
    });
    records[151].outcome = Outcome::Wrong("shop/other".to_owned());
    let verdict = verdict(phase(began, 0.0, 0.0), &records, &[]);
    assert_eq!(verdict.failed, 2);
    assert_eq!(
        verdict.problems,
        [
            "failed request at 1.500 s, in step \"a step\", stream users through the sidecar: no answer within 1000 ms",
            "failed request at 1.510 s, in step \"a step\", stream users through the sidecar: answered by shop/other",
        ]
    );
}

#[test]
fn copies_are_counted_and_belong_to_the_canary() {
    let began = Instant::now();
    let records = records(began, |_| STABLE);
    let copy = |number: u64, via: Via, image: &str| Copy {
        at: began + Duration::from_millis(number * 10 + 1),
        via: via.word().to_owned(),
        stream: "users".to_owned(),
        image: image.to_owned(),
    };
    let both = |image| -> Vec<Copy> {
        Via::ALL
            .into_iter()
            .flat_map(|via| (0..1200).map(move |number| copy(number, via, image)))
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
    assert_eq!(verdict.problems.len(), 2);
}
