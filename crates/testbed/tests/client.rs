//! The `kube` client against the embedded server: what a controller does, and what it meets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is meant"
)]

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch,
    PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::{Scope, verbs};
use kube::runtime::watcher;
use kube::{Client, Config, Discovery};
use serde_json::{Value, json};
use testbed::apiserver::{Action, ApiServer, ChangeKind, Fault, ObjectRef, Status, Verb};

/// No answer within this is a failed test, not a slow one.
const PATIENCE: Duration = Duration::from_secs(20);

async fn client(server: &ApiServer) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

fn virtual_services(client: Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("networking.istio.io", "v1", "VirtualService");
    Api::namespaced_with(
        client,
        "default",
        &ApiResource::from_gvk_with_plural(&kind, "virtualservices"),
    )
}

fn virtual_service(name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"hosts": [host]},
    })
}

fn reviews() -> ObjectRef {
    ObjectRef::new("virtualservices", "default", "reviews")
}

fn code<T: std::fmt::Debug>(result: kube::Result<T>) -> (u16, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.reason.clone()),
        other => panic!("expected an API error, found {other:?}"),
    }
}

/// The next item of a stream, within [`PATIENCE`].
async fn next<S: futures::Stream + Unpin>(stream: &mut S) -> S::Item {
    tokio::time::timeout(PATIENCE, stream.next())
        .await
        .expect("no item came")
        .expect("the stream has ended")
}

#[tokio::test]
async fn walks_an_object_through_its_life() {
    let server = ApiServer::start().await.unwrap();
    let api = virtual_services(client(&server).await);
    let object: DynamicObject = serde_json::from_value(virtual_service("reviews", "a")).unwrap();
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    assert_eq!(made.metadata.generation, Some(1));
    assert_eq!(
        code(api.create(&PostParams::default(), &object).await),
        (409, "AlreadyExists".to_owned())
    );

    let mut replaced = made.clone();
    replaced.data["spec"]["hosts"] = json!(["b"]);
    let replaced = api
        .replace("reviews", &PostParams::default(), &replaced)
        .await
        .unwrap();
    assert_eq!(replaced.metadata.generation, Some(2));
    assert_eq!(
        code(api.replace("reviews", &PostParams::default(), &made).await),
        (409, "Conflict".to_owned())
    );

    let found = api
        .list(&ListParams::default().labels("app in (reviews)"))
        .await
        .unwrap();
    assert_eq!(found.items.len(), 1);
    api.delete("reviews", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(code(api.get("reviews").await), (404, "NotFound".to_owned()));
    server.shutdown().await;
}

/// Guards of design invariant 4: what a stale or failing JSON patch is answered with.
#[tokio::test]
async fn guards_json_patches_by_resource_version() {
    let server = ApiServer::start().await.unwrap();
    let stored = server.store().put(virtual_service("reviews", "a")).unwrap();
    let version = stored["metadata"]["resourceVersion"].as_str().unwrap();
    let api = virtual_services(client(&server).await);
    let patch = |version: &str, host: &str| {
        Patch::<()>::Json(
            serde_json::from_value(json!([
                {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
                {"op": "replace", "path": "/spec/hosts/0", "value": host},
            ]))
            .unwrap(),
        )
    };
    let params = PatchParams::default();
    let patched = api
        .patch("reviews", &params, &patch(version, "b"))
        .await
        .unwrap();
    assert_ne!(patched.metadata.resource_version.as_deref(), Some(version));
    assert_eq!(
        code(api.patch("reviews", &params, &patch(version, "c")).await),
        (409, "Conflict".to_owned())
    );
    let failing = Patch::<()>::Json(
        serde_json::from_value(json!([{"op": "test", "path": "/spec/hosts/0", "value": "z"}]))
            .unwrap(),
    );
    assert_eq!(
        code(api.patch("reviews", &params, &failing).await),
        (422, "Invalid".to_owned())
    );
    let now = server.store().get(&reviews()).unwrap();
    assert_eq!(now["spec"]["hosts"], json!(["b"]));

    let before = server.store().revision();
    let same = Patch::Merge(json!({"spec": {"hosts": ["b"]}}));
    api.patch("reviews", &params, &same).await.unwrap();
    assert_eq!(
        server.store().revision(),
        before,
        "nothing changed, so nothing is written"
    );
}

#[tokio::test]
async fn discovers_every_resource() {
    let server = ApiServer::start().await.unwrap();
    let discovery = Discovery::new(client(&server).await).run().await.unwrap();
    let mut found: Vec<String> = discovery
        .groups()
        .flat_map(kube::discovery::ApiGroup::recommended_resources)
        .map(|(resource, _)| resource.plural)
        .collect();
    found.sort();
    let mut expected: Vec<&str> = testbed::apiserver::RESOURCES
        .iter()
        .map(|one| one.plural)
        .collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn watches_from_a_version_and_tells_of_lost_history() {
    let server = ApiServer::start().await.unwrap();
    let store = server.store();
    store.put(virtual_service("reviews", "a")).unwrap();
    let start = store.revision().to_string();
    store
        .patch(&reviews(), &json!({"spec": {"hosts": ["b"]}}))
        .unwrap();
    store.delete(&reviews()).unwrap();

    let api = virtual_services(client(&server).await);
    let mut events = api
        .watch(&WatchParams::default(), &start)
        .await
        .unwrap()
        .boxed();
    assert!(matches!(
        next(&mut events).await,
        Ok(WatchEvent::Modified(_))
    ));
    assert!(matches!(
        next(&mut events).await,
        Ok(WatchEvent::Deleted(_))
    ));

    store.compact();
    let mut events = api
        .watch(&WatchParams::default(), &start)
        .await
        .unwrap()
        .boxed();
    match next(&mut events).await {
        Ok(WatchEvent::Error(status)) => assert_eq!(status.code, 410),
        other => panic!("expected 410, found {other:?}"),
    }
}

/// Both ways in which kube's watcher fills a cache, through a broken stream and lost history.
#[tokio::test]
async fn keeps_a_watcher_up_to_date_through_faults() {
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let server = ApiServer::start().await.unwrap();
        server.store().put(virtual_service("reviews", "a")).unwrap();
        let api = virtual_services(client(&server).await);
        let mut events = watcher(api, config.clone()).boxed();
        loop {
            if let Ok(watcher::Event::InitDone) = next(&mut events).await {
                break;
            }
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        for (round, host) in ["b", "c", "d"].into_iter().enumerate() {
            match round {
                1 => server.faults().cut_watches(),
                2 => {
                    server.faults().cut_watches();
                    server.store().compact();
                }
                _ => {}
            }
            server
                .store()
                .patch(&reviews(), &json!({"spec": {"hosts": [host]}}))
                .unwrap();
            loop {
                assert!(
                    tokio::time::Instant::now() < deadline,
                    "{config:?}: {host} never came"
                );
                let event = next(&mut events).await;
                let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = event
                else {
                    continue;
                };
                if object.data["spec"]["hosts"][0] == host {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn faults_trouble_the_requests_they_name() {
    let server = ApiServer::start().await.unwrap();
    server.store().put(virtual_service("reviews", "a")).unwrap();
    let api = virtual_services(client(&server).await);
    let merge = Patch::Merge(json!({"spec": {"hosts": ["b"]}}));
    let params = PatchParams::default();
    let patch = || api.patch("reviews", &params, &merge);
    let on_patch = |action| {
        Fault::new(action)
            .verb(Verb::Patch)
            .resource("virtualservices")
    };

    let forbidden = server.faults().add(on_patch(Action::Forbid));
    match patch().await {
        Err(kube::Error::Api(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
            assert!(
                status.message.starts_with(
                    "virtualservices.networking.istio.io \"reviews\" is forbidden: User"
                )
            );
            assert!(status.message.ends_with("in the namespace \"default\""));
        }
        other => panic!("expected 403, found {other:?}"),
    }
    assert!(api.get("reviews").await.is_ok());
    assert_eq!(server.faults().hits(forbidden), 1);
    server.faults().clear();

    server.faults().add(
        on_patch(Action::Refuse(Status::from_code(500)))
            .skip(1)
            .times(1),
    );
    assert!(patch().await.is_ok());
    assert_eq!(code(patch().await).0, 500);
    assert!(patch().await.is_ok());
    server.faults().clear();

    server.faults().add(on_patch(Action::Drop));
    let before = server.store().revision();
    assert!(matches!(
        patch().await,
        Err(kube::Error::HyperError(_) | kube::Error::Service(_))
    ));
    assert_eq!(server.store().revision(), before);
    server.faults().clear();

    server.faults().add(on_patch(Action::DropAnswer));
    let merge = Patch::Merge(json!({"spec": {"hosts": ["c"]}}));
    let lost = api.patch("reviews", &PatchParams::default(), &merge).await;
    assert!(matches!(
        lost,
        Err(kube::Error::HyperError(_) | kube::Error::Service(_))
    ));
    assert_eq!(
        server.store().get(&reviews()).unwrap()["spec"]["hosts"],
        json!(["c"])
    );
}

#[tokio::test]
async fn cuts_and_delays_watches() {
    let server = ApiServer::start().await.unwrap();
    let store = server.store();
    let api = virtual_services(client(&server).await);
    let on_watch = |action| Fault::new(action).verb(Verb::Watch).times(1);

    server.faults().add(on_watch(Action::CutWatch { after: 1 }));
    let start = store.revision().to_string();
    store.put(virtual_service("reviews", "a")).unwrap();
    store.delete(&reviews()).unwrap();
    let events = api.watch(&WatchParams::default(), &start).await.unwrap();
    let seen: Vec<_> = tokio::time::timeout(PATIENCE, events.collect())
        .await
        .unwrap();
    // kube takes a broken stream for one that has ended.
    assert!(
        matches!(seen.as_slice(), [Ok(WatchEvent::Added(_))]),
        "{seen:?}"
    );

    // A write that the watch is held back from, and a read that sees it at once.
    let held = Duration::from_hours(1);
    server.faults().add(on_watch(Action::LagWatch(held)));
    let start = store.revision().to_string();
    let mut events = api
        .watch(&WatchParams::default().timeout(1), &start)
        .await
        .unwrap()
        .boxed();
    store.put(virtual_service("reviews", "b")).unwrap();
    assert!(api.get("reviews").await.is_ok());
    let ended = tokio::time::timeout(PATIENCE, events.try_next())
        .await
        .unwrap();
    assert!(matches!(ended, Ok(None)), "{ended:?}");
}

#[tokio::test]
async fn logs_what_clients_ask() {
    let server = ApiServer::start().await.unwrap();
    server.store().put(virtual_service("reviews", "a")).unwrap();
    let api = virtual_services(client(&server).await);
    server.take_requests();
    let body = json!({"spec": {"hosts": ["b"]}});
    let params = PatchParams::default();
    api.patch("reviews", &params, &Patch::Merge(body.clone()))
        .await
        .unwrap();
    drop(api.get("absent").await);
    let requests = server.requests();
    let brief: Vec<_> = requests
        .iter()
        .map(|one| {
            (
                one.verb,
                one.resource.as_str(),
                one.name.as_str(),
                one.status,
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            (Verb::Patch, "virtualservices", "reviews", Some(200)),
            (Verb::Get, "virtualservices", "absent", Some(404)),
        ]
    );
    assert_eq!(requests[0].body, body);
    assert_eq!(requests[0].content_type, "application/merge-patch+json");
    assert_eq!(requests[0].namespace, "default");
}

#[tokio::test]
async fn tells_subscribers_of_every_change() {
    let server = ApiServer::start().await.unwrap();
    let mut changes = server.store().subscribe();
    let api = virtual_services(client(&server).await);
    let object: DynamicObject = serde_json::from_value(virtual_service("reviews", "a")).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    api.delete("reviews", &DeleteParams::default())
        .await
        .unwrap();
    for expected in [ChangeKind::Added, ChangeKind::Deleted] {
        let change = tokio::time::timeout(PATIENCE, changes.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (change.kind, change.resource.plural),
            (expected, "virtualservices")
        );
    }
}

/// What the scenarios on a real cluster do with a kind that they don't know: find it by aggregated
/// discovery, apply it, look at it, change it.
#[tokio::test]
async fn serves_who_discovers_and_applies() {
    let server = ApiServer::start().await.unwrap();
    let client = client(&server).await;
    let kinds = Discovery::new(client.clone())
        .run_aggregated()
        .await
        .unwrap();
    let requests = server.requests();
    let paths: Vec<&str> = requests.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["/apis", "/api"]);
    for (group, version, kind, scope) in [
        ("", "v1", "Pod", Scope::Namespaced),
        ("", "v1", "Namespace", Scope::Cluster),
        ("apps", "v1", "Deployment", Scope::Namespaced),
        ("argoproj.io", "v1alpha1", "Rollout", Scope::Namespaced),
        (
            "argoproj.io",
            "v1alpha1",
            "ClusterAnalysisTemplate",
            Scope::Cluster,
        ),
        (
            "networking.istio.io",
            "v1alpha3",
            "DestinationRule",
            Scope::Namespaced,
        ),
    ] {
        let kind = GroupVersionKind::gvk(group, version, kind);
        let (found, capabilities) = kinds.resolve_gvk(&kind).unwrap();
        assert_eq!(
            (&found.kind, &found.version, capabilities.scope),
            (&kind.kind, &kind.version, scope)
        );
    }

    let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout");
    let (resource, capabilities) = kinds.resolve_gvk(&kind).unwrap();
    assert_eq!(
        (resource.plural.as_str(), resource.api_version.as_str()),
        ("rollouts", "argoproj.io/v1alpha1")
    );
    assert!(capabilities.supports_operation(verbs::PATCH));
    let api: Api<DynamicObject> = Api::namespaced_with(client, "default", &resource);
    let rollout = |spec: Value| -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "reviews"},
            "spec": spec,
        }))
        .unwrap()
    };
    let by_hand = PatchParams::apply("hand").force();
    let first = rollout(json!({"replicas": 1, "paused": true}));
    api.patch("reviews", &by_hand, &Patch::Apply(&first))
        .await
        .unwrap();
    let status = Patch::Merge(json!({"status": {"phase": "Paused"}}));
    api.patch_status("reviews", &PatchParams::default(), &status)
        .await
        .unwrap();
    let scale = Patch::Merge(json!({"spec": {"replicas": 2}}));
    api.patch("reviews", &PatchParams::default(), &scale)
        .await
        .unwrap();

    let second = Patch::Apply(rollout(json!({"replicas": 3})));
    let careful = PatchParams::apply("hand");
    let Err(kube::Error::Api(refused)) = api.patch("reviews", &careful, &second).await else {
        panic!("expected a conflict");
    };
    assert!(
        refused.is_conflict() && refused.message.contains(": .spec.replicas"),
        "{refused:?}"
    );
    api.patch("reviews", &by_hand, &second).await.unwrap();
    let found = api.get("reviews").await.unwrap();
    assert_eq!(
        found.data,
        json!({"spec": {"replicas": 3}, "status": {"phase": "Paused"}})
    );
    assert_eq!(found.metadata.generation, Some(3));
    assert!(found.metadata.managed_fields.is_some());
    let all = api.list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 1);
}

/// A driver's writes count as updates: they keep the record of an applied object, and start none.
#[tokio::test]
async fn records_what_is_written_without_http() {
    let server = ApiServer::start().await.unwrap();
    let store = server.store();
    let api = virtual_services(client(&server).await);
    let stored = store.put(virtual_service("reviews", "a")).unwrap();
    assert_eq!(stored["metadata"]["managedFields"], Value::Null);
    let applied: DynamicObject = serde_json::from_value(virtual_service("reviews", "a")).unwrap();
    api.patch(
        "reviews",
        &PatchParams::apply("hand"),
        &Patch::Apply(&applied),
    )
    .await
    .unwrap();
    let stored = store
        .patch(&reviews(), &json!({"spec": {"hosts": ["b"]}}))
        .unwrap();
    let put = store.put(virtual_service("reviews", "b")).unwrap();
    assert_eq!(put["metadata"], stored["metadata"]);
    let entries = stored["metadata"]["managedFields"].as_array().unwrap();
    let owner = |field: &str| {
        let owners = entries
            .iter()
            .filter(|one| !one["fieldsV1"]["f:spec"][field].is_null());
        owners
            .map(|one| one["manager"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(owner("f:hosts"), ["testbed"]);
}

/// Of those who read the same version, one wins; nobody's write is lost.
#[tokio::test]
async fn lets_one_of_many_guarded_writers_win() {
    let server = ApiServer::start().await.unwrap();
    let stored = server.store().put(virtual_service("reviews", "a")).unwrap();
    let client = client(&server).await;
    let writers = (0..16).map(|writer| {
        let api = virtual_services(client.clone());
        let mut object: DynamicObject = serde_json::from_value(stored.clone()).unwrap();
        object.data["spec"]["hosts"] = json!([format!("writer-{writer}")]);
        async move {
            api.replace("reviews", &PostParams::default(), &object)
                .await
                .map(|_written| writer)
        }
    });
    let results = futures::future::join_all(writers).await;
    let winners: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().ok())
        .collect();
    let [winner] = winners.as_slice() else {
        panic!("expected one winner, found {winners:?}");
    };
    let now = server.store().get(&reviews()).unwrap();
    assert_eq!(now["spec"]["hosts"], json!([format!("writer-{winner}")]));
    assert_eq!(now["metadata"]["generation"], 2);
}

#[tokio::test]
async fn plays_a_cluster_without_a_definition_or_a_namespace() {
    let server = ApiServer::start().await.unwrap();
    let store = server.store();
    let mut elsewhere = virtual_service("reviews", "a");
    elsewhere["metadata"]["namespace"] = json!("shop");
    store.put(elsewhere).unwrap();
    store
        .delete(&ObjectRef::new("namespaces", "", "shop"))
        .unwrap();
    assert_eq!(
        store.get(&ObjectRef::new("virtualservices", "shop", "reviews")),
        None
    );

    store.put(virtual_service("reviews", "a")).unwrap();
    store.unserve("virtualservices").unwrap();
    let api = virtual_services(client(&server).await);
    assert_eq!(code(api.get("reviews").await).0, 404);
}

#[tokio::test]
async fn ends_its_connections_when_it_ends() {
    let server = ApiServer::start().await.unwrap();
    let api = virtual_services(client(&server).await);
    let mut events = api
        .watch(&WatchParams::default(), "0")
        .await
        .unwrap()
        .boxed();
    server.shutdown().await;
    let ended = tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
    assert!(!matches!(ended, Some(Ok(_))), "{ended:?}");
}
