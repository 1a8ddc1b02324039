//! Each fault that a judge has to see, in what four users have seen.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use testbed::echo::{Answer, Identity};

use super::*;

fn hashes() -> Hashes {
    Hashes {
        stable: "aaa".to_owned(),
        canary: "bbb".to_owned(),
    }
}

/// What each of four users has seen, in order: `s` and `c` are good answers, `f` a failure of the canary, `F` of the stable
/// version, `x` a request that was lost.
fn judged(seen: [&str; 4], is_bad: bool, back: u64) -> Result<Verdict, Failure> {
    let began = Instant::now();
    let mut samples = Vec::new();
    for (user, seen) in (0..).zip(seen) {
        for (second, what) in (0..).zip(seen.chars()) {
            let hash = if matches!(what, 's' | 'F') {
                "aaa"
            } else {
                "bbb"
            };
            let pod = format!("web-{hash}-1");
            let outcome = match what {
                's' | 'c' => Ok(Arc::new(Answer {
                    identity: Identity {
                        pod,
                        hash: Some(hash.to_owned()),
                        ..Identity::default()
                    },
                    path: "/".to_owned(),
                    http2: false,
                    headers: BTreeMap::new(),
                })),
                'x' => Err(RequestError::NotEnded),
                _ => Err(RequestError::Status {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    body: format!("{{\"pod\":\"{pod}\""),
                }),
            };
            samples.push(Sample {
                user: Some(user),
                sent: began + Duration::from_secs(second),
                took: Duration::ZERO,
                cookies: Vec::new(),
                outcome,
            });
        }
    }
    judge(
        &[samples],
        &hashes(),
        is_bad,
        began + Duration::from_secs(back),
    )
}

#[test]
fn a_bad_canary_may_fail_its_own_users_until_all_are_back() {
    let verdict = judged(["ssss", "ssss", "ssss", "scfs"], true, 3).unwrap();
    assert!(
        verdict
            .report
            .contains("16 requests of 4 users: 1 failed, of 1 of the 1 users of the canary")
    );
    assert!(judged(["ssss", "ssss", "ssss", "sccs"], false, 9).is_ok());
}

#[test]
fn everything_else_is_a_fault() {
    let cases = [
        (
            ["sFss", "ssss", "ssss", "scfs"],
            true,
            9,
            "failed who never met the canary",
        ),
        (["ssss", "ssss", "ssss", "ssss"], true, 9, "nobody has met"),
        (["scss", "scss", "scss", "scfs"], true, 9, "more than half"),
        (
            ["ssss", "ssss", "ssss", "sccs"],
            true,
            9,
            "no request failed",
        ),
        (
            ["ssss", "ssss", "ssss", "scfs"],
            false,
            9,
            "requests failed",
        ),
        (
            ["ssss", "ssss", "ssss", "sfcc"],
            true,
            0,
            "after all had gone back",
        ),
        (
            ["ssss", "ssss", "ssss", "scsf"],
            true,
            9,
            "has changed the version 3 times",
        ),
        (
            ["ssss", "ssss", "ssss", "fsss"],
            true,
            9,
            "has changed the version 1 times",
        ),
        (
            ["ssss", "ssss", "ssss", "scxs"],
            true,
            9,
            "not answered by a pod of either version",
        ),
    ];
    for (seen, is_bad, back, expected) in cases {
        match judged(seen, is_bad, back) {
            Ok(verdict) => panic!("{seen:?}: found {}, expected {expected}", verdict.report),
            Err(fault) => assert!(fault.to_string().contains(expected), "{seen:?}: {fault}"),
        }
    }
}
