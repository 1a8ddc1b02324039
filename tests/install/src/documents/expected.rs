//! What a document says that commands print, against what they have printed.

/// What of `expected` is not in `found`: each line has to be there, in this order; runs of blanks are alike, and `...` stands for
/// anything.
pub(super) fn missing(expected: &str, found: &str) -> Option<String> {
    let mut rest = found.lines().map(words);
    let wanted = expected.lines().map(words);
    for line in wanted.filter(|line| !line.is_empty() && line != "...") {
        if !rest.any(|one| matches(&line, &one)) {
            return Some(format!("its output lacks the line {line:?}"));
        }
    }
    None
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// True if the parts of `wanted` between `...` are in `found`, from its beginning to its end.
fn matches(wanted: &str, found: &str) -> bool {
    let mut parts = wanted.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(part) => rest.is_empty() || part.is_empty() || found.ends_with(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_to_come_in_order() {
        let found = "NAME   READY\nb-1    1/1\nb-2  0/1\n";
        assert_eq!(missing("NAME READY\nb-2   0/1", found), None);
        assert_eq!(missing("...\nb-... 0/1", found), None);
        assert!(missing("b-2 0/1\nNAME READY", found).is_some());
        assert!(missing("b-... 2/1", found).is_some());
        assert!(missing("b-1", found).is_some());
        assert!(missing("b-1 1/1 more", found).is_some());
    }

    #[test]
    fn an_end_behind_dots_is_the_lines_end() {
        assert!(matches("a...c", "a b c"));
        assert!(matches("a...c", "a c b c"));
        assert!(!matches("a...b", "a b c"));
        assert!(matches("a...", "a"));
    }
}
