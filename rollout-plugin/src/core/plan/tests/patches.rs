//! How large the patches are: they depend on what changes, and not on the VirtualService around it.

use std::collections::BTreeMap;

use super::*;
use crate::core::diff::spec_patch;
use crate::core::rules::RouteStep;

/// One patch: the operations' kinds, and the bytes of all.
type Patch = (Vec<String>, usize);

/// An object in which the user has much else, in `count` entries above, between and below the `managed` ones.
fn among(managed: &[Value], count: usize, other: fn(usize) -> Value) -> Value {
    let share = count / (managed.len() + 1);
    let mut entries = Vec::new();
    for (place, entry) in managed.iter().enumerate() {
        entries.extend((place * share..(place + 1) * share).map(other));
        entries.push(entry.clone());
    }
    entries.extend((managed.len() * share..count).map(other));
    Value::from(entries)
}

fn small_route(number: usize) -> Value {
    json!({
        "name": format!("r{number}"),
        "match": [{"uri": {"prefix": format!("/r/{number}")}}],
        "route": [{"destination": {"host": "other"}}],
    })
}

fn small_tls_route(number: usize) -> Value {
    json!({
        "match": [{"port": 443, "sniHosts": [format!("h{number}.example.com")]}],
        "route": [{"destination": {"host": "other"}, "weight": 100}],
    })
}

fn small_subset(number: usize) -> Value {
    json!({"name": format!("v{number}"), "labels": {"version": number.to_string()}})
}

/// A canary from its first step to `end`, and each patch on the way.
fn canary(observed: &mut Observed, config: &Value, end: &str) -> Vec<Patch> {
    let steps = json!([
        {"setHeaderRoute": {"name": "beta", "match": [{"headerName": "x", "headerValue": {"exact": "1"}}]}},
        {"setMirrorRoute": {"name": "shadow", "match": [{"method": {"exact": "GET"}}]}},
        {"setWeight": 20},
    ]);
    let at = |status: Value| {
        rollout(json!({
            "spec": {"strategy": {"canary": {"steps": steps, "trafficRouting": {"plugins": {"serin/istio": config}}}}},
            "status": status,
        }))
    };
    let (first, second, third) = (
        at(json!({"currentStepIndex": 0})),
        at(json!({"currentStepIndex": 1})),
        at(json!({"currentStepIndex": 2})),
    );
    let ended = match end {
        "aborted" => at(json!({"currentStepIndex": 0, "abort": true})),
        _ => at(json!({"currentStepIndex": 3, "stableRS": "c2"})),
    };
    let steps = &second.spec.strategy.canary.as_ref().unwrap().steps;
    let mirror = steps[1].set_mirror_route.as_ref().unwrap();
    let trial = [WeightDestination {
        weight: 10,
        service_name: "trial".to_owned(),
        pod_template_hash: "t1".to_owned(),
    }];
    let with_trial = Call::SetWeight(Weights {
        canary: 20,
        additional: &trial,
    });
    let stable = &*ended.status.stable_rs;
    let calls = [
        (&first, set_weight(0)),
        (&first, header_step(&first)),
        (&second, Call::SetRoute(RouteStep::Mirror(mirror))),
        (&third, update_hash("c2", "s1")),
        (&third, set_weight(20)),
        (&third, with_trial),
        (&third, set_weight(20)),
        (&ended, Call::RemoveManagedRoutes),
        (&ended, update_hash("c2", stable)),
        (&ended, set_weight(0)),
    ];
    let mut patches = Vec::new();
    for (rollout, call) in calls {
        let routing = Routing::of(rollout).unwrap();
        while let Some(write) = writes(rollout, &routing, observed, call)
            .unwrap()
            .into_iter()
            .next()
        {
            if let Write::Spec { object, spec } = &write {
                let operations = serde_json::to_value(spec_patch(object, spec)).unwrap();
                let kinds = operations.as_array().unwrap().iter();
                let kinds = kinds.map(|operation| operation["op"].as_str().unwrap().to_owned());
                patches.push((kinds.collect(), operations.to_string().len()));
            }
            carry_out(write, observed);
        }
    }
    patches
}

/// The kinds of VirtualServices that a Rollout can have, each with `count` small entries of the user's.
fn worlds(count: usize) -> BTreeMap<&'static str, (Observed, Value)> {
    let second = primary(json!({"name": "second", "match": [{"uri": {"prefix": "/2"}}]}));
    let unnamed = |sni: &str| {
        let mut route = primary(json!({"name": null, "match": [{"port": 443, "sniHosts": [sni]}]}));
        route.as_object_mut().unwrap().remove("timeout");
        route
    };
    let one = json!([primary(json!({}))]);
    let all = |http: &Value| observed(http.clone());
    let with = |protocol: &str, routes: Value| {
        let mut observed = all(&one);
        let service = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
        service.spec[protocol] = routes;
        observed
    };
    let mut subsets = all(&one);
    let rule = Arc::make_mut(subsets.destination_rule.as_mut().unwrap());
    let own = rule.spec["subsets"].as_array().unwrap().clone();
    rule.spec["subsets"] = among(&own, count, small_subset);

    let http = |managed: &[Value]| all(&among(managed, count, small_route));
    let tls = json!([{"port": 443, "sniHosts": ["a"]}, {"port": 443, "sniHosts": ["b"]}]);
    let keys = json!({"keys": [{"header": "x-user"}]});
    BTreeMap::from([
        ("one route", (http(&[primary(json!({}))]), json!({}))),
        (
            "two routes",
            (
                http(&[second, primary(json!({}))]),
                json!({"virtualService": {"routes": ["primary", "second"]}}),
            ),
        ),
        (
            "sticky users",
            (http(&[primary(json!({}))]), json!({"sticky": keys})),
        ),
        (
            "TLS routes",
            (
                with(
                    "tls",
                    among(&[unnamed("a"), unnamed("b")], count, small_tls_route),
                ),
                json!({"virtualService": {"tlsRoutes": tls}}),
            ),
        ),
        ("subsets", (subsets, json!({}))),
    ])
}

#[test]
fn patches_are_as_large_as_the_change_whatever_the_objects_size() {
    for (end, count, only) in [
        ("aborted", 5_000, Some("sticky users")),
        ("aborted", 500, None),
        ("promoted", 500, None),
    ] {
        let mut large = worlds(count);
        for (name, (mut small, config)) in worlds(5) {
            if only.is_some_and(|only| only != name) {
                continue;
            }
            let what = format!("{name} among {count}, {end}");
            let (large, _) = large.get_mut(name).unwrap();
            let few = canary(&mut small, &config, end);
            let many = canary(large, &config, end);
            let kinds = |patches: &[Patch]| -> Vec<_> {
                patches.iter().map(|(kinds, _)| kinds.clone()).collect()
            };
            assert_eq!(kinds(&many), kinds(&few), "{what}");
            for ((kinds, bytes), (_, fewer)) in many.iter().zip(&few) {
                // An index has three digits more.
                assert!(*bytes <= fewer + 3 * kinds.len(), "{what}: {bytes}");
                assert!(
                    kinds.len() <= 20 && *bytes <= 4096,
                    "{what}: {bytes} {kinds:?}"
                );
            }
        }
    }
}

#[test]
fn on_the_way_back_weights_come_first_and_alone() {
    let spec_writes = |rollout: &Rollout, observed: &Observed| -> Vec<Vec<String>> {
        let routing = Routing::of(rollout).unwrap();
        let pending = writes(rollout, &routing, observed, set_weight(0)).unwrap();
        let patches = pending.iter().filter_map(|write| match write {
            Write::Spec { object, spec } => Some(spec_patch(object, spec)),
            Write::Policy { .. } => None,
        });
        let paths = |patch: Vec<json_patch::PatchOperation>| {
            patch.iter().map(|one| one.path().to_string()).collect()
        };
        patches.map(paths).collect()
    };
    for sticky in [Value::Null, json!({"keys": [{"header": "x-user"}]})] {
        let plugin = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": {"sticky": sticky}}}}}}});
        let at = |status: Value| {
            let mut change = plugin.clone();
            change["status"] = status;
            with_steps(change)
        };
        let going = at(json!({"currentStepIndex": 1}));
        let mut twenty = observed(json!([small_route(1), primary(json!({}))]));
        settle(&going, &mut twenty, set_weight(20)).unwrap();
        // Somebody has edited the managed route, so its lane routes are behind, and has put a route of the built-in's back.
        let spec = &mut Arc::make_mut(twenty.virtual_services[0].as_mut().unwrap()).spec;
        let routes = spec["http"].as_array_mut().unwrap();
        routes.last_mut().unwrap()["timeout"] = json!("9s");
        routes.insert(0, json!({"name": "beta", "route": [{"destination": {"host": "reviews", "subset": "canary"}}]}));
        let managed = routes.len() - 1;
        let weights = [0, 1].map(|side| format!("/spec/http/{managed}/route/{side}/weight"));

        for status in [
            json!({"currentStepIndex": 0, "abort": true}),
            json!({"currentStepIndex": 1, "stableRS": "c2"}),
            json!({"currentStepIndex": 1, "currentPodHash": "s1"}),
        ] {
            let rollout = at(status.clone());
            let patches = spec_writes(&rollout, &twenty);
            assert_eq!(patches[0], weights, "{sticky} {status}");
            let mut ended = twenty.clone();
            settle(&rollout, &mut ended, set_weight(0)).unwrap();
            settle(&rollout, &mut ended, Call::RemoveManagedRoutes).unwrap();
            let left = &ended.virtual_services[0].as_ref().unwrap().spec["http"];
            assert_eq!(left.as_array().unwrap().len(), 2, "{sticky} {status}");
        }
    }
}
