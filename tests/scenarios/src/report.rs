//! What a run prints: one block per scenario, then a table of all.

mod figures;

use std::time::Duration;

pub use self::figures::figures;
use crate::drive::Outturn;

/// Problems that are printed in full; more of the same help nobody.
const SHOWN: usize = 12;

/// One scenario: every step's shares, and on failure what is wrong and what happened when.
pub(crate) fn scenario(outturn: &Outturn) {
    let verdict = &outturn.verdict;
    let word = if verdict.problems.is_empty() {
        "passed"
    } else {
        "FAILED"
    };
    let mut lines = vec![format!(
        "--- {}: {word} in {:.1} s, {} requests, {} failed, {} late",
        outturn.name,
        outturn.took.as_secs_f64(),
        verdict.requests,
        verdict.failed,
        verdict.late
    )];
    for row in &verdict.rows {
        let copies = if row.copies > 0 {
            format!(", {} copies", row.copies)
        } else {
            String::new()
        };
        let late = if row.late > 0 {
            format!(", {} late, the last after {} ms", row.late, row.last_late)
        } else {
            String::new()
        };
        let first = row.first.map_or(String::new(), |first| {
            format!(", the first {first} ms after the actions began")
        });
        let experiment = if row.experiment > 0.0 {
            format!(", {:.2} % an experiment", row.experiment)
        } else {
            String::new()
        };
        let strays = if row.strays > 0 {
            format!(", {} strayed within {} ms", row.strays, row.strays_for)
        } else {
            String::new()
        };
        lines.push(format!(
            "    {:<34} {:<10} {}: {:6.2} % canary of {:>5} (expected {:.0} ± {:.2}){copies}{experiment}{first}{late}{strays}",
            row.step,
            row.stream,
            row.via.word(),
            row.share,
            row.requests,
            row.expected,
            row.tolerance,
        ));
    }
    lines.extend(verdict.allowed.iter().map(|line| format!("    {line}")));
    if !verdict.problems.is_empty() {
        for problem in verdict.problems.iter().take(SHOWN) {
            lines.push(format!("    problem: {problem}"));
        }
        if verdict.problems.len() > SHOWN {
            lines.push(format!(
                "    and {} problems more",
                verdict.problems.len() - SHOWN
            ));
        }
        lines.push("    timeline:".to_owned());
        lines.extend(outturn.timeline.iter().map(|line| format!("      {line}")));
    }
    println!("{}", lines.join("\n"));
}

/// True if nothing is wrong with how a scenario went.
pub fn passed(outturn: &Outturn) -> bool {
    outturn.verdict.problems.is_empty()
}

/// All scenarios; the last line counts them.
pub fn summary(outturns: &[Outturn], took: Duration) {
    println!("\n{}", table(outturns));
    let passed = outturns.iter().filter(|outturn| passed(outturn)).count();
    println!("wall time {:.1} s", took.as_secs_f64());
    println!("{passed} passed, {} failed", outturns.len() - passed);
}

/// One line per scenario; the rate is the slower way's.
fn table(outturns: &[Outturn]) -> String {
    let mut lines = vec![format!(
        "{:<24} {:>8} {:>6} {:>5} {:>6} {:>6} {:>8} {:>7}  outcome",
        "scenario", "requests", "failed", "late", "copies", "rate/s", "worst ms", "seconds"
    )];
    lines.extend(outturns.iter().map(|outturn| {
        let verdict = &outturn.verdict;
        format!(
            "{:<24} {:>8} {:>6} {:>5} {:>6} {:>6.1} {:>8} {:>7.1}  {}",
            outturn.name,
            verdict.requests,
            verdict.failed,
            verdict.late,
            verdict.copies,
            verdict.rate,
            verdict.slowest.as_millis(),
            outturn.took.as_secs_f64(),
            if verdict.problems.is_empty() {
                "passed"
            } else {
                "FAILED"
            },
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Verdict;

    #[test]
    fn the_table_shows_the_rate_and_the_slowest_answer() {
        let outturn = Outturn {
            name: "abort".to_owned(),
            verdict: Verdict {
                requests: 4400,
                rate: 219.96,
                slowest: Duration::from_millis(87),
                ..Verdict::default()
            },
            syncs: Vec::new(),
            timeline: Vec::new(),
            took: Duration::from_secs(10),
        };
        let table = table(&[outturn]);
        let words: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(
            words,
            [
                "abort", "4400", "0", "0", "0", "220.0", "87", "10.0", "passed"
            ]
        );
    }
}
