//! Which of two versions wins.

use serde_json::json;

use super::*;
use crate::object::{Kind, ObjectId};

fn object(name: &str, version: &str) -> Object {
    Object {
        id: ObjectId::new(Kind::Service, "shop", name),
        resource_version: version.to_owned(),
        labels: std::collections::BTreeMap::new(),
        spec: json!({ "version": version }),
        available_replicas: 0,
        wanted_replicas: 0,
    }
}

fn versions(objects: &Objects) -> Vec<(String, String)> {
    let mut all: Vec<_> = objects
        .current
        .values()
        .map(|object| (object.id.name.clone(), object.resource_version.clone()))
        .collect();
    all.sort();
    all
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
        .collect()
}

#[test]
fn an_event_from_before_an_own_write_is_dropped() {
    let mut objects = Objects::default();
    objects.apply(object("a", "9"));
    objects.apply(object("a", "10"));
    objects.apply(object("a", "9"));
    assert_eq!(versions(&objects), pairs(&[("a", "10")]));
    objects.delete(&object("a", "9"));
    assert_eq!(versions(&objects), pairs(&[("a", "10")]));
    objects.delete(&object("a", "11"));
    assert_eq!(versions(&objects), pairs(&[]));
}

#[test]
fn versions_that_are_no_numbers_go_by_order_of_arrival() {
    let mut objects = Objects::default();
    objects.apply(object("a", "zz"));
    objects.apply(object("a", "aa"));
    assert_eq!(versions(&objects), pairs(&[("a", "aa")]));
}

#[test]
fn a_whole_list_replaces_the_cache_but_not_what_was_written_meanwhile() {
    let mut objects = Objects::default();
    // "gone" was the newest of all before it was deleted behind a broken watch.
    for (name, version) in [("gone", "30"), ("kept", "4"), ("written", "20")] {
        objects.apply(object(name, version));
    }
    objects.begin_list();
    objects.listing = vec![
        object("kept", "5"),
        object("written", "6"),
        object("new", "7"),
    ];
    objects.apply_answer(object("written", "21"));
    objects.apply_answer(object("made", "22"));
    objects.swap_in();
    assert_eq!(
        versions(&objects),
        pairs(&[
            ("kept", "5"),
            ("made", "22"),
            ("new", "7"),
            ("written", "21")
        ])
    );
    assert!(objects.listing.is_empty());
}
