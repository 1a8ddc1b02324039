//! What follows from one condition on a text for another one, as far as it can be proven.

use traffic_policy::config::StringMatch;
use traffic_policy::text_matches;

/// Matches every value.
const ANYTHING: [&str; 2] = [".*", "^.*$"];

/// True if no value satisfies both.
pub(super) fn exclude(one: &StringMatch, other: &StringMatch) -> bool {
    match (one, other) {
        (StringMatch::Exact(value), text) | (text, StringMatch::Exact(value)) => {
            text_matches(text, value) == Some(false)
        }
        (
            StringMatch::ExactIgnoreCase(value),
            StringMatch::ExactIgnoreCase(text)
            | StringMatch::Prefix(text)
            | StringMatch::PrefixIgnoreCase(text),
        )
        | (
            StringMatch::Prefix(text) | StringMatch::PrefixIgnoreCase(text),
            StringMatch::ExactIgnoreCase(value),
        ) => {
            let is_exact = matches!(
                (one, other),
                (
                    StringMatch::ExactIgnoreCase(_),
                    StringMatch::ExactIgnoreCase(_)
                )
            );
            if is_exact {
                !value.eq_ignore_ascii_case(text)
            } else {
                !begins(value, text)
            }
        }
        (StringMatch::Prefix(one), StringMatch::Prefix(other)) => {
            !one.starts_with(&**other) && !other.starts_with(&**one)
        }
        (
            StringMatch::Prefix(one) | StringMatch::PrefixIgnoreCase(one),
            StringMatch::Prefix(other) | StringMatch::PrefixIgnoreCase(other),
        ) => !begins(one, other) && !begins(other, one),
        _ => false,
    }
}

/// True if every value that satisfies `one` satisfies `other` too.
pub(super) fn implies(one: &StringMatch, other: &StringMatch) -> bool {
    match (one, other) {
        (_, StringMatch::Present) => true,
        (_, StringMatch::Regex(pattern)) if ANYTHING.contains(&&**pattern) => true,
        (StringMatch::Exact(value), text) => text_matches(text, value) == Some(true),
        (StringMatch::ExactIgnoreCase(value), StringMatch::ExactIgnoreCase(text)) => {
            value.eq_ignore_ascii_case(text)
        }
        (StringMatch::Prefix(text), StringMatch::Prefix(other)) => text.starts_with(&**other),
        (
            StringMatch::Prefix(text)
            | StringMatch::PrefixIgnoreCase(text)
            | StringMatch::ExactIgnoreCase(text),
            StringMatch::PrefixIgnoreCase(other),
        ) => begins(text, other),
        (one, other) => one == other,
    }
}

/// True if a text of no characters satisfies it.
pub(super) fn takes_nothing(text: &StringMatch) -> bool {
    text_matches(text, "") != Some(false)
}

/// In either case.
fn begins(text: &str, with: &str) -> bool {
    let start = text.as_bytes().get(..with.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
}
