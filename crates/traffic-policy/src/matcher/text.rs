//! One string against `exact`, `prefix` or `regex`: what every condition comes to.

use crate::config::StringMatch;
use crate::error::{Fault, PolicyError};
use crate::matcher::pattern::Pattern;
use crate::request::Searches;

/// A `StringMatch`, compiled.
#[derive(Debug)]
pub(super) enum TextMatch {
    /// There is a value, if an empty one.
    Present,
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    /// ASCII letters are alike in either case, as in Envoy (1.40.0 `source/common/common/matchers.h`, by
    /// `absl::EqualsIgnoreCase`).
    ExactIgnoreCase(Box<[u8]>),
    PrefixIgnoreCase(Box<[u8]>),
    Regex(Pattern),
}

/// What a lone `*` in `regex` means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Star {
    /// "The header is there": for headers and the method (Istio 1.29.1
    /// `pilot/pkg/networking/core/route/route.go`, `canBeConvertedToPresentMatch`).
    Present,
    /// A pattern like any other, hence an error: for the path (`TranslateRouteMatch` there hands it
    /// to Envoy as it is), and for what Argo's and Istio's headers don't know.
    Pattern,
}

/// A fault below one `StringMatch`; the caller knows the rest of the path.
pub(super) struct TextFault {
    field: &'static str,
    fault: Fault,
}

impl TextFault {
    /// About the field itself rather than one below it.
    pub(super) fn here(fault: Fault) -> Self {
        Self { field: "", fault }
    }

    pub(super) fn at(self, rollout: &str, field: &str) -> PolicyError {
        PolicyError::new(rollout, format_args!("{field}{}", self.field), self.fault)
    }
}

/// True if `value` satisfies `text`, as in a header; `None` if `text` doesn't compile, or is a pattern on whose value the
/// search would take too long.
pub fn text_matches(text: &StringMatch, value: &str) -> Option<bool> {
    let compiled = TextMatch::compile(text, Star::Present).ok()?;
    if let TextMatch::Regex(pattern) = &compiled
        && !pattern.may_search(value.len())
    {
        return None;
    }
    Some(compiled.matches(value.as_bytes(), &Searches::default()))
}

impl TextMatch {
    pub(super) fn compile(text: &StringMatch, star: Star) -> Result<Self, TextFault> {
        match text {
            StringMatch::Present => Ok(Self::Present),
            StringMatch::Exact(value) => Ok(Self::Exact(value.as_bytes().into())),
            StringMatch::ExactIgnoreCase(value) => {
                Ok(Self::ExactIgnoreCase(value.as_bytes().into()))
            }
            // Envoy takes no empty prefix (`type/matcher/v3/string.proto`, `StringMatcher.prefix`).
            StringMatch::Prefix(value) | StringMatch::PrefixIgnoreCase(value)
                if value.is_empty() =>
            {
                Err(TextFault {
                    field: ".prefix",
                    fault: Fault::EmptyPattern,
                })
            }
            StringMatch::Prefix(value) => Ok(Self::Prefix(value.as_bytes().into())),
            StringMatch::PrefixIgnoreCase(value) => {
                Ok(Self::PrefixIgnoreCase(value.as_bytes().into()))
            }
            StringMatch::Regex(value) if star == Star::Present && value == "*" => Ok(Self::Present),
            StringMatch::Regex(value) => {
                Pattern::compile(value)
                    .map(Self::Regex)
                    .map_err(|fault| TextFault {
                        field: ".regex",
                        fault,
                    })
            }
        }
    }

    /// Of a pattern.
    pub(super) fn positions(&self) -> Option<usize> {
        match self {
            Self::Regex(pattern) => Some(pattern.positions()),
            _ => None,
        }
    }

    /// How large it is, in units of [`crate::Pace`].
    pub(super) fn units(&self) -> usize {
        match self {
            Self::Regex(pattern) => pattern.units(),
            _ => 5,
        }
    }

    pub(super) fn matches(&self, value: &[u8], searches: &Searches) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(exact) => value == &**exact,
            Self::Prefix(prefix) => value.starts_with(prefix),
            Self::ExactIgnoreCase(exact) => value.eq_ignore_ascii_case(exact),
            Self::PrefixIgnoreCase(prefix) => value
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
            Self::Regex(pattern) => pattern.matches(value, searches),
        }
    }
}
