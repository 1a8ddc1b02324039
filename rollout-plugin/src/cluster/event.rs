//! Warnings on a Rollout, where `kubectl describe` shows them.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tracing::debug;

use argo_rollouts::Rollout;

use crate::cluster::Cluster;
use crate::cluster::cache::answered;
use crate::cluster::error::Cause;

impl Cluster {
    /// Puts a warning event on the Rollout. It is told in the log too, so where RBAC doesn't allow it nothing is lost.
    pub(crate) async fn warn(&self, rollout: &Rollout, reason: &str, message: &str) {
        let metadata = &rollout.metadata;
        let now = Time(Timestamp::now());
        let event = Event {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}.serin-", metadata.name)),
                namespace: Some(metadata.namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("argoproj.io/v1alpha1".to_owned()),
                kind: Some("Rollout".to_owned()),
                name: Some(metadata.name.clone()),
                namespace: Some(metadata.namespace.clone()),
                uid: Some(metadata.uid.clone()),
                resource_version: Some(metadata.resource_version.clone()),
                ..ObjectReference::default()
            },
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            type_: Some("Warning".to_owned()),
            count: Some(1),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            source: Some(EventSource {
                component: Some("serin".to_owned()),
                ..EventSource::default()
            }),
            ..Event::default()
        };
        let events: Api<Event> = Api::namespaced(self.clients.home.clone(), &metadata.namespace);
        if let Err(error) = answered(events.create(&PostParams::default(), &event)).await {
            debug!(error = %Cause::from(error), "event not written");
        }
    }
}
