//! One part of a request against one condition.

use std::cell::Cell;

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
    pub(super) fn holds<'a, H: Headers + ?Sized>(&'a self, walks: &Walks<'a, '_, H>) -> bool {
        let request = walks.request;
        let matches = |value| self.text.matches(value, request.searches());
        match &self.part {
            Part::Method => request.method().is_some_and(matches),
            Part::Path => request.path().is_some_and(matches),
            Part::Header(name) => {
                request.may_have(name_bit(name)) && request.values(name).any(matches)
            }
            Part::QueryParam(name) => walks.query_param(name).is_some_and(matches),
            Part::Cookie(name) => walks.cookie(name).is_some_and(matches),
        }
    }
}

/// A request whose query and cookies are walked through for one condition after the other: they can be
/// long, and what was found for a name is there for the next condition on it.
pub(super) struct Walks<'a, 'r, H: ?Sized> {
    request: &'a Request<'r, H>,
    query_param: Kept<'a, 'r>,
    cookie: Kept<'a, 'r>,
}

/// A name, and what was found for it.
type Kept<'a, 'r> = Cell<Option<(&'a [u8], Option<&'r [u8]>)>>;

impl<'a, 'r, H: Headers + ?Sized> Walks<'a, 'r, H> {
    pub(super) fn new(request: &'a Request<'r, H>) -> Self {
        Self {
            request,
            query_param: Cell::new(None),
            cookie: Cell::new(None),
        }
    }

    fn query_param(&self, name: &'a [u8]) -> Option<&'r [u8]> {
        self.first(&self.query_param, name, true)
    }

    fn cookie(&self, name: &'a [u8]) -> Option<&'r [u8]> {
        self.first(&self.cookie, name, false)
    }

    /// What was found for `name`, or is now: of the query's parameters, or else of the cookies.
    fn first(&self, kept: &Kept<'a, 'r>, name: &'a [u8], query: bool) -> Option<&'r [u8]> {
        if let Some((other, value)) = kept.get()
            && other == name
        {
            return value;
        }
        let request = self.request;
        let value = if query {
            let walk = request.searches().walk(request.target_length());
            walk.then(|| request.query_param(name))
        } else {
            let walk = request.searches().walk(request.cookies_length());
            walk.then(|| request.cookie(name))
        };
        let value = value.flatten();
        kept.set(Some((name, value)));
        value
    }
}
