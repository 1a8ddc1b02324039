//! What a user is told, and that nothing has changed then.

use argo_rollouts::{
    RemoveManagedRoutesArgs, SetHeaderArgs, SetHeaderRoute, TrafficRouter, WeightDestination,
};
use rollout_plugin::router::{CallError, IstioRouter};
use serde_json::json;
use testbed::apiserver::{Action, Fault, ObjectRef, Verb};

use crate::world::{World, at, header, message, rollout, weight, weight_of};

#[tokio::test]
async fn a_policy_that_may_not_be_written_leaves_everything_as_it_was() {
    let world = World::new().await;
    let before = world.specs();
    world.server.faults().add(
        Fault::new(Action::Forbid)
            .verb(Verb::Patch)
            .resource("wasmplugins"),
    );
    let error = world
        .router()
        .set_header_route(header(0))
        .await
        .unwrap_err();
    assert_eq!(
        message(&error),
        r#"no permission to patch wasmplugins.extensions.istio.io in namespace istio-system: grant it to the service account of the Argo Rollouts controller (manifests/base/rbac.yaml): wasmplugins.extensions.istio.io "serin" is forbidden: User "system:serviceaccount:testbed:testbed" cannot patch resource "wasmplugins" in API group "extensions.istio.io" in the namespace "istio-system""#
    );
    assert_eq!(world.specs(), before);
}

#[tokio::test]
async fn what_can_not_be_read_is_named_and_nothing_is_written() {
    for (action, resource, expected) in [
        (
            Action::Forbid,
            "virtualservices",
            "no permission to get, list and watch virtualservices.networking.istio.io in namespace shop: grant it",
        ),
        (
            Action::Drop,
            "destinationrules",
            "can't read destinationrules.networking.istio.io of namespace shop: client error (SendRequest): ",
        ),
    ] {
        let world = World::new().await;
        let before = world.specs();
        world
            .server
            .faults()
            .add(Fault::new(action).verb(Verb::List).resource(resource));
        let error = world
            .router()
            .set_header_route(header(0))
            .await
            .unwrap_err();
        assert!(message(&error).starts_with(expected), "{}", message(&error));
        assert_eq!(world.specs(), before);
    }
}

#[tokio::test]
async fn a_missing_crd_is_named() {
    let world = World::new().await;
    let before = world.spec("virtualservices");
    world.server.store().unserve("wasmplugins").unwrap();
    let error = world
        .router()
        .set_header_route(header(0))
        .await
        .unwrap_err();
    assert_eq!(
        message(&error),
        "the API server doesn't serve WasmPlugin of extensions.istio.io/v1alpha1: install the CRDs of Istio 1.22 or newer"
    );
    assert_eq!(world.spec("virtualservices"), before);
}

#[tokio::test]
async fn a_missing_wasm_plugin_is_an_error_for_header_routes_only() {
    let world = World::new().await;
    world
        .server
        .store()
        .delete(&ObjectRef::new("wasmplugins", "istio-system", "serin"))
        .unwrap();
    let before = world.spec("virtualservices");
    let error = world
        .router()
        .set_header_route(header(0))
        .await
        .unwrap_err();
    assert_eq!(
        message(&error),
        r#"WasmPlugin istio-system/serin: not found; create it or correct spec.strategy.canary.trafficRouting.plugins["serin/istio"].wasmPlugin of rollout shop/reviews"#
    );
    assert_eq!(world.spec("virtualservices"), before);
    assert_eq!(world.writes(), [""; 0]);
    let removal = RemoveManagedRoutesArgs {
        rollout: rollout(0),
    };
    world.router().remove_managed_routes(removal).await.unwrap();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let world = World::new().await;
    let mut args = weight(2, 20);
    args.additional_destinations = vec![WeightDestination {
        weight: -5,
        service_name: "trial".into(),
        ..Default::default()
    }];
    assert_eq!(
        message(&world.router().set_weight(args).await.unwrap_err()),
        r#"rollout shop/reviews: the weight of the experiment's service "trial": found -5, expected a number from 0 to 100"#
    );
    let unknown = SetHeaderRoute {
        name: "gamma".into(),
        ..Default::default()
    };
    let args = SetHeaderArgs {
        set_header_route: unknown,
        ..header(0)
    };
    assert!(
        message(&world.router().set_header_route(args).await.unwrap_err())
            .contains(r#"found "gamma""#)
    );
    assert!(matches!(
        IstioRouter::new()
            .set_weight(weight(2, 20))
            .await
            .unwrap_err(),
        CallError::NotInitialized
    ));
    assert_eq!(world.writes(), [""; 0]);
}

/// A canary must not get as far as the step that would need it, with requests under way.
#[tokio::test]
async fn what_a_later_step_needs_is_checked_by_the_first_call() {
    let world = World::new().await;
    let config = json!({"spec": {"strategy": {"canary": {
        "steps": [{"setWeight": 20}, rollout(0).canary().unwrap().steps[0]],
        "trafficRouting": {"plugins": {"serin/istio": {
            "routes": {"beta": {"match": [{"path": {"regex": "/a("}}]}},
        }}},
    }}}});
    let bad = world.put_rollout(0, 0, &config);
    let router = world.router();
    world.server.take_requests();
    let error = router.set_weight(weight_of(&bad, 0)).await.unwrap_err();
    assert_eq!(
        message(&error),
        r#"rollout shop/reviews: spec.strategy.canary.trafficRouting.plugins["serin/istio"].routes["beta"].match[0].path.regex: "/a(" is no regular expression: found open group without closing ')'"#
    );
    assert_eq!(world.server.take_requests(), []);
    // On the way to the canary it is told again and again, but nothing of it holds up the way back.
    let config = json!({"spec": bad.spec});
    let at_twenty = world.put_rollout(0, 20, &config);
    assert!(router.set_weight(weight_of(&at_twenty, 30)).await.is_err());
    assert!(router.set_weight(weight_of(&at_twenty, 20)).await.is_err());
    router.set_weight(weight_of(&at_twenty, 0)).await.unwrap();
    let aborted = world.put_rollout(1, 20, &json!({"status": {"abort": true}}));
    router.set_weight(weight_of(&aborted, 0)).await.unwrap();
}

#[tokio::test]
async fn keys_of_the_edge_that_a_later_step_needs_are_refused_in_the_mesh_by_the_first_call() {
    let world = World::new().await;
    let keys = json!({"spec": {"strategy": {"canary": {
        "steps": [{"setWeight": 20}, rollout(0).canary().unwrap().steps[0]],
        "trafficRouting": {"plugins": {"serin/istio": {
            "routes": {"beta": {"percent": 50, "keys": [{"sourceAddress": true}]}},
        }}},
    }}}});
    let first = world.put_rollout(0, 0, &keys);
    let router = world.router();
    assert_eq!(
        message(&router.set_weight(weight_of(&first, 0)).await.unwrap_err()),
        "VirtualService shop/reviews: spec.gateways: found nothing, which means the mesh, expected no gateway but those at an edge: sourceAddress in the plugin's keys means nothing elsewhere"
    );
    assert_eq!(world.writes(), [""; 0]);
    world.patch("virtualservices", &json!({"spec": {"gateways": ["edge"]}}));
    world
        .router()
        .set_weight(weight_of(&first, 0))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_second_route_of_a_managed_name_is_warned_of_once() {
    let world = World::new().await;
    let mut spec = world.spec("virtualservices");
    let mut second = spec["http"][1].clone();
    second["match"] = json!([{"uri": {"prefix": "/v2"}}]);
    spec["http"].as_array_mut().unwrap().insert(1, second);
    world.put_spec("virtualservices", &spec);
    let router = world.router();
    let rollout = world.put_rollout(2, 0, &json!({}));
    for desired in [10, 20, 20] {
        router
            .set_weight(weight_of(&rollout, desired))
            .await
            .unwrap();
    }
    let aborted = world.put_rollout(2, 20, &json!({"status": {"abort": true}}));
    router.set_weight(weight_of(&aborted, 0)).await.unwrap();
    let requests = world.settled().await;
    let events: Vec<_> = requests
        .iter()
        .filter(|request| request.resource == "events")
        .map(|request| (&request.body["reason"], &request.body["message"]))
        .collect();
    assert_eq!(
        events,
        [(
            &json!("DuplicateRouteName"),
            &json!(
                r#"VirtualService shop/reviews: spec.http[].name: found "primary" 2 times, expected one route of that name: only the first gets the canary's weight and lanes; name the others otherwise, and list in spec.strategy.canary.trafficRouting.plugins["serin/istio"].virtualService.routes those that belong to the canary too"#
            )
        )]
    );
}

/// Weight first, then the header step, which is all that needs more than a VirtualService.
fn header_later() -> serde_json::Value {
    json!({"spec": {"strategy": {"canary": {
        "steps": [{"setWeight": 20}, {"pause": {}}, rollout(0).canary().unwrap().steps[0]],
    }}}})
}

#[tokio::test]
async fn objects_that_a_later_step_needs_are_missed_by_the_first_call() {
    for (change, expected) in [
        (None, "WasmPlugin istio-system/serin: not found"),
        (
            Some(json!({"spec": {"hosts": null}})),
            "VirtualService shop/reviews: spec.hosts: found nothing, expected hosts, or another VirtualService",
        ),
        (
            Some(
                json!({"spec": {"http": null, "tls": [{"match": [{"sniHosts": ["reviews"]}], "route": [
                    {"destination": {"host": "reviews", "subset": "stable"}, "weight": 100},
                    {"destination": {"host": "reviews", "subset": "canary"}, "weight": 0},
                ]}]}}),
            ),
            "VirtualService shop/reviews: spec.http: found nothing, expected at least one HTTP route",
        ),
    ] {
        let world = World::new().await;
        match &change {
            Some(change) => world.patch("virtualservices", change),
            None => drop(world.server.store().delete(&at("wasmplugins")).unwrap()),
        }
        let first = world.put_rollout(0, 0, &header_later());
        let router = world.router();
        let error = router.set_weight(weight_of(&first, 0)).await.unwrap_err();
        assert!(message(&error).starts_with(expected), "{}", message(&error));
        assert_eq!(world.writes(), [""; 0]);
        // A weighted canary asks for nothing of it; an abort gets through.
        let steps = json!({"spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}]}}}});
        let weighted = world.put_rollout(0, 0, &steps);
        router.set_weight(weight_of(&weighted, 20)).await.unwrap();
        let aborted = json!({"spec": header_later()["spec"], "status": {"abort": true}});
        let aborted = world.put_rollout(0, 20, &aborted);
        let removal = RemoveManagedRoutesArgs {
            rollout: aborted.clone(),
        };
        router.remove_managed_routes(removal).await.unwrap();
        router.set_weight(weight_of(&aborted, 0)).await.unwrap();
    }
}

#[tokio::test]
async fn a_policy_that_a_later_step_could_not_write_is_refused_at_the_first_call() {
    let world = World::new().await;
    world.server.faults().add(
        Fault::new(Action::Forbid)
            .verb(Verb::Patch)
            .resource("wasmplugins"),
    );
    let first = world.put_rollout(0, 0, &header_later());
    let router = world.router();
    let error = router.set_weight(weight_of(&first, 0)).await.unwrap_err();
    let expected =
        "no permission to patch wasmplugins.extensions.istio.io in namespace istio-system";
    assert!(message(&error).starts_with(expected), "{}", message(&error));
    assert_eq!(world.writes(), ["wasmplugins 403"]);
    world.server.faults().clear();
    // Once is enough for a canary.
    for weight in [0, 0, 20] {
        router.set_weight(weight_of(&first, weight)).await.unwrap();
    }
    assert_eq!(
        world.writes(),
        [
            "wasmplugins 403",
            "wasmplugins 200",
            "destinationrules 200",
            "virtualservices 200"
        ]
    );
}

/// With the route list of the world's VirtualService, its managed route last.
fn with_managed_match(world: &World, entries: &serde_json::Value) {
    let mut spec = world.spec("virtualservices");
    let managed = spec["http"].as_array_mut().unwrap().iter_mut();
    for route in managed.filter(|route| route["name"] == "primary") {
        route["match"] = entries.clone();
    }
    world.put_spec("virtualservices", &spec);
}

#[tokio::test]
async fn a_step_whose_requests_the_managed_route_never_takes_is_refused_at_the_first_call() {
    let world = World::new().await;
    with_managed_match(&world, &json!([{"withoutHeaders": {"x-beta": {}}}]));
    let first = world.put_rollout(0, 0, &header_later());
    let router = world.router();
    let error = router.set_weight(weight_of(&first, 0)).await.unwrap_err();
    let expected = r#"VirtualService shop/reviews: spec.http[1].match[0].withoutHeaders["x-beta"]: found {}, expected what a request of rule "beta" of rollout shop/reviews (spec.strategy.canary.steps[2].setHeaderRoute.match[0]) can satisfy, which asks for header "x-beta" "#;
    assert!(message(&error).starts_with(expected), "{}", message(&error));
    assert_eq!(world.writes(), [""; 0]);
    let aborted = json!({"spec": header_later()["spec"], "status": {"abort": true}});
    let aborted = world.put_rollout(0, 20, &aborted);
    router.set_weight(weight_of(&aborted, 0)).await.unwrap();
    with_managed_match(&world, &json!([]));
    world
        .router()
        .set_weight(weight_of(&first, 0))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_route_above_that_looks_at_a_steps_header_is_warned_of_once() {
    let world = World::new().await;
    let mut spec = world.spec("virtualservices");
    let above = json!({"name": "pinned", "match": [{"headers": {"x-beta": {"prefix": "1"}}, "uri": {"prefix": "/v2"}}],
        "route": [{"destination": {"host": "other"}}]});
    spec["http"].as_array_mut().unwrap().insert(0, above);
    world.put_spec("virtualservices", &spec);
    let first = world.put_rollout(0, 0, &header_later());
    let router = world.router();
    for weight in [0, 0, 20] {
        router.set_weight(weight_of(&first, weight)).await.unwrap();
    }
    let requests = world.settled().await;
    let events = requests
        .iter()
        .filter(|request| request.resource == "events");
    let events: Vec<_> = events
        .map(|request| {
            (
                &request.body["reason"],
                request.body["message"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    let [(reason, message)] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(reason, "RuleShadowed");
    let start = r#"VirtualService shop/reviews: spec.http[0].match[0].headers["x-beta"]: found {prefix: "1"} in route "pinned", above route "primary", expected no route above"#;
    assert!(message.starts_with(start), "{message}");
}
