//! A VirtualService without hosts: its roots are looked for in all namespaces, and only then.

use argo_rollouts::TrafficRouter;
use serde_json::{Value, json};
use testbed::apiserver::{Action, Fault, Verb};

use crate::world::{World, header, message, weight};

/// Without hosts, so that it is a delegate. A merge patch's null is kept by the store, which is the same to Istio.
async fn delegate() -> World {
    let world = World::new().await;
    world.patch("virtualservices", &json!({"spec": {"hosts": null}}));
    world
}

fn put_root(world: &World, namespace: &str, hosts: &Value) {
    let root = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        // The name of the delegate, in another namespace.
        "metadata": {"namespace": namespace, "name": "reviews"},
        "spec": {"hosts": hosts, "http": [
            {"name": "team", "delegate": {"name": "reviews", "namespace": "shop"}}]}});
    world.server.store().put(root).unwrap();
}

fn lists_of_all_namespaces(world: &World) -> usize {
    let requests = world.server.requests();
    let lists = requests.iter().filter(|request| {
        request.verb == Verb::List
            && request.resource == "virtualservices"
            && request.namespace.is_empty()
    });
    lists.count()
}

#[tokio::test]
async fn the_policy_names_the_root_and_its_hosts() {
    let world = delegate().await;
    let router = world.router();
    let error = router.set_header_route(header(0)).await.unwrap_err();
    assert!(
        message(&error).starts_with(
            "VirtualService shop/reviews: spec.hosts: found nothing, expected hosts, or another"
        ),
        "{}",
        message(&error)
    );
    put_root(
        &world,
        "edge",
        &json!(["shop.example.com", "reviews.shop.svc.cluster.local"]),
    );
    // The watch brings the root in.
    let began = std::time::Instant::now();
    while router.set_header_route(header(0)).await.is_err() {
        assert!(began.elapsed().as_secs() < 20, "the root is never seen");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let policy = world.policy();
    assert_eq!(
        policy["virtualServices"],
        json!({"edge/reviews": ["team-primary"]})
    );
    assert_eq!(
        policy["hosts"],
        json!([
            "10.96.3.4",
            "reviews.shop.svc.cluster.local",
            "shop.example.com"
        ])
    );
    router.set_weight(weight(2, 20)).await.unwrap();
    assert_eq!(world.canary_weight(), 20);
    assert_eq!(lists_of_all_namespaces(&world), 1);
}

#[tokio::test]
async fn with_hosts_nothing_is_listed_in_all_namespaces() {
    let world = World::new().await;
    world.router().set_header_route(header(0)).await.unwrap();
    assert_eq!(lists_of_all_namespaces(&world), 0);
}

#[tokio::test]
async fn a_refusal_to_list_all_namespaces_is_named() {
    let world = delegate().await;
    put_root(&world, "edge", &json!(["shop.example.com"]));
    world.server.faults().add(
        Fault::new(Action::Forbid)
            .verb(Verb::List)
            .resource("virtualservices")
            .namespace(""),
    );
    let error = world
        .router()
        .set_header_route(header(0))
        .await
        .unwrap_err();
    assert!(
        message(&error).starts_with("no permission to get, list and watch virtualservices.networking.istio.io in all namespaces: grant it"),
        "{}",
        message(&error)
    );
}
