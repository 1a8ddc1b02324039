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
    /// Our parent leads, or led, as this identity.
    As(String),
    /// Somebody else does.
    Lost,
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
        let news = matches!(lead, Lead::Unknown | Lead::Lost);
        if news {
            *lead = Lead::Called;
        }
        news
    }

    /// Reads the lease, and tells whether our parent leads that instance.
    pub(crate) async fn leads(&self, instance: &str) -> bool {
        let found = self.read(instance).await;
        let mut leads = self.lock();
        if found == Found::Forbidden && !leads.warned {
            leads.warned = true;
            warn!(
                namespace = self.namespace,
                "no permission to get leases: repairs go on without knowing who leads (manifests/rbac.yaml)"
            );
        }
        let lead = leads.by_instance.entry(instance.to_owned()).or_default();
        let (next, may) = judge(lead, &found, instance, &self.hostname);
        if next == Lead::Lost && *lead != Lead::Lost {
            info!(
                instance,
                ?found,
                "another controller leads: repairs are left to it"
            );
        }
        *lead = next;
        may
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

/// What is known after a look at the lease, and whether to repair.
fn judge(lead: &Lead, found: &Found, instance: &str, hostname: &str) -> (Lead, bool) {
    // Without a lease only a call tells whose Rollouts with an instance id are.
    let presumed = instance.is_empty() || matches!(lead, Lead::Called | Lead::As(_));
    match (lead, found) {
        (Lead::Lost, _) => (Lead::Lost, false),
        (_, Found::NoAnswer) => (lead.clone(), false),
        (_, Found::Nobody | Found::Forbidden) => (lead.clone(), presumed),
        (Lead::As(identity), Found::Holder(holder)) if identity == holder => (lead.clone(), true),
        (Lead::As(_), Found::Holder(_)) => (Lead::Lost, false),
        (Lead::Called, Found::Holder(holder)) => (Lead::As(holder.clone()), true),
        // The parent runs where this process does.
        (Lead::Unknown, Found::Holder(holder)) => match holder.rsplit_once('_') {
            Some((host, _)) if host == hostname => (Lead::As(holder.clone()), true),
            _ => (Lead::Unknown, false),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_leaders_plugin_repairs() {
        let holder = |identity: &str| Found::Holder(identity.to_owned());
        let known = |identity: &str| Lead::As(identity.to_owned());
        for (lead, found, instance, next, may) in [
            (Lead::Unknown, holder("here_1"), "", known("here_1"), true),
            (Lead::Unknown, holder("there_1"), "", Lead::Unknown, false),
            (Lead::Unknown, Found::Nobody, "", Lead::Unknown, true),
            (Lead::Unknown, Found::Nobody, "blue", Lead::Unknown, false),
            (Lead::Unknown, Found::Forbidden, "", Lead::Unknown, true),
            (Lead::Called, Found::Nobody, "blue", Lead::Called, true),
            (Lead::Called, holder("there_1"), "", known("there_1"), true),
            (known("here_1"), holder("here_1"), "", known("here_1"), true),
            (known("here_1"), holder("here_2"), "", Lead::Lost, false),
            (known("here_1"), Found::NoAnswer, "", known("here_1"), false),
            (Lead::Lost, holder("here_1"), "", Lead::Lost, false),
        ] {
            let case = format!("{lead:?} {found:?} {instance:?}");
            assert_eq!(
                judge(&lead, &found, instance, "here"),
                (next, may),
                "{case}"
            );
        }
    }
}
