//! The plugin's eight methods: each turns its arguments into a call of the core and settles it on the cluster.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use argo_rollouts::go_plugin::Chain;
use argo_rollouts::{
    RemoveManagedRoutesArgs, Rollout, SetHeaderArgs, SetMirrorArgs, SetWeightAndVerifyWeightArgs,
    TrafficRouter, UpdateHashArgs, Verified,
};
use tokio::sync::OnceCell;
use tracing::{debug, warn};

use crate::cluster::{
    Cause, Cluster, ClusterError, ConnectError, connect, connect_with, instance_of,
};
use crate::config::PLUGIN_NAME;
use crate::core::error::CoreError;
use crate::core::plan::{Call, Versions, Weights, had_traffic, is_way_back, weight_is_live};
use crate::core::routing::{RolloutKey, Routing};
use crate::core::rules::RouteStep;
use crate::entries::Entries;
use crate::entry::Said;
use crate::object::Kind;
use crate::observe::observe;
use crate::reconciler::{Reconciler, Timing};
use crate::settle::{MAX_TRIES, settle};
use crate::standing::{Hashes, Shares};
use crate::way_back::go_back;

/// What a call reports to the controller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The Rollout or an object it names is not as it must be.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The API server refused.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Others changed the same objects again and again.
    #[error(
        "rollout {namespace}/{name}: gave up after {MAX_TRIES} tries, each overtaken by another writer of the same objects"
    )]
    Overtaken {
        /// The Rollout's namespace.
        namespace: String,
        /// The Rollout's name.
        name: String,
    },
    /// Traffic is off the canary, as far as objects and configuration allow it.
    #[error("{}", problems.join("; "))]
    NotAllBack {
        /// Each names its object, or the field of the configuration.
        problems: Vec<String>,
    },
    /// There is no cluster to talk to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Whether a Rollout still exists can't be told.
    #[error("can't get rollout {namespace}/{name}")]
    Lookup {
        /// The Rollout's namespace.
        namespace: String,
        /// The Rollout's name.
        name: String,
        /// The API server's answer.
        #[source]
        source: Cause,
    },
    /// A call came before `InitPlugin`.
    #[error("called before InitPlugin")]
    NotInitialized,
}

/// The traffic router `serin/istio`.
///
/// What it remembers of a call is only ever what the cluster will say too, a moment later; it can be restarted at any
/// moment.
#[derive(Default)]
pub struct IstioRouter {
    /// Where to connect to; without it as `kubectl` would.
    target: Option<(kube::Config, String)>,
    cluster: OnceCell<Arc<Cluster>>,
    is_initialized: AtomicBool,
    entries: Arc<Entries>,
    reconciler: OnceLock<Reconciler>,
    timing: Timing,
}

impl IstioRouter {
    /// A router that connects when the controller initializes it, as `kubectl` would.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with the API server and the controller's namespace given.
    pub fn connecting_to(config: kube::Config, namespace: String) -> Self {
        Self {
            target: Some((config, namespace)),
            ..Self::default()
        }
    }

    /// A router on a given cluster.
    pub fn on(cluster: Cluster) -> Self {
        Self {
            cluster: OnceCell::from(Arc::new(cluster)),
            ..Self::default()
        }
    }

    /// The same with other waits.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// The cluster, and from `InitPlugin` on the watches between calls.
    ///
    /// A controller (argo-rollouts v1.10.1 `trafficPlugin.startPluginLocked`) calls `InitPlugin` once for a process, and
    /// goes on with it after a failure as if there had been none. So a call makes up for what `InitPlugin` could not do.
    async fn cluster(&self) -> Result<&Arc<Cluster>, CallError> {
        let is_initialized = self.is_initialized.load(Ordering::Acquire);
        if !is_initialized {
            return self.cluster.get().ok_or(CallError::NotInitialized);
        }
        // Boxed: it is needed once, and would be part of every call.
        let connecting = || {
            Box::pin(async {
                let clients = match self.target.clone() {
                    Some((config, namespace)) => connect_with(config, namespace).await,
                    None => connect().await,
                };
                clients.map(|clients| Arc::new(Cluster::on(clients)))
            })
        };
        let cluster = self.cluster.get_or_try_init(connecting).await?;
        self.reconciler.get_or_init(|| {
            let entries = Arc::clone(&self.entries);
            Reconciler::start(Arc::clone(cluster), entries, self.timing)
        });
        Ok(cluster)
    }

    /// Settles a call. `said` is what it says of hashes and weights.
    async fn settle(&self, rollout: Rollout, call: Call<'_>, said: Said) -> Result<(), CallError> {
        let cluster = self.cluster().await?;
        let routing = Routing::of(&rollout);
        let key = RolloutKey::of(&rollout);
        let mut entry = self.entries.of(&key);
        let mut turn = entry.turn().await;
        while !self.entries.holds(&key, &entry) {
            // A Rollout that was gone has been forgotten meanwhile, and is back.
            entry = self.entries.of(&key);
            turn = entry.turn().await;
        }
        let result = match routing {
            routing if is_way_back(&rollout, call) => {
                Box::pin(go_back(cluster, &entry, &rollout, routing, call)).await
            }
            Ok(routing) => settle(cluster, &entry, &rollout, &routing, call).await,
            Err(error) => Err(error.into()),
        };
        let forgives = result.is_err()
            && matches!(call, Call::SetRoute(_))
            && has_lost_pods(cluster, &rollout).await;
        let instance = instance_of(&rollout).to_owned();
        let news = entry.called(rollout, said, result.is_ok());
        drop(turn);
        if let Some(reconciler) = self.reconciler.get() {
            reconciler.called(key.clone(), instance, news);
        }
        match result {
            Err(error) if forgives => {
                // The SetWeight behind it takes the last weight off the canary, and must be called.
                warn!(rollout = %key, error = %Chain(&error), "header or mirror route not set");
                Ok(())
            }
            result => result,
        }
    }

    /// True if the live objects carry the weight.
    async fn weight_is_live(&self, args: &SetWeightAndVerifyWeightArgs) -> Result<bool, CallError> {
        let cache = &self.cluster().await?.cache;
        let routing = Routing::of(&args.rollout)?;
        let weights = weights(args);
        let (mut observed, _) = observe(cache, &routing, Call::SetWeight(weights)).await?;
        if let Some(entry) = self.entries.find(&routing.rollout) {
            observed.history = entry.state().steps_of_call(&args.rollout, None);
        }
        Ok(weight_is_live(&args.rollout, &routing, &observed, weights)?)
    }

    /// Reports why a weight could not be verified: in the log and as an event, each reason once for each version of the
    /// Rollout.
    fn report_unverified(&self, rollout: Rollout, error: &CallError) {
        let key = RolloutKey::of(&rollout);
        let reason = Chain(error).to_string();
        let version = &rollout.status.current_pod_hash;
        let is_new = self
            .entries
            .of(&key)
            .state()
            .unverified
            .is_new(version, &reason);
        if !is_new {
            debug!(rollout = %key, error = reason, "weight not verified");
            return;
        }
        warn!(rollout = %key, error = reason, "weight not verified");
        // The log has it already, and the call does not wait for it.
        if let Some(cluster) = self.cluster.get().cloned() {
            tokio::spawn(async move {
                let message = format!("Failed to verify weight: {reason}");
                cluster.warn(&rollout, "WeightVerifyError", &message).await;
            });
        }
    }
}

/// True if a canary with weight has no available pods any more.
async fn has_lost_pods(cluster: &Cluster, rollout: &Rollout) -> bool {
    if !had_traffic(rollout) {
        return false;
    }
    let namespace = &rollout.metadata.namespace;
    let sets = cluster.cache.list(Kind::ReplicaSet, namespace).await;
    sets.is_ok_and(|sets| !Versions::of(&sets).has_pods(&rollout.status.current_pod_hash))
}

fn weights(args: &SetWeightAndVerifyWeightArgs) -> Weights<'_> {
    Weights {
        canary: args.desired_weight,
        additional: &args.additional_destinations,
    }
}

impl TrafficRouter for IstioRouter {
    type Error = CallError;

    async fn init_plugin(&self) -> Result<(), CallError> {
        self.is_initialized.store(true, Ordering::Release);
        self.cluster().await.map(|_| ())
    }

    async fn update_hash(&self, args: UpdateHashArgs) -> Result<(), CallError> {
        let said = Hashes {
            canary: args.canary_hash,
            stable: args.stable_hash,
            additional: args.additional_destinations,
        };
        let hashes = said.clone();
        let call = Call::UpdateHash(hashes.as_asked());
        self.settle(args.rollout, call, Said::Hashes(said)).await
    }

    async fn set_weight(&self, args: SetWeightAndVerifyWeightArgs) -> Result<(), CallError> {
        let said = Shares {
            canary: args.desired_weight,
            additional: args.additional_destinations,
        };
        let shares = said.clone();
        let call = Call::SetWeight(shares.as_asked());
        self.settle(args.rollout, call, Said::Weights(said)).await
    }

    async fn set_header_route(&self, args: SetHeaderArgs) -> Result<(), CallError> {
        let call = Call::SetRoute(RouteStep::Header(&args.set_header_route));
        self.settle(args.rollout, call, Said::Step).await
    }

    async fn set_mirror_route(&self, args: SetMirrorArgs) -> Result<(), CallError> {
        let call = Call::SetRoute(RouteStep::Mirror(&args.set_mirror_route));
        self.settle(args.rollout, call, Said::Step).await
    }

    /// Never an error: the controller (argo-rollouts v1.10.1 `rollout.reconcileTrafficRouting`) shows one as an event, goes
    /// on, promotes an unverified canary at the end of its steps, and asks again only when something else happens. It
    /// asks again after ten seconds where the weight is not verified.
    async fn verify_weight(
        &self,
        args: SetWeightAndVerifyWeightArgs,
    ) -> Result<Verified, CallError> {
        Ok(match self.weight_is_live(&args).await {
            Ok(true) => Verified::Verified,
            Ok(false) => Verified::NotVerified,
            Err(error) => {
                self.report_unverified(args.rollout, &error);
                Verified::NotVerified
            }
        })
    }

    async fn remove_managed_routes(&self, args: RemoveManagedRoutesArgs) -> Result<(), CallError> {
        self.settle(args.rollout, Call::RemoveManagedRoutes, Said::Neither)
            .await
    }

    fn kind(&self) -> String {
        PLUGIN_NAME.to_owned()
    }
}
