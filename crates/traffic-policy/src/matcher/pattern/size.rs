//! How large a pattern is for a search.

use super::token::{Times, Token, Tokens};

/// What the counts of a pattern come to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// The characters, classes and groups, with counted repetitions written out: what a search may have to
    /// look at for each byte of a value. Counted in the pattern and not in its compiled form, whose size
    /// differs between native and Wasm: the same request must get the same decision.
    pub(super) positions: usize,
    /// The most often that something is repeated, counts within counts multiplied.
    pub(super) repeated: usize,
}

/// The size of `pattern`, which is one that compiles.
pub(super) fn size(pattern: &str) -> Size {
    let mut groups = Vec::new();
    // Of the group that is open, and of what a repetition would repeat.
    let (mut all, mut last) = (Size::default(), Size::default());
    for token in Tokens::new(pattern) {
        match token {
            Token::Open(_) => {
                groups.push(all);
                (all, last) = (Size::default(), Size::default());
                continue;
            }
            Token::Close => {
                last = all;
                last.positions = last.positions.saturating_add(1);
                all = groups.pop().unwrap_or_default();
            }
            Token::Repeat(Times { written, counted }) => {
                // It is there once already.
                let more = last.positions.saturating_mul(written.saturating_sub(1));
                all.positions = all.positions.saturating_add(more);
                last.positions = last.positions.saturating_add(more);
                last.repeated = last.repeated.max(1).saturating_mul(counted.max(1));
                all.repeated = all.repeated.max(last.repeated);
                continue;
            }
            // Repeats what is before it, if it is repeated.
            Token::Flags => continue,
            Token::Class(positions) => {
                last = Size {
                    positions,
                    repeated: 1,
                };
            }
            _ => {
                last = Size {
                    positions: 1,
                    repeated: 1,
                };
            }
        }
        all.positions = all.positions.saturating_add(last.positions);
        all.repeated = all.repeated.max(last.repeated);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_written_out() {
        for (pattern, expected) in [
            ("", 0),
            ("abc", 3),
            ("a|b*", 3),
            ("a{3}", 3),
            ("a{3}?b", 4),
            ("a{2,5}", 5),
            ("a{2,}", 3),
            ("a{0}", 1),
            ("(ab){3}", 9),
            ("((a{2}){3}b){4}", 44),
            ("(){9}", 9),
            (r"\x{41}\{{2}", 3),
            (r"\x41b", 2),
            ("a{5}(?i){3}", 15),
            ("(?:ab){2}", 6),
            ("[[:alpha:]{a-z]{2}", 12),
            ("[a-z]{2}", 8),
            (r"[]({2}\]]a", 7),
            (r"\d{1000}", 1000),
            ("((a{1000}){1000}){1000}", 1_001_001_000),
        ] {
            assert_eq!(size(pattern).positions, expected, "{pattern}");
        }
    }
    #[test]
    fn counts_within_counts_are_multiplied() {
        for (pattern, expected) in [
            ("", 0),
            ("ab*", 1),
            ("a{3}b{2}", 3),
            ("a{3,}", 3),
            ("(a{3}|b){4}", 12),
            ("((a{3}){0}){4}", 12),
            ("(a+)+", 1),
        ] {
            assert_eq!(size(pattern).repeated, expected, "{pattern}");
        }
    }
}
