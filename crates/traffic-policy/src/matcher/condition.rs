//! One part of a request against one condition.

use crate::config::StringMatch;
use crate::matcher::text::{Star, TextFault, TextMatch};
use crate::names;
use crate::request::{Headers, Request, name_bit};

/// A condition, compiled.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) part: Part,
    pub(super) text: TextMatch,
}

/// Which part of a request a condition is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Method,
    Path,
    /// In lower case, as Envoy keeps names.
    Header(Box<[u8]>),
    QueryParam(Box<[u8]>),
    Cookie(Box<[u8]>),
}

impl Condition {
    pub(super) fn method(text: &StringMatch) -> Result<Self, TextFault> {
        Self::compile(Part::Method, text, Star::Present)
    }

    pub(super) fn path(text: &StringMatch) -> Result<Self, TextFault> {
        Self::compile(Part::Path, text, Star::Pattern)
    }

    pub(super) fn header(name: &str, text: &StringMatch) -> Result<Self, TextFault> {
        let name = names::header(name).map_err(TextFault::here)?;
        Self::compile(Part::Header(name), text, Star::Present)
    }

    pub(super) fn query_param(name: &str, text: &StringMatch) -> Result<Self, TextFault> {
        let name = names::query_param(name).map_err(TextFault::here)?;
        Self::compile(Part::QueryParam(name), text, Star::Pattern)
    }

    pub(super) fn cookie(name: &str, text: &StringMatch) -> Result<Self, TextFault> {
        let name = names::cookie(name).map_err(TextFault::here)?;
        Self::compile(Part::Cookie(name), text, Star::Pattern)
    }

    fn compile(part: Part, text: &StringMatch, star: Star) -> Result<Self, TextFault> {
        let text = TextMatch::compile(text, star)?;
        Ok(Self { part, text })
    }

    /// True if that part of the request is there and satisfies the condition.
    ///
    /// Values of a repeated header are looked at one by one, never joined, as Envoy 1.40.0 does in
    /// route matching (`source/common/http/header_utility.cc` under the runtime feature
    /// `envoy.reloadable_features.match_headers_individually`, on by default). Envoys before that
    /// feature join them with commas. A comma inside of one value means nothing in either.
    ///
    /// Of several parameters or cookies of one name the first counts (Envoy 1.40.0
    /// `source/common/router/config_utility.cc`, `QueryParameterMatcher::matches`;
    /// `source/common/http/utility.cc`, `Utility::parseCookies`).
    pub(super) fn holds<H: Headers + ?Sized>(&self, request: &Request<'_, H>) -> bool {
        let matches = |value| self.text.matches(value, request.searches());
        match &self.part {
            Part::Method => request.method().is_some_and(matches),
            Part::Path => request.path().is_some_and(matches),
            Part::Header(name) => {
                request.may_have(name_bit(name)) && request.values(name).any(matches)
            }
            Part::QueryParam(name) => request.query_param(name).is_some_and(matches),
            Part::Cookie(name) => request.cookie(name).is_some_and(matches),
        }
    }
}
