//! One rule's conditions, compiled: what a request is held against. Only this file combines them.

mod header;
mod pattern;
mod text;

use crate::config::{Match, Rule};
use crate::error::{Fault, PolicyError};
use crate::lane::Lane;
use crate::request::{Headers, Request};

pub use pattern::MAX_PATTERN_BYTES;

use header::HeaderMatch;
use text::TextMatch;

/// A rule, compiled.
#[derive(Debug)]
pub(crate) struct MatchRule {
    pub(crate) name: Box<str>,
    pub(crate) lane: Lane,
    /// 0 to 100.
    pub(crate) percent: u32,
    entries: Box<[MatchEntry]>,
}

/// One entry of a rule's match list: all fields have to hold.
#[derive(Debug)]
struct MatchEntry {
    method: Option<TextMatch>,
    path: Option<TextMatch>,
    headers: Box<[HeaderMatch]>,
}

impl MatchRule {
    /// `field`: where the rule stands, as `rules[0]`.
    pub(crate) fn compile(rollout: &str, field: &str, rule: &Rule) -> Result<Self, PolicyError> {
        let error =
            |name: &str, fault| PolicyError::new(rollout, format_args!("{field}.{name}"), fault);
        if rule.name.is_empty() {
            return Err(error("name", Fault::NoName));
        }
        let percent = rule.percent.unwrap_or(100);
        if percent > 100 {
            return Err(error("percent", Fault::Percent { value: percent }));
        }
        let mut entries = Vec::with_capacity(rule.matches.len());
        for (at, entry) in rule.matches.iter().enumerate() {
            let field = format!("{field}.match[{at}]");
            entries.push(MatchEntry::compile(rollout, &field, entry)?);
        }
        Ok(Self {
            name: rule.name.as_str().into(),
            lane: rule.lane,
            percent,
            entries: entries.into(),
        })
    }

    /// True if one of the entries holds: entries are alternatives, as the entries of a VirtualService
    /// route are separate Envoy routes with one action (Istio 1.29.1
    /// `pilot/pkg/networking/core/route/route.go`, `BuildHTTPRoutesForVirtualService`).
    pub(crate) fn matches<H: Headers + ?Sized>(&self, request: &Request<'_, H>) -> bool {
        self.entries.iter().any(|entry| entry.matches(request))
    }
}

impl MatchEntry {
    fn compile(rollout: &str, field: &str, entry: &Match) -> Result<Self, PolicyError> {
        let method = entry
            .method
            .as_ref()
            .map(|text| TextMatch::compile(text, text::Star::Present))
            .transpose()
            .map_err(|fault| fault.at(rollout, &format!("{field}.method")))?;
        let path = entry
            .path
            .as_ref()
            .map(|text| TextMatch::compile(text, text::Star::Pattern))
            .transpose()
            .map_err(|fault| fault.at(rollout, &format!("{field}.path")))?;
        let headers = entry
            .headers
            .iter()
            .map(|(name, text)| {
                HeaderMatch::compile(name, text)
                    .map_err(|fault| fault.at(rollout, &format!("{field}.headers[{name:?}]")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            method,
            path,
            headers,
        })
    }

    fn matches<H: Headers + ?Sized>(&self, request: &Request<'_, H>) -> bool {
        let holds = |condition: &Option<TextMatch>, value: Option<&[u8]>| {
            condition
                .as_ref()
                .is_none_or(|text| value.is_some_and(|value| text.matches(value)))
        };
        holds(&self.method, request.method())
            && holds(&self.path, request.path())
            && self.headers.iter().all(|header| header.matches(request))
    }
}
