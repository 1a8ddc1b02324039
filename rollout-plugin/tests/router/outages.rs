//! An API server that is away, or that takes writes and never answers.

use argo_rollouts::{TrafficRouter, Verified};
use rollout_plugin::router::IstioRouter;
use serde_json::{Value, json};
use testbed::apiserver::{Action, Fault, Status, Verb};

use crate::world::{World, bring_to_twenty, message, weight};

/// The controller calls InitPlugin once for a process, and goes on after a failure as if there had been none.
#[tokio::test]
async fn a_plugin_that_was_started_without_an_api_server_comes_to_life_with_the_next_call() {
    let world = World::new().await;
    let config = kube::Config::new(world.server.url().parse().unwrap());
    let router = IstioRouter::connecting_to(config, "argo-rollouts".to_owned());
    let away = world.server.faults().add(Fault::new(Action::Drop));
    router.init_plugin().await.unwrap_err();
    let error = router.set_weight(weight(2, 20)).await.unwrap_err();
    assert!(
        message(&error).starts_with("can't list the secrets of namespace argo-rollouts with label"),
        "{}",
        message(&error)
    );
    world.server.faults().remove(away);
    let rollout = world.put_rollout(2, 20, &json!({}));
    world.put_other();
    bring_to_twenty(&router, &rollout).await;
    assert_eq!(
        router.verify_weight(weight(2, 20)).await.unwrap(),
        Verified::Verified
    );
    // It watches too.
    world.settled().await;
    let gone = json!({"spec": {"pluginConfig": {"rollouts": {"shop/reviews": null}}}});
    world.patch("wasmplugins", &gone);
    world
        .until("drift", |world| world.policy() != Value::Null)
        .await;
}

/// The way to a validating webhook that is closed looks like this, and calls for one Rollout wait for each other.
#[tokio::test]
async fn writes_that_are_never_answered_are_given_up_soon_and_told_as_such() {
    for (resource, expected) in [
        ("virtualservices", "VirtualService shop/reviews: "),
        ("wasmplugins", "WasmPlugin istio-system/serin: "),
    ] {
        let world = World::new().await;
        let router = world.router();
        router.set_weight(weight(2, 10)).await.unwrap();
        let gone = json!({"spec": {"pluginConfig": {"rollouts": {"shop/reviews": null}}}});
        world.patch("wasmplugins", &gone);
        let fault = Fault::new(Action::Drop)
            .verb(Verb::Patch)
            .resource(resource);
        world.server.faults().add(fault);
        // The watch brings the other change in.
        world.settled().await;
        let error = router.set_weight(weight(2, 30)).await.unwrap_err();
        let expected = format!("{expected}the API server has not told whether it took the change");
        assert!(
            message(&error).starts_with(&expected),
            "{}",
            message(&error)
        );
        let writes = world.writes();
        assert!(writes.len() <= 4, "{writes:?}");
    }
}

#[tokio::test]
async fn what_the_api_server_says_is_told_in_its_own_words() {
    let world = World::new().await;
    let busy = Status {
        code: 500,
        reason: "InternalError",
        message: "etcd is tired".to_owned(),
        details: Value::Null,
    };
    let fault = Fault::new(Action::Refuse(busy)).resource("secrets");
    world.server.faults().add(fault);
    let config = kube::Config::new(world.server.url().parse().unwrap());
    let router = IstioRouter::connecting_to(config, "argo-rollouts".to_owned());
    let error = router.init_plugin().await.unwrap_err();
    assert_eq!(
        message(&error),
        "can't list the secrets of namespace argo-rollouts with label istio.argoproj.io/primary-cluster=true: etcd is tired"
    );
}
