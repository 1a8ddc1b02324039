//! Whether the controller that started this process still leads. Only a leader's controller calls its plugin, but
//! nothing tells a plugin that the lead has gone elsewhere; without a look at the lease it would go on repairing
//! against its successor.
//!
//! Controllers lead by a lease `argo-rollouts-controller-lock[-<instance id>]` in their own namespace, held by
//! `<hostname>_<uuid>` (argo-rollouts v1.10.1 `controller.leaseLockName`, `Manager.Run`). Nobody else takes a lease
//! within `leaseDurationSeconds` of `renewTime` (client-go v0.34.5 `LeaderElector.isLeaseValid`), so for as long a
//! repair needs no other look.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argo_rollouts::Rollout;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::Api;
use tracing::{info, warn};

use crate::cluster::cache::answered;
use crate::cluster::error::status_code;

const LOCK: &str = "argo-rollouts-controller-lock";

/// How long no lease, or one that may not be read, needs no other look: a controller that elects leaders takes as long to
/// notice that its lease is gone (argo-rollouts v1.10.1 `DefaultLeaderElectionRenewDeadline`).
const WITHOUT_LEASE: Duration = Duration::from_secs(10);

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
    /// Somebody, and for how long nobody else can take it.
    Holder(String, Duration),
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
    /// Until when our parent certainly leads.
    until: HashMap<String, Instant>,
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
        // Whose the Rollouts of the others are may be another question now.
        leads.until.clear();
        true
    }

    /// True if our parent leads that instance for certain, by what the last look at the lease has shown.
    pub(crate) fn certainly_leads(&self, instance: &str) -> bool {
        let leads = self.lock();
        let until = leads.until.get(instance);
        until.is_some_and(|until| Instant::now() < *until)
    }

    /// Reads the lease, and tells whether our parent leads that instance; `None` if it can't be told now.
    pub(crate) async fn leads(&self, instance: &str) -> Option<bool> {
        let asked = Instant::now();
        let found = self.read(instance).await;
        let mut leads = self.lock();
        if found == Found::Forbidden && !leads.warned {
            leads.warned = true;
            warn!(
                namespace = self.namespace,
                "no permission to get leases: repairs go on without knowing who leads (manifests/base/rbac.yaml)"
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
        let lasts = if may { found.lasts() } else { Duration::ZERO };
        leads.until.insert(instance.to_owned(), asked + lasts);
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
            Ok(lease) => Found::of(lease.and_then(|lease| lease.spec), Timestamp::now()),
            Err(error) if status_code(&error) == Some(403) => Found::Forbidden,
            Err(_) => Found::NoAnswer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Leads> {
        self.leads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn of(lease: Option<LeaseSpec>, now: Timestamp) -> Self {
        let Some(lease) = lease else {
            return Self::Nobody;
        };
        let lasts = left_of(&lease, now);
        match lease.holder_identity {
            Some(holder) if !holder.is_empty() => Self::Holder(holder, lasts),
            _ => Self::Nobody,
        }
    }

    /// For how long what was found needs no other look.
    fn lasts(&self) -> Duration {
        match self {
            Self::Holder(_, lasts) => *lasts,
            // A controller without leader election stays one.
            Self::Nobody | Self::Forbidden => WITHOUT_LEASE,
            Self::NoAnswer => Duration::ZERO,
        }
    }
}

/// For how long the lease is its holder's, whatever becomes of the holder. The holder runs where this process does, and so
/// by the same clock; where that is wrong, it isn't more than the lease's whole duration.
fn left_of(lease: &LeaseSpec, now: Timestamp) -> Duration {
    let (Some(renewed), Some(seconds)) = (&lease.renew_time, lease.lease_duration_seconds) else {
        return Duration::ZERO;
    };
    let whole = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let since = Duration::try_from(now.duration_since(renewed.0)).unwrap_or_default();
    whole.saturating_sub(since)
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
        (Lead::As(identity), Found::Holder(holder, _)) if identity == holder => {
            (lead.clone(), true)
        }
        (Lead::As(identity), Found::Holder(..)) => (Lead::Lost(identity.clone()), false),
        (Lead::Called | Lead::Unknown, Found::Holder(holder, _)) if is_parent(holder) => {
            (Lead::As(holder.clone()), true)
        }
        (Lead::Called | Lead::Unknown, Found::Holder(..)) => (lead.clone(), false),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    #[test]
    fn only_the_leaders_plugin_repairs() {
        let holder = |identity: &str| Found::Holder(identity.to_owned(), Duration::ZERO);
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

    #[test]
    fn a_lease_lasts_for_its_duration_from_its_last_renewal() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let lease = |holder: &str, renewed: Option<&str>, seconds: Option<i32>| LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            renew_time: renewed.map(|time| MicroTime(time.parse().unwrap())),
            lease_duration_seconds: seconds,
            ..LeaseSpec::default()
        };
        for (spec, millis) in [
            (
                Some(lease("a", Some("2026-11-30T11:59:58.5Z"), Some(15))),
                13_500,
            ),
            (Some(lease("a", Some("2026-11-30T11:59:40Z"), Some(15))), 0),
            // By another clock, never longer than the whole.
            (
                Some(lease("a", Some("2026-11-30T12:30:00Z"), Some(15))),
                15_000,
            ),
            (Some(lease("a", None, Some(15))), 0),
            (Some(lease("a", Some("2026-11-30T12:00:00Z"), None)), 0),
            (Some(lease("a", Some("2026-11-30T12:00:00Z"), Some(-1))), 0),
            (
                Some(lease("", Some("2026-11-30T12:00:00Z"), Some(1))),
                10_000,
            ),
            (None, 10_000),
        ] {
            let found = Found::of(spec.clone(), now);
            assert_eq!(found.lasts().as_millis(), millis, "{spec:?}");
        }
        assert_eq!(Found::NoAnswer.lasts(), Duration::ZERO);
    }
}
