//! Tables for the parts of apply; whole requests are in `tests/conformance/apply.toml`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is meant"
)]

use serde_json::json;

use super::*;

const THEN: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-01-02T00:00:00Z";

#[test]
fn reads_and_writes_fields_v1() {
    for (fields, paths) in [
        (json!({}), vec![]),
        (json!({"f:spec": {}}), vec![".spec"]),
        (
            json!({"f:spec": {"f:hosts": {}, "f:http": {}}, "f:kind": {}}),
            vec![".kind", ".spec.hosts", ".spec.http"],
        ),
        (
            json!({"f:spec": {".": {}, "f:z": {}, "f:a": {".": {}, "f:b": {}}}}),
            vec![".spec", ".spec.a", ".spec.z", ".spec.a.b"],
        ),
    ] {
        let set = FieldSet::parse(&fields);
        assert_eq!(set.paths(), paths, "{fields}");
        assert_eq!(set.to_json(), fields);
    }
}

#[test]
fn compares() {
    let (none, all) = (json!({}), json!({"a": {"b": 1, "c": [1]}, "d": null}));
    for (old, new, removed, modified, added) in [
        (&all, &all, vec![], vec![], vec![]),
        (
            &none,
            &all,
            vec![],
            vec![],
            vec![".a", ".d", ".a.b", ".a.c"],
        ),
        (
            &all,
            &none,
            vec![".a", ".d", ".a.b", ".a.c"],
            vec![],
            vec![],
        ),
        (
            &json!({"a": {"b": 1, "c": [1, 2]}}),
            &json!({"a": {"b": 1, "c": [2]}}),
            vec![],
            vec![".a.c"],
            vec![],
        ),
        // Of another form: what was in it goes.
        (
            &json!({"a": {"b": 1}}),
            &json!({"a": 1}),
            vec![".a.b"],
            vec![".a"],
            vec![],
        ),
        (
            &json!({"a": "x"}),
            &json!({"a": {"b": 1}}),
            vec![],
            vec![".a"],
            vec![".a.b"],
        ),
        // A map that loses all it has is still there.
        (
            &json!({"a": {"b": 1}}),
            &json!({"a": {}}),
            vec![".a.b"],
            vec![],
            vec![],
        ),
        (
            &json!({"a": {"b": 1}}),
            &json!({"a": null}),
            vec![".a.b"],
            vec![],
            vec![],
        ),
        (
            &json!({"a": null}),
            &json!({"a": {}}),
            vec![],
            vec![".a"],
            vec![],
        ),
    ] {
        let found = compare(old, new);
        let found = (
            found.removed.paths(),
            found.modified.paths(),
            found.added.paths(),
        );
        let expected = |paths: Vec<&str>| paths.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let expected = (expected(removed), expected(modified), expected(added));
        assert_eq!(found, expected, "{old} to {new}");
    }
}

#[test]
fn merges_maps_and_replaces_the_rest() {
    for (live, config, expected) in [
        (
            json!({}),
            json!({"a": {"b": null}}),
            json!({"a": {"b": null}}),
        ),
        (
            json!({"a": {"b": 1, "c": 2}, "l": [1, 2]}),
            json!({"a": {"b": 3}, "l": [4]}),
            json!({"a": {"b": 3, "c": 2}, "l": [4]}),
        ),
        (
            json!({"a": {"b": 1}}),
            json!({"a": {}}),
            json!({"a": {"b": 1}}),
        ),
        (
            json!({"a": {"b": 1}}),
            json!({"a": null}),
            json!({"a": {"b": 1}}),
        ),
        (json!({"a": {"b": 1}}), json!({"a": [1]}), json!({"a": [1]})),
        (json!({"a": [1]}), json!({"a": null}), json!({"a": null})),
    ] {
        assert_eq!(merge(&live, &config), expected, "{config} into {live}");
    }
}

fn applied(live: &Value, manager: &str, config: &Value, force: bool) -> Result<Value, Status> {
    let writer = Writer::apply(manager, "v1", "");
    apply(live, config, &writer, Scope::All, force, NOW)
}

/// Who owns what, as text.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    let line = |entry: &Value| {
        let fields = FieldSet::parse(&entry["fieldsV1"]).paths().join(" ");
        let text = |key: &str| entry[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {fields}", text("manager"), text("operation"))
    };
    entries.iter().map(line).collect()
}

#[test]
fn removes_what_the_applier_leaves_out_and_nobody_else_owns() {
    let live = applied(
        &json!({}),
        "a",
        &json!({"s": {"x": 1, "y": 1, "m": {"n": 1}}}),
        false,
    );
    let live = applied(&live.unwrap(), "b", &json!({"s": {"y": 1}}), false).unwrap();
    assert_eq!(owners(&live), ["b Apply .s.y", "a Apply .s.x .s.y .s.m.n"]);
    let live = applied(&live, "a", &json!({}), false).unwrap();
    assert_eq!(bare(&live)["s"], json!({"y": 1}));
    assert_eq!(owners(&live), ["b Apply .s.y"]);
    let live = applied(&live, "b", &json!({}), false).unwrap();
    assert_eq!(bare(&live), json!({"metadata": {}}));
    assert_eq!(owners(&live), Vec::<String>::new());
}

#[test]
fn keeps_an_emptied_map_that_another_owns() {
    let live = json!({"s": {"x": 1}});
    let live = applied(&live, "a", &json!({"s": {"x": 2}}), true).unwrap();
    assert_eq!(
        owners(&live),
        ["a Apply .s.x", "before-first-apply Update .s"]
    );
    let live = applied(&live, "a", &json!({}), false).unwrap();
    assert_eq!(bare(&live)["s"], json!({}));
}

#[test]
fn names_conflicts_by_manager() {
    let writer = Writer::update("c", "v1", "status");
    let live = applied(
        &json!({}),
        "a",
        &json!({"x": 1, "y": {"z": 1}, "w": 1}),
        false,
    )
    .unwrap();
    let mut new = live.clone();
    new["w"] = json!(2);
    new["metadata"]["managedFields"] = track(&live, &new, None, &writer, THEN);
    let refused = applied(&new, "b", &json!({"x": 2, "y": {"z": 2}, "w": 3}), false).unwrap_err();
    assert_eq!(
        refused.message,
        "Apply failed with 3 conflicts: conflicts with \"a\":\n- .x\n- .y.z\nconflicts with \"c\" with subresource \"status\" using v1:\n- .w"
    );
    assert_eq!(refused.details["causes"][2]["field"], ".w");
    let forced = applied(&new, "b", &json!({"x": 2, "y": {"z": 2}, "w": 3}), true).unwrap();
    assert_eq!(owners(&forced), ["b Apply .w .x .y.z"]);
}

#[test]
fn tracks_other_writes_once_an_object_has_been_applied() {
    let writer = Writer::update("u", "v1", "");
    let (old, new) = (json!({"x": 1}), json!({"x": 2, "s": {"y": 1}}));
    assert_eq!(track(&old, &new, None, &writer, NOW), Value::Null);

    let old = applied(&json!({}), "a", &json!({"x": 1, "z": 1}), false).unwrap();
    let sent = old["metadata"]["managedFields"].clone();
    for (asked, expected) in [
        (None, vec!["a Apply .z", "u Update .s .x .s.y"]),
        (Some(sent), vec!["a Apply .z", "u Update .s .x .s.y"]),
        (Some(json!(null)), vec!["a Apply .z", "u Update .s .x .s.y"]),
        (
            Some(json!([{"manager": "a"}])),
            vec!["a Apply .z", "u Update .s .x .s.y"],
        ),
        (Some(json!([])), vec![]),
        (Some(json!([{}])), vec![]),
        (
            Some(json!([{
                "manager": "v", "operation": "Apply", "apiVersion": "v1",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:z": {}},
            }])),
            vec!["v Apply .z", "u Update .s .x .s.y"],
        ),
    ] {
        let new = json!({"x": 2, "z": 1, "s": {"y": 1}, "metadata": {"uid": "1"}});
        let record = track(&old, &new, asked.as_ref(), &writer, NOW);
        let found = json!({"metadata": {"managedFields": record}});
        assert_eq!(owners(&found), expected, "{asked:?}");
    }
}

#[test]
fn a_field_deep_down_is_compared_once() {
    let nest = |value: u32| (0..40).fold(json!(value), |inner, _| json!({ "a": inner }));
    let comparison = compare(&nest(1), &nest(2));
    let path = vec!["a"; 40];
    let mut modified = fields::FieldSet::default();
    modified.insert(&path);
    assert_eq!(comparison.modified, modified);
}
