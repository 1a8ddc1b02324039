//! Whether the controller that started this process still leads. Only a leader's controller calls its plugin, but
//! nothing tells a plugin that the lead has gone elsewhere; without a look at the lease it would go on repairing
//! against its successor.
//!
//! Controllers lead by a lease `argo-rollouts-controller-lock[-<instance id>]` in their own namespace, held by
//! `<hostname>_<uuid>` (argo-rollouts v1.10.1 `controller.leaseLockName`, `Manager.Run`).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use argo_rollouts::Rollout;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::Api;
use tracing::{info, warn};

use crate::cluster::cache::answered;
use crate::cluster::error::status_code;

const LOCK: &str = "argo-rollouts-controller-lock";

/// Marks the Rollouts of a controller that has an instance id (argo-rollouts v1.10.1 `LabelKeyControllerInstanceID`).
pub(crate) const INSTANCE_ID: &str = "argo-rollouts.argoproj.io/controller-instance-id";

/// Which controller instance a Rollout belongs to; empty for the one without an id.
pub(crate) fn instance_of(rollout: &Rollout) -> &str {
    rollout
        .metadata
        .labels
        .get(INSTANCE_ID)
        .map_or("", String::as_str)
}

/// What is known of one instance's lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Lead {
    /// Neither a call nor the lease has said that this instance is our parent.
    #[default]
    Unknown,
    /// Our parent has called, so it leads; by which identity the lease will tell.
    Called,
    /// Our parent leads as this identity, which it has for life.
    As(String),
    /// It did, and somebody else does now.
    Lost(String),
}

/// What the lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Holder(String),
    /// No lease, or one that nobody holds: leader election is off.
    Nobody,
    Forbidden,
    NoAnswer,
}

/// The leases of our parent, by its instance id.
pub(crate) struct Leadership {
    client: Client,
    namespace: String,
    hostname: String,
    leads: Mutex<Leads>,
}

#[derive(Default)]
struct Leads {
    by_instance: HashMap<String, Lead>,
    warned: bool,
}

impl Leadership {
    /// Asks for leases in the controller's namespace.
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            client,
            namespace: namespace.to_owned(),
            hostname: hostname.trim().to_owned(),
            leads: Mutex::default(),
        }
    }

    /// A call has come for a Rollout of that instance: our parent leads.
    ///
    /// True if the lease should be looked at now, while that is so.
    pub(crate) fn called(&self, instance: &str) -> bool {
        let mut leads = self.lock();
        let lead = leads.by_instance.entry(instance.to_owned()).or_default();
        *lead = match lead {
            Lead::Unknown => Lead::Called,
            Lead::Lost(identity) => Lead::As(std::mem::take(identity)),
            Lead::Called | Lead::As(_) => return false,
        };
        true
    }

    /// Reads the lease, and tells whether our parent leads that instance; `None` if it can't be told now.
    pub(crate) async fn leads(&self, instance: &str) -> Option<bool> {
        let found = self.read(instance).await;
        let mut leads = self.lock();
        if found == Found::Forbidden && !leads.warned {
            leads.warned = true;
            warn!(
                namespace = self.namespace,
                "no permission to get leases: repairs go on without knowing who leads (manifests/rbac.yaml)"
            );
        }
        let calls = leads.by_instance.iter();
        let others = calls
            .filter(|(other, lead)| *other != instance && **lead != Lead::Unknown)
            .count();
        let lead = leads.by_instance.entry(instance.to_owned()).or_default();
        // Without a lease only calls tell whose Rollouts are whose.
        let presumed = match lead {
            Lead::Unknown => instance.is_empty() && others == 0,
            _ => true,
        };
        let (next, may) = judge(lead, &found, presumed, &self.hostname);
        if matches!(next, Lead::Lost(_)) && !matches!(lead, Lead::Lost(_)) {
            info!(
                instance,
                ?found,
                "another controller leads: repairs are left to it"
            );
        }
        *lead = next;
        (found != Found::NoAnswer).then_some(may)
    }

    async fn read(&self, instance: &str) -> Found {
        let name = if instance.is_empty() {
            LOCK.to_owned()
        } else {
            format!("{LOCK}-{instance}")
        };
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        match answered(leases.get_opt(&name)).await {
            Ok(lease) => lease
                .and_then(|lease| lease.spec?.holder_identity)
                .filter(|holder| !holder.is_empty())
                .map_or(Found::Nobody, Found::Holder),
            Err(error) if status_code(&error) == Some(403) => Found::Forbidden,
            Err(_) => Found::NoAnswer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Leads> {
        self.leads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known after a look at the lease, and whether to repair. `presumed`: whether to without a lease.
fn judge(lead: &Lead, found: &Found, presumed: bool, hostname: &str) -> (Lead, bool) {
    // The parent runs where this process does; where that can't be told, its calls have to do.
    let is_parent = |holder: &str| match holder.rsplit_once('_') {
        _ if hostname.is_empty() => *lead == Lead::Called,
        Some((host, _)) => host == hostname,
        None => false,
    };
    match (lead, found) {
        (Lead::Lost(_), _) | (_, Found::NoAnswer) => (lead.clone(), false),
        (_, Found::Nobody | Found::Forbidden) => (lead.clone(), presumed),
        (Lead::As(identity), Found::Holder(holder)) if identity == holder => (lead.clone(), true),
        (Lead::As(identity), Found::Holder(_)) => (Lead::Lost(identity.clone()), false),
        (Lead::Called | Lead::Unknown, Found::Holder(holder)) if is_parent(holder) => {
            (Lead::As(holder.clone()), true)
        }
        (Lead::Called | Lead::Unknown, Found::Holder(_)) => (lead.clone(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_leaders_plugin_repairs() {
        let holder = |identity: &str| Found::Holder(identity.to_owned());
        let known = |identity: &str| Lead::As(identity.to_owned());
        let lost = |identity: &str| Lead::Lost(identity.to_owned());
        for (lead, found, presumed, next, may) in [
            (
                Lead::Unknown,
                holder("here_1"),
                false,
                known("here_1"),
                true,
            ),
            (Lead::Unknown, holder("there_1"), true, Lead::Unknown, false),
            (Lead::Unknown, Found::Nobody, true, Lead::Unknown, true),
            (Lead::Unknown, Found::Nobody, false, Lead::Unknown, false),
            (Lead::Unknown, Found::Forbidden, true, Lead::Unknown, true),
            (Lead::Called, Found::Nobody, true, Lead::Called, true),
            (Lead::Called, holder("here_1"), true, known("here_1"), true),
            (Lead::Called, holder("there_1"), true, Lead::Called, false),
            (
                known("here_1"),
                holder("here_1"),
                true,
                known("here_1"),
                true,
            ),
            (
                known("here_1"),
                holder("here_2"),
                true,
                lost("here_1"),
                false,
            ),
            (
                known("here_1"),
                Found::NoAnswer,
                true,
                known("here_1"),
                false,
            ),
            (
                lost("here_1"),
                holder("here_1"),
                true,
                lost("here_1"),
                false,
            ),
        ] {
            let case = format!("{lead:?} {found:?} {presumed}");
            assert_eq!(
                judge(&lead, &found, presumed, "here"),
                (next, may),
                "{case}"
            );
        }
        let called = judge(&Lead::Called, &holder("there_1"), true, "");
        assert_eq!(called, (known("there_1"), true));
        let unknown = judge(&Lead::Unknown, &holder("there_1"), true, "");
        assert_eq!(unknown, (Lead::Unknown, false));
    }
}
