//! What syncs in mid-canary do, beside Argo's own Istio support on the same stack: a Markdown table.

use std::time::Duration;

use crate::drive::Outturn;
use crate::judge::Row;

/// Figures of one scenario on both.
pub fn figures(serin: &Outturn, built_in: &Outturn) -> String {
    let both = [serin, built_in];
    let mut lines = vec![
        "| during the syncs | Serin | built-in |".to_owned(),
        "|---|---:|---:|".to_owned(),
    ];
    let mut line = |what: &str, of: &dyn Fn(&Outturn) -> String| {
        let [serin, built_in] = both.map(of);
        lines.push(format!("| {what} | {serin} | {built_in} |"));
    };
    line("requests", &|of| {
        let requests: usize = rows(of).map(|row| row.requests).sum();
        requests.to_string()
    });
    line("failed requests", &|of| of.verdict.failed.to_string());
    let mut streams: Vec<&str> = rows(serin).map(|row| &*row.stream).collect();
    streams.sort_unstable();
    streams.dedup();
    for stream in streams {
        line(
            &format!("requests at the wrong version: `{stream}`"),
            &|of| {
                let rows = rows(of).filter(|row| row.stream == stream);
                let wrong: usize = rows.map(|row| row.wrong).sum();
                wrong.to_string()
            },
        );
    }
    line("sticky users who changed the version", &|of| {
        if rows(of).any(|row| row.has_users) {
            of.verdict.moved.to_string()
        } else {
            "not there".to_owned()
        }
    });
    line("objects applied", &|of| of.syncs.len().to_string());
    line("put right after, median ms", &|of| {
        millis(of, |took| took.get(took.len() / 2))
    });
    line("put right after, slowest ms", &|of| {
        millis(of, <[Duration]>::last)
    });
    line("not as before after 2 s", &|of| {
        let late = of.syncs.iter().filter(|sync| sync.took.is_none());
        late.count().to_string()
    });
    lines.join("\n")
}

/// Those of the steps whose state is not to change.
fn rows(outturn: &Outturn) -> impl Iterator<Item = &Row> {
    outturn.verdict.rows.iter().filter(|row| row.throughout)
}

fn millis(outturn: &Outturn, pick: impl Fn(&[Duration]) -> Option<&Duration>) -> String {
    let mut took: Vec<Duration> = outturn.syncs.iter().filter_map(|sync| sync.took).collect();
    took.sort_unstable();
    pick(&took).map_or_else(|| "none".to_owned(), |took| took.as_millis().to_string())
}

#[cfg(test)]
mod tests {
    use testbed::mesh::Via;

    use super::*;
    use crate::drive::Synced;
    use crate::judge::Verdict;

    fn row(stream: &str, throughout: bool, wrong: usize) -> Row {
        Row {
            step: "a step".to_owned(),
            stream: stream.to_owned(),
            via: Via::Sidecar,
            throughout,
            has_users: stream == "users",
            requests: 100,
            share: 0.0,
            expected: 0.0,
            tolerance: 0.0,
            copies: 0,
            experiment: 0.0,
            late: 0,
            last_late: 0,
            first: None,
            strays: 0,
            strays_for: 0,
            wrong,
        }
    }

    fn outturn(rows: Vec<Row>, took: &[Option<u64>]) -> Outturn {
        let synced = |took: &Option<u64>| Synced {
            took: took.map(Duration::from_millis),
        };
        Outturn {
            name: "sync".to_owned(),
            verdict: Verdict {
                rows,
                ..Verdict::default()
            },
            syncs: took.iter().map(synced).collect(),
            timeline: Vec::new(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn only_what_happens_during_the_syncs_counts() {
        let rows = vec![
            row("beta", false, 7),
            row("beta", true, 0),
            row("users", true, 0),
        ];
        let serin = outturn(rows, &[Some(20), Some(9), Some(30)]);
        let rows = vec![row("beta", true, 4), row("beta", true, 5)];
        let built_in = outturn(rows, &[None, Some(40)]);
        let expected = [
            "| during the syncs | Serin | built-in |",
            "|---|---:|---:|",
            "| requests | 200 | 200 |",
            "| failed requests | 0 | 0 |",
            "| requests at the wrong version: `beta` | 0 | 9 |",
            "| requests at the wrong version: `users` | 0 | 0 |",
            "| sticky users who changed the version | 0 | not there |",
            "| objects applied | 3 | 2 |",
            "| put right after, median ms | 20 | 40 |",
            "| put right after, slowest ms | 30 | 40 |",
            "| not as before after 2 s | 0 | 1 |",
        ];
        assert_eq!(figures(&serin, &built_in), expected.join("\n"));
    }
}
