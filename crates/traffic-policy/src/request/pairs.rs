//! Names and values inside of one string: the query of a path, and `cookie` headers. Read as Envoy's
//! route matching reads them, oddities and all.

/// The parameters in the query of `path`, in order; nothing is decoded.
///
/// As Envoy 1.40.0 `source/common/http/utility.cc`, `QueryParamsMulti::parseQueryString`: all behind the
/// first `?`, split at `&`, each at its first `=`; one without `=` has an empty value.
pub(crate) fn query(path: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let query = split_at(path, b'?').map_or(&[][..], |(_, query)| query);
    query
        .split(|byte| *byte == b'&')
        .map(|part| split_at(part, b'=').unwrap_or((part, &[])))
}

/// The cookies in one `cookie` header, in order.
///
/// As Envoy 1.40.0 `source/common/http/utility.cc`, `forEachCookie`: split at `;`, each at its first
/// `=`, without which it is none; spaces before the name are left out, and quotes around the value.
pub(crate) fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|byte| *byte == b';').filter_map(|part| {
        let (name, value) = split_at(part, b'=')?;
        let start = name.iter().position(|byte| *byte != b' ');
        let name = start.and_then(|start| name.get(start..));
        let quoted = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        Some((name.unwrap_or_default(), quoted.unwrap_or(value)))
    })
}

/// What stands before and behind the first `byte`.
fn split_at(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|other| *other == byte)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(&'a str, &'a str)> {
        pairs
            .map(|(name, value)| {
                let text = |bytes| str::from_utf8(bytes).unwrap();
                (text(name), text(value))
            })
            .collect()
    }

    #[test]
    fn a_query_is_split_and_not_decoded() {
        for (path, expected) in [
            ("/a?b=1&c=2", &[("b", "1"), ("c", "2")][..]),
            ("/a?b", &[("b", "")]),
            ("/a?b=", &[("b", "")]),
            ("/a?b==1=", &[("b", "=1=")]),
            ("/a?b=%20+&B=1", &[("b", "%20+"), ("B", "1")]),
            ("/a?b=1?c=2", &[("b", "1?c=2")]),
            ("/a?b=1&&b=2", &[("b", "1"), ("", ""), ("b", "2")]),
            ("/a?b=1;c=2", &[("b", "1;c=2")]),
        ] {
            assert_eq!(texts(query(path.as_bytes())), expected, "{path}");
        }
        assert!(query(b"/a").all(|(name, _)| name.is_empty()));
    }

    #[test]
    fn cookies_are_split_and_unquoted() {
        for (header, expected) in [
            ("a=1; b=2", &[("a", "1"), ("b", "2")][..]),
            ("a=1;b=2;", &[("a", "1"), ("b", "2")]),
            ("  a =1 ;;; b", &[("a ", "1 ")]),
            (
                "a=\"1\"; b=\"; c=\"\"",
                &[("a", "1"), ("b", "\""), ("c", "")],
            ),
            ("a=b=c", &[("a", "b=c")]),
            ("=1", &[("", "1")]),
            ("", &[]),
        ] {
            assert_eq!(texts(cookies(header.as_bytes())), expected, "{header}");
        }
    }
}
