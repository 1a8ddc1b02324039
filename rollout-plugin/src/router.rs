//! The plugin's eight methods: each turns its arguments into a call of the core and settles it on the cluster.

use std::sync::OnceLock;
use std::time::Duration;

use argo_rollouts::{
    RemoveManagedRoutesArgs, Rollout, SetHeaderArgs, SetMirrorArgs, SetWeightAndVerifyWeightArgs,
    TrafficRouter, UpdateHashArgs, Verified,
};
use tracing::debug;

use crate::cluster::{ALL_NAMESPACES, Cluster, ClusterError, Written};
use crate::config::PLUGIN_NAME;
use crate::core::error::CoreError;
use crate::core::plan::{
    Call, Observed, PodHashes, Versions, Weights, Write, weight_is_live, writes,
};
use crate::core::policy;
use crate::core::routing::Routing;
use crate::core::rules::{RouteStep, has_canary};
use crate::core::virtual_service;
use crate::object::Kind;

/// How many writes and lost races one call may take. A call needs at most four writes; the rest is for other
/// writers, and a call that still finds the objects changed reports it and is called again.
const MAX_TRIES: u32 = 40;

/// The wait after a lost race, times the number of races lost so far.
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);

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
    /// There is no cluster to talk to.
    #[error("no Kubernetes configuration: neither inside a cluster nor by KUBECONFIG")]
    NoCluster(#[source] Box<kube::Error>),
    /// The kubeconfig or the pod's service account can't be used.
    #[error("no Kubernetes configuration: neither inside a cluster nor by KUBECONFIG")]
    NoConfiguration(#[source] Box<kube::config::InferConfigError>),
    /// A call came before `InitPlugin`.
    #[error("called before InitPlugin")]
    NotInitialized,
}

/// The traffic router `serin/istio`.
///
/// It keeps no state of its own: what a call needs comes with the call and from the cluster, so that it can be
/// restarted at any moment.
#[derive(Default)]
pub struct IstioRouter {
    cluster: OnceLock<Cluster>,
}

impl IstioRouter {
    /// A router that connects when the controller initializes it, as `kubectl` would.
    pub fn new() -> Self {
        Self::default()
    }

    /// A router on a given cluster.
    pub fn on(cluster: Cluster) -> Self {
        Self {
            cluster: OnceLock::from(cluster),
        }
    }

    fn cluster(&self) -> Result<&Cluster, CallError> {
        self.cluster.get().ok_or(CallError::NotInitialized)
    }

    /// Writes until nothing is left to write.
    async fn settle(&self, rollout: &Rollout, call: Call<'_>) -> Result<(), CallError> {
        let cluster = self.cluster()?;
        let routing = Routing::of(rollout)?;
        let (mut races, mut relisted, mut rehearsed) = (0, false, false);
        for _ in 0..MAX_TRIES {
            let observed = observe(cluster, &routing, call).await?;
            let pending = writes(rollout, &routing, &observed, call);
            if !relisted && misses_pods(rollout, &observed, call, &pending) {
                // The controller's own watch may have seen them a moment before this one.
                relisted = true;
                let namespace = &routing.rollout.namespace;
                cluster.cache.relist(Kind::ReplicaSet, namespace).await?;
                continue;
            }
            let pending = pending?;
            let Some(first) = pending.first() else {
                return Ok(());
            };
            if !rehearsed && let Some(policy) = last_of_several(&pending) {
                // A policy that is refused must not leave lane routes behind that were made for it.
                rehearsed = true;
                cluster.rehearse(policy).await?;
            }
            match cluster.carry_out(first).await? {
                Written::Done => {}
                Written::Overtaken => {
                    races += 1;
                    debug!(rollout = %routing.rollout, races, "overtaken by another writer");
                    tokio::time::sleep(CONFLICT_PAUSE * races).await;
                }
            }
        }
        let rollout = routing.rollout;
        Err(CallError::Overtaken {
            namespace: rollout.namespace,
            name: rollout.name,
        })
    }
}

/// The policy's change, where other objects are to be changed before it.
fn last_of_several(pending: &[Write]) -> Option<&Write> {
    match pending {
        [_, .., last @ Write::Policy { .. }] => Some(last),
        _ => None,
    }
}

/// True if the outcome would be another one with pods of the current version.
fn misses_pods(
    rollout: &Rollout,
    observed: &Observed,
    call: Call<'_>,
    pending: &Result<Vec<Write>, CoreError>,
) -> bool {
    match pending {
        Err(CoreError::NoPods { .. }) => true,
        Ok(writes) if writes.is_empty() => {
            let current = &rollout.status.current_pod_hash;
            matches!(call, Call::SetRoute(_))
                && has_canary(rollout)
                && !Versions::of(&observed.replica_sets).has_pods(current)
        }
        _ => false,
    }
}

/// Reads what the call depends on, and no more: a weighted canary without managed routes needs its VirtualService
/// alone.
async fn observe(
    cluster: &Cluster,
    routing: &Routing,
    call: Call<'_>,
) -> Result<Observed, ClusterError> {
    let cache = &cluster.cache;
    let mut observed = Observed::default();
    let removes = matches!(call, Call::RemoveManagedRoutes);
    if !removes {
        if let Some(reference) = &routing.destination_rule {
            observed.destination_rule = cache.get(&reference.id).await?;
        }
        if routing.destination_rule.is_some() || routing.may_need_policy() {
            let namespace = &routing.rollout.namespace;
            observed.replica_sets = cache.list(Kind::ReplicaSet, namespace).await?;
        }
    }
    if matches!(call, Call::UpdateHash(_)) {
        return Ok(observed);
    }
    let mut lanes_stand = false;
    for reference in &routing.virtual_services {
        let object = cache.get(&reference.id).await?;
        lanes_stand |= object
            .as_ref()
            .is_some_and(|object| virtual_service::has_lane_routes(object, routing));
        observed.virtual_services.push(object);
    }
    if routing.may_need_policy() || lanes_stand {
        observed.wasm_plugin = cache.get(&routing.wasm_plugin).await?;
    }
    if routing.may_need_policy() && !removes {
        if policy::needs_roots(&observed.virtual_services) {
            observed.roots = cache.list(Kind::VirtualService, ALL_NAMESPACES).await?;
        }
        for service in policy::services_of(&observed.virtual_services, &observed.roots) {
            observed.services.extend(cache.get(&service).await?);
        }
    }
    Ok(observed)
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
        if self.cluster.get().is_some() {
            return Ok(());
        }
        let config = kube::Config::infer()
            .await
            .map_err(|error| CallError::NoConfiguration(Box::new(error)))?;
        let client = kube::Client::try_from(config)
            .map_err(|error| CallError::NoCluster(Box::new(error)))?;
        // A second InitPlugin at the same time has set an equal one.
        let _ = self.cluster.set(Cluster::new(client));
        Ok(())
    }

    async fn update_hash(&self, args: UpdateHashArgs) -> Result<(), CallError> {
        let hashes = PodHashes {
            canary: &args.canary_hash,
            stable: &args.stable_hash,
            additional: &args.additional_destinations,
        };
        self.settle(&args.rollout, Call::UpdateHash(hashes)).await
    }

    async fn set_weight(&self, args: SetWeightAndVerifyWeightArgs) -> Result<(), CallError> {
        self.settle(&args.rollout, Call::SetWeight(weights(&args)))
            .await
    }

    async fn set_header_route(&self, args: SetHeaderArgs) -> Result<(), CallError> {
        self.settle(
            &args.rollout,
            Call::SetRoute(RouteStep::Header(&args.set_header_route)),
        )
        .await
    }

    async fn set_mirror_route(&self, args: SetMirrorArgs) -> Result<(), CallError> {
        self.settle(
            &args.rollout,
            Call::SetRoute(RouteStep::Mirror(&args.set_mirror_route)),
        )
        .await
    }

    async fn verify_weight(
        &self,
        args: SetWeightAndVerifyWeightArgs,
    ) -> Result<Verified, CallError> {
        let routing = Routing::of(&args.rollout)?;
        let weights = weights(&args);
        let observed = observe(self.cluster()?, &routing, Call::SetWeight(weights)).await?;
        let live = weight_is_live(&args.rollout, &routing, &observed, weights)?;
        Ok(if live {
            Verified::Verified
        } else {
            Verified::NotVerified
        })
    }

    async fn remove_managed_routes(&self, args: RemoveManagedRoutesArgs) -> Result<(), CallError> {
        self.settle(&args.rollout, Call::RemoveManagedRoutes).await
    }

    fn kind(&self) -> String {
        PLUGIN_NAME.to_owned()
    }
}
