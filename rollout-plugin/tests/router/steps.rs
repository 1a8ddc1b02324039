//! Steps that nobody has carried out set no header and no mirror route.

use argo_rollouts::{Rollout, TrafficRouter};
use serde_json::{Value, json};

use crate::world::{World, hashes, weight_of};

const HEADER: &str = r#"{"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"exact": "1"}}]}}"#;

fn rollout(world: &World, steps: &Value, index: i32, weight: i32) -> Rollout {
    world.put_rollout(
        index,
        weight,
        &json!({"spec": {"strategy": {"canary": {"steps": steps}}}}),
    )
}

#[tokio::test]
async fn a_rollback_within_the_window_and_skipped_steps_move_weights_only() {
    let header: Value = serde_json::from_str(HEADER).unwrap();
    let steps = json!([
        {"setCanaryScale": {"replicas": 1}},
        {"setMirrorRoute": {"name": "shadow", "percentage": 100, "match": [{"path": {"prefix": "/"}}]}},
        header,
        {"setWeight": 20},
        {"pause": {}},
    ]);
    for index in [5, 7] {
        let world = World::new().await;
        let router = world.router();
        let rollout = rollout(&world, &steps, index, 0);
        router.update_hash(hashes(&rollout)).await.unwrap();
        router.set_weight(weight_of(&rollout, 100)).await.unwrap();
        assert_eq!(world.canary_weight(), 100);
        assert_eq!(world.policy(), Value::Null);
        let http = world.spec("virtualservices")["http"].clone();
        assert_eq!(http.as_array().unwrap().len(), 2, "{http}");
    }
}

#[tokio::test]
async fn a_header_step_that_was_skipped_sets_no_route_and_one_that_ran_stays() {
    let header: Value = serde_json::from_str(HEADER).unwrap();
    let steps = json!([{"setWeight": 10}, header, {"setWeight": 20}, {"pause": {}}]);
    for (seen, has_route) in [(vec![0, 2], false), (vec![0, 1, 2], true)] {
        let world = World::new().await;
        let router = world.router();
        for index in seen {
            let rollout = rollout(&world, &steps, index, 10);
            router.update_hash(hashes(&rollout)).await.unwrap();
            let weight = if index == 2 { 20 } else { 10 };
            router
                .set_weight(weight_of(&rollout, weight))
                .await
                .unwrap();
        }
        assert_eq!(!world.policy().is_null(), has_route);
        assert_eq!(world.canary_weight(), 20);
    }
}
