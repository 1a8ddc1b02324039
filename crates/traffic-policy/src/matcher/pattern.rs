//! Regular expressions that have to match a whole value, as Envoy's do (1.40.0
//! `source/common/common/regex.cc`, `CompiledGoogleReMatcher::match`, by RE2's `FullMatch`).
//!
//! The engine is `regex-lite`: linear in pattern times value, and the smallest in a module. Its
//! classes `\d`, `\w`, `\s` are ASCII as RE2's are. What it has and RE2 reads otherwise is refused
//! here; what only RE2 has (`\pL`, `\Q…\E`, `\C`) it refuses itself.
//!
//! Envoy's RE2 takes bytes for characters, in the pattern as in the value (Latin-1). The engine takes
//! UTF-8, so both are written in it, byte by byte; for ASCII, which is nearly everything, that is no work.

mod literal;
mod size;

use regex_lite::{Regex, RegexBuilder};

use crate::error::Fault;
use crate::request::Searches;

pub(super) use literal::Literals;

/// The longest pattern taken. Larger ones are lists in disguise; they belong into several entries.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// The largest compiled form. It is what a search visits per byte of the value, in each worker of
/// every proxy; a repetition of 1,000, RE2's own limit, fits.
const MAX_COMPILED_BYTES: usize = 1 << 17;
/// The most that one search may take: positions of the pattern times bytes of the value. Above it the
/// pattern does not match, so that a long value from outside can't hold up a worker: at the limit the
/// worst pattern takes some 50 ms in Envoy. It leaves a pattern of 500 characters a value of 8 KiB.
const MAX_SEARCH: usize = 1 << 22;
/// RE2's limit (`re2/parse.cc`, `maximum_repeat_count`).
const MAX_REPETITION: u32 = 1_000;
/// How deep groups may nest: compiling recurses, and a module's stack is small.
const MAX_NESTING: u32 = 32;

/// What anchors a pattern.
const BEFORE: &str = r"\A(?:";
const BEHIND: &str = r")\z";

/// A pattern that matches whole values only.
#[derive(Debug)]
pub(super) struct Pattern {
    whole: Regex,
    /// What a search may have to look at for each byte of a value.
    positions: usize,
}

impl Pattern {
    pub(super) fn compile(pattern: &str) -> Result<Self, Fault> {
        if pattern.is_empty() {
            // As Envoy: `type/matcher/v3/regex.proto`, `RegexMatcher.regex`.
            return Err(Fault::EmptyPattern);
        }
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(Fault::LongPattern {
                bytes: pattern.len(),
            });
        }
        let build = |text: &str| {
            RegexBuilder::new(&bytes_as_text(text))
                .size_limit(MAX_COMPILED_BYTES)
                .nest_limit(MAX_NESTING)
                .build()
                .map_err(|reason| Fault::Pattern {
                    pattern: pattern.to_owned(),
                    reason,
                })
        };
        let scanned = scan(pattern);
        if let Some(construct) = scanned.foreign {
            return Err(Fault::Dialect {
                pattern: pattern.to_owned(),
                construct,
            });
        }
        // `a)(b` is a pattern only between the parentheses below.
        if scanned.closes_too_much {
            build(pattern)?;
        }
        // Anchored, not compared with the ends of a leftmost match, which may be too short: `a|ab`
        // has to match `ab`. Nothing can swallow the parenthesis, since comments need the flag x.
        let whole = build(&format!("{BEFORE}{pattern}{BEHIND}")).or_else(|fault| {
            // What is wrong is said of the pattern by itself.
            build(pattern).and(Err(fault))
        })?;
        Ok(Self {
            whole,
            positions: size::positions(pattern),
        })
    }

    /// What a value that matches has to contain.
    pub(super) fn literals(&self) -> Literals {
        let pattern = self.whole.as_str().strip_prefix(BEFORE);
        literal::literals(
            pattern
                .and_then(|rest| rest.strip_suffix(BEHIND))
                .unwrap_or_default(),
        )
    }

    pub(super) fn matches(&self, value: &[u8], searches: &Searches) -> bool {
        // An empty value isn't for nothing either: its end is looked at.
        let steps = self.positions.saturating_mul(value.len().max(1));
        steps <= MAX_SEARCH
            && searches.take(steps)
            && searches.with_text(value, |text| self.whole.is_match(text))
    }
}

/// Each byte as the character of that number.
fn bytes_as_text(pattern: &str) -> String {
    pattern.bytes().map(char::from).collect()
}

/// What can be seen of a pattern without compiling it.
#[derive(Default)]
struct Scanned {
    /// The first thing that the engine knows and RE2 does not, or reads otherwise.
    foreign: Option<&'static str>,
    /// A parenthesis closes what none has opened.
    closes_too_much: bool,
}

fn scan(pattern: &str) -> Scanned {
    let mut scanned = Scanned::default();
    let mut depth = 0usize;
    let foreign = |construct| Scanned {
        foreign: Some(construct),
        ..Scanned::default()
    };
    let mut rest = pattern.chars();
    // Inside of `[…]`, parentheses are characters.
    let mut class = false;
    while let Some(char) = rest.next() {
        match char {
            '\\' => match rest.next() {
                Some('<' | '>') => return foreign(r"the word boundary \< or \>"),
                Some('b') if rest.as_str().starts_with('{') => {
                    return foreign(r"the word boundary \b{…}");
                }
                _ => {}
            },
            '[' if !class => {
                class = true;
                // A bracket right at the start is a character.
                let start = rest.as_str().strip_prefix('^').unwrap_or(rest.as_str());
                rest = start.strip_prefix(']').unwrap_or(start).chars();
            }
            ']' => class = false,
            '{' if !class => {
                let (count, after) = rest.as_str().split_once('}').unwrap_or_default();
                if count.split(',').any(|count| {
                    count
                        .parse::<u32>()
                        .is_ok_and(|count| count > MAX_REPETITION)
                }) {
                    return foreign("a repetition of more than 1,000");
                }
                rest = after.chars();
            }
            ')' if !class => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => scanned.closes_too_much = true,
            },
            '(' if !class => {
                depth += 1;
                let flags = rest.as_str().strip_prefix('?').unwrap_or_default();
                let end = flags.find([')', ':', '<']).unwrap_or(0);
                let flags = flags.get(..end).unwrap_or_default();
                if flags.contains('x') {
                    return foreign("the flag x");
                }
                if flags.contains('R') {
                    return foreign("the flag R");
                }
            }
            _ => {}
        }
    }
    scanned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn what_compiles_is_a_pattern_by_itself(pattern in r"[()\[\]^\\a|:?{}1-]{1,10}") {
            if Pattern::compile(&pattern).is_ok() {
                prop_assert!(Regex::new(&pattern).is_ok());
            }
        }
    }
}
