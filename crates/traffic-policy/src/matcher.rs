//! The rules of a policy, compiled: what a request is held against. Only this file combines conditions;
//! the index only says which are worth a look.

mod condition;
mod index;
mod pattern;
mod text;

use std::fmt;

use crate::config::{Match, Rule};
use crate::error::{Fault, PolicyError};
use crate::key::{Keys, Surroundings};
use crate::lane::Lane;
use crate::needed::Needed;
use crate::pace::Pace;
use crate::request::{COOKIE, Headers, Request};

pub use pattern::MAX_PATTERN_BYTES;
pub use text::text_matches;

use condition::{Condition, Part, Walks};
use index::Index;
use text::TextFault;

/// The most entries of all match lists of one policy. Twice what [`crate::MAX_RULES`] with a match each
/// have; a list of more values than that belongs into a header that says which of them are meant.
pub const MAX_ENTRIES: usize = 20_000;
/// The most positions (characters, classes and groups, with repetitions written out) of all patterns of one
/// policy together: 40 for each of [`crate::MAX_RULES`]. A position takes 50 to 200 bytes of a module's
/// memory once its pattern has been searched with, so that is 20 MB of usual patterns and 80 MB of the worst.
pub const MAX_POSITIONS: usize = 400_000;
/// What a pattern counts at least: its tables take about a kilobyte, however short it is.
const LEAST_POSITIONS: usize = 16;
/// What a rule takes, in units of [`Pace`].
const RULE_UNITS: usize = 12;
/// How many times its size compiling an entry takes.
const COMPILE: usize = 3;

/// All rules of a policy, compiled, in their order.
#[derive(Debug)]
pub(crate) struct MatchRules {
    rules: Box<[MatchRule]>,
    /// Of all rules, in their order.
    entries: Box<[MatchEntry]>,
    index: Index,
}

/// A rule, compiled, but for its entries.
#[derive(Debug)]
pub(crate) struct MatchRule {
    pub(crate) name: Box<str>,
    pub(crate) lane: Lane,
    /// 0 to 100.
    pub(crate) percent: u32,
    /// What the share is drawn by, instead of by chance.
    pub(crate) keys: Keys,
}

/// One entry of a rule's match list: all conditions have to hold.
#[derive(Debug)]
struct MatchEntry {
    rule: u32,
    /// Patterns last, since they take longest.
    conditions: Box<[Condition]>,
}

impl MatchRules {
    pub(crate) async fn compile(
        rollout: &str,
        rules: &[Rule],
        pace: &Pace,
    ) -> Result<Self, PolicyError> {
        let mut compiled = Vec::with_capacity(rules.len());
        let found = rules.iter().map(|rule| rule.matches.len()).sum();
        if found > MAX_ENTRIES {
            return Err(PolicyError::new(
                rollout,
                "rules",
                Fault::TooManyEntries { found },
            ));
        }
        let mut entries = Vec::with_capacity(found);
        let mut positions = 0;
        for (rule, number) in rules.iter().zip(0u32..) {
            compiled.push(MatchRule::compile(rollout, number, rule)?);
            for (entry, at) in rule.matches.iter().zip(0u32..) {
                let entry = MatchEntry::compile(rollout, (number, at), entry, &mut positions)?;
                let units = entry.units().saturating_mul(COMPILE);
                entries.push(entry);
                pace.spend(units.saturating_add(RULE_UNITS)).await;
            }
        }
        Ok(Self {
            rules: compiled.into(),
            index: Index::new(&entries, pace).await,
            entries: entries.into(),
        })
    }

    /// All of them, with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &MatchRule)> {
        (0..).zip(&self.rules)
    }

    pub(crate) fn get(&self, number: u32) -> Option<&MatchRule> {
        self.rules.get(usize::try_from(number).ok()?)
    }

    /// True if any rule's share goes to that lane.
    pub(crate) fn lead_to(&self, lane: Lane) -> bool {
        let leads = |rule: &MatchRule| rule.lane == lane && rule.percent > 0;
        self.rules.iter().any(leads)
    }

    /// Adds headers of which a request has one if any rule matches.
    pub(crate) fn needs(&self, needed: &mut Needed) {
        for entry in &self.entries {
            entry.needs(needed);
        }
    }

    /// How many entries there are.
    pub(crate) fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The first rule of which `request` satisfies an entry: entries are alternatives, as the entries of
    /// a VirtualService route are separate Envoy routes with one action (Istio 1.29.1
    /// `pilot/pkg/networking/core/route/route.go`, `BuildHTTPRoutesForVirtualService`).
    pub(crate) fn first<H: Headers + ?Sized>(
        &self,
        request: &Request<'_, H>,
    ) -> Option<(u32, &MatchRule)> {
        let entry = self.index.first(&self.entries, request)?;
        let number = self.entries.get(usize::try_from(entry).ok()?)?.rule;
        Some((number, self.get(number)?))
    }
}

impl MatchRule {
    /// `number`: its own.
    fn compile(rollout: &str, number: u32, rule: &Rule) -> Result<Self, PolicyError> {
        let error = |name: &str, fault| {
            PolicyError::new(rollout, format_args!("rules[{number}].{name}"), fault)
        };
        if rule.name.is_empty() {
            return Err(error("name", Fault::NoName));
        }
        let percent = rule.percent.unwrap_or(100);
        if percent > 100 {
            return Err(error("percent", Fault::Percent { value: percent }));
        }
        let keys = Keys::compile(rollout, format_args!("rules[{number}].keys"), &rule.keys)?;
        Ok(Self {
            name: rule.name.as_str().into(),
            lane: rule.lane,
            percent,
            keys,
        })
    }

    /// True if a request that matches is in the rule's share: by its key, or by chance without one.
    pub(crate) fn draws<H: Headers + ?Sized>(
        &self,
        request: &Request<'_, H>,
        surroundings: &mut impl Surroundings,
    ) -> bool {
        match self.percent {
            0 => false,
            1..100 => {
                let salt = self.name.as_bytes();
                let bucket = self.keys.bucket(request, surroundings, salt, 100);
                bucket.unwrap_or_else(|| draw(surroundings.random())) < self.percent
            }
            _ => true,
        }
    }
}

/// A random number as one of 0 to 99; their chances differ by less than 2^-25.
fn draw(random: u32) -> u32 {
    let scaled = (u64::from(random) * 100) >> 32;
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

impl MatchEntry {
    /// `rule`, `at`: the numbers of its rule and, in that, of its own. `positions`: of all patterns so far.
    fn compile(
        rollout: &str,
        (rule, at): (u32, u32),
        entry: &Match,
        positions: &mut usize,
    ) -> Result<Self, PolicyError> {
        let mut conditions = Vec::with_capacity(entry.headers.len());
        let mut patterns = Vec::new();
        let mut add = |name: fmt::Arguments<'_>, condition: Result<Condition, TextFault>| {
            let condition = condition
                .map_err(|fault| fault.at(rollout, &format!("rules[{rule}].match[{at}].{name}")))?;
            let Some(own) = condition.text.positions() else {
                conditions.push(condition);
                return Ok(());
            };
            // Here and not at the end: what is too much is not built.
            *positions += own.max(LEAST_POSITIONS);
            if *positions > MAX_POSITIONS {
                let fault = Fault::TooManyPositions { found: *positions };
                return Err(PolicyError::new(
                    rollout,
                    format_args!("rules[{rule}].match[{at}].{name}"),
                    fault,
                ));
            }
            patterns.push(condition);
            Ok(())
        };
        for (name, text) in &entry.headers {
            add(
                format_args!("headers[{name:?}]"),
                Condition::header(name, text),
            )?;
        }
        if let Some(text) = &entry.method {
            add(format_args!("method"), Condition::method(text))?;
        }
        if let Some(text) = &entry.path {
            add(format_args!("path"), Condition::path(text))?;
        }
        for (name, text) in &entry.query_params {
            add(
                format_args!("queryParams[{name:?}]"),
                Condition::query_param(name, text),
            )?;
        }
        for (name, text) in &entry.cookies {
            add(
                format_args!("cookies[{name:?}]"),
                Condition::cookie(name, text),
            )?;
        }
        conditions.extend(patterns);
        Ok(Self {
            rule,
            conditions: conditions.into(),
        })
    }

    /// Adds a header without which no request satisfies this.
    fn needs(&self, needed: &mut Needed) {
        let headers = self
            .conditions
            .iter()
            .filter_map(|condition| match &condition.part {
                // Every request has those that begin with a colon, by whichever name.
                Part::Header(name) if !name.starts_with(b":") => Some(&**name),
                Part::Cookie(_) => Some(COOKIE),
                _ => None,
            });
        match headers.min() {
            Some(header) => needed.header(header),
            None => needed.nothing(),
        }
    }

    /// How large it is, in units of [`Pace`].
    fn units(&self) -> usize {
        let texts = self.conditions.iter().map(|one| one.text.units());
        texts.fold(0, usize::saturating_add)
    }

    fn matches<'a, H: Headers + ?Sized>(&'a self, walks: &Walks<'a, '_, H>) -> bool {
        self.conditions
            .iter()
            .all(|condition| condition.holds(walks))
    }
}
