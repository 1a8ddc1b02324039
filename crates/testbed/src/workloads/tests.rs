//! Deployments and ReplicaSets in a store, and the echoes of their pods.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::*;
use crate::apiserver::object::meta;
use crate::apiserver::{ApiServer, ObjectRef};

const QUICK: Manners = Manners {
    ready_after: Duration::from_millis(20),
    serves_on: Duration::from_millis(20),
};

fn deployment(replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [
                    {"name": "web", "image": "web:1", "ports": [{"containerPort": 8080}, {"containerPort": 9090}]},
                ]},
            },
        },
    })
}

async fn until<T>(store: &Store, what: impl Fn(&Store) -> Option<T>) -> T {
    let waits = async {
        loop {
            let mut changes = store.subscribe();
            if let Some(found) = what(store) {
                return found;
            }
            drop(changes.next().await);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waits)
        .await
        .unwrap()
}

fn ready_pods(store: &Store, count: usize) -> Option<Vec<Value>> {
    let deployment = store.get(&ObjectRef::new("deployments", "shop", "web"))?;
    let ready = deployment.pointer("/status/readyReplicas")?.as_u64()?;
    let pods = store.list("pods", "shop").ok()?;
    (pods.len() == count && usize::try_from(ready).ok() == Some(count)).then_some(pods)
}

fn addresses(pod: &Value) -> Vec<(String, String)> {
    let served = pod["metadata"]["annotations"][SERVED_AT].as_str().unwrap();
    served
        .split(',')
        .map(|one| one.split_once('=').unwrap())
        .map(|(port, address)| (port.to_owned(), address.to_owned()))
        .collect()
}

#[tokio::test]
async fn pods_serve_until_after_they_are_deleted() {
    let server = ApiServer::start().await.unwrap();
    let store = server.store();
    let _workloads = Workloads::start(store, QUICK, Arc::new(|_| {}));
    store.put(deployment(2)).unwrap();
    let pods = until(store, |store| ready_pods(store, 2)).await;
    assert!(meta(&pods[0], "name").starts_with("web-"));
    let ports = addresses(&pods[0]);
    assert_eq!(ports.len(), 2);
    assert_eq!((&*ports[0].0, &*ports[1].0), ("8080", "9090"));
    for pod in &pods {
        for (_, address) in addresses(pod) {
            TcpStream::connect(address).await.unwrap();
        }
    }

    store
        .patch(
            &ObjectRef::new("deployments", "shop", "web"),
            &json!({"spec": {"replicas": 1}}),
        )
        .unwrap();
    let left = until(store, |store| ready_pods(store, 1)).await;
    TcpStream::connect(&addresses(&left[0])[0].1).await.unwrap();
    let gone = pods
        .iter()
        .find(|pod| meta(pod, "uid") != meta(&left[0], "uid"));
    let address = &addresses(gone.unwrap())[0].1;
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_pod_that_is_deleted_comes_again_and_a_deployment_takes_its_pods_along() {
    let server = ApiServer::start().await.unwrap();
    let store = server.store();
    let _workloads = Workloads::start(store, QUICK, Arc::new(|_| {}));
    store.put(deployment(1)).unwrap();
    let pods = until(store, |store| ready_pods(store, 1)).await;
    let first = meta(&pods[0], "name").to_owned();
    store
        .delete(&ObjectRef::new("pods", "shop", &first))
        .unwrap();
    until(store, |store| {
        ready_pods(store, 1).filter(|pods| meta(&pods[0], "name") != first)
    })
    .await;

    store
        .delete(&ObjectRef::new("deployments", "shop", "web"))
        .unwrap();
    until(store, |store| {
        let left = ["pods", "replicasets"]
            .into_iter()
            .all(|resource| store.list(resource, "shop").unwrap().is_empty());
        left.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_look_that_panics_is_not_the_last() {
    let server = ApiServer::start().await.unwrap();
    let (looked, mut looks) = tokio::sync::mpsc::unbounded_channel();
    let mut left = 2;
    let task = tokio::spawn(run(server.store().clone(), move |_| {
        looked.send(left).unwrap();
        left -= 1;
        assert!(left > 0, "scripted");
        Some(Duration::ZERO)
    }));
    for expected in [2, 1, 0] {
        let next = tokio::time::timeout(Duration::from_secs(20), looks.recv());
        assert_eq!(next.await.unwrap(), Some(expected));
    }
    task.abort();
}

#[tokio::test]
async fn a_replica_set_of_somebody_else_is_waited_for() {
    let server = ApiServer::start().await.unwrap();
    let store = server.store();
    let workloads = Workloads::start(store, QUICK, Arc::new(|_| {}));
    store.put(deployment(1)).unwrap();
    let pods = until(store, |store| ready_pods(store, 1)).await;
    let name = meta(&pods[0], "name").rsplit_once('-').unwrap().0;
    let at = ObjectRef::new("replicasets", "shop", name);
    let set = store.get(&at).unwrap();
    drop(workloads);

    store.delete(&at).unwrap();
    let mut foreign = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {}, "spec": {"replicas": 0}});
    foreign["metadata"] = json!({"name": name, "namespace": "shop"});
    let foreign = store.put(foreign).unwrap();
    let _workloads = Workloads::start(store, QUICK, Arc::new(|_| {}));
    until(store, |store| {
        store.list("pods", "shop").unwrap().is_empty().then_some(())
    })
    .await;
    let stays = store.get(&at).unwrap();
    assert_eq!(meta(&stays, "uid"), meta(&foreign, "uid"));
    assert_eq!(stays["spec"], json!({"replicas": 0}));
    store.delete(&at).unwrap();
    until(store, |store| ready_pods(store, 1)).await;
    assert_ne!(meta(&store.get(&at).unwrap(), "uid"), meta(&set, "uid"));
}
