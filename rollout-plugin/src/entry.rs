//! What is known of one Rollout between calls: never more than calls and watches can bring again after a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argo_rollouts::Rollout;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use crate::backoff::{Failures, Reported, Row};
use crate::cluster::reduced;
use crate::core::ahead::{self, Checked};
use crate::core::error::CoreError;
use crate::core::history::StepHistory;
use crate::core::plan::{Observed, Write, had_traffic};
use crate::core::policy::Policies;
use crate::core::routing::{Routing, configuration};
use crate::core::rules::{has_canary, is_between};
use crate::leftover::Leftover;
use crate::object::ObjectId;
use crate::observe::Reads;
use crate::standing::{Hashes, Memory, Shares, is_newer};

/// How many configurations of one canary are remembered.
const MAX_EARLIER: usize = 8;

/// One Rollout.
#[derive(Default)]
pub(crate) struct Entry {
    turn: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
}

/// What is known of it.
#[derive(Default)]
pub(crate) struct State {
    /// The newest version that a watch or a call has brought.
    pub(crate) rollout: Option<Arc<Rollout>>,
    /// When it came.
    pub(crate) since: Option<Instant>,
    /// What calls have said.
    pub(crate) memory: Memory,
    /// The last usable configuration.
    pub(crate) routing: Option<Routing>,
    /// The same as written.
    written: Option<Value>,
    /// Usable configurations before it, with other objects, by which the canary may have got traffic: as written.
    earlier: Vec<Value>,
    /// What an UpdateHash on the way back has left, for the SetWeight that follows.
    pub(crate) deferred: Vec<String>,
    /// What the last RemoveManagedRoutes has left.
    pub(crate) unremoved: Vec<String>,
    /// The steps and the configuration that have last been found good.
    pub(crate) checked: Option<Checked>,
    /// What the steps to come have last been found to be good with.
    pub(crate) foreseen: Option<Foreseen>,
    /// True once a watch has shown it.
    pub(crate) watched: bool,
    /// Once it has been deleted or has left the plugin: the resourceVersion at which.
    pub(crate) gone: Option<String>,
    /// It has become blue-green, and that is known of it: the weights that its canary has left are looked after.
    pub(crate) blue_green: bool,
    /// Which of its steps have run.
    pub(crate) history: Arc<StepHistory>,
    /// What is to be removed.
    pub(crate) leftovers: Vec<Leftover>,
    /// What the last decision has looked at.
    pub(crate) reads: Reads,
    /// The repairs so far.
    pub(crate) rows: HashMap<ObjectId, Row>,
    /// The repairs that have failed since the last that has not.
    pub(crate) failures: Failures,
    /// When somebody else's change came that no look has begun for yet.
    pub(crate) drifted: Option<Instant>,
    /// Why weights could not be verified, as far as it has been reported.
    pub(crate) unverified: Reported,
    /// What has been warned of.
    pub(crate) warned: Reported,
    /// Of which filter objects it is known whether others select the same proxies.
    pub(crate) met: Reported,
    /// When the last call ended.
    pub(crate) called: Option<Instant>,
    /// Since when a repair has waited for calls to pause.
    pub(crate) waiting: Option<Instant>,
}

/// What the steps to come depend on.
#[derive(Debug, PartialEq)]
pub(crate) struct Foreseen {
    /// The canary's pod hash.
    pub(crate) hash: String,
    /// The policy of all its steps.
    pub(crate) policy: Value,
    /// The objects that it goes into.
    pub(crate) filters: Vec<ObjectId>,
    /// The VirtualServices' resourceVersions.
    pub(crate) versions: Vec<String>,
}

/// What a call says of hashes and weights.
#[derive(Debug)]
pub(crate) enum Said {
    Hashes(Hashes),
    Weights(Shares),
    /// Nothing: a header or mirror step.
    Step,
    Neither,
}

impl Entry {
    /// A call or a repair: one at a time.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// A poisoned lock is taken all the same: what is under it is only ever replaced.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks what all steps of a canary will need, where that is not known to be good already.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub(crate) fn check_ahead(
        &self,
        rollout: &Rollout,
        routing: &Routing,
    ) -> Result<(), CoreError> {
        let is_good = |known: &Checked| known.covers(rollout, routing);
        if !self.state().checked.as_ref().is_some_and(is_good) {
            let checked = ahead::check(rollout, routing)?;
            self.state().checked = Some(checked);
        }
        Ok(())
    }

    /// Takes in a call that has ended. True if it brought a version of the Rollout that is news.
    pub(crate) fn called(&self, rollout: Rollout, said: Said, succeeded: bool) -> bool {
        let (uid, version) = {
            let metadata = &rollout.metadata;
            (metadata.uid.clone(), metadata.resource_version.clone())
        };
        let is_over = !has_canary(&rollout) && !rollout.status.promote_full;
        let mut state = self.state();
        state.called = Some(Instant::now());
        let step = matches!(said, Said::Step).then_some(succeeded);
        let steps = state.steps_of_call(&rollout, step);
        let is_news = state.saw(rollout);
        if state.is_or_was(&uid) {
            state.history = steps;
        }
        // What a call says of a Rollout that has been made again since says nothing of the new one.
        if state.is_or_was(&uid) {
            let memory = &mut state.memory;
            match said {
                Said::Step | Said::Neither => {}
                _ if !succeeded => memory.failed = true,
                Said::Hashes(hashes) => memory.stand.hashes = Some(hashes),
                Said::Weights(shares) => {
                    let is_back = is_over && shares.canary <= 0;
                    memory.stand.weights = Some(shares);
                    // The controller's reconcile has come to its end.
                    memory.failed = false;
                    if is_back {
                        // The canary has no weight anywhere.
                        state.earlier.clear();
                    }
                }
            }
            state.memory.version = version;
        }
        if is_news || !state.leftovers.is_empty() {
            return true;
        }
        if state.gone.is_some() {
            // The controller's own watch lags: what this call has brought goes too.
            state.moved(None);
            return true;
        }
        false
    }
}

impl State {
    /// For how long the Rollout has been as it is.
    pub(crate) fn age(&self) -> Duration {
        self.since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// The history with what a call for `rollout` adds. One that the controller's own watch has made late adds no index,
    /// since it would look like a retry. `step`: how the call of a header or mirror step has ended.
    pub(crate) fn steps_of_call(&self, rollout: &Rollout, step: Option<bool>) -> Arc<StepHistory> {
        let mut history = Arc::clone(&self.history);
        let known = self.rollout.as_ref();
        let is_late = known.is_some_and(|known| {
            let (known, new) = (&known.metadata, &rollout.metadata);
            is_newer(&known.resource_version, &new.resource_version)
        });
        if !is_late {
            Arc::make_mut(&mut history).see(rollout);
        }
        if let Some(succeeded) = step {
            Arc::make_mut(&mut history).bring(rollout, succeeded);
        }
        history
    }

    /// Takes in a version of the Rollout. True if it is another than was known, and not an older one.
    pub(crate) fn saw(&mut self, rollout: Rollout) -> bool {
        let new = &rollout.metadata.resource_version;
        if let Some(gone) = &self.gone
            && !is_newer(new, gone)
        {
            return false;
        }
        if let Some(known) = &self.rollout {
            let known = &known.metadata.resource_version;
            if self.gone.is_none() && (known == new || is_newer(known, new)) {
                return false;
            }
        }
        if !self.is_or_was(&rollout.metadata.uid) {
            // Made again under the same name.
            self.memory = Memory::default();
            self.history = Arc::default();
            self.earlier.clear();
            self.rows.clear();
            self.unverified = Reported::default();
            self.warned = Reported::default();
            self.met = Reported::default();
        }
        self.gone = None;
        self.blue_green = false;
        Arc::make_mut(&mut self.history).see(&rollout);
        // Where the configuration can't be used, the last one that could stays in force.
        if let Ok(routing) = Routing::of(&rollout) {
            self.moved(Some(&routing));
            // Without a canary nothing has weight there.
            let known = self.rollout.as_deref();
            if known.is_some_and(may_have_traffic) || may_have_traffic(&rollout) {
                self.supersede(&routing);
            }
            self.routing = Some(routing);
            self.written = configuration(&rollout).cloned();
        }
        self.rollout = Some(Arc::new(reduced(rollout)));
        self.since = Some(Instant::now());
        true
    }

    /// Notes the configuration so far, if `new` has other objects: the canary may still have weight in its own.
    fn supersede(&mut self, new: &Routing) {
        let has_moved = self
            .routing
            .as_ref()
            .is_some_and(|old| !old.has_targets_of(new));
        let Some(written) = self.written.take().filter(|_| has_moved) else {
            return;
        };
        self.earlier.retain(|earlier| *earlier != written);
        self.earlier.push(written);
        let surplus = self.earlier.len().saturating_sub(MAX_EARLIER);
        self.earlier.drain(..surplus);
    }

    /// The last configuration that could be used; where a canary has had traffic, also what can be read of the Rollout's own.
    pub(crate) fn last_usable(&self, rollout: &Rollout) -> Option<Routing> {
        let last = self.written.as_ref();
        let own = configuration(rollout).filter(|_| had_traffic(rollout));
        last.into_iter()
            .chain(own)
            .find_map(|written| resolved(rollout, written))
    }

    /// Those of the configurations before it.
    pub(crate) fn earlier_routings(&self, rollout: &Rollout) -> Vec<Routing> {
        let earlier = self.earlier.iter();
        earlier
            .filter_map(|written| resolved(rollout, written))
            .collect()
    }

    /// True if the Rollout that is known, if any, has that uid.
    fn is_or_was(&self, uid: &str) -> bool {
        let known = self.rollout.as_ref();
        known.is_none_or(|known| known.metadata.uid == uid)
    }

    /// The Rollout has been deleted, or has left the plugin, at that resourceVersion; none if it isn't known. True if
    /// that is news.
    pub(crate) fn left(&mut self, version: Option<&str>) -> bool {
        let known = self
            .rollout
            .as_ref()
            .map_or("", |rollout| &*rollout.metadata.resource_version);
        let version = version.unwrap_or(known);
        // An event from before what a call has brought.
        if self.gone.is_some() || is_newer(known, version) {
            return false;
        }
        self.gone = Some(version.to_owned());
        self.moved(None);
        true
    }

    /// A policy is about to change. Where it names VirtualServices that the Rollout has left while no plugin ran, it
    /// is the last to know of the lane routes there.
    pub(crate) fn changes_policy(
        &mut self,
        routing: &Routing,
        observed: &Observed,
        pending: &[Write],
    ) {
        let live = Policies::live(routing, observed);
        for (place, id) in routing.filter_ids().enumerate() {
            let is_policy = |write: &Write| matches!(write, Write::Policy { .. });
            let changes = |write: &Write| is_policy(write) && write.target() == id;
            let Some(policy) = live.at(place).filter(|_| pending.iter().any(changes)) else {
                continue;
            };
            let left = Leftover::of_policy(routing.rollout.clone(), id, policy, Some(routing));
            let news = left.without(routing);
            self.leftovers
                .extend(news.filter(|news| !self.leftovers.contains(news)));
        }
    }

    /// Notes what the configuration so far leaves behind, and forgets what the new one needs again.
    fn moved(&mut self, new: Option<&Routing>) {
        let left = self
            .routing
            .as_ref()
            .and_then(|old| Leftover::between(old, new));
        let all = std::mem::take(&mut self.leftovers);
        self.leftovers = all
            .into_iter()
            .filter_map(|left| match new {
                Some(new) => left.without(new),
                None => Some(left),
            })
            .chain(left)
            .collect();
        self.leftovers.dedup();
    }
}

/// True if a canary has traffic, or may have got some that the status doesn't say yet.
fn may_have_traffic(rollout: &Rollout) -> bool {
    is_between(rollout) || had_traffic(rollout)
}

/// What `written` comes to for the Rollout as it is now. A part of it may no longer fit, such as a name of `routes` that is
/// not among the managed routes any more.
fn resolved(rollout: &Rollout, written: &Value) -> Option<Routing> {
    Routing::with(rollout, written)
        .ok()
        .or_else(|| Routing::salvaged(rollout, written))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rollout(uid: &str, version: u32) -> Rollout {
        let object = json!({
            "metadata": {"namespace": "shop", "name": "reviews", "uid": uid, "resourceVersion": version.to_string()},
            "spec": {"strategy": {"canary": {"trafficRouting": {
                "managedRoutes": [{"name": "beta"}],
                "plugins": {"serin/istio": {"virtualService": {"name": "reviews"}}}}}}}});
        serde_json::from_value(object).unwrap()
    }

    fn weight(canary: i32) -> Said {
        Said::Weights(Shares {
            canary,
            ..Shares::default()
        })
    }

    fn remembered(entry: &Entry) -> Option<i32> {
        let state = entry.state();
        state.memory.stand.weights.as_ref().map(|said| said.canary)
    }

    #[test]
    fn what_calls_have_said_goes_with_the_rollout() {
        let entry = Entry::default();
        assert!(entry.called(rollout("a", 1), weight(20), true));
        assert!(!entry.called(rollout("a", 1), weight(30), true));
        assert_eq!(remembered(&entry), Some(30));
        assert!(entry.state().saw(rollout("b", 5)));
        assert_eq!(remembered(&entry), None);
        // The controller's own watch lags.
        assert!(!entry.called(rollout("a", 2), weight(40), true));
        assert_eq!(remembered(&entry), None);
        assert!(entry.called(rollout("b", 6), weight(50), true));
        assert_eq!(remembered(&entry), Some(50));
    }

    #[test]
    fn what_a_late_call_brings_goes_too() {
        let entry = Entry::default();
        entry.called(rollout("a", 1), weight(20), true);
        assert!(entry.state().left(Some("4")));
        assert_eq!(entry.state().leftovers.len(), 1);
        entry.state().leftovers.clear();
        assert!(entry.called(rollout("a", 3), weight(30), true));
        assert_eq!(entry.state().leftovers.len(), 1);
        assert!(entry.state().gone.is_some());
        // It is made again, or comes back to the plugin.
        assert!(entry.called(rollout("a", 5), weight(30), true));
        assert_eq!(entry.state().gone, None);
        assert_eq!(entry.state().leftovers, []);
    }

    #[test]
    fn an_older_version_is_no_news() {
        let entry = Entry::default();
        assert!(entry.state().saw(rollout("a", 10)));
        assert!(!entry.state().saw(rollout("a", 9)));
        assert!(!entry.state().saw(rollout("a", 10)));
        assert!(!entry.state().left(Some("9")));
        assert!(entry.state().saw(rollout("a", 11)));
    }
}
