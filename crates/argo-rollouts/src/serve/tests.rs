//! Calls as the controller's client wrote them, kept in `testdata/calls`
//! (`tests/argo-host`: `argo-host -record`), so that this needs no Go.

use go_plugin::gob::{Decoder, Progress, split_message};
use serde_json::json;

use super::*;
use crate::args::{SetHeaderArgs, SetWeightAndVerifyWeightArgs};
use crate::types::{IntOrString, Rollout};

/// The second value of a stream: the first is the call's header.
fn arguments<T>(stream: &[u8], read: impl FnOnce(Encoded<'_>) -> T) -> T {
    let mut decoder = Decoder::default();
    let (mut rest, mut ready) = (stream, 0);
    while let Some((message, after)) = split_message(rest).unwrap() {
        rest = after;
        if decoder.push(message).unwrap() == Progress::Ready {
            ready += 1;
        }
    }
    assert_eq!((ready, rest), (2, &[][..]));
    read(decoder.value().unwrap())
}

const SMALL: &[u8] = include_bytes!("../../testdata/calls/set_weight_small.gob");
const LARGE: &[u8] = include_bytes!("../../testdata/calls/set_weight_large.gob");
const INIT: &[u8] = include_bytes!("../../testdata/calls/init_plugin.gob");

#[test]
fn a_usual_call_reads_as_it_was_meant() {
    let args: SetWeightAndVerifyWeightArgs = arguments(SMALL, |args| read(args).unwrap());
    assert_eq!(args.desired_weight, 10);
    let rollout = args.rollout;
    assert_eq!(rollout.metadata.namespace, "shop");
    assert_eq!(rollout.metadata.generation, 3);
    assert_eq!(rollout.metadata.creation_timestamp, None);
    assert_eq!(rollout.spec.replicas, Some(5));
    assert_eq!(rollout.status.current_step_index, Some(1));
    assert_eq!(rollout.status.stable_rs, "5d8f4c");
    let canary = rollout.canary().unwrap();
    assert_eq!(canary.steps[0].set_weight, Some(10));
    assert_eq!(canary.steps[1].pause.as_ref().unwrap().duration, None);
    assert_eq!(
        rollout.plugin_config("serin/echo"),
        Some(&json!({"virtualService": {"name": "reviews"}}))
    );
    assert_eq!(rollout.plugin_config("other/plugin"), None);
}

#[test]
fn a_call_with_everything_set_reads_the_same_as_its_json() {
    let args: SetWeightAndVerifyWeightArgs = arguments(LARGE, |args| read(args).unwrap());
    let steps = &args.rollout.canary().unwrap().steps;
    assert_eq!(steps[1].set_weight, Some(0));
    assert!(matches!(
        steps[3].pause.as_ref().unwrap().duration,
        Some(IntOrString::Int(_) | IntOrString::String(_))
    ));
    // What the API shows, reads as the same value.
    let json = serde_json::to_string(&args.rollout).unwrap();
    let again: Rollout = serde_json::from_str(&json).unwrap();
    assert_eq!(again, args.rollout);
}

#[test]
fn nil_arguments_read_as_default() {
    let args: SetHeaderArgs = arguments(INIT, |args| read(args).unwrap());
    assert_eq!(args, SetHeaderArgs::default());
}

#[test]
fn arguments_of_another_call_are_refused_by_name() {
    let error = arguments(SMALL, |args| read::<SetHeaderArgs>(args).unwrap_err());
    assert_eq!(
        error.to_string(),
        r#"arguments of type "SetWeightAndVerifyWeightArgs", expected "SetHeaderArgs""#
    );
}

#[test]
fn a_wrong_type_is_named_with_its_place() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Wrong {
        #[allow(dead_code, reason = "never read: this can't succeed")]
        rollout: Inner,
    }
    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Inner {
        #[allow(dead_code, reason = "never read: this can't succeed")]
        spec: std::collections::BTreeMap<String, Vec<u8>>,
    }
    let error = arguments(SMALL, |args| args.deserialize::<Wrong>().unwrap_err());
    assert_eq!(
        error.to_string(),
        "Rollout.Spec.Replicas: invalid type: integer `5`, expected a sequence"
    );
}

#[derive(Debug, thiserror::Error)]
#[error("virtual service shop/reviews")]
struct Outer(#[source] std::fmt::Error);

#[test]
fn an_error_is_its_whole_chain_on_one_line() {
    let expected = format!("virtual service shop/reviews: {}", std::fmt::Error);
    assert_eq!(
        rpc_error(Some(Outer(std::fmt::Error))),
        Value::Struct(vec![(0, Value::string(expected))])
    );
    assert_eq!(rpc_error(None::<Outer>), Value::Struct(Vec::new()));
}
