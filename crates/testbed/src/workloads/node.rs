//! The one node: a pod's life from its start to its end.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::plan::rfc3339;
use super::{Manners, SERVED_AT};
use crate::apiserver::object::{is_ending, label, meta};
use crate::apiserver::{ObjectRef, Store};
use crate::echo::{Echo, Identity, Observer};

/// The node's name.
const NODE: &str = "embedded";

/// The pods that run here. Dropping it cuts them off.
pub(super) struct Node {
    manners: Manners,
    observer: Observer,
    /// By uid, since a name can come again.
    alive: HashMap<String, oneshot::Sender<()>>,
    lives: JoinSet<()>,
}

impl Node {
    pub(super) fn new(manners: Manners, observer: Observer) -> Self {
        Self {
            manners,
            observer,
            alive: HashMap::new(),
            lives: JoinSet::new(),
        }
    }

    /// Starts pods that are new, and lets go those that aren't there any more.
    pub(super) fn follow(&mut self, store: &Store, pods: &[Value]) {
        let wanted: HashSet<&str> = pods
            .iter()
            .filter(|pod| !is_ending(pod))
            .map(|pod| meta(pod, "uid"))
            .collect();
        // The life ends with its sender.
        self.alive.retain(|uid, _| wanted.contains(uid.as_str()));
        for pod in pods.iter().filter(|pod| !is_ending(pod)) {
            let uid = meta(pod, "uid");
            if self.alive.contains_key(uid) {
                continue;
            }
            let (end, ended) = oneshot::channel();
            self.alive.insert(uid.to_owned(), end);
            let life = Life {
                store: store.clone(),
                manners: self.manners,
                observer: Arc::clone(&self.observer),
                pod: pod.clone(),
            };
            self.lives.spawn(life.live(ended));
        }
        while self.lives.try_join_next().is_some() {}
    }
}

struct Life {
    store: Store,
    manners: Manners,
    observer: Observer,
    pod: Value,
}

impl Life {
    async fn live(self, mut ended: oneshot::Receiver<()>) {
        let ports = ports(&self.pod);
        let free = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); ports.len()];
        let echo = match Echo::start(identity(&self.pod), &free, Arc::clone(&self.observer)).await {
            Ok(echo) => echo,
            Err(error) => {
                let message = format!("can't listen on 127.0.0.1: {error}");
                let condition = json!({
                    "type": "Ready", "status": "False", "reason": "PodFailed",
                    "lastTransitionTime": rfc3339(Timestamp::now()),
                });
                self.report(&json!({"status": {
                    "phase": "Failed", "reason": "NoPort", "message": message, "conditions": [condition],
                }}));
                return;
            }
        };
        let served: Vec<String> = ports
            .iter()
            .zip(echo.addresses())
            .map(|(port, address)| format!("{port}={address}"))
            .collect();
        let mut started = json!({"spec": {"nodeName": NODE}});
        if !served.is_empty() {
            let annotations = json!({SERVED_AT: served.join(",")});
            json_patch::merge(
                &mut started,
                &json!({"metadata": {"annotations": annotations}}),
            );
        }
        self.report(&started);
        tokio::select! {
            () = tokio::time::sleep(self.manners.ready_after) => {
                self.report(&json!({"status": running(&self.pod)}));
                // Nothing is ever sent: the end is that the sender has gone.
                let _ = ended.await;
            }
            _ = &mut ended => {}
        }
        tokio::time::sleep(self.manners.serves_on).await;
        echo.stop().await;
    }

    /// Tells the API server. A pod that has gone meanwhile, or another of its name, is left alone.
    fn report(&self, patch: &Value) {
        let mut patch = patch.clone();
        let uid = json!({"metadata": {"uid": meta(&self.pod, "uid")}});
        json_patch::merge(&mut patch, &uid);
        let at = ObjectRef::new(
            "pods",
            meta(&self.pod, "namespace"),
            meta(&self.pod, "name"),
        );
        drop(self.store.patch(&at, &patch));
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod.pointer("/spec/containers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn ports(pod: &Value) -> Vec<u16> {
    containers(pod)
        .filter_map(|container| container.get("ports")?.as_array())
        .flatten()
        .filter_map(|port| u16::try_from(port.get("containerPort")?.as_u64()?).ok())
        .collect()
}

fn identity(pod: &Value) -> Identity {
    let image = containers(pod)
        .next()
        .and_then(|container| container.get("image")?.as_str());
    Identity {
        pod: meta(pod, "name").to_owned(),
        namespace: meta(pod, "namespace").to_owned(),
        app: label(pod, "app").unwrap_or_default().to_owned(),
        image: image.unwrap_or_default().to_owned(),
        hash: label(pod, "rollouts-pod-template-hash").map(str::to_owned),
    }
}

/// What kubelet reports of a pod that runs and is ready.
fn running(pod: &Value) -> Value {
    let now = rfc3339(Timestamp::now());
    let conditions: Vec<Value> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
        .iter()
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": now}))
        .collect();
    let containers: Vec<Value> = containers(pod)
        .map(|container| {
            json!({
                "name": container.get("name"), "image": container.get("image"), "imageID": "",
                "ready": true, "started": true, "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            })
        })
        .collect();
    json!({
        "phase": "Running",
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "startTime": now,
        "conditions": conditions,
        "containerStatuses": containers,
    })
}
