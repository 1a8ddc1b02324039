//! Regular expressions that have to match a whole value, as Envoy's do (1.40.0
//! `source/common/common/regex.cc`, `CompiledGoogleReMatcher::match`, by RE2's `FullMatch`).
//!
//! The engine is `regex-lite`: linear in pattern times value, and the smallest in a module. Its
//! classes `\d`, `\w`, `\s` are ASCII as RE2's are. What it has and RE2 reads otherwise is refused
//! here, and so is what only RE2 has (`\pL`, `\Q…\E`, `\C`, `\101`).
//!
//! Envoy's RE2 takes bytes for characters, in the pattern as in the value (Latin-1). The engine takes
//! UTF-8, so both are written in it, byte by byte; for ASCII, which is nearly everything, that is no work.
//!
//! What stays different: under the flag `i` RE2 also takes the bytes of Latin-1's letters for each other
//! (0xE9 for 0xC9), which are no letters in UTF-8, and the engine ASCII's alone; and the engine's `\s` has
//! the vertical tab, which Envoy lets into no header.

mod literal;
mod size;
mod token;

use regex_lite::{Regex, RegexBuilder};

use crate::error::Fault;
use crate::request::Searches;

pub(super) use literal::Literals;

use size::Size;
use token::{Group, Token, Tokens};

/// The longest pattern taken. Larger ones are lists in disguise; they belong into several entries.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// The largest compiled form. It is what a search visits per byte of the value, in each worker of
/// every proxy; a repetition of 1,000, RE2's own limit, fits.
const MAX_COMPILED_BYTES: usize = 1 << 17;
/// The most that one search may take: positions of the pattern times bytes of the value. Above it the
/// pattern does not match, so that a long value from outside can't hold up a worker: at the limit the
/// worst pattern takes some 50 ms in Envoy. It leaves a pattern of 500 characters a value of 8 KiB.
const MAX_SEARCH: usize = 1 << 22;
/// RE2's limit (`re2/parse.cc`, `maximum_repeat_count`), of counts within counts together (`RepetitionWalker`).
const MAX_REPETITION: usize = 1_000;
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
        let dialect = |construct| Fault::Dialect {
            pattern: pattern.to_owned(),
            construct,
        };
        let scanned = scan(pattern).map_err(|objection| match objection {
            Objection::Foreign(construct) => dialect(construct),
            Objection::Lacking(construct) => Fault::Lacking {
                pattern: pattern.to_owned(),
                construct,
            },
        })?;
        let Size {
            positions,
            repeated,
        } = size::size(pattern);
        if repeated > MAX_REPETITION {
            return Err(dialect("a repetition of more than 1,000"));
        }
        if scanned.alone {
            build(pattern)?;
        }
        // Anchored, not compared with the ends of a leftmost match, which may be too short: `a|ab`
        // has to match `ab`. Nothing can swallow the parenthesis, since comments need the flag x.
        let whole = build(&format!("{BEFORE}{}{BEHIND}", scanned.plain)).or_else(|fault| {
            // What is wrong is said of the pattern by itself.
            build(pattern).and(Err(fault))
        })?;
        Ok(Self { whole, positions })
    }

    pub(super) fn positions(&self) -> usize {
        self.positions
    }

    /// How large it is, in units of [`crate::Pace`].
    pub(super) fn units(&self) -> usize {
        let size = self.positions.saturating_add(self.whole.as_str().len());
        size.saturating_mul(4)
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

    /// True if a value of that length is not too long.
    pub(super) fn may_search(&self, length: usize) -> bool {
        self.steps(length) <= MAX_SEARCH
    }

    /// An empty value isn't for nothing either: its end is looked at.
    fn steps(&self, length: usize) -> usize {
        self.positions.saturating_mul(length.max(1))
    }

    pub(super) fn matches(&self, value: &[u8], searches: &Searches) -> bool {
        let steps = self.steps(value.len());
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
    /// It, with groups that capture nothing: for captures, a search would take space for each of them at
    /// each position, and keep it.
    plain: String,
    /// It has to be built by itself too: `a)(b` is a pattern only between the parentheses that anchor it,
    /// and two groups of one name are none. Where there are classes, parentheses are not taken at our word.
    alone: bool,
}

/// Why a pattern is not taken.
enum Objection {
    /// The engine knows it and RE2 does not, or reads it otherwise.
    Foreign(&'static str),
    /// RE2 knows it and the engine does not.
    Lacking(&'static str),
}

/// Or the first thing that one of RE2 and the engine knows and the other does not.
fn scan(pattern: &str) -> Result<Scanned, Objection> {
    let mut scanned = Scanned::default();
    let (mut depth, mut classes, mut groups) = (0usize, false, false);
    let mut tokens = Tokens::new(pattern);
    let mut before = None;
    loop {
        let rest = tokens.rest();
        let Some(token) = tokens.next() else {
            break;
        };
        if let Some(construct) = tokens.foreign {
            return Err(Objection::Foreign(construct));
        }
        if let Some(construct) = tokens.lacking {
            return Err(Objection::Lacking(construct));
        }
        let mut text = rest.strip_suffix(tokens.rest()).unwrap_or_default();
        match token {
            Token::Repeat(_) if matches!(before, Some(Token::Repeat(_))) => {
                return Err(Objection::Foreign(
                    "a repetition of a repetition, without a group",
                ));
            }
            Token::Class(_) => classes = true,
            Token::Open(group) => {
                depth += 1;
                groups = true;
                scanned.alone |= group == Group::Named;
                if matches!(group, Group::Capture | Group::Named) {
                    text = "(?:";
                }
            }
            Token::Close => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => scanned.alone = true,
            },
            _ => {}
        }
        scanned.plain.push_str(text);
        before = Some(token);
    }
    scanned.alone |= classes && groups;
    Ok(scanned)
}

#[cfg(test)]
mod tests;
