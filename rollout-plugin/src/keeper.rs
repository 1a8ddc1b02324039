//! Puts one Rollout's objects right: the repair of what others have changed, and the removal of what it has left
//! behind. When that is asked for is the reconciler's to say; what is to be done, the core's.

mod blue_green;
mod removal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use argo_rollouts::Rollout;
use argo_rollouts::go_plugin::Chain;
use serde_json::Value;
use tracing::{debug, info, warn};

use crate::backoff::{Failures, Row};
use crate::cluster::{Cluster, Leadership, Rollouts, instance_of};
use crate::config::FilterKind;
use crate::core::diff::spec_patch;
use crate::core::filter::policy_of;
use crate::core::plan::{Call, Standing, Write};
use crate::core::routing::RolloutKey;
use crate::entries::Entries;
use crate::entry::Entry;
use crate::object::Object;
use crate::observe::observe;
use crate::router::CallError;
use crate::settle::{MAX_TRIES, Setbacks, policies_behind_others};
use crate::standing::{Known, Memory, Repair, repair};

/// The wait before what can't be told yet is asked again.
const UNTIL_ASKED_AGAIN: Duration = Duration::from_secs(10);

/// When a Rollout is to be looked at again, beside when something happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Never,
    In(Duration),
}

/// How a look at a Rollout has ended.
enum Looked {
    /// All that could be done has been.
    Until(Next),
    /// There is something to write, for whoever leads that controller instance.
    IfLeading(String),
}

/// One look at a Rollout.
#[derive(Clone, Copy)]
struct Look {
    /// The watch of Rollouts covers it.
    is_watched: bool,
    /// The parent is known to lead.
    leads: bool,
    /// When the change came that it is for, where somebody else has made one.
    drifted: Option<Instant>,
}

impl Look {
    /// Milliseconds since that change.
    fn millis(&self) -> Option<u64> {
        let since = self.drifted?.elapsed();
        Some(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What repairs need.
pub(crate) struct Keeper {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) entries: Arc<Entries>,
    pub(crate) leadership: Leadership,
    pub(crate) rollouts: Arc<Rollouts>,
}

impl Keeper {
    /// Brings the Rollout's objects to where they shall be. `is_watched`: whether the watch of Rollouts covers it.
    pub(crate) async fn attend(&self, key: &RolloutKey, is_watched: bool) -> Next {
        let Some(entry) = self.entries.find(key) else {
            return Next::Never;
        };
        let settled = async {
            // An API server that is slow to list must not hold up calls, so the turn is taken once the lists are there.
            self.begin_watches(&entry).await?;
            let (drifted, rollout) = {
                let mut state = entry.state();
                (state.drifted.take(), state.rollout.clone())
            };
            let instance = rollout.as_deref().map(instance_of).unwrap_or_default();
            let mut look = Look {
                is_watched,
                leads: self.leadership.certainly_leads(instance),
                drifted,
            };
            loop {
                let turn = entry.turn().await;
                let instance = match self.settle(key, &entry, look).await? {
                    Looked::Until(next) => return Ok(next),
                    Looked::IfLeading(instance) => instance,
                };
                // Nor must a lease.
                drop(turn);
                match self.leadership.leads(&instance).await {
                    Some(true) => look.leads = true,
                    Some(false) => return Ok(Next::Never),
                    None => return Ok(Next::In(UNTIL_ASKED_AGAIN)),
                }
            }
        };
        let settled: Result<Next, CallError> = settled.await;
        match settled {
            Ok(next) => {
                entry.state().failures = Failures::default();
                next
            }
            Err(error) => {
                let error = Chain(&error).to_string();
                let mut state = entry.state();
                if state.failures.failed(&error) {
                    warn!(rollout = %key, error, "not put right");
                } else {
                    debug!(rollout = %key, error, "not put right");
                }
                Next::In(state.failures.wait())
            }
        }
    }

    /// Begins the watches that the Rollout's repairs need, and waits for their lists.
    ///
    /// # Errors
    /// A kind that can't be listed.
    pub(crate) async fn begin_watches(&self, entry: &Entry) -> Result<(), CallError> {
        let routing = entry.state().routing.clone();
        if let Some(routing) = routing.filter(|_| entry.state().gone.is_none()) {
            let keep = Call::Keep(Standing::default());
            let (_, reads) = observe(&self.cluster.cache, &routing, keep).await?;
            entry.state().reads = reads;
        }
        Ok(())
    }

    async fn settle(
        &self,
        key: &RolloutKey,
        entry: &Entry,
        look: Look,
    ) -> Result<Looked, CallError> {
        let unseen = look.is_watched && {
            let state = entry.state();
            !state.watched && state.gone.is_none()
        };
        if unseen && self.is_gone(key).await? {
            // A call brought it after it had been deleted.
            entry.state().left(None);
        }
        let (gone, rollout) = {
            let state = entry.state();
            (state.gone.is_some(), state.rollout.clone())
        };
        if gone {
            return self.bury(key, entry, look.leads).await;
        }
        let Some(rollout) = rollout else {
            return Ok(Looked::Until(Next::Never));
        };
        let looked = self.repair(key, entry, look).await?;
        let leftovers = entry.state().leftovers.clone();
        if matches!(looked, Looked::Until(Next::Never)) && !leftovers.is_empty() {
            if !look.leads {
                return Ok(Looked::IfLeading(instance_of(&rollout).to_owned()));
            }
            for left in &leftovers {
                self.remove(left).await?;
            }
            entry
                .state()
                .leftovers
                .retain(|left| !leftovers.contains(left));
        }
        Ok(looked)
    }

    async fn repair(
        &self,
        key: &RolloutKey,
        entry: &Entry,
        look: Look,
    ) -> Result<Looked, CallError> {
        let mut rehearsed = false;
        let mut setbacks = Setbacks::default();
        for _ in 0..MAX_TRIES {
            let (rollout, routing, memory, since) = {
                let state = entry.state();
                let (Some(rollout), Some(routing)) = (&state.rollout, &state.routing) else {
                    return Ok(Looked::Until(Next::Never));
                };
                let memory: Memory = state.memory.clone();
                (Arc::clone(rollout), routing.clone(), memory, state.age())
            };
            let keep = Call::Keep(Standing::default());
            let (mut observed, reads) = observe(&self.cluster.cache, &routing, keep).await?;
            {
                let mut state = entry.state();
                state.reads = reads;
                observed.history = Arc::clone(&state.history);
            }
            let known = Known {
                rollout: &rollout,
                memory: &memory,
                since,
            };
            let pending = match repair(known, &routing, &observed)? {
                Repair::Later(wait) => return Ok(Looked::Until(Next::In(wait))),
                Repair::Write(pending) => pending,
            };
            let Some(first) = pending.first() else {
                return Ok(Looked::Until(Next::Never));
            };
            entry.state().changes_policy(&routing, &observed, &pending);
            let object = first.target();
            let found = match first {
                Write::Spec { object, .. } => own_part(object, key),
                Write::Policy { .. } => {
                    let mut filters = observed.filters.iter().flatten();
                    let filter = filters.find(|filter| filter.id == *object);
                    filter.and_then(|filter| own_part(filter, key))
                }
            };
            let contested = match entry.state().rows.get_mut(object) {
                Some(row) => row.wait(found, Instant::now()),
                // Whoever has changed it, it is the first time.
                None => Some(Duration::ZERO),
            };
            if let Some(wait) = contested.filter(|wait| !wait.is_zero()) {
                return Ok(Looked::Until(Next::In(wait)));
            }
            if !look.leads {
                return Ok(Looked::IfLeading(instance_of(&rollout).to_owned()));
            }
            let behind_others = policies_behind_others(&pending);
            if !rehearsed && !behind_others.is_empty() {
                rehearsed = true;
                for policy in behind_others {
                    self.cluster.rehearse(policy).await?;
                }
            }
            let sent_after_ms = look.millis();
            let written = self.cluster.carry_out(first).await?;
            if setbacks.take(key, first, written).await? {
                let fields = changed_fields(first);
                info!(rollout = %key, %object, fields, sent_after_ms, after_ms = look.millis(), "brought in line with its rollout");
                let contested = contested.is_some();
                self.repaired(key, entry, &rollout, first, contested)
                    .await?;
            }
        }
        Ok(Looked::Until(Next::In(UNTIL_ASKED_AGAIN)))
    }

    /// Notes what was put right, and warns once where it has to be done over and over.
    async fn repaired(
        &self,
        key: &RolloutKey,
        entry: &Entry,
        rollout: &Arc<Rollout>,
        write: &Write,
        contested: bool,
    ) -> Result<(), CallError> {
        let object = write.target();
        let left = self.cluster.cache.get(object).await?;
        let left = left.and_then(|left| own_part(&left, key).cloned());
        let now = Instant::now();
        let warns = {
            let mut state = entry.state();
            state.rows.retain(|_, row| !row.is_over(now));
            let row = state.rows.entry(object.clone());
            let row = row.or_insert_with(|| Row::new(now));
            row.repaired(left, contested, now)
        };
        if warns {
            let message = format!(
                "{object}: another writer keeps changing {} of rollout {key}: exempt these fields in that tool (see docs/gitops.md); where it undoes each repair at once, repairs come less and less often, and meanwhile requests follow what it has written",
                changed_fields(write)
            );
            warn!(rollout = %key, %object, "{message}");
            // It is told in the log already, and nobody shall wait for it.
            let (cluster, rollout) = (Arc::clone(&self.cluster), Arc::clone(rollout));
            tokio::spawn(async move {
                cluster.warn(&rollout, "DriftContested", &message).await;
            });
        }
        Ok(())
    }
}

/// What of an object is this Rollout's to write: of a filter object, which others share, its own policy.
fn own_part<'a>(object: &'a Object, key: &RolloutKey) -> Option<&'a Value> {
    match FilterKind::of(object.id.kind) {
        Some(_) => policy_of(object, key),
        None => Some(&object.spec),
    }
}

/// Which fields a write changes, the first few of them.
fn changed_fields(write: &Write) -> String {
    const SHOWN: usize = 4;
    let fields: Vec<String> = match write {
        Write::Spec { object, spec } => spec_patch(object, spec)
            .iter()
            .map(|operation| operation.path().to_string().split_off(1))
            .collect(),
        Write::Policy { object, patch } => FilterKind::of(object.kind)
            .map(|kind| kind.changed_fields(patch))
            .unwrap_or_default(),
    };
    let mut shown = fields
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more) = fields.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        shown = format!("{shown} and {more} more");
    }
    shown
}
