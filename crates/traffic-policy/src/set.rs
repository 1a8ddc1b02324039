//! All policies of one plugin's configuration, found by host.

use std::rc::Rc;

use crate::host::{Found, HostIndex, Say, name_of, short_forms};
use crate::needed::Needed;
use crate::pace::{self, Pace};
use crate::policy::CompiledPolicy;

/// Space that [`PolicySet::candidates`] uses again for each request, so that none allocates once it
/// has grown.
#[derive(Debug, Default)]
pub struct HostSpace {
    lower: Vec<u8>,
    found: Vec<Found>,
}

/// A policy that has a say in a request.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'p> {
    /// Its number in the set.
    pub number: u32,
    /// The policy.
    pub policy: &'p CompiledPolicy,
    /// One of its `hosts` matches: a lane may be set if the route is one of its own.
    pub at_host: bool,
    /// One of its `entryHosts` matches: its lane is decided ahead and carried along, whatever the route.
    pub at_entry: bool,
}

/// What one host takes, with its short forms, in units of [`Pace`].
const HOST_UNITS: usize = 100;

/// What looking at one entry of a rule takes.
const ENTRY_UNITS: usize = 3;

/// Compiled policies and the index from host to them.
#[derive(Debug, Default)]
pub struct PolicySet {
    policies: Vec<Rc<CompiledPolicy>>,
    hosts: HostIndex,
    needed: Needed,
}

impl PolicySet {
    /// Indexes `policies`.
    ///
    /// `domain`: the DNS domain of the proxy's own workload (`shop.svc.cluster.local`), for the short
    /// names by which that asks for services; `None` at a gateway, where names are as written. A policy
    /// can be in several sets: one that stays as it was when others change.
    pub fn new(policies: Vec<impl Into<Rc<CompiledPolicy>>>, domain: Option<&str>) -> Self {
        let policies = policies.into_iter().map(Into::into).collect();
        pace::all(Self::in_slices(policies, domain, &Pace::at_once()))
    }

    /// As [`Self::new`], with pauses.
    pub async fn in_slices(
        policies: Vec<Rc<CompiledPolicy>>,
        domain: Option<&str>,
        pace: &Pace,
    ) -> Self {
        let mut set = Self::default();
        for policy in policies {
            let hosts = policy.hosts.len() + policy.entry_hosts.len();
            let entries = policy.entries().saturating_mul(ENTRY_UNITS);
            pace.spend(entries.saturating_add(hosts * HOST_UNITS)).await;
            set.add(policy, domain);
        }
        set
    }

    fn add(&mut self, policy: Rc<CompiledPolicy>, domain: Option<&str>) {
        let number = u32::try_from(self.policies.len()).unwrap_or(u32::MAX);
        policy.needs(&mut self.needed);
        let placed = policy.names_virtual_services();
        let of_hosts = if placed { Say::Placed } else { Say::Anywhere };
        let own = policy.hosts.iter().map(|host| (host, of_hosts));
        let entries = policy.entry_hosts.iter().map(|host| (host, Say::Entry));
        for (host, say) in own.chain(entries) {
            self.hosts.insert(host, number, say);
            let forms = domain.map(|domain| short_forms(host, domain));
            for form in forms.into_iter().flatten() {
                self.hosts.insert(&form, number, say);
            }
        }
        self.policies.push(policy);
    }

    /// Headers, in lower case, of which a request has one if any policy has a say in it, be it by a rule, a key or a lane
    /// that is carried along. `None` if a request may be decided about whatever headers it has.
    pub fn needed_headers(&self) -> Option<&[Box<[u8]>]> {
        self.needed.headers()
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// True without any policy.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The policies that have a say in requests for `authority` (as received, with port and in any
    /// case), each once. Of those that name their VirtualServices, all that have a host which
    /// matches: which of several hosts counts depends on Envoy's route table, and the route decides
    /// ([`CompiledPolicy::may_set_lane_on`]). Of the others, those at the host that Envoy would
    /// prefer. And all that have an entry host which matches. Each decides for itself.
    pub fn candidates(
        &self,
        authority: &[u8],
        space: &mut HostSpace,
    ) -> impl Iterator<Item = Candidate<'_>> {
        let HostSpace { lower, found } = space;
        self.hosts.find(name_of(authority, lower), found);
        found.iter().filter_map(|found| {
            Some(Candidate {
                number: found.policy,
                policy: self.get(found.policy)?,
                at_host: found.at_host,
                at_entry: found.at_entry,
            })
        })
    }

    /// A policy by the number that [`Self::candidates`] gave it.
    pub fn get(&self, number: u32) -> Option<&CompiledPolicy> {
        self.policies
            .get(usize::try_from(number).ok()?)
            .map(Rc::as_ref)
    }

    /// The policy of that Rollout.
    pub fn of(&self, rollout: &str) -> Option<&Rc<CompiledPolicy>> {
        self.iter().find(|policy| policy.rollout() == rollout)
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<CompiledPolicy>> {
        self.policies.iter()
    }
}
