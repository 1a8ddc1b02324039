//! Watches for itself: the controller tells a plugin neither that an object has been changed by others, nor that a
//! Rollout is gone.
//!
//! One task takes in what happens and decides which Rollouts are to be looked at, and when; the [`Keeper`] does the
//! rest, each Rollout in a task of its own.

mod change;
mod orphans;
mod queue;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use argo_rollouts::Rollout;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};
use tracing::debug;

use self::change::{changed_policies, is_urgent};
use self::queue::Queue;
use crate::cluster::{Change, Cluster, Leadership, RolloutEvent, Rollouts};
use crate::config::FilterKind;
use crate::core::routing::RolloutKey;
use crate::entries::Entries;
use crate::entry::Entry;
use crate::keeper::{Keeper, Next};
use crate::object::Kind;
use crate::observe::Reads;

/// How many Rollouts are looked at at the same time.
const AT_ONCE: usize = 16;

/// The waits of the reconciler; the default is for production, and tests may be in a hurry.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From a change by others to the repair, where no request meets the wrong version meanwhile: what comes in several
    /// writes is put right once. What others do to the Rollout's own objects is put right at once.
    pub debounce: Duration,
    /// From a change of the Rollout itself: the controller will call, and needs no help.
    pub rollout: Duration,
    /// How long no call must have come, so that a repair never stands in the middle of a reconcile; calls put right
    /// by themselves what they find.
    pub quiet: Duration,
    /// How long a watch that no Rollout needs is kept.
    pub idle: Duration,
    /// How long a watch of Rollouts that is not allowed is left alone: permissions come and go, as when they are applied
    /// anew.
    pub refused: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(150),
            rollout: Duration::from_secs(1),
            quiet: Duration::from_millis(250),
            idle: Duration::from_mins(1),
            refused: Duration::from_mins(5),
        }
    }
}

/// Waiting for a quiet moment ends here: a controller that reconciles all the time must not keep repairs off.
const LONGEST_QUIET: Duration = Duration::from_secs(1);

/// The running reconciler; it ends when this is dropped.
pub(crate) struct Reconciler {
    calls: UnboundedSender<Called>,
    task: AbortHandle,
}

/// A call has ended.
#[derive(Debug)]
struct Called {
    rollout: RolloutKey,
    instance: String,
    news: bool,
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reconciler {
    /// Begins to watch.
    pub(crate) fn start(cluster: Arc<Cluster>, entries: Arc<Entries>, timing: Timing) -> Self {
        let (calls, called) = unbounded_channel();
        let (listener, changes) = unbounded_channel();
        let (told, rollouts) = unbounded_channel();
        cluster.cache.listen(listener);
        let clients = &cluster.clients;
        let keeper = Keeper {
            leadership: Leadership::new(clients.home.clone(), &clients.namespace),
            rollouts: Rollouts::watch(clients.home.clone(), told, timing.refused),
            entries,
            cluster,
        };
        let run = Run {
            keeper: Arc::new(keeper),
            timing,
            queue: Queue::default(),
            running: HashSet::new(),
            again: HashSet::new(),
            tasks: JoinSet::new(),
            listed: Listed::default(),
            urgent: HashSet::new(),
            sweep: None,
            is_sweeping: false,
        };
        let task = tokio::spawn(run.run(called, changes, rollouts)).abort_handle();
        Self { calls, task }
    }

    /// A call for that Rollout has ended. `news`: it brought something that hadn't been known.
    pub(crate) fn called(&self, rollout: RolloutKey, instance: String, news: bool) {
        // It ends with the router, so it is there.
        let _ = self.calls.send(Called {
            rollout,
            instance,
            news,
        });
    }
}

/// Where the list of Rollouts is complete.
#[derive(Clone, Debug, Default)]
struct Listed {
    everywhere: bool,
    namespaces: HashSet<String>,
}

impl Listed {
    fn covers(&self, namespace: &str) -> bool {
        self.everywhere || self.namespaces.contains(namespace)
    }
}

enum Done {
    Attended(RolloutKey, Next),
    Swept(Next),
    Prepared,
}

struct Run {
    keeper: Arc<Keeper>,
    timing: Timing,
    queue: Queue,
    running: HashSet<RolloutKey>,
    /// Those of the running whose turn has come again.
    again: HashSet<RolloutKey>,
    /// Those that wait for no quiet moment.
    urgent: HashSet<RolloutKey>,
    tasks: JoinSet<Done>,
    listed: Listed,
    /// When policies without a Rollout are to be looked for.
    sweep: Option<Instant>,
    is_sweeping: bool,
}

impl Run {
    async fn run(
        mut self,
        mut calls: UnboundedReceiver<Called>,
        mut changes: UnboundedReceiver<Change>,
        mut rollouts: UnboundedReceiver<RolloutEvent>,
    ) {
        // By which identity the parent leads is best asked while it certainly does: it has just called InitPlugin.
        self.look_at_lease(String::new());
        let mut housekeeping = tokio::time::interval(self.timing.idle);
        loop {
            let due = until(self.queue.next());
            let sweep = until(self.sweep);
            tokio::select! {
                biased;
                Some(change) = changes.recv() => self.changed(&change),
                Some(event) = rollouts.recv() => self.rollout(event),
                Some(called) = calls.recv() => self.called(called),
                Some(done) = self.tasks.join_next() => match done {
                    Ok(done) => self.done(done),
                    Err(error) => debug!(%error, "a repair ended early"),
                },
                () = due, if self.running.len() < AT_ONCE => self.start(),
                () = sweep, if !self.is_sweeping => self.start_sweep(),
                _ = housekeeping.tick() => self.end_watches(),
            }
        }
    }

    /// Starts what is due.
    fn start(&mut self) {
        let now = Instant::now();
        while self.running.len() < AT_ONCE
            && let Some(key) = self.queue.pop(now)
        {
            if self.running.contains(&key) {
                self.again.insert(key);
                continue;
            }
            let urgent = self.urgent.remove(&key);
            if !urgent && let Some(wait) = self.until_quiet(&key) {
                self.queue.by(key, now + wait);
                continue;
            }
            self.running.insert(key.clone());
            let keeper = Arc::clone(&self.keeper);
            let is_watched = self.listed.covers(&key.namespace);
            self.tasks.spawn(async move {
                let next = keeper.attend(&key, is_watched).await;
                Done::Attended(key, next)
            });
        }
    }

    /// How long to wait for the controller to be done with this Rollout.
    fn until_quiet(&self, key: &RolloutKey) -> Option<Duration> {
        let entry = self.keeper.entries.find(key)?;
        let mut state = entry.state();
        let wait = self.timing.quiet.checked_sub(state.called?.elapsed())?;
        let since = *state.waiting.get_or_insert_with(Instant::now);
        (since.elapsed() < LONGEST_QUIET).then_some(wait)
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Attended(key, next) => {
                if let Some(entry) = self.keeper.entries.find(&key) {
                    entry.state().waiting = None;
                }
                self.running.remove(&key);
                let now = Instant::now();
                if self.again.remove(&key) {
                    self.queue.by(key.clone(), now);
                }
                if let Next::In(wait) = next {
                    self.queue.by(key, now + wait);
                }
            }
            Done::Swept(next) => {
                self.is_sweeping = false;
                if let Next::In(wait) = next {
                    self.sweep_in(wait);
                }
            }
            Done::Prepared => {}
        }
    }

    /// An object has changed, by whomever: those whose decisions may depend on it are looked at.
    fn changed(&mut self, change: &Change) {
        let is_urgent = is_urgent(change);
        for (key, entry) in self.affected(change) {
            let at_once = is_urgent && {
                let mut state = entry.state();
                // One of a thousand that it might have read is no reason to hurry.
                let is_own = change.id.kind == Kind::ReplicaSet || state.reads.names(&change.id);
                if is_own {
                    state.drifted.get_or_insert(change.at);
                }
                is_own
            };
            if at_once {
                self.urgent.insert(key.clone());
                self.queue.by(key, change.at);
            } else {
                self.queue.by(key, change.at + self.timing.debounce);
            }
        }
    }

    fn affected(&self, change: &Change) -> Vec<(RolloutKey, Arc<Entry>)> {
        let entries = &self.keeper.entries;
        let is_filter = FilterKind::of(change.id.kind).is_some();
        if let (true, Some(before), Some(after)) = (is_filter, &change.before, &change.after) {
            // Hundreds of Rollouts may have their policies here, each with its own key.
            let keys = changed_policies(before, after).into_iter();
            return keys
                .filter_map(|key| entries.find(&key).map(|entry| (key, entry)))
                .collect();
        }
        let depends = |entry: &Entry| entry.state().reads.cover(&change.id);
        let mut affected = entries.all();
        affected.retain(|(_, entry)| depends(entry));
        affected
    }

    fn rollout(&mut self, event: RolloutEvent) {
        let now = Instant::now();
        match event {
            RolloutEvent::Seen(rollout) => {
                let key = RolloutKey::of(&rollout);
                let (entry, seen) = self.saw(&key, *rollout);
                if seen {
                    self.queue.by(key, now + self.timing.rollout);
                }
                if entry.state().reads == Reads::default() {
                    self.begin_watches(entry);
                }
            }
            RolloutEvent::Gone { key, version } => {
                let Some(entry) = self.keeper.entries.find(&key) else {
                    return;
                };
                let mut state = entry.state();
                // One that has become blue-green says by its status where the controller is.
                if state.left(Some(&version)) || state.blue_green {
                    self.queue.by(key, now + self.timing.debounce);
                }
            }
            RolloutEvent::Listed {
                namespace,
                rollouts,
            } => {
                let mut present = HashSet::new();
                for rollout in rollouts {
                    let key = RolloutKey::of(&rollout);
                    self.saw(&key, rollout);
                    self.queue.by(key.clone(), now);
                    present.insert(key);
                }
                for (key, entry) in self.keeper.entries.all() {
                    let covered = namespace
                        .as_ref()
                        .is_none_or(|listed| *listed == key.namespace);
                    // One that only a call has brought may be newer than the list.
                    let mut state = entry.state();
                    if covered && state.watched && !present.contains(&key) && state.left(None) {
                        self.queue.by(key, now);
                    }
                }
                match namespace {
                    None => self.listed.everywhere = true,
                    Some(namespace) => {
                        self.listed.namespaces.insert(namespace);
                    }
                }
                self.sweep_in(self.timing.debounce);
            }
        }
    }

    /// A watch has shown this version. True if it is news.
    fn saw(&self, key: &RolloutKey, rollout: Rollout) -> (Arc<Entry>, bool) {
        loop {
            let entry = self.keeper.entries.of(key);
            let news = {
                let mut state = entry.state();
                state.watched = true;
                state.saw(rollout.clone())
            };
            // Where it was gone it may have been forgotten meanwhile.
            if self.keeper.entries.holds(key, &entry) {
                return (entry, news);
            }
        }
    }

    fn called(&mut self, called: Called) {
        self.keeper.rollouts.called(&called.rollout.namespace);
        let now = Instant::now();
        if self.keeper.leadership.called(&called.instance) {
            self.look_at_lease(called.instance);
            // What has happened while it was not known who leads.
            for (key, _) in self.keeper.entries.all() {
                self.queue.by(key, now + self.timing.rollout);
            }
        } else if called.news {
            self.queue.by(called.rollout, now + self.timing.rollout);
        }
    }

    /// One that has just come to the plugin may have lost something already when its turn comes.
    fn begin_watches(&mut self, entry: Arc<Entry>) {
        let keeper = Arc::clone(&self.keeper);
        self.tasks.spawn(async move {
            // What goes wrong will do so again where it is told.
            let _ = keeper.begin_watches(&entry).await;
            Done::Prepared
        });
    }

    fn look_at_lease(&mut self, instance: String) {
        let keeper = Arc::clone(&self.keeper);
        self.tasks.spawn(async move {
            keeper.leadership.leads(&instance).await;
            Done::Prepared
        });
    }

    /// Policies whose Rollouts went while no plugin ran are to be looked for after that long.
    fn sweep_in(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        let sooner = self.sweep.filter(|sooner| *sooner <= at);
        self.sweep = Some(sooner.unwrap_or(at));
    }

    /// One at a time, however often Rollouts are listed.
    fn start_sweep(&mut self) {
        self.sweep = None;
        self.is_sweeping = true;
        let keeper = Arc::clone(&self.keeper);
        let listed = self.listed.clone();
        self.tasks
            .spawn(async move { Done::Swept(orphans::sweep(&keeper, &listed).await) });
    }

    fn end_watches(&self) {
        let entries = self.keeper.entries.all();
        let mut needed = BTreeSet::new();
        for (_, entry) in &entries {
            needed.extend(entry.state().reads.watches());
        }
        self.keeper.cluster.cache.retain(&needed, self.timing.idle);
    }
}

/// Waits until then; without a time, for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
