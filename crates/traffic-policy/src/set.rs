//! All policies of one plugin's configuration, found by host.

use crate::host::{HostIndex, name_of, short_forms};
use crate::policy::CompiledPolicy;

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
            for host in &policy.hosts {
                hosts.insert(host, number);
                for form in domain
                    .map(|domain| short_forms(host, domain))
                    .into_iter()
                    .flatten()
                {
                    hosts.insert(&form, number);
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
    /// case): all those at the one host that Envoy's precedence chooses. Several are at one host if
    /// Rollouts share a VirtualService or VirtualServices share a gateway's host; each decides for
    /// itself.
    ///
    /// `lower`: space for the name in lower case, kept by the caller.
    pub fn candidates(
        &self,
        authority: &[u8],
        lower: &mut Vec<u8>,
    ) -> impl Iterator<Item = (u32, &CompiledPolicy)> {
        let numbers = self.hosts.find(name_of(authority, lower));
        numbers
            .iter()
            .filter_map(|number| Some((*number, self.get(*number)?)))
    }

    /// A policy by the number that [`Self::candidates`] gave it.
    pub fn get(&self, number: u32) -> Option<&CompiledPolicy> {
        self.policies.get(usize::try_from(number).ok()?)
    }
}
