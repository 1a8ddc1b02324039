//! What every value that a pattern matches has to contain as it stands.

/// Parts of a pattern that are plain text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::matcher) struct Literals {
    /// How a value begins.
    pub(in crate::matcher) prefix: String,
    /// How it ends.
    pub(in crate::matcher) suffix: String,
    /// What it has somewhere.
    pub(in crate::matcher) runs: Vec<String>,
}

/// The literals of `pattern`, which compiles and has to match whole values.
///
/// Looks outside of groups only, and at ASCII only. What it doesn't know well it takes for no literal;
/// that costs a search, where a wrong one would cost a match.
pub(super) fn literals(pattern: &str) -> Literals {
    read(pattern).unwrap_or_default()
}

fn read(pattern: &str) -> Option<Literals> {
    let mut found = Literals::default();
    let mut run = String::new();
    // Nothing but the run so far stands before.
    let mut first = true;
    let start = pattern.strip_prefix('^').unwrap_or(pattern);
    let mut rest = repetition_end(start)?.chars();
    while let Some(char) = rest.next() {
        let literal = match char {
            // Either side could be the one, or letters may mean others.
            '|' => return None,
            '(' => {
                let inside = rest.as_str();
                if inside.starts_with('?') && !inside.starts_with("?:") {
                    return None;
                }
                rest = group_end(inside)?.chars();
                None
            }
            '[' => {
                rest = class_end(rest.as_str())?.chars();
                None
            }
            '\\' => match rest.next()? {
                char if char.is_ascii_punctuation() => Some(char),
                'd' | 'D' | 'w' | 'W' | 's' | 'S' => None,
                _ => return None,
            },
            // At the very end it says nothing new.
            '$' if rest.as_str().is_empty() => break,
            '.' | '^' | '$' => None,
            char if char.is_ascii() => Some(char),
            _ => None,
        };
        let after = repetition_end(rest.as_str())?;
        let repeated = after.len() < rest.as_str().len();
        rest = after.chars();
        if let Some(char) = literal.filter(|_| !repeated) {
            run.push(char);
            continue;
        }
        let run = std::mem::take(&mut run);
        if first {
            found.prefix.clone_from(&run);
            first = false;
        }
        found.runs.push(run);
    }
    if first {
        found.prefix.clone_from(&run);
    }
    found.suffix.clone_from(&run);
    found.runs.push(run);
    found.runs.retain(|run| !run.is_empty());
    Some(found)
}

/// What follows `*`, `+`, `?` and `{…}` at the start of `rest`, however many.
fn repetition_end(mut rest: &str) -> Option<&str> {
    while let Some(char) = rest.chars().next() {
        rest = match char {
            '*' | '+' | '?' => rest.get(1..)?,
            '{' => rest.split_once('}')?.1,
            _ => break,
        };
    }
    Some(rest)
}

/// What follows the class whose inside `rest` begins with.
fn class_end(rest: &str) -> Option<&str> {
    let start = rest.strip_prefix('^').unwrap_or(rest);
    let mut chars = start.strip_prefix(']').unwrap_or(start).chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                chars.next();
            }
            // A class within a class.
            '[' => return None,
            ']' => return Some(chars.as_str()),
            _ => {}
        }
    }
    None
}

/// What follows the group whose inside `rest` begins with.
fn group_end(rest: &str) -> Option<&str> {
    let mut depth = 1usize;
    let mut chars = rest.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                chars.next();
            }
            '[' => chars = class_end(chars.as_str())?.chars(),
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(chars.as_str());
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_outside_of_groups_is_found() {
        for (pattern, prefix, suffix, runs) in [
            ("abc", "abc", "abc", &["abc"][..]),
            ("^abc$", "abc", "abc", &["abc"]),
            ("/api/.*", "/api/", "", &["/api/"]),
            (".*@example\\.com", "", "@example.com", &["@example.com"]),
            ("a.c", "a", "c", &["a", "c"]),
            ("abc*d", "ab", "d", &["ab", "d"]),
            ("abc+?d", "ab", "d", &["ab", "d"]),
            ("abc{2}d{3,}", "ab", "", &["ab"]),
            ("ab(c|d)ef[gh]?ij", "ab", "ij", &["ab", "ef", "ij"]),
            ("a(?:b[)]c)d", "a", "d", &["a", "d"]),
            (r"a\(b\|c\.d", "a(b|c.d", "a(b|c.d", &["a(b|c.d"]),
            (r"a\d+b[]x]c[^]]d", "a", "d", &["a", "b", "c", "d"]),
            ("aéb", "a", "b", &["a", "b"]),
            ("aé*b", "a", "b", &["a", "b"]),
            (".*", "", "", &[]),
            ("^*abc", "abc", "abc", &["abc"]),
            ("a$b", "a", "b", &["a", "b"]),
            // Not looked into.
            ("abc|d", "", "", &[]),
            ("(?i)abc", "", "", &[]),
            ("a(?i:bc)", "", "", &[]),
            (r"ab\x41", "", "", &[]),
            (r"ab\bc", "", "", &[]),
            (r"ab[[:alpha:]]c", "", "", &[]),
        ] {
            let expected = Literals {
                prefix: prefix.to_owned(),
                suffix: suffix.to_owned(),
                runs: runs.iter().map(|run| (*run).to_owned()).collect(),
            };
            assert_eq!(literals(pattern), expected, "{pattern}");
        }
    }
}
