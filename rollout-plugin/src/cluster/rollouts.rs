//! The Rollouts that use this plugin, watched in all namespaces; where that is not allowed, in those that calls name.
//!
//! Only what decisions depend on is kept, and only of Rollouts that have the plugin's configuration: a cluster may hold
//! thousands of others, and pod templates are most of every one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argo_rollouts::go_plugin::Chain;
use argo_rollouts::types::{ObjectMeta, PodTemplate, Rollout, RolloutSpec, RolloutStatus};
use futures::StreamExt;
use kube::api::Api;
use kube::core::NamespaceResourceScope;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource};
use serde::Deserialize;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tracing::{debug, info, warn};

use super::lease::INSTANCE_ID;
use crate::cluster::cache::answered;
use crate::cluster::decode;
use crate::cluster::error::{Cause, Interruption};
use crate::config::PLUGIN_NAME;
use crate::core::routing::RolloutKey;

/// What a watch of Rollouts tells.
#[derive(Debug)]
pub(crate) enum RolloutEvent {
    /// A list is complete: in its namespace (`None`: in all) there are no other Rollouts that use the plugin.
    Listed {
        namespace: Option<String>,
        rollouts: Vec<Rollout>,
    },
    /// This one uses the plugin, as it is now.
    Seen(Box<Rollout>),
    /// This one has been deleted, or doesn't use the plugin, as of that resourceVersion.
    Gone { key: RolloutKey, version: String },
}

/// A Rollout as the API server has it.
#[derive(Debug)]
pub(crate) enum Found {
    /// It uses the plugin.
    Ours(Rollout),
    /// It doesn't, and its strategy is blue-green.
    BlueGreen(Rollout),
    /// It doesn't, or there is none.
    Neither,
}

/// The watches of Rollouts.
pub(crate) struct Rollouts {
    client: Client,
    listener: UnboundedSender<RolloutEvent>,
    refused: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// True once the API server has refused a watch over all namespaces.
    by_namespace: bool,
    /// Those that calls have named.
    called: HashSet<String>,
    watches: HashMap<Option<String>, AbortHandle>,
    /// What may not be watched; it has been told.
    refused: HashSet<Option<String>>,
}

impl Drop for Rollouts {
    fn drop(&mut self) {
        for watch in lock(&self.state).watches.values() {
            watch.abort();
        }
    }
}

impl Rollouts {
    /// Begins to watch all namespaces; what is found goes to `listener`. `refused`: how long to wait before what is not
    /// allowed is asked for again.
    pub(crate) fn watch(
        client: Client,
        listener: UnboundedSender<RolloutEvent>,
        refused: Duration,
    ) -> Arc<Self> {
        let rollouts = Arc::new(Self {
            client,
            listener,
            refused,
            state: Mutex::default(),
        });
        rollouts.start(None);
        rollouts
    }

    /// A call has come for a Rollout of that namespace, so it is worth a watch where not all can be watched.
    pub(crate) fn called(self: &Arc<Self>, namespace: &str) {
        let mut state = lock(&self.state);
        if !state.called.insert(namespace.to_owned()) || !state.by_namespace {
            return;
        }
        drop(state);
        self.start(Some(namespace.to_owned()));
    }

    /// The Rollout as the API server has it now.
    ///
    /// # Errors
    /// The API server's refusal: then nothing is known.
    pub(crate) async fn look_up(&self, key: &RolloutKey) -> Result<Found, Cause> {
        let api: Api<Watched> = Api::namespaced(self.client.clone(), &key.namespace);
        let Some(found) = answered(api.get_opt(&key.name)).await?.map(read) else {
            return Ok(Found::Neither);
        };
        Ok(if uses_plugin(&found) {
            Found::Ours(as_called(reduced(found)))
        } else if found.spec.strategy.blue_green.is_some() {
            Found::BlueGreen(reduced(found))
        } else {
            Found::Neither
        })
    }

    fn start(self: &Arc<Self>, namespace: Option<String>) {
        let api: Api<Watched> = match &namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let mut events = watcher::watcher(api, watcher::Config::default())
            .default_backoff()
            .boxed();
        let target = Arc::downgrade(self);
        let scope = namespace.clone();
        let task = tokio::spawn(async move {
            let mut listing = Vec::new();
            while let Some(event) = events.next().await {
                let Some(rollouts) = target.upgrade() else {
                    return;
                };
                let told = match event {
                    Ok(Event::Init) => {
                        listing.clear();
                        None
                    }
                    Ok(Event::InitApply(rollout)) => {
                        listing.extend(reduce(rollout));
                        None
                    }
                    Ok(Event::InitDone) => {
                        rollouts.listed(scope.as_deref());
                        Some(RolloutEvent::Listed {
                            namespace: scope.clone(),
                            rollouts: std::mem::take(&mut listing),
                        })
                    }
                    Ok(Event::Apply(rollout)) => {
                        let gone = gone(&rollout);
                        let kept = reduce(rollout).map(Box::new);
                        Some(kept.map_or(gone, RolloutEvent::Seen))
                    }
                    Ok(Event::Delete(rollout)) => Some(gone(&rollout)),
                    Err(error) => {
                        let wait = rollouts.fail(scope.as_deref(), error);
                        // Nothing is kept alive by it.
                        drop(rollouts);
                        tokio::time::sleep(wait).await;
                        continue;
                    }
                };
                if let Some(told) = told
                    && rollouts.listener.send(told).is_err()
                {
                    return;
                }
            }
        });
        lock(&self.state)
            .watches
            .insert(namespace, task.abort_handle());
    }

    /// A list is complete: where it is that of all namespaces, it is the only one that is needed.
    fn listed(&self, namespace: Option<&str>) {
        let mut state = lock(&self.state);
        state.refused.remove(&namespace.map(str::to_owned));
        if namespace.is_some() || !state.by_namespace {
            return;
        }
        state.by_namespace = false;
        state.watches.retain(|namespace, watch| {
            if namespace.is_some() {
                watch.abort();
            }
            namespace.is_none()
        });
        info!("rollouts of all namespaces are watched");
    }

    /// How long to leave the API server alone, beside the watcher's own pauses.
    fn fail(self: &Arc<Self>, namespace: Option<&str>, error: watcher::Error) -> Duration {
        let cause = match Interruption::from(error) {
            Interruption::Usual(reason) => {
                debug!(namespace, reason, "watch of rollouts interrupted");
                return Duration::ZERO;
            }
            Interruption::NotBegun(cause) => cause,
        };
        if cause.status_code() != Some(403) {
            warn!(namespace, error = %Chain(&cause), "can't list and watch rollouts");
            return Duration::ZERO;
        }
        let mut state = lock(&self.state);
        let is_news = state.refused.insert(namespace.map(str::to_owned));
        match namespace {
            Some(namespace) if is_news => warn!(
                namespace,
                "no permission to list and watch rollouts: what a call brings is all that is known of them (manifests/base/rbac.yaml)"
            ),
            None if is_news => warn!(
                "no permission to list and watch rollouts in all namespaces: watching those that calls name (manifests/base/rbac.yaml)"
            ),
            _ => {}
        }
        if namespace.is_none() && !state.by_namespace {
            state.by_namespace = true;
            let called: Vec<String> = state.called.iter().cloned().collect();
            drop(state);
            for namespace in called {
                self.start(Some(namespace));
            }
        }
        self.refused
    }
}

/// A Rollout as the watch reads it: most of the pod template is never parsed.
#[derive(Clone, Debug, Deserialize)]
struct Watched {
    #[serde(default, deserialize_with = "decode::metadata")]
    metadata: kube::api::ObjectMeta,
    #[serde(default)]
    spec: Option<RolloutSpec>,
    #[serde(default)]
    status: Option<RolloutStatus>,
}

impl Resource for Watched {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Rollout".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "argoproj.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1alpha1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "rollouts".into()
    }

    fn meta(&self) -> &kube::api::ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut kube::api::ObjectMeta {
        &mut self.metadata
    }
}

fn gone(rollout: &Watched) -> RolloutEvent {
    let metadata = &rollout.metadata;
    RolloutEvent::Gone {
        key: RolloutKey {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        },
        version: metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// What is kept of a Rollout that uses the plugin; `None` for all others.
fn reduce(watched: Watched) -> Option<Rollout> {
    let rollout = read(watched);
    uses_plugin(&rollout).then(|| as_called(reduced(rollout)))
}

fn uses_plugin(rollout: &Rollout) -> bool {
    rollout.plugin_config(PLUGIN_NAME).is_some()
}

fn read(watched: Watched) -> Rollout {
    let metadata = watched.metadata;
    Rollout {
        metadata: ObjectMeta {
            name: metadata.name.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            resource_version: metadata.resource_version.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            ..ObjectMeta::default()
        },
        spec: watched.spec.unwrap_or_default(),
        status: watched.status.unwrap_or_default(),
    }
}

/// Without what no decision depends on.
pub(crate) fn reduced(mut rollout: Rollout) -> Rollout {
    rollout.metadata = ObjectMeta {
        labels: rollout
            .metadata
            .labels
            .into_iter()
            .filter(|(name, _)| name == INSTANCE_ID)
            .collect(),
        name: rollout.metadata.name,
        namespace: rollout.metadata.namespace,
        uid: rollout.metadata.uid,
        resource_version: rollout.metadata.resource_version,
        generation: rollout.metadata.generation,
        ..ObjectMeta::default()
    };
    rollout.spec.template = PodTemplate::default();
    rollout.spec.selector = None;
    rollout.spec.workload_ref = None;
    rollout.status.conditions = Vec::new();
    rollout.status.message = String::new();
    rollout
}

/// As a call would carry it, so that a repair and a call never differ in what they make of one Rollout: Go's gob has no
/// pointers to zero, and the controller takes a missing step index for the first step.
fn as_called(mut rollout: Rollout) -> Rollout {
    if let Some(canary) = &mut rollout.spec.strategy.canary {
        for step in &mut canary.steps {
            if let Some(mirror) = &mut step.set_mirror_route {
                mirror.percentage = mirror.percentage.filter(|percentage| *percentage != 0);
            }
        }
        if let Some(traffic) = &mut canary.traffic_routing {
            traffic.max_traffic_weight = traffic.max_traffic_weight.filter(|weight| *weight != 0);
        }
        if !canary.steps.is_empty() {
            rollout.status.current_step_index.get_or_insert(0);
        }
    }
    rollout
}

fn lock(mutex: &Mutex<State>) -> MutexGuard<'_, State> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
