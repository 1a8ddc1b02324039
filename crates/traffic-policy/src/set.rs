//! All policies of one plugin's configuration, found by host.

use crate::host::{HostIndex, name_of, short_forms};
use crate::policy::CompiledPolicy;

/// Space that [`PolicySet::candidates`] uses again for each request, so that none allocates once it
/// has grown.
#[derive(Debug, Default)]
pub struct HostSpace {
    lower: Vec<u8>,
    found: Vec<u32>,
}

/// Compiled policies and the index from host to them.
#[derive(Debug, Default)]
pub struct PolicySet {
    policies: Vec<CompiledPolicy>,
    hosts: HostIndex,
}

impl PolicySet {
    /// Indexes `policies`.
    ///
    /// `domain`: the DNS domain of the proxy's own workload (`shop.svc.cluster.local`), for the short
    /// names by which that asks for services; `None` at a gateway, where names are as written.
    pub fn new(policies: Vec<CompiledPolicy>, domain: Option<&str>) -> Self {
        let mut hosts = HostIndex::default();
        for (policy, number) in policies.iter().zip(0u32..) {
            let placed = policy.names_virtual_services();
            for host in &policy.hosts {
                hosts.insert(host, number, placed);
                for form in domain
                    .map(|domain| short_forms(host, domain))
                    .into_iter()
                    .flatten()
                {
                    hosts.insert(&form, number, placed);
                }
            }
        }
        Self { policies, hosts }
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
    /// prefer. Each decides for itself.
    pub fn candidates(
        &self,
        authority: &[u8],
        space: &mut HostSpace,
    ) -> impl Iterator<Item = (u32, &CompiledPolicy)> {
        let HostSpace { lower, found } = space;
        self.hosts.find(name_of(authority, lower), found);
        found
            .iter()
            .filter_map(|number| Some((*number, self.get(*number)?)))
    }

    /// A policy by the number that [`Self::candidates`] gave it.
    pub fn get(&self, number: u32) -> Option<&CompiledPolicy> {
        self.policies.get(usize::try_from(number).ok()?)
    }
}
