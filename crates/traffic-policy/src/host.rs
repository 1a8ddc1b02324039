//! Which policies a request's host leads to. Hosts are of four classes, from the most exact to the
//! widest as Envoy ranks its virtual hosts (1.40.0 `source/common/router/config_impl.cc`,
//! `RouteMatcher::findVirtualHost`): the exact name, then the longest `*.suffix`, then the longest
//! `prefix.*`, then `*`. Ports are ignored, case too.
//!
//! Envoy ranks the hosts of one route table; a configuration has the hosts of all tables, and a more
//! exact one may be of another gateway. So a policy that names its VirtualServices is asked at every
//! host that matches: the route, chosen in the right table, says which of them may set a lane. Where
//! a policy names none, nothing else decides, and only those at the most exact host are asked.

mod authority;
mod short;

use std::collections::{BinaryHeap, HashMap};
use std::hash::BuildHasherDefault;

use crate::error::Fault;
use crate::fnv::Fnv;

pub(crate) use authority::name_of;
pub(crate) use short::short_forms;

/// A host of a policy, compiled: lower case, an IPv6 address without brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MatchHost {
    Exact(Box<str>),
    /// What follows the `*`, with the character that Envoy wants before it.
    Suffix(Box<str>),
    /// What stands before the `*`.
    Prefix(Box<str>),
    Any,
}

impl MatchHost {
    pub(crate) fn compile(host: &str) -> Result<Self, Fault> {
        let fault = || Fault::Host {
            value: host.to_owned(),
        };
        let lower = host.to_ascii_lowercase();
        let name = |name: &str| -> Result<Box<str>, Fault> {
            let good = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
            if good { Ok(name.into()) } else { Err(fault()) }
        };
        if lower == "*" {
            return Ok(Self::Any);
        }
        if let Some(suffix) = lower.strip_prefix('*') {
            return name(suffix).map(Self::Suffix);
        }
        if let Some(prefix) = lower.strip_suffix('*') {
            return name(prefix).map(Self::Prefix);
        }
        let address = lower
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(&lower);
        if address.parse::<std::net::Ipv6Addr>().is_ok() {
            return Ok(Self::Exact(address.into()));
        }
        // The root's dot is left out on both sides.
        name(lower.strip_suffix('.').unwrap_or(&lower)).map(Self::Exact)
    }
}

/// Host to numbers of policies. Looked up by hash; a wildcard costs one lookup per length in use.
#[derive(Debug, Default)]
pub(crate) struct HostIndex {
    exact: Names,
    /// By length, the longest first.
    suffixes: Vec<(usize, Names)>,
    prefixes: Vec<(usize, Names)>,
    any: AtHost,
}

type Names = HashMap<Box<[u8]>, AtHost, BuildHasherDefault<Fnv>>;

/// The policies at one host.
#[derive(Debug, Default)]
struct AtHost {
    placed: Vec<u32>,
    anywhere: Vec<u32>,
    entry: Vec<u32>,
}

/// What say a host gives to a policy.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Say {
    /// The policy names the VirtualServices where it may set a lane.
    Placed,
    /// It names none.
    Anywhere,
    /// The host is one of its entry hosts.
    Entry,
}

/// A policy that has a say at a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) policy: u32,
    /// As one of its hosts.
    pub(crate) at_host: bool,
    /// As one of its entry hosts.
    pub(crate) at_entry: bool,
}

impl HostIndex {
    pub(crate) fn insert(&mut self, host: &MatchHost, policy: u32, say: Say) {
        let at = match host {
            MatchHost::Exact(name) => self.exact.entry(name.as_bytes().into()).or_default(),
            MatchHost::Suffix(part) => wildcard(&mut self.suffixes, part),
            MatchHost::Prefix(part) => wildcard(&mut self.prefixes, part),
            MatchHost::Any => &mut self.any,
        };
        let policies = match say {
            Say::Placed => &mut at.placed,
            Say::Anywhere => &mut at.anywhere,
            Say::Entry => &mut at.entry,
        };
        // A policy may name a host twice, in different case or by a short form.
        if policies.last() != Some(&policy) {
            policies.push(policy);
        }
    }

    /// The policies to ask about a request for `host`, each once, into `found`.
    ///
    /// `host`: as [`name_of`] gives it. A `*` stands for one character at least, as in Envoy.
    pub(crate) fn find(&self, host: &[u8], found: &mut Vec<Found>) {
        found.clear();
        let (mut lists, mut ranked) = (0, false);
        let mut add = |policies: &[u32], at_entry: bool| {
            lists += usize::from(!policies.is_empty());
            found.extend(policies.iter().map(|policy| Found {
                policy: *policy,
                at_host: !at_entry,
                at_entry,
            }));
        };
        self.visit(host, |at| {
            add(&at.placed, false);
            if !ranked && !at.anywhere.is_empty() {
                ranked = true;
                add(&at.anywhere, false);
            }
            add(&at.entry, true);
        });
        // Only then can a policy be there twice.
        if lists > 1 {
            // In a module, 5 KB smaller than the standard library's sorts.
            *found = BinaryHeap::from(std::mem::take(found)).into_sorted_vec();
            found.dedup_by(|again, kept| {
                let same = again.policy == kept.policy;
                if same {
                    kept.at_host |= again.at_host;
                    kept.at_entry |= again.at_entry;
                }
                same
            });
        }
    }

    /// Every host that matches, the most exact one first.
    fn visit(&self, host: &[u8], mut visitor: impl FnMut(&AtHost)) {
        if let Some(at) = self.exact.get(host) {
            visitor(at);
        }
        for (length, names) in &self.suffixes {
            let start = host.len().checked_sub(*length).filter(|rest| *rest > 0);
            let part = start.and_then(|start| host.get(start..));
            if let Some(at) = part.and_then(|part| names.get(part)) {
                visitor(at);
            }
        }
        for (length, names) in &self.prefixes {
            let part = host.get(..*length).filter(|part| part.len() < host.len());
            if let Some(at) = part.and_then(|part| names.get(part)) {
                visitor(at);
            }
        }
        visitor(&self.any);
    }
}

/// The entry of `part` in the table for its length, which is made at its place if it is missing.
fn wildcard<'a>(lengths: &'a mut Vec<(usize, Names)>, part: &str) -> &'a mut AtHost {
    let found = lengths.binary_search_by(|(length, _)| part.len().cmp(length));
    let at = found.unwrap_or_else(|at| {
        lengths.insert(at, (part.len(), Names::default()));
        at
    });
    // In bounds: found there, or put there.
    #[allow(clippy::indexing_slicing)]
    let (_, names) = &mut lengths[at];
    names.entry(part.as_bytes().into()).or_default()
}

#[cfg(test)]
mod tests;
