//! Sections of a document: from one heading of the second level to the next.

/// How a heading begins.
const HEADING: &str = "\n## ";

/// The document up to the end of the section whose heading begins with `heading`.
pub(super) fn through<'a>(document: &'a str, heading: &str) -> Option<&'a str> {
    let begin = document.find(&format!("{HEADING}{heading}"))? + HEADING.len();
    let rest = document.get(begin..)?;
    let end = rest.find(HEADING).map_or(document.len(), |end| begin + end);
    document.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_ends_behind_a_section() {
        let document = "# A\n\n## 1. One\na\n### more\n\n## 2. Two\nb\n";
        assert_eq!(
            through(document, "1."),
            Some("# A\n\n## 1. One\na\n### more\n")
        );
        assert_eq!(through(document, "2. Two"), Some(document));
        assert_eq!(through(document, "3."), None);
    }
}
