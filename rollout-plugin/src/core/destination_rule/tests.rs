//! Subsets in, subsets out.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::core::fixtures::{destination_rule, replica_set, rollout, routing};

fn moved(object: &Object, hashes: Hashes<'_>, with_pods: &[&str]) -> Result<Value, String> {
    let sets: Vec<_> = with_pods
        .iter()
        .map(|hash| Arc::new(replica_set(hash, 1)))
        .collect();
    let reference = routing().destination_rule.unwrap();
    let rollout = rollout(json!({}));
    let found = desired_spec(object, &reference, hashes, Capacity::of(&rollout, &sets))
        .map_err(|error| error.to_string())?;
    assert!(found.as_ref() != Some(&object.spec), "a change must change");
    Ok(found.unwrap_or_else(|| object.spec.clone()))
}

fn both<'a>(canary: &'a str, stable: &'a str) -> Hashes<'a> {
    Hashes {
        canary: Some(canary),
        stable: Some(stable),
        additional: &[],
    }
}

#[test]
fn a_subset_moves_only_to_a_version_with_pods() {
    let object = destination_rule("s1", "s1");
    for (with_pods, canary, stable) in [(&["s1"][..], "s1", "s1"), (&["s1", "c2"], "c2", "s1")] {
        let found = moved(&object, both("c2", "s1"), with_pods).unwrap();
        assert_eq!(
            found,
            destination_rule(canary, stable).spec,
            "{with_pods:?}"
        );
    }
    let promoted = moved(&destination_rule("c2", "s1"), both("c2", "c2"), &["c2"]).unwrap();
    assert_eq!(promoted, destination_rule("c2", "c2").spec);
}

#[test]
fn a_hash_that_is_not_given_stays() {
    let object = destination_rule("old", "s1");
    let found = moved(
        &object,
        Hashes {
            canary: Some("c2"),
            stable: None,
            additional: &[],
        },
        &["c2"],
    )
    .unwrap();
    assert_eq!(found, destination_rule("c2", "s1").spec);
}

#[test]
fn without_a_canary_its_label_goes_and_comes_back() {
    let gone = moved(&destination_rule("c2", "s1"), both("", "s1"), &["s1"]).unwrap();
    assert_eq!(gone["subsets"][0]["labels"], json!({"app": "reviews"}));
    let back = moved(
        &Object {
            spec: gone,
            ..destination_rule("", "")
        },
        both("c2", "s1"),
        &["c2"],
    )
    .unwrap();
    assert_eq!(back, destination_rule("c2", "s1").spec);
}

#[test]
fn foreign_subsets_and_fields_are_kept_and_no_empty_labels_are_made() {
    let mut object = destination_rule("s1", "s1");
    object.spec["trafficPolicy"] = json!({"tls": {"mode": "ISTIO_MUTUAL"}});
    object.spec["subsets"][0]["trafficPolicy"] = json!({"x": 1});
    object.spec["subsets"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "theirs"}));
    object.spec["subsets"][1]
        .as_object_mut()
        .unwrap()
        .remove("labels");
    let found = moved(&object, both("c2", "none"), &["c2"]).unwrap();
    let mut expected = object.spec.clone();
    expected["subsets"][0]["labels"][POD_TEMPLATE_HASH] = json!("c2");
    assert_eq!(found, expected);
}

#[test]
fn a_missing_subset_is_named() {
    let mut object = destination_rule("s1", "s1");
    object.spec["subsets"][0]["name"] = json!("v2");
    assert_eq!(
        moved(&object, both("c2", "s1"), &["c2"]).unwrap_err(),
        r#"DestinationRule shop/reviews: spec.subsets[].name: found ["v2", "stable"], expected a subset named "canary""#
    );
}

#[test]
fn the_hash_of_a_subset_is_its_label() {
    let object = destination_rule("c2", "s1");
    assert_eq!(hash_of(&object, "canary"), Some("c2"));
    assert_eq!(hash_of(&object, "nowhere"), None);
}

#[test]
fn a_version_without_pods_is_not_held_to() {
    let scaled_to_zero = moved(&destination_rule("s1", "s1"), both("c2", "c2"), &[]).unwrap();
    assert_eq!(scaled_to_zero, destination_rule("c2", "c2").spec);
}

#[test]
fn labels_of_null_are_no_labels() {
    let mut object = destination_rule("s1", "s1");
    object.spec["subsets"][0]["labels"] = Value::Null;
    let found = moved(&object, both("c2", "s1"), &["c2", "s1"]).unwrap();
    assert_eq!(
        found["subsets"][0]["labels"],
        json!({POD_TEMPLATE_HASH: "c2"})
    );
}

#[test]
fn with_both_versions_gone_the_canary_subset_takes_refuge_with_the_stable_one() {
    let found = moved(&destination_rule("c1", "s1"), both("c2", "s1"), &["s1"]).unwrap();
    assert_eq!(found, destination_rule("s1", "s1").spec);
    let back = moved(
        &destination_rule("s1", "s1"),
        both("c2", "s1"),
        &["s1", "c2"],
    )
    .unwrap();
    assert_eq!(back, destination_rule("c2", "s1").spec);
}

fn experiment(service: &str, hash: &str) -> WeightDestination {
    WeightDestination {
        weight: 5,
        service_name: service.to_owned(),
        pod_template_hash: hash.to_owned(),
    }
}

/// The subsets `(name, hash)` behind the canary's and the stable version's.
fn further(spec: &Value) -> Vec<(&str, &str)> {
    let subsets = spec["subsets"].as_array().unwrap();
    subsets[2..]
        .iter()
        .map(|subset| {
            (
                subset["name"].as_str().unwrap(),
                subset["labels"][POD_TEMPLATE_HASH].as_str().unwrap_or("-"),
            )
        })
        .collect()
}

#[test]
fn an_experiment_has_a_subset_as_long_as_it_runs() {
    let plain = destination_rule("c2", "s1");
    let additional = [
        experiment("reviews-c2-2-1-a", "a1"),
        experiment("reviews-c2-2-1-b", ""),
        experiment("reviews-c2-2-1-a", "a1"),
        experiment("stable", "a1"),
        experiment("", "a1"),
    ];
    let hashes = Hashes {
        additional: &additional,
        ..both("c2", "s1")
    };
    let with = moved(&plain, hashes, &["c2", "s1"]).unwrap();
    assert_eq!(further(&with), [("reviews-c2-2-1-a", "a1")]);
    let standing = Object {
        spec: with.clone(),
        ..plain.clone()
    };
    assert_eq!(moved(&standing, hashes, &["c2", "s1"]).unwrap(), with);
    let routing = routing();
    let reference = routing.destination_rule.clone().unwrap();
    assert_eq!(
        without_leftovers(
            &standing,
            &reference,
            &routing,
            &["reviews-c2-2-1-a"].into()
        ),
        None
    );

    let next = [experiment("reviews-c2-2-1-a", "a2")];
    let hashes = Hashes {
        additional: &next,
        ..both("c2", "s1")
    };
    for (with_pods, at) in [(&["a1"][..], "a1"), (&["a1", "a2"], "a2"), (&[], "a2")] {
        let found = moved(&standing, hashes, with_pods).unwrap();
        assert_eq!(found["subsets"][2]["labels"][POD_TEMPLATE_HASH], at);
    }
    assert_eq!(
        without_leftovers(&standing, &reference, &routing, &BTreeSet::new()),
        Some(plain.spec)
    );
}

#[test]
fn only_what_was_made_for_the_rollout_counts_as_left_over() {
    let mut routing = routing();
    routing.known_experiments = vec!["known".to_owned(), "tuned".to_owned()];
    let mut reference = routing.destination_rule.clone().unwrap();
    reference.additional_subsets = vec!["reviews-c2-2-1-kept".to_owned()];
    let mut object = destination_rule("c2", "s1");
    let names = [
        "known",
        "tuned",
        "other-canary",
        "reviews-canary",
        "reviews-c2-2-1-kept",
        "reviews-c2-2-1-gone",
        "reviews-c2-2-1-labelled",
    ];
    for name in names {
        let mut subset = json!({"name": name, "labels": {POD_TEMPLATE_HASH: "x"}});
        match name {
            "tuned" => subset["trafficPolicy"] = json!({}),
            "reviews-c2-2-1-labelled" => subset["labels"]["app"] = json!("reviews"),
            _ => {}
        }
        object.spec["subsets"].as_array_mut().unwrap().push(subset);
    }
    let found = without_leftovers(&object, &reference, &routing, &BTreeSet::new()).unwrap();
    let left: Vec<&str> = further(&found).into_iter().map(|(name, _)| name).collect();
    let expected = names
        .into_iter()
        .filter(|name| !["known", "reviews-c2-2-1-gone"].contains(name))
        .collect::<Vec<_>>();
    assert_eq!(left, expected);
}
