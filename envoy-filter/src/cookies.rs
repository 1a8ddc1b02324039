//! Issued cookies: their values, their text, and those that wait for a response.

use std::collections::BTreeMap;
use std::fmt::Write;

use traffic_policy::Headers;
use traffic_policy::config::{Issue, SameSite};

use crate::host::Host;

/// 128 random bits as text: no two clients ever get the same ones, and nobody finds another's by trying.
#[derive(Debug, Default)]
pub(crate) struct NewId(String);

impl NewId {
    /// Makes another. False if the host gives no random bytes.
    pub(crate) fn draw(&mut self, host: &mut impl Host) -> bool {
        let mut bytes = [0; 16];
        self.0.clear();
        host.random(&mut bytes)
            // Writing to a string doesn't fail.
            && write!(self.0, "{:032x}", u128::from_le_bytes(bytes)).is_ok()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Cookies that responses are going to set, by the number of the request's context. A context that is gone is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Waiting(BTreeMap<u32, Vec<String>>);

impl Waiting {
    /// Another one for the response of `context`. Of one name the first counts.
    pub(crate) fn add(&mut self, context: u32, name: &str, cookie: String) {
        let cookies = self.0.entry(context).or_default();
        let same = |other: &String| {
            let rest = other.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with('='))
        };
        if !cookies.iter().any(same) {
            cookies.push(cookie);
        }
    }

    /// Those of `context`, which then has none.
    pub(crate) fn take(&mut self, context: u32) -> Vec<String> {
        self.0.remove(&context).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The value of `Set-Cookie` (RFC 6265bis, section 4.1). Scripts have no use for it (`HttpOnly`). `https`: the client has
/// sent the request by it, and is told to send the cookie by nothing else.
pub(crate) fn set_cookie(name: &str, value: &str, issue: &Issue, https: bool) -> String {
    let max_age = issue.max_age.map(|seconds| format!("; Max-Age={seconds}"));
    let mut text = format!("{name}={value}; Path={}", issue.path);
    text += max_age.as_deref().unwrap_or_default();
    text += match issue.same_site {
        SameSite::Lax => "; SameSite=Lax",
        SameSite::Strict => "; SameSite=Strict",
        SameSite::None => "; SameSite=None",
    };
    if https || issue.same_site == SameSite::None {
        text += "; Secure";
    }
    text + "; HttpOnly"
}

/// True if the client speaks https, to this proxy or to a trusted one before it: Envoy sets `x-forwarded-proto` at an edge
/// and keeps it behind a proxy that it is told to trust.
pub(crate) fn https(headers: &impl Headers) -> bool {
    headers
        .iter()
        .any(|(name, value)| matches!(name, b"x-forwarded-proto" | b":scheme") && value == b"https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_has_the_attributes_that_are_asked_for() {
        let mut issue = Issue {
            path: "/".to_owned(),
            ..Issue::default()
        };
        let text = |issue: &Issue, https| set_cookie("user", "1", issue, https);
        assert_eq!(
            text(&issue, false),
            "user=1; Path=/; SameSite=Lax; HttpOnly"
        );
        issue.max_age = Some(0);
        issue.same_site = SameSite::Strict;
        assert_eq!(
            text(&issue, true),
            "user=1; Path=/; Max-Age=0; SameSite=Strict; Secure; HttpOnly"
        );
        issue.same_site = SameSite::None;
        assert!(text(&issue, false).contains("; Secure;"));
    }

    #[test]
    fn one_cookie_of_a_name_waits_for_a_response() {
        let mut waiting = Waiting::default();
        waiting.add(7, "a", "a=1".to_owned());
        waiting.add(7, "a", "a=2".to_owned());
        waiting.add(7, "ab", "ab=3".to_owned());
        waiting.add(8, "a", "a=4".to_owned());
        assert_eq!(waiting.take(7), ["a=1", "ab=3"]);
        assert_eq!(waiting.take(7), [""; 0]);
        assert_eq!(waiting.len(), 1);
    }
}
