//! A patch makes of the one spec exactly the other, and is no larger than the change.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::{collection, option, sample};
use serde_json::json;

use super::*;
use crate::object::{Kind, ObjectId};

fn object(spec: Value) -> Object {
    Object {
        id: ObjectId::new(Kind::VirtualService, "shop", "reviews"),
        resource_version: "7".to_owned(),
        labels: BTreeMap::new(),
        spec,
        available_replicas: 0,
        wanted_replicas: 0,
    }
}

/// The operations, checked: they make `after` of `before`.
fn patch(before: &Value, after: &Value) -> Vec<PatchOperation> {
    let operations = spec_patch(&object(before.clone()), after);
    let mut patched = json!({ "spec": before });
    json_patch::patch(&mut patched, &operations).unwrap();
    assert_eq!(patched["spec"], *after, "{operations:?}");
    operations
}

fn shown(before: Value, after: Value) -> Value {
    serde_json::to_value(patch(&before, &after)).unwrap()
}

#[test]
fn an_entry_that_moves_others_is_one_operation() {
    let (a, b, lane) = (
        json!({"name": "a", "timeout": "1s"}),
        json!({"name": "b", "timeout": "1s"}),
        json!({"name": "lane"}),
    );
    let with = json!({"http": [lane, a, b]});
    let without = json!({"http": [a, b]});
    assert_eq!(
        shown(without.clone(), with.clone()),
        json!([{"op": "add", "path": "/spec/http/0", "value": lane}])
    );
    assert_eq!(
        shown(with, without),
        json!([{"op": "remove", "path": "/spec/http/0"}])
    );
    assert_eq!(
        shown(
            json!({"http": [lane, a, b]}),
            json!({"http": [a, b, {"name": "lane", "timeout": "2s"}]})
        ),
        json!([
            {"op": "remove", "path": "/spec/http/0"},
            {"op": "add", "path": "/spec/http/2", "value": {"name": "lane", "timeout": "2s"}},
        ])
    );
}

#[test]
fn a_weight_is_replaced_where_it_is() {
    let route = |weights: &[(&str, u32)]| {
        let destinations = weights.iter().map(
            |(host, weight)| json!({"destination": {"host": host}, "weight": weight, "headers": {}}),
        );
        json!({"route": destinations.collect::<Vec<_>>()})
    };
    let before = json!({"tcp": [route(&[("other", 9), ("stable", 100), ("canary", 0)])]});
    let after = json!({"tcp": [route(&[("stable", 80), ("canary", 20), ("trial", 5)])]});
    assert_eq!(
        shown(before, after),
        json!([
            {"op": "remove", "path": "/spec/tcp/0/route/0"},
            {"op": "replace", "path": "/spec/tcp/0/route/0/weight", "value": 80},
            {"op": "replace", "path": "/spec/tcp/0/route/1/weight", "value": 20},
            {"op": "add", "path": "/spec/tcp/0/route/2", "value": {"destination": {"host": "trial"}, "weight": 5, "headers": {}}},
        ])
    );
}

#[test]
fn a_route_that_gets_a_lane_and_weights_is_changed_where_it_is() {
    for name in [json!("primary"), Value::Null] {
        let route = |weight: u32| {
            let mut route = json!({"match": [{"port": 1}], "route": [{"weight": weight}]});
            if name.is_string() {
                route["name"] = name.clone();
            }
            route
        };
        let lane = json!({"name": "lane", "match": [{"port": 1}], "route": [{}]});
        assert_eq!(
            shown(
                json!({"http": [route(1)]}),
                json!({"http": [lane, route(2)]})
            ),
            json!([
                {"op": "add", "path": "/spec/http/0", "value": lane},
                {"op": "replace", "path": "/spec/http/1/route/0/weight", "value": 2},
            ])
        );
    }
}

#[test]
fn names_in_paths_are_escaped_and_absence_is_no_null() {
    assert_eq!(
        shown(
            json!({"a/b": {"c~d": 1, "gone": null}, "same": [null]}),
            json!({"a/b": {"c~d": 2, "new": null}, "same": [null]})
        ),
        json!([
            {"op": "remove", "path": "/spec/a~1b/gone"},
            {"op": "replace", "path": "/spec/a~1b/c~0d", "value": 2},
            {"op": "add", "path": "/spec/a~1b/new", "value": null},
        ])
    );
    assert_eq!(
        shown(Value::Null, json!({"http": []})),
        json!([{"op": "replace", "path": "/spec", "value": {"http": []}}])
    );
}

#[test]
fn a_change_of_more_operations_than_allowed_is_one() {
    let routes = |count: u32, weight: u32| {
        let route = |number| json!({"name": format!("r{number}"), "route": [{"weight": weight}, {"weight": 100 - weight}]});
        json!({"http": (0..count).map(route).collect::<Vec<_>>()})
    };
    assert_eq!(patch(&routes(4_999, 20), &routes(4_999, 0)).len(), 9_998);
    let operations = patch(&routes(5_000, 20), &routes(5_000, 0));
    assert_eq!(operations.len(), 1);
    assert_eq!(operations[0].path().to_string(), "/spec");
}

#[test]
fn equal_entries_by_the_thousand_are_no_burden() {
    let list = |ends: [u32; 3]| {
        let equal = || std::iter::repeat_n(json!({"uri": "/"}), 3_000);
        let entries = [ends[0]].map(Value::from).into_iter().chain(equal());
        let entries = entries.chain([ends[1].into()]).chain(equal());
        json!({"match": entries.chain([ends[2].into()]).collect::<Vec<_>>()})
    };
    assert_eq!(patch(&list([1, 2, 3]), &list([4, 2, 5])).len(), 2);
}

/// One of few different entries, so that many are equal; at most three values in it.
fn entry() -> impl Strategy<Value = Value> {
    let name = option::of(sample::select(&["a", "b", "c", "d"][..]));
    let host = option::of(sample::select(&["x", "y"][..]));
    (name, host, 0..3_u8).prop_map(|(name, host, weight)| {
        let mut entry = json!({ "weight": weight });
        if let Some(name) = name {
            entry["name"] = json!(name);
        }
        if let Some(host) = host {
            entry["destination"] = json!({ "host": host });
        }
        entry
    })
}

/// What a change does to a list.
#[derive(Clone, Debug)]
enum Edit {
    Insert(sample::Index, Value),
    Remove(sample::Index),
    Move(sample::Index, sample::Index),
    Replace(sample::Index, Value),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<sample::Index>;
    prop_oneof![
        (place(), entry()).prop_map(|(place, entry)| Edit::Insert(place, entry)),
        place().prop_map(Edit::Remove),
        (place(), place()).prop_map(|(from, to)| Edit::Move(from, to)),
        (place(), entry()).prop_map(|(place, entry)| Edit::Replace(place, entry)),
    ]
}

impl Edit {
    fn apply(&self, list: &mut Vec<Value>) {
        match self {
            Self::Insert(place, entry) => {
                list.insert(place.index(list.len() + 1), entry.clone());
            }
            _ if list.is_empty() => {}
            Self::Remove(place) => {
                list.remove(place.index(list.len()));
            }
            Self::Move(from, to) => {
                let entry = list.remove(from.index(list.len()));
                list.insert(to.index(list.len() + 1), entry);
            }
            Self::Replace(place, entry) => {
                let place = place.index(list.len());
                list[place] = entry.clone();
            }
        }
    }
}

/// Any JSON, with lists and maps in each other, from a small alphabet.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3).prop_map(Value::from),
        sample::select(&["", "a", "/", "~", "~1"][..]).prop_map(Value::from),
        Just(json!(1.0)),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let key = sample::select(&["name", "destination", "route", "a/b", "~0", "", "-", "0"][..]);
        prop_oneof![
            collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            collection::btree_map(key, inner, 0..5).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_becomes_any_other(before in json_value(), after in json_value()) {
        patch(&before, &after);
        prop_assert_eq!(patch(&after, &after).len(), 0);
    }

    /// An edit takes one entry away, adds one, or both; where the two are paired, three values differ at most.
    #[test]
    fn a_patch_is_no_larger_than_the_change(
        before in collection::vec(entry(), 0..60),
        edits in collection::vec(edit(), 0..=REACH / 2),
    ) {
        let mut after = before.clone();
        for edit in &edits {
            edit.apply(&mut after);
        }
        let operations = patch(&json!({"http": before}), &json!({"http": after}));
        prop_assert!(operations.len() <= 3 * edits.len(), "{} operations for {:?}", operations.len(), edits);
    }
}
