//! The figures as Markdown: tables, and what is asked of them.

use std::fmt::{self, Write};

use crate::statistics::Median;

/// A table and the goals met and missed, in the order in which they come.
#[derive(Debug, Default)]
pub(crate) struct Report {
    text: String,
    goals: Vec<[String; 3]>,
}

impl Report {
    pub(crate) fn line(&mut self, line: impl fmt::Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// A table's head; columns that begin with `>` have figures.
    pub(crate) fn head(&mut self, columns: &[&str]) {
        self.line("");
        let names: Vec<&str> = columns
            .iter()
            .map(|name| name.trim_start_matches('>'))
            .collect();
        self.row(&names);
        let rule: Vec<&str> = columns
            .iter()
            .map(|name| if name.starts_with('>') { "--:" } else { "---" })
            .collect();
        self.line(format_args!("|{}|", rule.join("|")));
    }

    pub(crate) fn row(&mut self, cells: &[impl AsRef<str>]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.line(format_args!("| {} |", cells.join(" | ")));
    }

    /// Something that was asked for: `found`, in `unit`, is at most `most`.
    pub(crate) fn goal(&mut self, asked: &str, found: f64, most: f64, unit: &str) {
        let verdict = if found <= most {
            "met".to_owned()
        } else {
            format!("not met, by {}", figure(found - most))
        };
        let found = format!("{}{unit}, at most {most}{unit}", figure(found));
        self.goals.push([asked.to_owned(), found, verdict]);
    }

    /// Everything, goals last.
    pub(crate) fn finish(mut self) -> String {
        let goals = std::mem::take(&mut self.goals);
        self.head(&["goal", "found", ""]);
        for goal in &goals {
            self.row(goal);
        }
        self.text
    }
}

/// Three digits, as many as the figures are good for.
pub(crate) fn figure(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 100.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A median with its spread.
pub(crate) fn spread(median: Median) -> String {
    format!("{} ± {}", figure(median.value), figure(median.spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_missed_says_by_how_much() {
        let mut report = Report::default();
        report.goal("small", 1.0, 2.0, " x");
        report.goal("large", 2.5, 2.0, "");
        let text = report.finish();
        assert!(
            text.contains("| small | 1.00 x, at most 2 x | met |\n"),
            "{text}"
        );
        assert!(text.contains("| large | 2.50, at most 2 | not met, by 0.50 |\n"));
    }

    #[test]
    fn figures_have_three_digits() {
        let figures = [0.123, 9.876, 98.76, 987.6].map(figure);
        assert_eq!(figures, ["0.12", "9.88", "98.8", "988"]);
    }
}
