//! A Rollout that has become blue-green in mid-canary, until the weights and pod hashes that its canary has left are in
//! nobody's way.

use std::collections::BTreeSet;

use argo_rollouts::Rollout;
use tracing::{info, warn};

use super::{Keeper, changed_fields};
use crate::cluster::ClusterError;
use crate::core::blue_green::{BlueGreen, Next, routing_of};
use crate::core::plan::Observed;
use crate::core::routing::{RolloutKey, Routing};
use crate::entry::Entry;
use crate::object::{Kind, Object, ObjectId};
use crate::observe::Reads;
use crate::router::CallError;
use crate::settle::{MAX_TRIES, Setbacks};

impl Keeper {
    /// Does what can be done now. `now`: the Rollout as it is; `canary`: as it was last. True once nothing is left to do.
    pub(super) async fn follow(
        &self,
        key: &RolloutKey,
        entry: &Entry,
        now: &Rollout,
        canary: &Rollout,
    ) -> Result<bool, CallError> {
        let routing = entry.state().routing.as_ref().map(routing_of);
        let Some(mut routing) = routing else {
            return Ok(true);
        };
        let status = &canary.status;
        let former = [status.stable_rs.clone(), status.current_pod_hash.clone()];
        let mut setbacks = Setbacks::default();
        for _ in 0..MAX_TRIES {
            let (observed, reads) = self.left_by_canary(&mut routing).await?;
            let services = self.services(&routing).await?;
            let blue_green = BlueGreen {
                rollout: now,
                routing: &routing,
                former: &former,
                services: services.each_ref().map(Option::as_ref),
            };
            let is_news = {
                let mut state = entry.state();
                state.reads = reads;
                !std::mem::replace(&mut state.blue_green, true)
            };
            if is_news {
                self.report(now, &routing, blue_green.canary_weight(&observed))
                    .await;
            }
            let pending = match blue_green.next(&observed)? {
                Next::Wait => return Ok(false),
                Next::Over => return Ok(true),
                Next::Write(pending) => pending,
            };
            let Some(first) = pending.first() else {
                return Ok(false);
            };
            let written = self.cluster.carry_out(first).await?;
            if setbacks.take(key, first, written).await? {
                let (object, fields) = (first.target(), changed_fields(first));
                info!(rollout = %key, %object, fields, "brought to where the blue-green rollout is");
            }
        }
        Err(CallError::Overtaken {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        })
    }

    /// The objects, and the versions that have pods. An object that is gone has no part in it any more.
    async fn left_by_canary(
        &self,
        routing: &mut Routing,
    ) -> Result<(Observed, Reads), ClusterError> {
        let cache = &self.cluster.cache;
        let namespace = &routing.rollout.namespace;
        let mut reads = Reads {
            objects: BTreeSet::new(),
            scopes: BTreeSet::from([(Kind::ReplicaSet, namespace.clone())]),
        };
        let mut observed = Observed {
            replica_sets: cache.list(Kind::ReplicaSet, namespace).await?,
            ..Observed::default()
        };
        for reference in std::mem::take(&mut routing.virtual_services) {
            if let Some(object) = cache.get(&reference.id).await? {
                reads.objects.insert(reference.id.clone());
                observed.virtual_services.push(Some(object));
                routing.virtual_services.push(reference);
            }
        }
        if let Some(reference) = routing.destination_rule.take()
            && let Some(object) = cache.get(&reference.id).await?
        {
            reads.objects.insert(reference.id.clone());
            observed.destination_rule = Some(object);
            routing.destination_rule = Some(reference);
        }
        Ok((observed, reads))
    }

    /// The stable and the canary Service of a split between hosts.
    async fn services(&self, routing: &Routing) -> Result<[Option<Object>; 2], ClusterError> {
        let mut services = [None, None];
        if routing.destination_rule.is_none() {
            let names = [&routing.stable_service, &routing.canary_service];
            for (service, name) in services.iter_mut().zip(names) {
                let namespace = &*routing.rollout.namespace;
                let id = ObjectId::new(Kind::Service, namespace, &**name);
                *service = self.cluster.cache.look_up(&id).await?;
            }
        }
        Ok(services)
    }

    /// Says once that a canary was left in the middle.
    async fn report(&self, rollout: &Rollout, routing: &Routing, weight: u64) {
        if weight == 0 {
            return;
        }
        let services = routing.virtual_services.iter();
        let services: Vec<String> = services.map(|reference| reference.id.to_string()).collect();
        let message = format!(
            "spec.strategy: found blueGreen in mid-canary: {} still sends {weight} of {} to the canary; Serin sends all to one version when the controller has promoted or aborted the new one, and then takes the pod hashes off the subsets",
            services.join(", "),
            routing.max_weight,
        );
        warn!(rollout = %routing.rollout, "{message}");
        self.cluster.warn(rollout, "CanaryLeft", &message).await;
    }
}
