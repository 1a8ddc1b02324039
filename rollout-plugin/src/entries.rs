//! All Rollouts that calls or watches have brought.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::core::routing::RolloutKey;
use crate::entry::Entry;

/// Each has an entry until it is gone and nothing of it is left.
#[derive(Default)]
pub(crate) struct Entries(Mutex<HashMap<RolloutKey, Arc<Entry>>>);

impl Entries {
    /// The Rollout's, made if it is new.
    pub(crate) fn of(&self, key: &RolloutKey) -> Arc<Entry> {
        if let Some(entry) = self.find(key) {
            return entry;
        }
        Arc::clone(self.lock().entry(key.clone()).or_default())
    }

    /// The Rollout's, if there is one.
    pub(crate) fn find(&self, key: &RolloutKey) -> Option<Arc<Entry>> {
        self.lock().get(key).cloned()
    }

    /// True if that is the Rollout's entry still.
    pub(crate) fn holds(&self, key: &RolloutKey, entry: &Arc<Entry>) -> bool {
        self.find(key)
            .is_some_and(|found| Arc::ptr_eq(&found, entry))
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(RolloutKey, Arc<Entry>)> {
        let entries = self.lock();
        let pairs = entries.iter();
        pairs
            .map(|(key, entry)| (key.clone(), Arc::clone(entry)))
            .collect()
    }

    /// Forgets the Rollout, unless it is back.
    pub(crate) fn forget(&self, key: &RolloutKey, entry: &Entry) {
        // Under the lock, so that nobody brings it back in between; whoever does so afterwards finds that `holds` is
        // false.
        let state = entry.state();
        if state.gone.is_some() {
            self.lock().remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RolloutKey, Arc<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
