//! Stands in for the nodes: gives every pod an address and an echo, reports it ready, and lets it go in good order.
//!
//! What a pod is: its containers' ports, on each of which an [`Echo`] answers as the pod. What happens on deletion is
//! what happens on a node whose pods have a `preStop` sleep: the pod goes on serving while its end is made known, then
//! closes its connections in good order.
//!
//! The annotation `serin.test/fails` makes an application that fails: so many of each hundred requests.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use testbed::echo::{Conduct, Echo, Identity, Observer};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::controller_pod::{self, ControllerPod, Images};
use crate::network;
use crate::pod_metrics::PodMetrics;

/// The one node's name.
pub(crate) const NODE: &str = "lab";
/// Of each hundred requests so many are answered with status 500.
const FAILS: &str = "serin.test/fails";

/// How the pods behave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// From a pod's creation to its readiness: the start of a small application.
    pub(crate) ready_after: Duration,
    /// How long a pod serves after its deletion has been asked for, as with a `preStop` sleep: so long the news may
    /// take through the endpoint controller and istiod to the proxies.
    pub(crate) serves_on: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            ready_after: Duration::from_millis(500),
            serves_on: Duration::from_secs(3),
        }
    }
}

/// Runs until it is dropped. `observer` sees every request that a pod gets; pods of the Argo controller are run for real if there
/// are images for them.
pub(crate) async fn run(
    client: Client,
    manners: Manners,
    observer: Observer,
    images: Option<Images>,
) {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut events = watcher::watcher(pods, watcher::Config::default()).boxed();
    let mut alive = HashMap::<String, watch::Sender<bool>>::new();
    let mut tasks = JoinSet::new();
    let mut number = 0_u16;
    while let Some(event) = events.next().await {
        let pod = match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => pod,
            Ok(Event::Delete(pod)) => {
                if let Some(end) = alive.remove(&pod.uid().unwrap_or_default()) {
                    end.send_replace(true);
                }
                continue;
            }
            Ok(_) => continue,
            Err(error) => {
                // The watcher begins anew by itself.
                eprintln!("kubelet: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let ends = pod.metadata.deletion_timestamp.is_some();
        match alive.get(&pod.uid().unwrap_or_default()) {
            Some(end) if ends => {
                end.send_replace(true);
            }
            Some(_) => {}
            None => {
                number = number.wrapping_add(1);
                let (end, ended) = watch::channel(ends);
                alive.insert(pod.uid().unwrap_or_default(), end);
                let life = Life {
                    client: client.clone(),
                    manners,
                    address: IpAddr::V4(network::pod_address(number)),
                    number,
                    images: images.clone(),
                };
                let observer = Arc::clone(&observer);
                tasks.spawn(async move {
                    let name =
                        format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
                    if let Err(error) = life.live(pod, observer, ended).await {
                        eprintln!("kubelet: pod {name}: {}", go_plugin::Chain(&*error));
                    }
                });
            }
        }
        while tasks.try_join_next().is_some() {}
    }
}

/// One pod's life.
struct Life {
    client: Client,
    manners: Manners,
    address: IpAddr,
    /// Counts pods.
    number: u16,
    images: Option<Images>,
}

impl Life {
    async fn live(
        self,
        pod: Pod,
        observer: Observer,
        mut ended: watch::Receiver<bool>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let name = pod.name_any();
        let namespace = pod.namespace().unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        if pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_none())
        {
            self.bind(&namespace, &name).await?;
        }
        if let Some(images) = &self.images
            && controller_pod::is_one(&pod)
        {
            let own = ControllerPod {
                images: images.clone(),
                pods: pods.clone(),
                address: self.address.to_string(),
                number: self.number,
                pod,
            };
            own.live(&mut ended).await?;
            return gone(&pods, &name).await;
        }
        let metrics = PodMetrics::start(&pod, self.address).await?;
        let fails = pod.annotations().get(FAILS).map(|fails| fails.parse());
        let conduct = Conduct {
            fails: fails.transpose()?.unwrap_or_default(),
            answered: metrics.as_ref().map(PodMetrics::observer),
        };
        let echo = Echo::start_with(identity(&pod), conduct, &self.listen(&pod), observer).await?;
        tokio::select! {
            () = tokio::time::sleep(self.manners.ready_after) => {
                let status = Patch::Merge(json!({ "status": self.status(&pod) }));
                let reported = pods.patch_status(&name, &PatchParams::default(), &status).await;
                if let Err(error) = reported && !is_gone(&error) {
                    return Err(error.into());
                }
            }
            () = end(&mut ended) => {}
        }
        end(&mut ended).await;
        tokio::time::sleep(self.manners.serves_on).await;
        echo.stop().await;
        gone(&pods, &name).await
    }

    async fn bind(&self, namespace: &str, name: &str) -> Result<(), kube::Error> {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(binding.to_string().into_bytes())
            .map_err(kube::Error::HttpError)?;
        self.client.request::<Value>(request).await.map(drop)
    }

    fn listen(&self, pod: &Pod) -> Vec<SocketAddr> {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        containers
            .flat_map(|container| container.ports.iter().flatten())
            .filter_map(|port| u16::try_from(port.container_port).ok())
            .map(|port| SocketAddr::new(self.address, port))
            .collect()
    }

    fn status(&self, pod: &Pod) -> Value {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let conditions: Vec<Value> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
            .iter()
            .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": now}))
            .collect();
        let containers: Vec<Value> = pod
            .spec
            .iter()
            .flat_map(|spec| &spec.containers)
            .map(|container| {
                let image = container.image.clone().unwrap_or_default();
                json!({
                    "name": container.name, "image": image, "imageID": image, "ready": true, "started": true,
                    "restartCount": 0, "state": {"running": {"startedAt": now}},
                })
            })
            .collect();
        json!({
            "phase": "Running",
            "hostIP": network::NODE,
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": now,
            "conditions": conditions,
            "containerStatuses": containers,
        })
    }
}

/// Returns once the pod's end has been asked for.
async fn end(ended: &mut watch::Receiver<bool>) {
    // An error means that the watch has ended, and with it the run.
    let _ = ended.wait_for(|end| *end).await;
}

fn identity(pod: &Pod) -> Identity {
    let label = |name: &str| pod.labels().get(name).cloned();
    let image = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.containers.first())
        .and_then(|container| container.image.clone());
    Identity {
        pod: pod.name_any(),
        namespace: pod.namespace().unwrap_or_default(),
        app: label("app").unwrap_or_default(),
        image: image.unwrap_or_default(),
        hash: label("rollouts-pod-template-hash"),
    }
}

/// Tells the API server that nothing of the pod is left.
async fn gone(pods: &Api<Pod>, name: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    match pods
        .delete(name, &DeleteParams::default().grace_period(0))
        .await
    {
        Err(error) if !is_gone(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// True if the pod was deleted meanwhile.
fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
