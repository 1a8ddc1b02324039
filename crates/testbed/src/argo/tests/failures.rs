//! A plugin that ends or falls silent, a reconciliation that panics, and a controller that is killed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{LIMIT, World};
use crate::argo::Patience;

/// Long enough for a plugin that answers at once.
const SHORT: Patience = Patience {
    interval: Duration::from_millis(200),
    answer: Duration::from_millis(200),
};

fn steps() -> Value {
    json!([{"setWeight": 25}, {"pause": {}}])
}

fn says(world: &World, what: &str) -> bool {
    let log = world.log.lock().unwrap();
    log.iter().any(|line| line.contains(what))
}

#[tokio::test]
async fn a_plugin_that_has_ended_costs_no_reconciliation() {
    let world = World::new(steps(), json!({})).await;
    world.script.ended.store(true, Ordering::SeqCst);
    world.set_image("web:2");
    world.until_paused_at(1).await;
    assert_eq!(world.engine.host().starts(), 2);
    assert_eq!(world.engine.host().process(), Some(2));
    assert_eq!(world.script.alive.load(Ordering::SeqCst), 1);
    assert_eq!(*world.log.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_plugin_that_answers_no_ping_is_started_again() {
    let world = World::with_patience(steps(), json!({}), SHORT).await;
    world.script.silent_before.store(2, Ordering::SeqCst);
    world.set_image("web:2");
    world.until_paused_at(1).await;
    assert!(world.engine.host().starts() >= 2);
    let line = "argo: rollout shop/web: failed to get traffic router plugin serin/istio: unable to start plugin \
                system: could not ping plugin will cleanup process so we can restart it next reconcile (no answer)";
    assert!(says(&world, line), "{:?}", world.log.lock());
    assert_eq!(world.script.alive.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_plugin_that_falls_silent_in_a_call_is_started_again() {
    let world = World::with_patience(steps(), json!({}), SHORT).await;
    *world.script.silenced_by.lock().unwrap() = Some("SetWeight");
    world.set_image("web:2");
    world.until_paused_at(1).await;
    assert!(world.engine.host().starts() >= 2);
    let line = "failed to set weight via plugin: no answer";
    assert!(says(&world, line), "{:?}", world.log.lock());
    assert_eq!(world.script.alive.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_plugin_that_is_not_initialised_in_time_is_started_again() {
    let world = World::with_patience(steps(), json!({}), SHORT).await;
    *world.script.silenced_by.lock().unwrap() = Some("InitPlugin");
    world.script.ended.store(true, Ordering::SeqCst);
    world.set_image("web:2");
    world.until_paused_at(1).await;
    assert!(world.engine.host().starts() >= 3);
    let line = "unable to initialize plugin via rpc (serin/istio): no answer";
    assert!(says(&world, line), "{:?}", world.log.lock());
    assert_eq!(world.script.alive.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_reconciliation_that_panics_is_told_and_tried_again() {
    let world = World::new(steps(), json!({})).await;
    world.script.panics.store(2, Ordering::SeqCst);
    world.set_image("web:2");
    world.until_paused_at(1).await;
    let line = "argo: rollout shop/web: recovered from panic: scripted";
    assert!(says(&world, line), "{:?}", world.log.lock());
    assert_eq!(world.script.panics.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_controller_that_is_killed_in_a_call() {
    for _ in 0..5 {
        let world = World::new(steps(), json!({})).await;
        *world.script.silenced_by.lock().unwrap() = Some("SetWeight");
        world.set_image("web:2");
        let called = async {
            while world.script.silent_before.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, called).await.unwrap();
        let World { engine, script, .. } = world;
        engine.kill().await;
        assert_eq!(script.alive.load(Ordering::SeqCst), 0);
        assert!(script.ended.load(Ordering::SeqCst));
    }
}
