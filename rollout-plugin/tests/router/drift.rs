//! What others change is put right without a call.

use std::time::Duration;

use argo_rollouts::{SetWeightAndVerifyWeightArgs, TrafficRouter};
use rollout_plugin::reconciler::Timing;
use serde_json::{Value, json};
use testbed::apiserver::{ObjectRef, Verb};

use crate::world::{World, at, at_twenty, bring_to_twenty, lead_for_long, told};

/// One change by somebody else.
type Drift = fn(&World);

#[tokio::test]
async fn every_kind_of_drift_is_put_right() {
    let world = World::new().await;
    let users_own = world.spec("virtualservices");
    let _router = at_twenty(&world).await;
    let good = world.specs();
    assert_eq!(world.canary_weight(), 20);
    let drifts: [(&str, Drift); 8] = [
        ("weights", |world| {
            let mut spec = world.spec("virtualservices");
            for route in spec["http"].as_array_mut().unwrap() {
                if route["name"] == "primary" {
                    route["route"][0]["weight"] = json!(0);
                    route["route"][1]["weight"] = json!(100);
                }
            }
            world.put_spec("virtualservices", &spec);
        }),
        ("a lane route deleted", |world| {
            let mut spec = world.spec("virtualservices");
            let http = spec["http"].as_array_mut().unwrap();
            http.retain(|route| route["name"] != "serin-shop.reviews.canary");
            world.put_spec("virtualservices", &spec);
        }),
        ("a lane route edited", |world| {
            let mut spec = world.spec("virtualservices");
            for route in spec["http"].as_array_mut().unwrap() {
                if route["name"] == "serin-shop.reviews.canary" {
                    route["timeout"] = json!("1s");
                }
            }
            world.put_spec("virtualservices", &spec);
        }),
        ("a subset's hash edited", |world| {
            let mut spec = world.spec("destinationrules");
            spec["subsets"][0]["labels"]["rollouts-pod-template-hash"] = json!("s1");
            world.put_spec("destinationrules", &spec);
        }),
        ("the subsets' hashes stripped", |world| {
            let mut spec = world.spec("destinationrules");
            for subset in spec["subsets"].as_array_mut().unwrap() {
                let labels = subset["labels"].as_object_mut().unwrap();
                labels.remove("rollouts-pod-template-hash");
            }
            world.put_spec("destinationrules", &spec);
        }),
        ("the policy deleted", |world| {
            let gone = json!({"spec": {"pluginConfig": {"rollouts": {"shop/reviews": null}}}});
            world.patch("wasmplugins", &gone);
        }),
        ("a rule deleted", |world| {
            let gone =
                json!({"spec": {"pluginConfig": {"rollouts": {"shop/reviews": {"rules": []}}}}});
            world.patch("wasmplugins", &gone);
        }),
        ("the WasmPlugin deleted and made again", |world| {
            let store = world.server.store();
            let mut object = store.get(&at("wasmplugins")).unwrap();
            store.delete(&at("wasmplugins")).unwrap();
            let policies = object["spec"]["pluginConfig"]["rollouts"]
                .as_object_mut()
                .unwrap();
            policies.remove("shop/reviews");
            store.put(object).unwrap();
        }),
    ];
    for (what, drift) in drifts {
        drift(&world);
        world.restored(what, &good).await;
        world.settled().await;
    }

    // A GitOps tool applies the user's manifest again, with a change of the user's.
    let mut applied = users_own.clone();
    applied["http"][1]["timeout"] = json!("7s");
    world.put_spec("virtualservices", &applied);
    world
        .until("a sync", |world| {
            let http = world.spec("virtualservices")["http"].clone();
            let named = |name: &str| {
                let mut routes = http.as_array().unwrap().iter();
                routes.find(|route| route["name"] == name).cloned()
            };
            world.canary_weight() == 20
                && named("primary").unwrap()["timeout"] == "7s"
                && named("serin-shop.reviews.canary").is_some_and(|lane| lane["timeout"] == "7s")
        })
        .await;
}

#[tokio::test]
async fn what_the_user_changes_is_left_alone() {
    let world = World::new().await;
    let _router = at_twenty(&world).await;
    let mut spec = world.spec("virtualservices");
    spec["hosts"] = json!(["reviews"]);
    spec["http"][0]["timeout"] = json!("9s");
    spec["x-more"] = json!({"a": [1]});
    world.put_spec("virtualservices", &spec);
    let mut rule = world.spec("destinationrules");
    rule["trafficPolicy"] = json!({"loadBalancer": {"simple": "ROUND_ROBIN"}});
    rule["subsets"][0]["labels"]["mine"] = json!("1");
    world.put_spec("destinationrules", &rule);
    world.patch(
        "wasmplugins",
        &json!({"spec": {"phase": "AUTHN", "pluginConfig": {"rollouts": {"shop/other": {"hosts": ["b"]}}}}}),
    );
    assert_eq!(world.settled().await, []);
}

#[tokio::test]
async fn a_canary_that_loses_its_pods_loses_its_lanes_until_they_are_back() {
    let world = World::new().await;
    let _router = at_twenty(&world).await;
    let good = world.specs();
    let canary = ObjectRef::new("replicasets", "shop", "reviews-c2");
    let available = |count: i32| {
        let store = world.server.store();
        let mut object = store.get(&canary).unwrap();
        object["status"]["availableReplicas"] = json!(count);
        store.put(object).unwrap();
    };
    available(0);
    world
        .until("lanes go", |world| {
            let http = world.spec("virtualservices")["http"].clone();
            let names = http.as_array().unwrap().iter();
            let mut names = names.map(|route| route["name"].as_str().unwrap());
            world.policy().is_null() && !names.any(|name| name.starts_with("serin-"))
        })
        .await;
    assert_eq!(
        world.writes(),
        [
            "destinationrules 200",
            "wasmplugins 200",
            "virtualservices 200"
        ]
    );
    // Its share stays, and meets stable pods meanwhile.
    assert_eq!(world.canary_weight(), 20);
    available(2);
    world.restored("lanes come back", &good).await;
    // A canary that crashes over and over is nobody's quarrel: each time is put right at once.
    for _ in 0..5 {
        available(0);
        world
            .until("lanes go again", |world| world.policy().is_null())
            .await;
        world.settled().await;
        available(2);
        world.restored("lanes come back again", &good).await;
        let requests = world.settled().await;
        assert!(requests.iter().all(|request| request.resource != "events"));
    }
}

#[tokio::test]
async fn a_canary_that_is_scaled_to_nothing_loses_its_lanes_before_its_pods_are_gone() {
    let world = World::new().await;
    let _router = at_twenty(&world).await;
    let canary = ObjectRef::new("replicasets", "shop", "reviews-c2");
    let store = world.server.store();
    let mut object = store.get(&canary).unwrap();
    assert_ne!(object["status"]["availableReplicas"], 0);
    object["spec"]["replicas"] = json!(0);
    store.put(object).unwrap();
    world
        .until("lanes go", |world| world.policy().is_null())
        .await;
    // Its status is as it was.
    let left = store.get(&canary).unwrap();
    assert_ne!(left["status"]["availableReplicas"], 0);
}

/// istiod pushes 100 ms after the last change: what a sync undoes waits neither for more changes nor for a pause between
/// calls, and a repair asks nothing before it writes.
#[tokio::test]
async fn what_a_sync_undoes_is_the_next_thing_that_is_written() {
    let world = World::new().await;
    let users_own = world.specs();
    lead_for_long(&world);
    let rollout = world.put_rollout(2, 20, &json!({}));
    world.put_other();
    let patient = Timing {
        debounce: Duration::from_mins(1),
        quiet: Duration::from_mins(1),
        ..Timing::default()
    };
    let router = world.keeper_with(patient).await;
    bring_to_twenty(&router, &rollout).await;
    world.settled().await;
    let good = world.specs();
    for (index, resource) in ["virtualservices", "destinationrules", "wasmplugins"]
        .into_iter()
        .enumerate()
    {
        world.put_spec(resource, &users_own[index]);
        world.restored(resource, &good).await;
        let requests = world.settled().await;
        let requests: Vec<String> = requests.iter().map(told).collect();
        let namespace = &at(resource).namespace;
        let name = &at(resource).name;
        let patch = format!("patch {resource} {namespace}/{name}");
        assert_eq!(requests, [patch], "after {resource}");
    }
    // All at once: subsets first, then routes and policy.
    for (index, resource) in ["virtualservices", "destinationrules", "wasmplugins"]
        .into_iter()
        .enumerate()
    {
        world.put_spec(resource, &users_own[index]);
    }
    world.restored("all of them", &good).await;
    world.settled().await;
    let canary = ObjectRef::new("replicasets", "shop", "reviews-c2");
    let mut object = world.server.store().get(&canary).unwrap();
    object["status"]["availableReplicas"] = json!(0);
    world.server.store().put(object).unwrap();
    world
        .until("lanes go", |world| world.policy().is_null())
        .await;
}

/// Whoever syncs is no quarrel, however often: each sync is put right before the next one comes.
#[tokio::test]
async fn every_one_of_many_syncs_is_put_right_at_once() {
    let world = World::new().await;
    let users_own = world.specs();
    let _router = at_twenty(&world).await;
    let good = world.specs();
    for sync in 0..8 {
        world.put_spec("destinationrules", &users_own[1]);
        world.put_spec("virtualservices", &users_own[0]);
        world.restored(&format!("sync {sync}"), &good).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let requests = world.settled().await;
    let events: Vec<&Value> = requests
        .iter()
        .filter(|request| request.resource == "events")
        .map(|request| &request.body["reason"])
        .collect();
    // One for each object.
    assert_eq!(events, ["DriftContested", "DriftContested"]);
}

#[tokio::test]
async fn a_restarted_plugin_repairs_before_the_first_call() {
    let world = World::new().await;
    let router = at_twenty(&world).await;
    let good = world.specs();
    drop(router);
    let mut rule = world.spec("destinationrules");
    rule["subsets"][0]["labels"]["rollouts-pod-template-hash"] = json!("s1");
    world.put_spec("destinationrules", &rule);
    let mut spec = world.spec("virtualservices");
    for route in spec["http"].as_array_mut().unwrap() {
        if route["name"] == "primary" {
            route["route"][1]["weight"] = json!(77);
        }
    }
    world.put_spec("virtualservices", &spec);
    let _router = world.keeper().await;
    world.restored("a restart", &good).await;
}

#[tokio::test]
async fn a_fighting_writer_gets_few_repairs_and_one_warning() {
    let world = World::new().await;
    let _router = at_twenty(&world).await;
    let mut other = world.spec("virtualservices");
    for route in other["http"].as_array_mut().unwrap() {
        if route["name"] == "primary" {
            route["route"][1]["weight"] = json!(99);
        }
    }
    world.server.take_requests();
    let mut reverts = 0;
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        if world.canary_weight() != 99 {
            world.put_spec("virtualservices", &other);
            reverts += 1;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // At once three times, then after 1, 2 and 4 seconds.
    assert!((4..=6).contains(&reverts), "{reverts}");
    let requests = world.server.requests();
    let writes = requests
        .iter()
        .filter(|request| request.verb == Verb::Patch)
        .count();
    assert!(writes <= reverts + 1, "{:?}", world.writes());
    let events: Vec<&Value> = requests
        .iter()
        .filter(|request| request.resource == "events")
        .map(|request| &request.body)
        .collect();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["reason"], "DriftContested");
    assert_eq!(events[0]["involvedObject"]["name"], "reviews");
    let message = events[0]["message"].as_str().unwrap();
    assert!(
        message
            .starts_with("VirtualService shop/reviews: another writer keeps changing spec/http/"),
        "{message}"
    );
    assert!(
        message.contains("exempt these fields in that tool (see docs/gitops.md)"),
        "{message}"
    );
}

#[tokio::test]
async fn calls_that_the_status_lags_behind_are_never_undone() {
    let world = World::new().await;
    let router = at_twenty(&world).await;
    let lagging = world.put_rollout(2, 20, &json!({"metadata": {"labels": {"a": "b"}}}));
    let mut highest = 20;
    for desired in 21..60 {
        let args = SetWeightAndVerifyWeightArgs {
            rollout: lagging.clone(),
            desired_weight: desired,
            ..Default::default()
        };
        router.set_weight(args).await.unwrap();
        // Something of the user's changes all the time, so that repairs are considered.
        let mut spec = world.spec("virtualservices");
        spec["http"][0]["timeout"] = json!(format!("{desired}s"));
        world.put_spec("virtualservices", &spec);
        if desired % 5 == 0 {
            tokio::time::sleep(Duration::from_millis(450)).await;
        }
        let now = world.canary_weight().as_i64().unwrap();
        assert!(now >= highest, "went back from {highest} to {now}");
        highest = now;
    }
    world.settled().await;
    assert_eq!(world.canary_weight(), 59);
    // Drift goes back to the call too, though the status says 20.
    let mut spec = world.spec("virtualservices");
    for route in spec["http"].as_array_mut().unwrap() {
        if route["name"] == "primary" {
            route["route"][1]["weight"] = json!(3);
        }
    }
    world.put_spec("virtualservices", &spec);
    world
        .until("drift", |world| world.canary_weight() == 59)
        .await;
}
