//! How large a pattern is for a search.

/// The characters, classes and groups of `pattern`, with counted repetitions written out: what a
/// search may have to look at for each byte of a value. Counted in the pattern and not in its
/// compiled form, whose size differs between native and Wasm: the same request must get the same
/// decision.
///
/// `pattern` is one that compiles.
pub(super) fn positions(pattern: &str) -> usize {
    let mut groups = Vec::new();
    // Of the group that is open, and of what a repetition would repeat.
    let (mut sum, mut last) = (0usize, 0usize);
    let mut rest = pattern.chars();
    while let Some(char) = rest.next() {
        match char {
            '(' => {
                groups.push(sum);
                (sum, last) = (0, 0);
                continue;
            }
            ')' => {
                last = sum.saturating_add(1);
                sum = groups.pop().unwrap_or_default();
            }
            '{' => {
                let (count, after) = rest.as_str().split_once('}').unwrap_or_default();
                rest = after.chars();
                // It is there once already.
                let more = last.saturating_mul(repetitions(count).saturating_sub(1));
                sum = sum.saturating_add(more);
                last = last.saturating_add(more);
                continue;
            }
            '*' | '+' | '?' => continue,
            '[' => {
                let mut start = rest.as_str();
                start = start.strip_prefix('^').unwrap_or(start);
                start = start.strip_prefix(']').unwrap_or(start);
                rest = start.chars();
                last = 1;
                // A class of many parts is a list too.
                while let Some(part) = rest.next().filter(|part| *part != ']') {
                    last = last.saturating_add(1);
                    if part == '\\' {
                        rest.next();
                    }
                }
            }
            '\\' => {
                // The number in `\x{e9}` is no repetition.
                if rest
                    .next()
                    .is_some_and(|char| matches!(char, 'x' | 'u' | 'U'))
                    && let Some((_, after)) = rest
                        .as_str()
                        .strip_prefix('{')
                        .and_then(|code| code.split_once('}'))
                {
                    rest = after.chars();
                }
                last = 1;
            }
            _ => last = 1,
        }
        sum = sum.saturating_add(last);
    }
    sum
}

/// The most that `{count}` repeats: `3`, `3,` or `3,5`. Without an end, one more than the least.
fn repetitions(count: &str) -> usize {
    let (least, most) = count.split_once(',').unwrap_or((count, count));
    let number = |text: &str| text.trim().parse::<usize>();
    number(most).unwrap_or_else(|_| number(least).unwrap_or_default().saturating_add(1))
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
            ("[a-z]{2}", 8),
            (r"[]({2}\]]a", 7),
            (r"\d{1000}", 1000),
            ("((a{1000}){1000}){1000}", 1_001_001_000),
        ] {
            assert_eq!(positions(pattern), expected, "{pattern}");
        }
    }
}
