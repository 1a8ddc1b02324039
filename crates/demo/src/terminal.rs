//! What the terminal shows: the story's progress, and how it went.

use std::time::Duration;

use crate::board::Counts;
use crate::check::{Scene, Seen};
use crate::story::Told;

/// Before the first [`row`].
pub(crate) fn heading() {
    println!(
        "{:<24} {:>8} {:>14} {:>14} {:>7} {:>7}",
        "chapter", "requests", "beta: new", "others: new", "copies", "failed"
    );
}

/// A chapter that was looked at.
pub(crate) fn row(scene: &Scene, seen: &Seen, failed: u64) {
    let told = scene.chapter.told();
    println!(
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
    );
}

/// The end of a run without a page.
pub(crate) fn summary(counts: Counts, took: Duration, problems: &[String]) {
    println!();
    for problem in problems {
        println!("problem: {problem}");
    }
    println!("{}", totals(counts, took));
    println!(
        "{}",
        if problems.is_empty() {
            "the story went as told"
        } else {
            "the story did NOT go as told"
        }
    );
}

/// A chapter begins, with a page open.
pub(crate) fn chapter(told: &Told, counts: Counts) {
    eprintln!(
        "    {}/{} {:<22} {:>7} requests so far, {} failed",
        told.index, told.count, told.title, counts.requests, counts.failed
    );
}

/// A request has failed.
pub(crate) fn failure(why: &str) {
    eprintln!("    a request failed: {why}");
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
