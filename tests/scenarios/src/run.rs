//! Several scenarios on one stack.

use futures::StreamExt;
use futures::stream;

use crate::drive::{Outturn, Shared, Stack, drive};
use crate::report;
use crate::scenario::Scenario;

/// Runs `jobs` at once, then one by one those that would disturb others; prints how each went.
pub async fn run_all<S: Stack>(
    shared: &Shared<S>,
    scenarios: &[Scenario],
    jobs: usize,
) -> Vec<Outturn> {
    let (alone, together): (Vec<_>, Vec<_>) =
        scenarios.iter().partition(|scenario| scenario.table.alone);
    let one = async |scenario: &Scenario| {
        eprintln!("==> {}: {}", scenario.name, scenario.table.title);
        let outturn = drive(shared, scenario).await;
        report::scenario(&outturn);
        outturn
    };
    let mut outturns: Vec<Outturn> = stream::iter(together)
        .map(&one)
        .buffer_unordered(jobs.max(1))
        .collect()
        .await;
    for scenario in alone {
        outturns.push(one(scenario).await);
    }
    outturns.sort_by(|left, right| left.name.cmp(&right.name));
    outturns
}
