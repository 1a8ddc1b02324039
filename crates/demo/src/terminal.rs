//! What the terminal shows: the story's progress, and how it went.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::board::{Batch, Counts};
use crate::check::{Scene, Seen};
use crate::story::Told;

/// Silence longer than this gets a line.
const PATIENCE: Duration = Duration::from_secs(5);

/// Before the first [`row`].
pub(crate) fn heading() {
    print(&format!(
        "{:<24} {:>8} {:>14} {:>14} {:>7} {:>7}",
        "chapter", "requests", "beta: new", "others: new", "copies", "failed"
    ));
}

/// A chapter that was looked at.
pub(crate) fn row(scene: &Scene, seen: &Seen, failed: u64) {
    let told = scene.chapter.told();
    print(&format!(
        "{:<24} {:>8} {:>12.1} % {:>12.1} % {:>7} {:>7}{}",
        format!("{}. {}", told.index, told.title),
        seen.requests,
        seen.beta,
        seen.others,
        seen.copies,
        failed,
        if seen.problems.is_empty() {
            ""
        } else {
            "  <- not as told"
        }
    ));
}

/// The end of a run without a page.
pub(crate) fn summary(counts: Counts, took: Duration, problems: &[String]) {
    print("");
    for problem in problems {
        print(&format!("problem: {problem}"));
    }
    print(&totals(counts, took));
    print(if problems.is_empty() {
        "the story went as told"
    } else {
        "the story did NOT go as told"
    });
}

/// A chapter begins, with a page open.
pub(crate) fn chapter(told: &Told, counts: Counts) {
    note(&format!(
        "    {}/{} {:<22} {:>7} requests so far, {} failed",
        told.index, told.count, told.title, counts.requests, counts.failed
    ));
}

/// Something is wrong that doesn't mend itself.
pub(crate) fn trouble(sentence: &str) {
    note(&format!("    trouble: {sentence}"));
}

/// Waits for `what`, and says so now and then.
pub(crate) async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let mut wait = pin!(wait);
    loop {
        match tokio::time::timeout(PATIENCE, &mut wait).await {
            Ok(done) => return done,
            Err(_) => note(&format!("    … still waiting for {what}")),
        }
    }
}

/// Failed requests: each reason once, then how many there have been.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// How often each has been seen, and how often it was when it was last told.
    reasons: BTreeMap<String, (u64, u64)>,
    told: Option<Instant>,
}

impl Failures {
    /// Takes what has failed; says what is new, and the rest once in a while.
    pub(crate) fn tell(&mut self, batch: &Batch) {
        for (_, _, why) in &batch.failed {
            let (seen, told) = self.reasons.entry(why.clone()).or_default();
            *seen += 1;
            if *told == 0 {
                *told = 1;
                note(&format!("    a request failed: {why}"));
            }
        }
        if self.told.is_some_and(|told| told.elapsed() < PATIENCE) {
            return;
        }
        self.told = Some(Instant::now());
        for (why, (seen, told)) in &mut self.reasons {
            if *seen > *told {
                note(&format!("    {seen} requests have failed so: {why}"));
                *told = *seen;
            }
        }
    }
}

/// A line on stderr. Whoever closes it wants no more of them.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A line on stdout.
fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// The numbers from start to end.
pub(crate) fn totals(counts: Counts, took: Duration) -> String {
    format!(
        "{} requests in {:.0} s, {} failed, {} copies, {} version changes seen by users",
        counts.requests,
        took.as_secs_f64(),
        counts.failed,
        counts.copies,
        counts.flips
    )
}
