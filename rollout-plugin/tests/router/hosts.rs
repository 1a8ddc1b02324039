//! The names under which requests come: what becomes of the Services around a host gets into the policy.

use serde_json::{Value, json};

use crate::world::{World, at_twenty};

fn put_service(world: &World, name: &str, spec: &Value) {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": name}, "spec": spec});
    world.server.store().put(service).unwrap();
}

fn hosts(world: &World) -> Vec<Value> {
    world.policy()["hosts"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[tokio::test]
async fn an_alias_that_comes_in_mid_canary_is_a_host() {
    let world = World::new().await;
    put_service(
        &world,
        "reviews",
        &json!({"clusterIPs": ["10.96.0.4"], "ports": [{"name": "http", "port": 80}]}),
    );
    let _router = at_twenty(&world).await;
    assert!(
        hosts(&world).contains(&json!("10.96.0.4")),
        "{:?}",
        hosts(&world)
    );
    let alias = json!({"type": "ExternalName", "externalName": "reviews.shop.svc.cluster.local"});
    put_service(&world, "alias", &alias);
    let host = json!("alias.shop.svc.cluster.local");
    world
        .until("the alias is a host", |world| hosts(world).contains(&host))
        .await;
    world
        .server
        .store()
        .delete(&testbed::apiserver::ObjectRef::new(
            "services", "shop", "alias",
        ))
        .unwrap();
    world
        .until("the alias has gone", |world| !hosts(world).contains(&host))
        .await;
}

#[tokio::test]
async fn a_port_whose_protocol_is_taken_back_makes_any_host_one() {
    let world = World::new().await;
    let service =
        |name: &str| json!({"clusterIPs": ["10.96.0.4"], "ports": [{"name": name, "port": 80}]});
    put_service(&world, "reviews", &service("http"));
    let _router = at_twenty(&world).await;
    put_service(&world, "reviews", &service("web"));
    world
        .until("any host", |world| hosts(world) == [json!("*")])
        .await;
}
