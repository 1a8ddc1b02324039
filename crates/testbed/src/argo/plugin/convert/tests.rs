//! Calls as they are sent, against the types that plugins read, and against what Go sent of the same.

use argo_rollouts::{
    RemoveManagedRoutesArgs, Rollout, SetHeaderArgs, SetHeaderRoute, SetMirrorArgs, SetMirrorRoute,
    SetWeightAndVerifyWeightArgs, UpdateHashArgs,
};
use go_gob::{Decoder, Definition, Marshaler, Progress, Shape, TypeId, Types, split_message};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;
use crate::argo::plugin::Call;
use crate::argo::plugin::encoding::Encoding;
use crate::argo::plugin::table::{
    INT_OR_STRING, REMOVE_MANAGED_ROUTES_ARGS, ROLLOUT, SET_HEADER_ARGS, SET_MIRROR_ARGS,
    SET_WEIGHT_AND_VERIFY_WEIGHT_ARGS, UPDATE_HASH_ARGS,
};

/// Streams that Go's net/rpc client wrote (`tests/argo-host`): one request each.
const SMALL: &[u8] =
    include_bytes!("../../../../../argo-rollouts/testdata/calls/set_weight_small.gob");
const LARGE: &[u8] =
    include_bytes!("../../../../../argo-rollouts/testdata/calls/set_weight_large.gob");
const INIT: &[u8] = include_bytes!("../../../../../argo-rollouts/testdata/calls/init_plugin.gob");

/// The header and the arguments of the only request on a stream.
struct Request {
    header: Json,
    arguments: Decoder,
}

fn read(stream: &[u8]) -> Request {
    let mut decoder = Decoder::default();
    let (mut rest, mut header) = (stream, None);
    while let Some((message, after)) = split_message(rest).unwrap() {
        rest = after;
        if decoder.push(message).unwrap() == Progress::Ready && header.is_none() {
            header = Some(decoder.value().unwrap().deserialize().unwrap());
        }
    }
    assert!(rest.is_empty());
    Request {
        header: header.unwrap(),
        arguments: decoder,
    }
}

fn written(call: &Call) -> Request {
    let name = format!("Plugin.{}", call.method());
    let mut encoding = Encoding::default();
    let (number, first) = encoding.request(&name, call.arguments().unwrap()).unwrap();
    assert_eq!(number, 0);
    read(&first)
}

fn arguments<T: DeserializeOwned>(call: &Call, name: &str) -> T {
    let request = written(call);
    let method = format!("Plugin.{}", call.method());
    assert_eq!(request.header, json!({"ServiceMethod": method}));
    let value = request.arguments.value().unwrap();
    assert_eq!(value.interface_name(), Some(name));
    value.deserialize().unwrap()
}

fn metadata() -> Json {
    json!({
        "name": "reviews", "generateName": "rev", "namespace": "shop", "uid": "6f3c", "resourceVersion": "88",
        "generation": 7, "creationTimestamp": "2026-11-02T10:11:12Z", "deletionTimestamp": "1969-12-31T23:59:59Z",
        "deletionGracePeriodSeconds": 30, "labels": {"app": "reviews", "": "é"}, "annotations": {"note": "\"x\""},
        "ownerReferences": [{
            "apiVersion": "v1", "kind": "Thing", "name": "owner", "uid": "1", "controller": true,
            "blockOwnerDeletion": true,
        }],
        "finalizers": ["a/b", "c/d"], "managedFields": [{"manager": "kubectl"}],
    })
}

fn selector() -> Json {
    json!({
        "matchLabels": {"app": "reviews"},
        "matchExpressions": [{"key": "tier", "operator": "In", "values": ["web", "api"]}],
    })
}

fn header_route() -> Json {
    json!({"name": "beta", "match": [
        {"headerName": "x-beta", "headerValue": {"exact": "1", "prefix": "p", "regex": "r.*"}},
    ]})
}

fn mirror_route() -> Json {
    json!({"name": "shadow", "percentage": 35, "match": [{
        "method": {"exact": "GET", "prefix": "G", "regex": "G.."}, "path": {"exact": "/", "prefix": "/", "regex": "/.*"},
        "headers": {"x-a": {"exact": "a", "prefix": "b", "regex": "c"}},
    }]})
}

fn virtual_service() -> Json {
    json!({
        "name": "reviews.shop", "routes": ["primary", "second"],
        "tlsRoutes": [{"port": 443, "sniHosts": ["a.example"]}], "tcpRoutes": [{"port": 3306}],
    })
}

fn step() -> Json {
    json!({
        "setWeight": 20, "pause": {"duration": "10m"},
        "experiment": {
            "templates": [{
                "name": "try", "specRef": "canary", "replicas": 2, "weight": 5, "service": {"name": "svc"},
                "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "selector": selector(),
            }],
            "duration": "1h", "scaleDownDelaySeconds": 4,
        },
        "analysis": {"templates": [{"templateName": "success", "clusterScope": true}]},
        "setCanaryScale": {"weight": 25, "replicas": 3, "matchTrafficWeight": true},
        "setHeaderRoute": header_route(), "setMirrorRoute": mirror_route(),
        "plugin": {"name": "step/plugin", "config": {"a": [1, null, "x", 1.5]}},
    })
}

fn destination(weight: i32) -> Json {
    json!({"weight": weight, "serviceName": "svc", "podTemplateHash": "7c9d5b"})
}

/// Every field that the types read is set to something that is not zero.
fn full() -> Json {
    let pods = json!({"labels": {"role": "canary"}, "annotations": {"a": "b"}});
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": metadata(),
        "spec": {
            "replicas": 5, "selector": selector(), "template": {"metadata": metadata(), "spec": {"containers": []}},
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "scaleDown": "never"},
            "minReadySeconds": 3, "rollbackWindow": {"revisions": 2}, "revisionHistoryLimit": 9, "paused": true,
            "progressDeadlineSeconds": 600, "progressDeadlineAbort": true, "restartAt": "2026-11-02T10:11:12.5+02:00",
            "strategy": {
                "blueGreen": {"activeService": "active", "previewService": "preview"},
                "canary": {
                    "canaryService": "canary", "stableService": "stable",
                    "steps": [step(), step()],
                    "trafficRouting": {
                        "istio": {
                            "virtualService": virtual_service(), "virtualServices": [virtual_service()],
                            "destinationRule": {
                                "name": "reviews", "canarySubsetName": "canary", "stableSubsetName": "stable",
                                "additionalSubsetNames": ["other"],
                            },
                        },
                        "managedRoutes": [{"name": "beta"}, {"name": "shadow"}],
                        "plugins": {"serin/istio": {"sticky": {"keys": [{"header": "x-user"}]}}, "other": [true]},
                        "maxTrafficWeight": 1000,
                    },
                    "maxUnavailable": 1, "maxSurge": "25%", "canaryMetadata": pods, "stableMetadata": pods,
                    "scaleDownDelaySeconds": 30, "scaleDownDelayRevisionLimit": 2, "abortScaleDownDelaySeconds": 31,
                    "dynamicStableScale": true, "pingPong": {"pingService": "ping", "pongService": "pong"},
                    "minPodsPerReplicaSet": 1, "replicaProgressThreshold": {"type": "Percent", "value": 90},
                },
            },
        },
        "status": {
            "abort": true, "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2026-11-02T10:00:00Z"}],
            "controllerPause": true, "abortedAt": "2026-11-02T10:00:01Z", "currentPodHash": "7c9d5b",
            "currentStepHash": "84", "replicas": 6, "updatedReplicas": 1, "readyReplicas": 6, "availableReplicas": 5,
            "currentStepIndex": 1, "collisionCount": 2, "observedGeneration": "7",
            "conditions": [{
                "type": "Available", "status": "True", "lastUpdateTime": "2026-11-02T10:00:02Z",
                "lastTransitionTime": "2026-11-02T10:00:03Z", "reason": "AvailableReason", "message": "is there",
            }],
            "canary": {
                "currentExperiment": "exp", "stablePingPong": "ping",
                "weights": {
                    "canary": destination(20), "stable": destination(75), "additional": [destination(5)],
                    "verified": true,
                },
            },
            "HPAReplicas": 6, "selector": "app=reviews", "stableRS": "5d8f4c", "restartedAt": "2026-11-02T10:00:04Z",
            "promoteFull": true, "phase": "Progressing", "message": "more replicas", "workloadObservedGeneration": "3",
        },
    })
}

/// Asserts that a value made by the types has nothing left at its default.
fn assert_set(path: &str, value: &Json) {
    match value {
        Json::Null | Json::Bool(false) => panic!("{path} is {value}"),
        Json::Number(number) => assert_ne!(number.as_i64(), Some(0), "{path}"),
        Json::String(text) => assert_ne!(text, "", "{path}"),
        Json::Array(list) => {
            assert!(!list.is_empty(), "{path}");
            for (at, value) in list.iter().enumerate() {
                assert_set(&format!("{path}[{at}]"), value);
            }
        }
        Json::Object(map) => {
            assert!(!map.is_empty(), "{path}");
            // A plugin's own configuration is its own.
            for (key, value) in map.iter().filter(|(key, _)| *key != "config") {
                assert_set(&format!("{path}.{key}"), value);
            }
        }
        Json::Bool(true) => {}
    }
}

fn full_as_read() -> Rollout {
    serde_json::from_value(full()).unwrap()
}

#[test]
fn the_full_rollout_is_full() {
    assert_set("", &serde_json::to_value(full_as_read()).unwrap());
}

#[test]
fn each_call_reads_as_what_was_meant() {
    let rollout = full();
    let read: UpdateHashArgs = arguments(
        &Call::UpdateHash {
            rollout: rollout.clone(),
            canary_hash: "7c9d5b".into(),
            stable_hash: "5d8f4c".into(),
        },
        "UpdateHashArgs",
    );
    assert_eq!(read.rollout, full_as_read());
    assert_eq!(
        (&*read.canary_hash, &*read.stable_hash),
        ("7c9d5b", "5d8f4c")
    );
    assert_eq!(read.additional_destinations, []);

    for desired_weight in [37, 0, -1] {
        for call in [
            Call::SetWeight {
                rollout: rollout.clone(),
                desired_weight,
            },
            Call::VerifyWeight {
                rollout: rollout.clone(),
                desired_weight,
            },
        ] {
            let read: SetWeightAndVerifyWeightArgs =
                arguments(&call, "SetWeightAndVerifyWeightArgs");
            assert_eq!(read.rollout, full_as_read());
            assert_eq!(read.desired_weight, desired_weight);
            assert_eq!(read.additional_destinations, []);
        }
    }

    let read: SetHeaderArgs = arguments(
        &Call::SetHeaderRoute {
            rollout: rollout.clone(),
            set_header_route: header_route(),
        },
        "SetHeaderArgs",
    );
    let meant: SetHeaderRoute = serde_json::from_value(header_route()).unwrap();
    assert_eq!(
        (read.rollout, read.set_header_route),
        (full_as_read(), meant)
    );

    let read: SetMirrorArgs = arguments(
        &Call::SetMirrorRoute {
            rollout: rollout.clone(),
            set_mirror_route: mirror_route(),
        },
        "SetMirrorArgs",
    );
    let meant: SetMirrorRoute = serde_json::from_value(mirror_route()).unwrap();
    assert_eq!(
        (read.rollout, read.set_mirror_route),
        (full_as_read(), meant)
    );

    let read: RemoveManagedRoutesArgs = arguments(
        &Call::RemoveManagedRoutes { rollout },
        "RemoveManagedRoutesArgs",
    );
    assert_eq!(read.rollout, full_as_read());
}

#[test]
fn calls_without_arguments_send_a_nil_interface_as_go_does() {
    for (call, method) in [
        (Call::InitPlugin, "Plugin.InitPlugin"),
        (Call::Type, "Plugin.Type"),
    ] {
        let request = written(&call);
        assert_eq!(request.header, json!({"ServiceMethod": method}));
        assert!(request.arguments.value().unwrap().is_nil());
    }
    assert!(read(INIT).arguments.value().unwrap().is_nil());
}

#[test]
fn types_are_defined_once_and_a_failed_request_changes_nothing() {
    let call = Call::RemoveManagedRoutes { rollout: full() };
    let mut encoding = Encoding::default();
    let mut bytes = Vec::new();
    let mut lengths = Vec::new();
    for round in 0..3 {
        let wrong = crate::argo::plugin::encoding::Arguments::Held(&ROLLOUT, Value::Int(1));
        assert!(encoding.request("Plugin.X", wrong).is_err());
        let (number, request) = encoding
            .request("Plugin.RemoveManagedRoutes", call.arguments().unwrap())
            .unwrap();
        assert_eq!(number, round);
        lengths.push(request.len());
        bytes.extend(request);
    }
    assert!(lengths[0] > lengths[1] + 2000, "{lengths:?}");
    assert!(lengths[2] <= lengths[1] + 2, "{lengths:?}");

    // The decoder refuses a second definition of a type.
    let mut decoder = Decoder::default();
    let (mut rest, mut values) = (&bytes[..], 0);
    while let Some((message, after)) = split_message(rest).unwrap() {
        rest = after;
        if decoder.push(message).unwrap() == Progress::Ready {
            values += 1;
        }
    }
    let last: RemoveManagedRoutesArgs = decoder.value().unwrap().deserialize().unwrap();
    assert_eq!((values, last.rollout), (6, full_as_read()));
}

#[test]
fn zeros_and_nil_are_not_sent_and_what_is_empty_but_there_is() {
    for (json, sent) in [
        (json!({}), vec![]),
        (json!({"setWeight": 0, "pause": null}), vec![]),
        (json!({"setWeight": 1}), vec![(0, Value::Int(1))]),
        (json!({"pause": {}}), vec![(1, Value::Struct(vec![]))]),
        (
            json!({"pause": {"duration": 0}}),
            vec![(1, Value::Struct(vec![(0, Value::Struct(vec![]))]))],
        ),
        (
            json!({"pause": {"duration": ""}}),
            vec![(
                1,
                Value::Struct(vec![(0, Value::Struct(vec![(0, Value::Int(1))]))]),
            )],
        ),
    ] {
        assert_eq!(
            structure(&super::super::table::CANARY_STEP, &json),
            Ok(Value::Struct(sent)),
            "{json}"
        );
    }
    let routing = json!({"managedRoutes": [], "plugins": {"a": null, "b": {}}});
    assert_eq!(
        structure(&super::super::table::ROLLOUT_TRAFFIC_ROUTING, &routing),
        Ok(Value::Struct(vec![(
            2,
            Value::Map(vec![
                (Value::string("a"), Value::Bytes(b"null".to_vec())),
                (Value::string("b"), Value::Bytes(b"{}".to_vec())),
            ])
        )]))
    );
    let route = json!({"name": "", "match": [null, {}], "headers": 5});
    assert_eq!(
        structure(&super::super::table::SET_HEADER_ROUTE, &route),
        Ok(Value::Struct(vec![(
            1,
            Value::List(vec![Value::Struct(vec![]), Value::Struct(vec![])])
        )]))
    );
    // Struct fields that are no pointers, and maps without entries.
    let meta = json!({"labels": {}, "annotations": null});
    assert_eq!(
        structure(&super::super::table::POD_TEMPLATE_METADATA, &meta),
        Ok(Value::Struct(vec![(0, Value::Map(vec![]))]))
    );
    assert_eq!(
        structure(&super::super::table::POD_TEMPLATE_SPEC, &json!({})),
        Ok(Value::Struct(vec![(0, Value::Struct(vec![]))]))
    );
}

#[test]
fn what_go_could_not_decode_is_named_by_its_field() {
    for (pointer, found, says) in [
        (
            "/spec/replicas",
            json!("5"),
            "Rollout.spec.replicas: \"5\" where an integer is expected",
        ),
        (
            "/spec/replicas",
            json!(1.5),
            "Rollout.spec.replicas: 1.5 where an integer is expected",
        ),
        (
            "/spec/paused",
            json!(1),
            "Rollout.spec.paused: 1 where true or false is expected",
        ),
        (
            "/spec/strategy/canary/steps/1/setHeaderRoute/name",
            json!([]),
            "Rollout.spec.strategy.canary.steps[1].setHeaderRoute.name: [] where a string is expected",
        ),
        (
            "/metadata/labels/app",
            json!(3),
            "Rollout.metadata.labels.app: 3 where a string is expected",
        ),
        (
            "/metadata/labels",
            json!([]),
            "Rollout.metadata.labels: [] where an object is expected",
        ),
        (
            "/metadata/finalizers",
            json!({}),
            "Rollout.metadata.finalizers: {} where a list is expected",
        ),
        (
            "/metadata/creationTimestamp",
            json!("yesterday"),
            "Rollout.metadata.creationTimestamp: \"yesterday\" where an RFC 3339 time is expected",
        ),
        (
            "/status",
            json!("x"),
            "Rollout.status: \"x\" where an object is expected",
        ),
    ] {
        let mut rollout = full();
        *rollout.pointer_mut(pointer).unwrap() = found;
        let error = Call::RemoveManagedRoutes { rollout }
            .arguments()
            .unwrap_err();
        assert_eq!(error.to_string(), says);
    }
}

/// What was sent of `table`'s fields, by Go's names.
fn sent(table: &Struct, types: &Types, id: TypeId, value: &Value) -> Json {
    let Some(Shape::Defined(Definition::Struct { name, fields })) = types.shape(id) else {
        panic!("{} is no struct", table.name);
    };
    assert_eq!(**name, *table.name);
    let Value::Struct(values) = value else {
        panic!("{} is sent as {value:?}", table.name);
    };
    let mut object = serde_json::Map::new();
    for (at, value) in values {
        let (name, id) = (&*fields[*at].name, fields[*at].id);
        if let Some(field) = table.fields.iter().find(|field| field.name == name) {
            object.insert(name.to_owned(), sent_kind(field.kind, types, id, value));
        }
    }
    Json::Object(object)
}

fn sent_kind(kind: Kind, types: &Types, id: TypeId, value: &Value) -> Json {
    match (kind, types.shape(id), value) {
        (Kind::Struct(table) | Kind::Pointer(table), _, value) => sent(table, types, id, value),
        (Kind::IntOrString, _, value) => sent(&INT_OR_STRING, types, id, value),
        (
            Kind::List(kind),
            Some(Shape::Defined(Definition::Slice { element })),
            Value::List(list),
        ) => list
            .iter()
            .map(|value| sent_kind(*kind, types, *element, value))
            .collect(),
        (
            Kind::Map(kind),
            Some(Shape::Defined(Definition::Map { element, .. })),
            Value::Map(entries),
        ) => entries
            .iter()
            .map(|(key, value)| {
                let Value::String(key) = key else {
                    panic!("{key:?}");
                };
                let key = String::from_utf8(key.clone()).unwrap();
                (key, sent_kind(*kind, types, *element, value))
            })
            .collect(),
        (_, _, value) => json!(format!("{value:?}")),
    }
}

/// The table of the arguments, as they were sent.
fn sent_arguments(request: &Request, table: &Struct) -> Json {
    let types = request.arguments.types();
    let value = request.arguments.value().unwrap().to_value().unwrap();
    let Value::Interface(Some(held)) = &value else {
        panic!("{value:?}");
    };
    sent(table, types, held.id, &held.value)
}

/// `smallRollout` of `tests/argo-host/fill.go`, as the API would have it.
#[test]
fn the_same_is_sent_as_by_go() {
    let rollout = json!({
        "metadata": {
            "name": "quiet", "namespace": "shop", "uid": "1", "generation": 3, "creationTimestamp": null,
        },
        "spec": {
            "replicas": 5, "selector": {"matchLabels": {"app": "reviews"}},
            "template": {
                "metadata": {"creationTimestamp": null, "labels": {"app": "reviews"}}, "spec": {"containers": null},
            },
            "strategy": {"canary": {
                "canaryService": "canary", "stableService": "stable",
                "steps": [{"setWeight": 10}, {"pause": {}}],
                "trafficRouting": {"plugins": {"serin/echo": {"virtualService": {"name": "reviews"}}}},
            }},
        },
        "status": {
            "currentPodHash": "7c9d5b", "stableRS": "5d8f4c", "currentStepIndex": 1, "blueGreen": {}, "canary": {},
        },
    });
    let ours = written(&Call::SetWeight {
        rollout,
        desired_weight: 10,
    });
    let table = &SET_WEIGHT_AND_VERIFY_WEIGHT_ARGS;
    assert_eq!(
        sent_arguments(&ours, table),
        sent_arguments(&read(SMALL), table)
    );
}

/// Asserts that Go's definition of a type is the table's.
fn assert_defined(table: &Struct, types: &Types, id: TypeId, seen: &mut Vec<&'static str>) {
    let Some(Shape::Defined(Definition::Struct { name, fields })) = types.shape(id) else {
        panic!("{} is no struct in Go", table.name);
    };
    assert_eq!(**name, *table.name);
    if seen.contains(&table.name) {
        return;
    }
    seen.push(table.name);
    let mut next = 0;
    for field in table.fields {
        let path = format!("{}.{}", table.name, field.name);
        let at = fields.iter().position(|found| *found.name == *field.name);
        let at = at.unwrap_or_else(|| panic!("{path} is not in Go"));
        assert!(at >= next, "{path} is not in Go's order");
        next = at + 1;
        assert_kind(&path, field.kind, types, fields[at].id, seen);
    }
}

fn assert_kind(path: &str, kind: Kind, types: &Types, id: TypeId, seen: &mut Vec<&'static str>) {
    let shape = types.shape(id).unwrap();
    match (kind, shape) {
        (Kind::Bool, Shape::Bool)
        | (Kind::Int, Shape::Int)
        | (Kind::Text, Shape::String)
        | (Kind::Raw, Shape::Bytes) => {}
        (Kind::Time, Shape::Defined(Definition::Marshaled { name, marshaler })) => {
            assert_eq!((&**name, *marshaler), ("Time", Marshaler::Gob), "{path}");
        }
        (Kind::IntOrString, _) => assert_defined(&INT_OR_STRING, types, id, seen),
        (Kind::List(kind), Shape::Defined(Definition::Slice { element })) => {
            assert_kind(path, *kind, types, *element, seen);
        }
        (Kind::Map(kind), Shape::Defined(Definition::Map { key, element })) => {
            assert_eq!(*key, TypeId::STRING, "{path}");
            assert_kind(path, *kind, types, *element, seen);
        }
        (Kind::Struct(table) | Kind::Pointer(table), _) => {
            assert_defined(table, types, id, seen);
        }
        _ => panic!("{path} is {kind:?} here and {shape:?} in Go"),
    }
}

/// Names of all structs that a table leads to.
fn names(table: &'static Struct, into: &mut Vec<&'static str>) {
    if into.contains(&table.name) {
        return;
    }
    into.push(table.name);
    for field in table.fields {
        let mut kind = field.kind;
        while let Kind::List(element) | Kind::Map(element) = kind {
            kind = *element;
        }
        match kind {
            Kind::Struct(table) | Kind::Pointer(table) => names(table, into),
            Kind::IntOrString => names(&INT_OR_STRING, into),
            _ => {}
        }
    }
}

#[test]
fn gos_own_definitions_agree_with_the_table() {
    let table = &SET_WEIGHT_AND_VERIFY_WEIGHT_ARGS;
    let mut all = Vec::new();
    for table in [
        table,
        &UPDATE_HASH_ARGS,
        &SET_HEADER_ARGS,
        &SET_MIRROR_ARGS,
        &REMOVE_MANAGED_ROUTES_ARGS,
    ] {
        names(table, &mut all);
    }
    for stream in [SMALL, LARGE] {
        let request = read(stream);
        let value = request.arguments.value().unwrap().to_value().unwrap();
        let Value::Interface(Some(held)) = &value else {
            panic!("{value:?}");
        };
        assert_eq!(held.name, table.name.as_bytes());
        let mut seen = Vec::new();
        assert_defined(table, request.arguments.types(), held.id, &mut seen);
        // The recorded call brings along all that the others are made of, but their own argument structs.
        let missing: Vec<_> = all.iter().filter(|name| !seen.contains(name)).collect();
        assert_eq!(
            missing,
            [
                &"UpdateHashArgs",
                &"SetHeaderArgs",
                &"SetMirrorArgs",
                &"RemoveManagedRoutesArgs"
            ]
        );
    }
}
