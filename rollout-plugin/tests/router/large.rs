//! VirtualServices with thousands of routes of the user's: what is sent, and that it is taken.

use argo_rollouts::{RemoveManagedRoutesArgs, TrafficRouter};
use serde_json::{Value, json};
use testbed::apiserver::Verb;

use crate::world::{World, bring_to_twenty, hashes, weight_of};

/// Routes that differ in more than their values, so that a patch index by index has many operations for each.
fn routes(count: usize) -> impl Iterator<Item = Value> {
    (0..count).map(|number| {
        let kind = ["prefix", "exact"][number % 2];
        json!({
            "name": format!("r{number}"),
            "match": [{"uri": {kind: format!("/r/{number}")}, "headers": {format!("x-{number}"): {"exact": "1"}}}],
            "route": [{"destination": {"host": format!("h{number}")}}],
        })
    })
}

#[tokio::test]
async fn a_canary_and_its_abort_get_through_while_the_virtual_service_grows() {
    let world = World::new().await;
    let router = world.router();
    let rollout = world.put_rollout(2, 20, &json!({}));
    let grow = |to: usize| {
        let mut spec = world.spec("virtualservices");
        let http = spec["http"].as_array_mut().unwrap();
        http.retain(|route| !route["name"].as_str().unwrap().starts_with('r'));
        http.extend(routes(to));
        world.put_spec("virtualservices", &spec);
        http_names(&world)
    };
    let before = grow(1_900);
    bring_to_twenty(&router, &rollout).await;
    assert_eq!(world.canary_weight(), 20);
    assert_eq!(http_names(&world).len(), before.len() + 2, "two lanes");

    let grown = grow(5_000);
    let aborted = world.put_rollout(2, 20, &json!({"status": {"abort": true}}));
    let removal = RemoveManagedRoutesArgs {
        rollout: aborted.clone(),
    };
    router.remove_managed_routes(removal).await.unwrap();
    router.update_hash(hashes(&aborted)).await.unwrap();
    router.set_weight(weight_of(&aborted, 0)).await.unwrap();
    assert_eq!(world.canary_weight(), 0);
    assert_eq!(http_names(&world).len(), grown.len() - 2, "no lane is left");

    let requests = world.server.take_requests();
    let patches = requests
        .iter()
        .filter(|one| one.verb == Verb::Patch && one.resource == "virtualservices");
    let mut count = 0;
    for patch in patches {
        let operations = patch.body.as_array().unwrap();
        let bytes = patch.body.to_string().len();
        assert!(
            operations.len() <= 20 && bytes <= 4096,
            "{} operations, {bytes} bytes",
            operations.len()
        );
        assert_eq!(patch.status, Some(200));
        count += 1;
    }
    assert!(count >= 4, "lanes and weights, there and back: {count}");
}

fn http_names(world: &World) -> Vec<Value> {
    let spec = world.spec("virtualservices");
    let routes = spec["http"].as_array().unwrap().iter();
    routes.map(|route| route["name"].clone()).collect()
}
