//! Which headers a request has to have for any policy to have a say: asking a proxy for two or three costs half of what
//! reading all does, and most requests of a canary by header have none of them.

use crate::lane::LANES_HEADER;

/// More than these cost as much as reading all.
const MOST: usize = 3;

/// Headers that are looked for, as policies add theirs.
#[derive(Debug)]
pub(crate) struct Needed(Option<Vec<Box<[u8]>>>);

impl Default for Needed {
    /// Of no policy.
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl Needed {
    /// Something is decided about requests whatever headers they have.
    pub(crate) fn nothing(&mut self) {
        self.0 = None;
    }

    /// Something is decided about requests that have `header`, a name in lower case.
    pub(crate) fn header(&mut self, header: &[u8]) {
        if let Some(headers) = &mut self.0
            && !headers.iter().any(|other| **other == *header)
        {
            headers.push(header.into());
            if headers.len() > MOST {
                self.nothing();
            }
        }
    }

    /// A lane may come with the request.
    pub(crate) fn lanes(&mut self) {
        self.header(LANES_HEADER.as_bytes());
    }

    /// All of them; `None` if others are decided about too.
    pub(crate) fn headers(&self) -> Option<&[Box<[u8]>]> {
        self.0.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use crate::{PolicySet, compile};

    /// Of one policy with these fields.
    fn headers(fields: &str) -> Option<Vec<String>> {
        let json = format!(r#"{{"hosts": ["a"], {fields}}}"#);
        let policy = compile("shop/a", &serde_json::from_str(&json).unwrap()).unwrap();
        let set = PolicySet::new(vec![policy], None);
        let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        let names = set.needed_headers()?.iter();
        Some(names.map(|name| text(name)).collect())
    }

    fn rule(matches: &str) -> String {
        format!(r#""rules": [{{"name": "r", "lane": "canary", "match": {matches}}}]"#)
    }

    #[test]
    fn rules_want_one_header_of_each_entry() {
        for (matches, expected) in [
            ("[]", Some(&[][..])),
            (
                r#"[{"headers": {"X-Beta": {"present": true}}}]"#,
                Some(&["x-beta"]),
            ),
            (
                r#"[{"headers": {"x-b": {"exact": "1"}, "x-a": {"exact": ""}}, "path": {"prefix": "/"}},
                    {"cookies": {"a": {"exact": "1"}}, "method": {"exact": "GET"}}]"#,
                Some(&["x-a", "cookie"]),
            ),
            (
                r#"[{"headers": {"x-a": {"exact": "1"}}}, {"path": {"prefix": "/"}}]"#,
                None,
            ),
            ("[{}]", None),
            (r#"[{"queryParams": {"a": {"exact": "1"}}}]"#, None),
            (
                r#"[{"headers": {"a": {"exact": "1"}}}, {"headers": {"b": {"exact": "1"}}},
                    {"headers": {"c": {"exact": "1"}}}, {"headers": {"d": {"exact": "1"}}}]"#,
                None,
            ),
        ] {
            let expected =
                expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(headers(&rule(matches)), expected, "{matches}");
        }
    }

    #[test]
    fn keys_and_carried_lanes_want_theirs() {
        let sticky = |keys: &str| {
            headers(&format!(
                r#""sticky": {{"keys": [{keys}], "salt": "s", "canary": 1}}, "entryHosts": ["b"]"#
            ))
        };
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(
            sticky(r#"{"header": "x-user"}, {"cookie": "id"}"#),
            names(&["x-user", "cookie", "x-rollout-lanes"])
        );
        for keys in [
            r#"{"queryParam": "user"}"#,
            r#"{"sourceAddress": true}"#,
            r#"{"cookie": "id", "issue": {}}"#,
            r#"{"header": ":authority"}"#,
        ] {
            assert_eq!(sticky(keys), None, "{keys}");
        }
    }
}
