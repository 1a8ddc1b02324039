//! What can be wrong with a written policy. One line says which Rollout, which field, what was found and
//! what is expected; it stands alone in Envoy's log and in Argo's.

use std::fmt;

/// A policy that can't be compiled: `rollout shop/reviews: rules[2].match[0].path.regex: …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rollout {rollout}: {field}: {fault}")]
pub struct PolicyError {
    rollout: String,
    field: String,
    fault: Fault,
}

impl PolicyError {
    pub(crate) fn new(rollout: &str, field: impl fmt::Display, fault: Fault) -> Self {
        Self {
            rollout: rollout.to_owned(),
            field: field.to_string(),
            fault,
        }
    }

    /// The Rollout's key as written, `<namespace>/<name>`.
    pub fn rollout(&self) -> &str {
        &self.rollout
    }

    /// The field below the Rollout's key, as `rules[0].match[1].headers["x-user"].regex`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with it.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

/// What is wrong with one field. Every message gives the value found and what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not `<namespace>/<name>` in the characters that Kubernetes allows.
    #[error("{value:?} is not <namespace>/<name>")]
    Key {
        /// As written.
        value: String,
    },
    /// A list that must not be empty.
    #[error("the list is empty, expected at least one host")]
    NoHosts,
    /// More rules than [`crate::MAX_RULES`].
    #[error("{found} rules, expected at most {}", crate::MAX_RULES)]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// More entries in all match lists than [`crate::MAX_ENTRIES`].
    #[error(
        "{found} entries in all match lists, expected at most {}",
        crate::MAX_ENTRIES
    )]
    TooManyEntries {
        /// How many there are.
        found: usize,
    },
    /// More positions of patterns than [`crate::MAX_POSITIONS`].
    #[error(
        "{found} positions of patterns up to here (characters, repetitions written out), expected at most {} in all",
        crate::MAX_POSITIONS
    )]
    TooManyPositions {
        /// How many there are, with those of this entry.
        found: usize,
    },
    /// Not a host that Envoy could match.
    #[error(
        "{value:?} is no host: expected a full name or an address without port, *.suffix, prefix.* or *"
    )]
    Host {
        /// As written.
        value: String,
    },
    /// A name that is needed and empty.
    #[error("the name is empty, expected that of a managed route")]
    NoName,
    /// Outside of 0 to 100.
    #[error("{value} is no share, expected 0 to 100")]
    Percent {
        /// As written.
        value: u32,
    },
    /// Not the name of a request header.
    #[error("{value:?} is no header name, expected letters, digits and !#$%&'*+-.^_`|~")]
    HeaderName {
        /// As written.
        value: String,
    },
    /// Istio's notation for claims of a token, which are no headers and not known to the filter.
    #[error("{value:?} is a claim of a token, expected the name of a header")]
    Claim {
        /// As written.
        value: String,
    },
    /// Not the name of a cookie.
    #[error("{value:?} is no cookie name, expected letters, digits and !#$%&'*+-.^_`|~")]
    CookieName {
        /// As written.
        value: String,
    },
    /// Not what can stand for a name in a query.
    #[error(
        "{value:?} is no parameter name, expected it as in a query: not empty, without &, = and #, percent-encoded"
    )]
    QueryParamName {
        /// As written.
        value: String,
    },
    /// A split without keys.
    #[error("the list is empty, expected at least one key")]
    NoKeys,
    /// A key that stands in its list before.
    #[error("this key is in the list already")]
    SameKey,
    /// Not a salt.
    #[error("{value:?} is no salt, expected 1 to 253 bytes without control characters")]
    Salt {
        /// As written.
        value: String,
    },
    /// A share of nothing.
    #[error("0 is nothing to have a share of, expected at least 1")]
    OfNothing,
    /// More than the whole.
    #[error("{value} is no share, expected 0 to {of}, which `of` says")]
    Share {
        /// As written.
        value: u32,
        /// The whole.
        of: u32,
    },
    /// Not a cookie's path.
    #[error("{value:?} is no cookie path, expected one that begins with / and is without ;")]
    CookiePath {
        /// As written.
        value: String,
    },
    /// A cookie that is gone at once.
    #[error("0 seconds is no age for a cookie, expected at least 1")]
    CookieAge,
    /// A cookie to be issued whose name binds browsers to attributes that it may not have.
    #[error("a cookie {value:?} can't be issued, expected a name that doesn't begin with {prefix}")]
    CookiePrefix {
        /// The name.
        value: String,
        /// What it begins with.
        prefix: &'static str,
    },
    /// Two cookies to be issued, or one in two ways.
    #[error(
        "the cookie {value:?} would be issued besides {first:?}, or otherwise, expected one for the whole policy"
    )]
    SecondIssue {
        /// The one before.
        first: String,
        /// This one.
        value: String,
    },
    /// Not what can stand behind a lane. It is not shown.
    #[error(
        "the value, of {bytes} bytes, is no secret: expected 1 to 128 of letters, digits and -_.~"
    )]
    Secret {
        /// Its length.
        bytes: usize,
    },
    /// Empty where Envoy takes no empty string.
    #[error("the pattern is empty, expected at least one character")]
    EmptyPattern,
    /// Longer than [`crate::MAX_PATTERN_BYTES`].
    #[error(
        "the pattern has {bytes} bytes, expected at most {}",
        crate::MAX_PATTERN_BYTES
    )]
    LongPattern {
        /// Its length.
        bytes: usize,
    },
    /// Not a pattern, or one that is too large when compiled.
    #[error("{pattern:?} is no regular expression: {reason}")]
    Pattern {
        /// As written.
        pattern: String,
        /// The engine's word on it.
        reason: regex_lite::Error,
    },
    /// Something that RE2, Envoy's engine, knows and the filter's does not.
    #[error(
        "{pattern:?} has {construct}, which Envoy knows and the filter does not: patterns are over bytes here, so list what it stands for, as in [A-Za-z] or (é|è)"
    )]
    Lacking {
        /// As written.
        pattern: String,
        /// The first such thing.
        construct: &'static str,
    },
    /// Something that RE2, Envoy's engine, refuses or takes for something else.
    #[error("{pattern:?} has {construct}, which means something else to Envoy or nothing")]
    Dialect {
        /// As written.
        pattern: String,
        /// The first such thing.
        construct: &'static str,
    },
}
