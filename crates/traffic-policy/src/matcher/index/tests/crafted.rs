//! Requests that are made to cost much.

use super::{compiled, rule};
use crate::config::{Match, StringMatch};
use crate::request::{Request, Searches};

/// What a request has cost.
#[derive(Debug)]
struct Cost {
    found: bool,
    looks: usize,
    /// Of searches.
    steps: usize,
    /// Of walks, in bytes, without what looks count as.
    walked: usize,
}

fn cost(entries: impl IntoIterator<Item = Match>, headers: &[(&str, String)]) -> Cost {
    let rules: Vec<_> = entries
        .into_iter()
        .enumerate()
        .map(|(at, entry)| rule(at, vec![entry]))
        .collect();
    let rules = compiled(&rules);
    let request = Request::read(headers, |_, _| {});
    let search = rules.index.search(&rules.entries, &request);
    let (steps, walked) = request.searches().taken();
    Cost {
        found: search.best.is_some(),
        looks: search.looked,
        steps,
        walked: walked - Searches::looks_as_bytes(search.looked),
    }
}

fn path(pattern: String) -> Match {
    Match {
        path: Some(StringMatch::Regex(pattern)),
        ..Match::default()
    }
}

fn query_and_cookie(tier: StringMatch, group: StringMatch) -> Match {
    Match {
        query_params: [("tier".to_owned(), tier)].into(),
        cookies: [("group".to_owned(), group)].into(),
        ..Match::default()
    }
}

#[test]
fn a_sign_that_is_shown_again_and_again_costs_one_look_at_an_entry() {
    let entries = (0..17).map(|at| path(format!(".*/admin/(y|z){}.*", "c?".repeat(at))));
    let headers = [(":path", "/admin".repeat(10_000))];
    let cost = cost(entries, &headers);
    assert!(!cost.found && cost.looks == 17, "{cost:?}");
}

#[test]
fn of_pairs_of_one_name_the_first_shows_signs() {
    let exact = |value: &str| StringMatch::Exact(value.to_owned());
    let entries = [
        query_and_cookie(exact("b"), exact("c")),
        query_and_cookie(exact("b"), StringMatch::Present),
        query_and_cookie(StringMatch::Present, exact("c")),
    ];
    let headers = [
        (":path", "/?tier=a&tier=b".to_owned()),
        ("cookie", "group=a; group=c".to_owned()),
        ("cookie", "group=c".to_owned()),
    ];
    let cost = cost(entries, &headers);
    assert!(!cost.found && cost.looks == 0, "{cost:?}");
}

#[test]
fn many_pairs_are_walked_through_once_for_conditions_on_one_name() {
    let text = |at: usize| match at % 2 {
        0 => StringMatch::Present,
        _ => StringMatch::Regex(format!("x|v{at}")),
    };
    let entries = (0..400).map(|at| query_and_cookie(text(at % 20), text(at / 20)));
    // The parameter isn't there at all.
    let headers = [
        (":path", format!("/?{}", "j&".repeat(15_000))),
        ("cookie", "group=x;".repeat(3_700)),
    ];
    let cost = cost(entries, &headers);
    assert!(!cost.found && cost.looks <= 400, "{cost:?}");
    let both: usize = headers.iter().map(|(_, value)| value.len()).sum();
    assert!(cost.walked <= both, "{cost:?}");
}

#[test]
fn walks_for_names_that_alternate_end() {
    let present = |name: &str| (name.to_owned(), StringMatch::Present);
    let entries = (0..1_000).map(|_| Match {
        query_params: [present("a"), present("b"), present("c")].into(),
        ..Match::default()
    });
    let headers = [(":path", format!("/?a&b&{}", "j&".repeat(15_000)))];
    let cost = cost(entries, &headers);
    assert!(!cost.found && cost.looks <= 1_000, "{cost:?}");
    assert!(cost.walked <= 1 << 24, "{cost:?}");
}

#[test]
fn an_empty_value_counts_too() {
    let pattern = |at: usize| StringMatch::Regex(format!("(a?b?){{{}}}[c-d]", 200 + at));
    let entries = (0..200).map(|at| query_and_cookie(pattern(at % 20), pattern(at / 20)));
    let headers = [
        (":path", "/?tier=".to_owned()),
        ("cookie", "group=".to_owned()),
    ];
    let cost = cost(entries, &headers);
    assert!(!cost.found && cost.looks == 200, "{cost:?}");
    assert!(cost.steps >= 200 * 600, "{cost:?}");
}

/// Patterns that have used up what they may take leave other conditions as they are.
#[test]
fn what_has_no_pattern_is_found_behind_patterns_that_gave_up() {
    let entries = (0..20).map(|at| path(format!(".*/admin/[x-z]{{{}}}.*", at + 5)));
    let last = query_and_cookie(
        StringMatch::Exact(String::new()),
        StringMatch::Exact("a".to_owned()),
    );
    let headers = [
        (":path", format!("{}?tier=", "/admin".repeat(5_000))),
        ("cookie", "group=a".to_owned()),
    ];
    let cost = cost(entries.chain([last]), &headers);
    assert!(cost.found && cost.looks == 21, "{cost:?}");
    assert_eq!(cost.steps, 1 << 23, "{cost:?}");
}
