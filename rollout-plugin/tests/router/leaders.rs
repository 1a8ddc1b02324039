//! Who repairs, where there are several plugins, and where Istio's objects are in another cluster.

use std::time::Duration;

use argo_rollouts::{RemoveManagedRoutesArgs, SetWeightAndVerifyWeightArgs, TrafficRouter};
use rollout_plugin::cluster::{Cluster, connect_with};
use rollout_plugin::router::IstioRouter;
use serde_json::{Value, json};
use testbed::apiserver::{Action, ApiServer, Fault, Request, Verb};

use crate::world::{World, at, at_twenty, bring_to_twenty, lead, lead_for_long, told};

fn drift(world: &World) {
    let gone = json!({"spec": {"pluginConfig": {"rollouts": {"shop/reviews": null}}}});
    world.patch("wasmplugins", &gone);
}

fn is_repaired(world: &World) -> bool {
    !world.policy().is_null()
}

#[tokio::test]
async fn only_the_leaders_plugin_repairs() {
    let world = World::new().await;
    lead(&world, "old");
    let old = at_twenty(&world).await;
    drift(&world);
    world.until("the old one", is_repaired).await;
    world.settled().await;

    lead(&world, "new");
    let new = world.keeper().await;
    world.settled().await;
    for _ in 0..3 {
        drift(&world);
        world.until("the new one", is_repaired).await;
        world.settled().await;
    }
    drop(new);
    drift(&world);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!is_repaired(&world), "the old one has repaired");
    assert!(world.writes().is_empty());

    // Its controller leads again, and calls.
    lead(&world, "old");
    let rollout = world.put_rollout(2, 20, &json!({}));
    bring_to_twenty(&old, &rollout).await;
    assert!(is_repaired(&world));
    world.settled().await;
    drift(&world);
    world.until("the old one again", is_repaired).await;
}

#[tokio::test]
async fn rollouts_of_another_controller_instance_are_left_to_it() {
    let world = World::new().await;
    let labels = json!({"metadata": {"labels": {"argo-rollouts.argoproj.io/controller-instance-id": "blue"}}});
    let rollout = world.put_rollout(2, 20, &labels);
    let router = world.keeper().await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(world.policy(), Value::Null);
    // Once it has called it is ours.
    bring_to_twenty(&router, &rollout).await;
    world.settled().await;
    drift(&world);
    world.until("ours", is_repaired).await;
}

#[tokio::test]
async fn a_lease_that_may_not_be_read_stops_nothing_and_one_that_does_not_answer_does() {
    let world = World::new().await;
    lead(&world, "here");
    let _router = at_twenty(&world).await;
    let faults = world.server.faults();
    let fault = |action| Fault::new(action).verb(Verb::Get).resource("leases");
    let silent = faults.add(fault(Action::Drop));
    drift(&world);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!is_repaired(&world));
    faults.remove(silent);
    faults.add(fault(Action::Forbid));
    // Any change has it looked at again.
    world.patch(
        "wasmplugins",
        &json!({"spec": {"pluginConfig": {"rollouts": {"shop/reviews": {"hosts": ["a"]}}}}}),
    );
    world
        .until("forbidden", |world| world.policy()["rules"].is_array())
        .await;
}

#[tokio::test]
async fn a_lease_is_read_again_when_it_may_be_anothers() {
    let world = World::new().await;
    lead_for_long(&world);
    let _router = at_twenty(&world).await;
    let reads = |requests: Vec<Request>| {
        let of_leases = requests
            .iter()
            .filter(|request| request.resource == "leases");
        of_leases.count()
    };
    let repaired = async |world: &World| {
        drift(world);
        world.until("repaired", is_repaired).await;
        reads(world.settled().await)
    };
    assert_eq!(repaired(&world).await, 0);
    assert_eq!(repaired(&world).await, 0);
    // One that nobody renews is asked for before each write.
    let other = World::new().await;
    lead(&other, "here");
    let _other = at_twenty(&other).await;
    assert_eq!(repaired(&other).await, 1);
    assert_eq!(repaired(&other).await, 1);
}

#[tokio::test]
async fn a_call_does_not_wait_for_a_repair_that_asks_who_leads() {
    let world = World::new().await;
    lead(&world, "here");
    let router = at_twenty(&world).await;
    let silent = Fault::new(Action::Delay(Duration::from_mins(1)))
        .verb(Verb::Get)
        .resource("leases");
    world.server.faults().add(silent);
    drift(&world);
    // The repair has begun by then; requests are told when they have ended.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rollout = world.put_rollout(2, 20, &json!({"status": {"abort": true}}));
    let abort = router.remove_managed_routes(RemoveManagedRoutesArgs { rollout });
    tokio::time::timeout(Duration::from_secs(5), abort)
        .await
        .unwrap()
        .unwrap();
}

/// A secret of that label, whose kubeconfig is `kubeconfig`.
fn primary_cluster(kubeconfig: &str) -> Value {
    let bytes = k8s_openapi::ByteString(kubeconfig.as_bytes().to_vec());
    json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"namespace": "argo-rollouts", "name": "primary", "labels": {"istio.argoproj.io/primary-cluster": "true"}},
        "data": {"mesh": bytes}})
}

#[tokio::test]
async fn with_a_primary_cluster_istios_objects_are_there_and_the_rest_at_home() {
    let home = World::new().await;
    let mesh = World {
        server: ApiServer::start().await.unwrap(),
    };
    for resource in ["virtualservices", "destinationrules", "wasmplugins"] {
        let mut object = home.server.store().get(&at(resource)).unwrap();
        home.server.store().delete(&at(resource)).unwrap();
        let metadata = object["metadata"].clone();
        object["metadata"] = json!({"namespace": metadata["namespace"], "name": metadata["name"]});
        mesh.server.store().put(object).unwrap();
    }
    let secret = primary_cluster(&mesh.server.kubeconfig());
    home.server.store().put(secret).unwrap();
    let rollout = home.put_rollout(2, 20, &json!({}));
    home.put_other();
    let router = home.keeper().await;
    bring_to_twenty(&router, &rollout).await;
    assert_eq!(mesh.canary_weight(), 20);
    home.settled().await;
    mesh.settled().await;
    drift(&mesh);
    mesh.until("drift there", is_repaired).await;
    home.server.store().delete(&at("rollouts")).unwrap();
    mesh.until("removal there", |mesh| mesh.policy().is_null())
        .await;
    mesh.settled().await;
    for request in home.server.requests() {
        assert!(!request.group.contains("istio"), "{}", told(&request));
    }
    for request in mesh.server.requests() {
        assert!(request.group.contains("istio"), "{}", told(&request));
    }
}

#[tokio::test]
async fn a_primary_cluster_that_can_not_be_reached_by_its_secret_is_named() {
    for (kubeconfig, expected) in [
        (
            "clusters: 7",
            r#"secret argo-rollouts/primary (label istio.argoproj.io/primary-cluster=true): data["mesh"] is not a usable kubeconfig"#,
        ),
        (
            "",
            r#"secret argo-rollouts/primary (label istio.argoproj.io/primary-cluster=true): data["mesh"] is not a usable kubeconfig"#,
        ),
    ] {
        let world = World::new().await;
        world
            .server
            .store()
            .put(primary_cluster(kubeconfig))
            .unwrap();
        let config = kube::Config::new(world.server.url().parse().unwrap());
        let error = connect_with(config, "argo-rollouts".to_owned())
            .await
            .err()
            .unwrap();
        assert_eq!(error.to_string(), expected);
    }
}

/// A call works while watches do: a router that only calls needs none of it.
#[tokio::test]
async fn a_call_needs_no_lease() {
    let world = World::new().await;
    let config = kube::Config::new(world.server.url().parse().unwrap());
    let clients = connect_with(config, "argo-rollouts".to_owned())
        .await
        .unwrap();
    let router = IstioRouter::on(Cluster::on(clients));
    let rollout = world.put_rollout(2, 20, &json!({}));
    let args = SetWeightAndVerifyWeightArgs {
        rollout,
        desired_weight: 20,
        ..Default::default()
    };
    router.set_weight(args).await.unwrap();
    let asked = world.server.requests();
    assert!(asked.iter().all(|request| request.resource != "leases"));
}
