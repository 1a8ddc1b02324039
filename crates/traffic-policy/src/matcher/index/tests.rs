//! The index finds what a walk through all entries finds.

mod crafted;

use proptest::prelude::*;

use crate::config::{Match, Rule, StringMatch};
use crate::lane::Lane;
use crate::matcher::MatchRules;
use crate::matcher::condition::Walks;
use crate::pace::{self, Pace};
use crate::request::Request;

fn rule(at: usize, matches: Vec<Match>) -> Rule {
    Rule {
        name: at.to_string(),
        lane: Lane::Canary,
        percent: None,
        keys: Vec::new(),
        matches,
    }
}

fn compiled(rules: &[Rule]) -> MatchRules {
    pace::all(MatchRules::compile("shop/reviews", rules, &Pace::at_once())).unwrap()
}

/// Few letters and short, so that conditions are met.
fn text() -> impl Strategy<Value = StringMatch> {
    let pattern = prop_oneof![
        Just("."),
        Just("a"),
        Just("b"),
        Just("ab"),
        Just("aba"),
        Just("abbaab"),
        Just("."),
        Just("a*"),
        Just("b+"),
        Just("(a|b)"),
        Just("[ab]?"),
        Just(".*"),
        Just(r"\x61"),
        Just("é"),
        Just("(?i:A)"),
    ];
    prop_oneof![
        1 => Just(StringMatch::Present),
        3 => "[abAé]{0,3}".prop_map(StringMatch::Exact),
        3 => "[abA]{1,3}".prop_map(StringMatch::Prefix),
        2 => "[abAé]{0,3}".prop_map(StringMatch::ExactIgnoreCase),
        2 => "[abA]{1,3}".prop_map(StringMatch::PrefixIgnoreCase),
        4 => prop::collection::vec(pattern, 1..6)
            .prop_map(|parts| StringMatch::Regex(parts.concat())),
    ]
}

fn entry() -> impl Strategy<Value = Match> {
    let named = |names: &'static str| {
        prop_oneof![
            3 => Just(None),
            2 => (names, text()).prop_map(Some),
        ]
    };
    (
        named("x-[ab]"),
        named("x-[ab]"),
        prop::option::weighted(0.2, text()),
        prop::option::weighted(0.3, text()),
        named("[ab]"),
        named("[ab]"),
    )
        .prop_map(|(one, other, method, path, query, cookie)| Match {
            headers: one.into_iter().chain(other).collect(),
            method,
            path,
            query_params: query.into_iter().collect(),
            cookies: cookie.into_iter().collect(),
        })
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let value = "[abAé]{0,8}";
    let pairs = prop::collection::vec(("[ab]", value), 0..4);
    let pair = |(name, value): &(String, String)| format!("{name}={value}");
    let joined =
        move |pairs: &[(String, String)], by| pairs.iter().map(pair).collect::<Vec<_>>().join(by);
    (
        prop::collection::vec(("x-[ab]", value), 0..4),
        value,
        prop::option::of((value, pairs.clone())),
        pairs,
    )
        .prop_map(move |(mut headers, method, target, cookies)| {
            headers.push((":method".to_owned(), method));
            if let Some((path, query)) = target {
                let query = joined(&query, "&");
                headers.push((":path".to_owned(), format!("{path}?{query}")));
            }
            headers.push(("cookie".to_owned(), joined(&cookies, "; ")));
            headers
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_first_entry_in_order_is_found(
        entries in prop::collection::vec(prop::collection::vec(entry(), 0..3), 0..20),
        requests in prop::collection::vec(headers(), 1..10),
    ) {
        let rules: Vec<Rule> = entries
            .into_iter()
            .enumerate()
            .map(|(at, matches)| rule(at, matches))
            .collect();
        let rules = compiled(&rules);
        for headers in requests {
            let request = Request::read(&headers[..], |_, _| {});
            let walked = rules.entries.iter().position(|entry| entry.matches(&Walks::new(&request)));
            let walked = walked.map(|at| rules.entries[at].rule);
            let request = Request::read(&headers[..], |_, _| {});
            let found = rules.first(&request).map(|(number, _)| number);
            prop_assert_eq!(found, walked, "{:?}", headers);
        }
    }
}

/// An entry by its number, and headers of a request that satisfies it.
type Write = fn(usize) -> (Match, Vec<(&'static str, String)>);

fn by_header(text: StringMatch) -> Match {
    Match {
        headers: [("x-id".to_owned(), text)].into(),
        ..Match::default()
    }
}

/// Few of the entries are looked at, whatever they are filed under.
#[test]
fn few_are_looked_at() {
    let kinds: [(&str, Write); 8] = [
        ("exact", |at| {
            let value = format!("user-{at}");
            (
                by_header(StringMatch::Exact(value.clone())),
                vec![("x-id", value)],
            )
        }),
        ("prefix", |at| {
            let text = StringMatch::Prefix(format!("user-{at}-"));
            (by_header(text), vec![("x-id", format!("user-{at}-x"))])
        }),
        ("any case", |at| {
            let text = StringMatch::ExactIgnoreCase(format!("User-{at}"));
            (by_header(text), vec![("x-id", format!("uSER-{at}"))])
        }),
        ("beginning of a pattern", |at| {
            let text = StringMatch::Regex(format!("user-{at}-[0-9]+"));
            (by_header(text), vec![("x-id", format!("user-{at}-7"))])
        }),
        ("end of a pattern", |at| {
            let text = StringMatch::Regex(format!(".*@user-{at}"));
            (by_header(text), vec![("x-id", format!("a@user-{at}"))])
        }),
        ("names", |at| {
            let matches = Match {
                headers: [(format!("x-{at}"), StringMatch::Present)].into(),
                ..Match::default()
            };
            (matches, vec![("x-999", String::new())])
        }),
        ("method beside", |at| {
            let text = StringMatch::Exact("GET".to_owned());
            let cookies = [("id".to_owned(), StringMatch::Exact(at.to_string()))].into();
            let matches = Match {
                method: Some(text),
                cookies,
                ..Match::default()
            };
            (
                matches,
                vec![
                    (":method", "GET".to_owned()),
                    ("cookie", format!("id={at}")),
                ],
            )
        }),
        ("query", |at| {
            let query_params = [("id".to_owned(), StringMatch::Exact(at.to_string()))].into();
            let matches = Match {
                query_params,
                ..Match::default()
            };
            (matches, vec![(":path", format!("/?a=b&id={at}"))])
        }),
    ];
    for (kind, write) in kinds {
        let entry = |at| rule(at, vec![write(at).0]);
        let rules: Vec<Rule> = (0..1_000).map(entry).collect();
        let rules = compiled(&rules);
        let (_, headers) = write(999);
        let request = Request::read(&headers[..], |_, _| {});
        let search = rules.index.search(&rules.entries, &request);
        assert_eq!(search.best, Some(999), "{kind}");
        assert_eq!(search.looked, 1, "{kind}: others in vain");
    }
}
