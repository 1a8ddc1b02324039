//! What every value that a pattern matches has to contain as it stands.

use super::token::{Group, Token, Tokens};

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
    let mut tokens = Tokens::new(pattern.strip_prefix('^').unwrap_or(pattern));
    skip_repetition(&mut tokens);
    while let Some(token) = tokens.next() {
        let literal = match token {
            Token::Literal(char) if char.is_ascii() => Some(char),
            // At the very end it says nothing new.
            Token::Special('$') if tokens.rest().is_empty() => break,
            Token::Literal(_) | Token::Class(_) | Token::Special(_) => None,
            Token::Open(Group::Capture | Group::Named | Group::Plain) => {
                skip_group(&mut tokens)?;
                None
            }
            // Either side could be the one, or letters may mean others.
            _ => return None,
        };
        let repeated = skip_repetition(&mut tokens);
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

/// True if a repetition came next; it is behind then.
fn skip_repetition(tokens: &mut Tokens<'_>) -> bool {
    let mut after = tokens.clone();
    let is = matches!(after.next(), Some(Token::Repeat(_)));
    if is {
        *tokens = after;
    }
    is
}

/// Goes behind the group that was opened.
fn skip_group(tokens: &mut Tokens<'_>) -> Option<()> {
    let mut depth = 1usize;
    while depth > 0 {
        match tokens.next()? {
            Token::Open(_) => depth += 1,
            Token::Close => depth -= 1,
            _ => {}
        }
    }
    Some(())
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
            (r"ab[[:alpha:](|]c", "ab", "c", &["ab", "c"]),
            ("a(?P<n>b|[)]c)d", "a", "d", &["a", "d"]),
            ("a$b", "a", "b", &["a", "b"]),
            // Not looked into.
            ("abc|d", "", "", &[]),
            ("(?i)abc", "", "", &[]),
            ("a(?i:bc)", "", "", &[]),
            (r"ab\x41", "", "", &[]),
            (r"ab\bc", "", "", &[]),
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
