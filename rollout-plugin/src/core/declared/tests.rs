//! Lane routes of the user's: what is accepted, what is refused, and the lines that an error shows.

use serde_json::json;

use super::*;
use crate::core::fixtures::{primary, rollout, routing, virtual_service};

fn routing_of(config: Value) -> Routing {
    let mut config = config;
    config["lanes"] = json!("declared");
    let change = json!({"spec": {"strategy": {"canary": {"trafficRouting": {"plugins": {"serin/istio": config}}}}}});
    Routing::of(&rollout(change)).unwrap()
}

fn problem_of(http: &Value, routing: &Routing, lanes: &[Lane]) -> Result<(), String> {
    let object = virtual_service(http.clone());
    let lanes = lanes.iter().copied().collect();
    let delegation = Delegation::of(&object, &[]);
    check(
        &object,
        &routing.virtual_services[0],
        routing,
        &lanes,
        &delegation,
    )
    .map_err(|error| error.to_string())
}

/// The routes that an error shows, as a YAML parser reads them.
fn lines(error: &str) -> Vec<Value> {
    let (_, yaml) = error.split_once(":\n").unwrap();
    serde_saphyr::from_str(yaml).unwrap()
}

const BOTH: [Lane; 2] = [Lane::Canary, Lane::Mirror];

#[test]
fn missing_lane_routes_are_shown_and_what_is_shown_is_accepted() {
    let routing = routing_of(json!({}));
    let route = primary(json!({"match": [{"uri": {"prefix": "/api"}}], "timeout": "3s"}));
    let error = problem_of(&json!([route]), &routing, &BOTH).unwrap_err();
    assert_eq!(
        error,
        r#"VirtualService shop/reviews: spec.http[].name: found ["primary"], expected the canary lane's route "serin-shop.reviews.canary" above route "primary"; lanes are declared, so these lines have to be under its spec.http, in place of any of the same name:
# directly above route "primary"
- {name: serin-shop.reviews.canary, match: [{headers: {x-rollout-lane.shop.reviews: {exact: canary}}, uri: {prefix: /api}}], route: [{destination: {host: reviews, subset: stable}, weight: 0}, {destination: {host: reviews, subset: canary}, weight: 100}], timeout: "3s"}
- {name: serin-shop.reviews.mirror, match: [{headers: {x-rollout-lane.shop.reviews: {exact: mirror}}, uri: {prefix: /api}}], mirrors: [{destination: {host: reviews, subset: canary}}], route: [{destination: {host: reviews, subset: stable}, weight: 100}, {destination: {host: reviews, subset: canary}, weight: 0}], timeout: "3s"}"#
    );
    let mut http = lines(&error);
    http.push(route);
    assert_eq!(problem_of(&json!(http), &routing, &BOTH), Ok(()));
    assert_eq!(problem_of(&json!([http[2]]), &routing, &[]), Ok(()));
}

#[test]
fn several_managed_routes_have_lane_routes_of_their_own() {
    let routing = routing_of(json!({"virtualService": {"routes": ["primary", "second"]}}));
    let second = primary(json!({"name": "second", "match": [{"uri": {"prefix": "/2"}}]}));
    let http = json!([second, primary(json!({}))]);
    let error = problem_of(&http, &routing, &[Lane::Canary]).unwrap_err();
    assert!(
        error.contains(
            "\n# directly above route \"primary\"\n- {name: \"serin-shop.reviews.canary:primary\""
        ),
        "{error}"
    );
    let lines = lines(&error);
    let http = json!([lines[0], http[0], lines[1], http[1]]);
    assert_eq!(problem_of(&http, &routing, &[Lane::Canary]), Ok(()));
}

#[test]
fn an_unnamed_only_route_has_them_too() {
    let routing = routing_of(json!({"virtualService": {"routes": null}}));
    let route = primary(json!({"name": null}));
    let error = problem_of(&json!([route]), &routing, &[Lane::Canary]).unwrap_err();
    assert!(
        error.contains("\n# directly above spec.http[0]\n"),
        "{error}"
    );
    let http = json!([lines(&error)[0], route]);
    assert_eq!(problem_of(&http, &routing, &[Lane::Canary]), Ok(()));
}

/// Correct lane routes above `primary`, with `change` merged over the one of that index.
fn with_change(index: usize, change: &Value) -> Value {
    let routing = routing_of(json!({}));
    let route =
        primary(json!({"match": [{"uri": {"prefix": "/api"}}, {"method": {"exact": "PUT"}}]}));
    let error = problem_of(&json!([route]), &routing, &BOTH).unwrap_err();
    let mut http = lines(&error);
    http.push(route);
    json_patch::merge(&mut http[index], change);
    json!(http)
}

#[test]
fn what_does_not_lead_anywhere_else_is_the_users_business() {
    let header = json!({"exact": "canary"});
    let matches = json!([
        {"method": {"exact": "PUT"}, "headers": {"x-rollout-lane.shop.reviews": header}},
        {"uri": {"prefix": "/api"}, "headers": {"x-rollout-lane.shop.reviews": header}},
    ]);
    for (index, change) in [
        (
            0,
            json!({"timeout": "30s", "retries": {"attempts": 0}, "x-unknown": 1}),
        ),
        (0, json!({"match": matches})),
        (
            0,
            json!({"route": [{"destination": {"host": "reviews", "subset": "canary", "port": {"number": 80}}, "weight": 100}]}),
        ),
        // The form of before, and others that lead to the canary alone.
        (
            0,
            json!({"route": [{"destination": {"host": "reviews", "subset": "canary"}}]}),
        ),
        (
            0,
            json!({"route": [
                {"destination": {"host": "reviews", "subset": "canary"}, "weight": 7},
                {"destination": {"host": "tap"}},
                {"destination": {"host": "reviews", "subset": "canary", "port": {"number": 81}}, "weight": 3},
            ]}),
        ),
        (
            1,
            json!({"mirrors": [{"destination": {"host": "tap"}}, {"destination": {"host": "reviews", "subset": "canary"}}]}),
        ),
        (
            1,
            json!({"mirrors": null, "mirror": {"host": "reviews", "subset": "canary"}}),
        ),
        (
            1,
            json!({"route": [
                {"destination": {"host": "reviews", "subset": "canary"}, "weight": 30},
                {"destination": {"host": "reviews", "subset": "stable"}, "weight": 70},
            ]}),
        ),
    ] {
        let http = with_change(index, &change);
        assert_eq!(
            problem_of(&http, &routing_of(json!({})), &BOTH),
            Ok(()),
            "{change}"
        );
    }
}

#[test]
fn an_answer_that_is_null_is_none() {
    let routing = routing_of(json!({}));
    for field in ["redirect", "directResponse", "delegate"] {
        let mut http = with_change(0, &json!({}));
        http[0][field] = Value::Null;
        assert_eq!(problem_of(&http, &routing, &BOTH), Ok(()), "{field}");
    }
}

#[test]
fn what_is_wrong_is_named_and_the_users_other_fields_stay_in_the_lines() {
    let routing = routing_of(json!({}));
    for (index, change, message) in [
        (
            0,
            json!({"timeout": "9s", "match": [{"uri": {"prefix": "/api"}}]}),
            r#"spec.http[0].match of "serin-shop.reviews.canary": found [{uri: {prefix: /api}}], expected the matches of route "primary" with the lane header: [{headers: "#,
        ),
        (
            0,
            json!({"timeout": "9s", "match": null}),
            r#"spec.http[0].match of "serin-shop.reviews.canary": found nothing, expected the matches"#,
        ),
        (
            0,
            json!({"timeout": "9s", "route": [{"destination": {"host": "reviews", "subset": "stable"}}]}),
            r#"spec.http[0].route of "serin-shop.reviews.canary": found [host "reviews" subset "stable"], expected all of the weight at the canary's destination"#,
        ),
        (
            0,
            json!({"timeout": "9s", "route": [
                {"destination": {"host": "reviews", "subset": "canary"}, "weight": 99},
                {"destination": {"host": "reviews", "subset": "stable"}, "weight": 1},
            ]}),
            r#"spec.http[0].route of "serin-shop.reviews.canary": found [host "reviews" subset "canary" weight 99, host "reviews" subset "stable" weight 1], expected all of the weight at the canary's destination"#,
        ),
        (
            0,
            json!({"timeout": "9s", "route": [
                {"destination": {"host": "reviews", "subset": "canary"}},
                {"destination": {"host": "reviews", "subset": "stable"}},
            ]}),
            r#"spec.http[0].route of "serin-shop.reviews.canary": found [host "reviews" subset "canary" weight 0, host "reviews" subset "stable" weight 0], expected all"#,
        ),
        (
            0,
            json!({"timeout": "9s", "route": [{"destination": {"host": "tap"}, "weight": 100}, {"destination": {"host": "reviews", "subset": "canary"}, "weight": 0}]}),
            r#"spec.http[0].route of "serin-shop.reviews.canary": found [host "tap" weight 100, host "reviews" subset "canary" weight 0], expected all"#,
        ),
        (
            0,
            json!({"timeout": "9s", "redirect": {"uri": "/"}}),
            r#"spec.http[0].redirect of "serin-shop.reviews.canary": found a redirect, expected route destinations"#,
        ),
        (
            0,
            json!({"timeout": "9s", "directResponse": {"status": 200}}),
            r#"spec.http[0].directResponse of "serin-shop.reviews.canary": found a directResponse, expected"#,
        ),
        (
            1,
            json!({"timeout": "9s", "mirrors": null}),
            r#"spec.http[1].mirrors of "serin-shop.reviews.mirror": found no mirror to the canary, expected one"#,
        ),
        (
            1,
            json!({"timeout": "9s", "delegate": {"name": "x"}}),
            r#"spec.http[1].delegate: found a delegate in managed route "serin-shop.reviews.mirror", expected"#,
        ),
        (
            1,
            json!({"timeout": "9s", "route": [{"destination": {"host": "reviews", "subset": "canary"}}]}),
            r#"spec.http[1].route: found [host "reviews" subset "canary"], expected destinations for the subsets"#,
        ),
    ] {
        let mut http = with_change(index, &change);
        let error = problem_of(&http, &routing, &BOTH).unwrap_err();
        let expected = format!("VirtualService shop/reviews: {message}");
        assert!(error.starts_with(&expected), "{error}\n{expected}");
        let lines = lines(&error);
        assert_eq!(lines.len(), 1, "only what is wrong");
        assert_eq!(lines[0]["timeout"], "9s");
        http[index] = lines[0].clone();
        assert_eq!(problem_of(&http, &routing, &BOTH), Ok(()), "{change}");
    }
}

#[test]
fn a_lane_route_below_its_managed_route_is_wrong() {
    let routing = routing_of(json!({}));
    let http = with_change(0, &json!({}));
    let below = json!([http[1], http[2], http[0]]);
    let error = problem_of(&below, &routing, &BOTH).unwrap_err();
    assert!(
        error.starts_with(r#"VirtualService shop/reviews: spec.http[2]: found "serin-shop.reviews.canary", expected it above route "primary", which takes its requests; "#),
        "{error}"
    );
    assert_eq!(lines(&error), [http[0].clone()]);
    // Other routes between are the user's business.
    let far = json!([http[0], {"name": "x"}, http[1], {"name": "y"}, http[2]]);
    assert_eq!(problem_of(&far, &routing, &BOTH), Ok(()));
}

#[test]
fn a_managed_route_without_destinations_is_refused_as_ever() {
    for field in ["redirect", "directResponse", "delegate"] {
        let http = with_change(2, &json!({field: {}}));
        for routing in [routing(), routing_of(json!({}))] {
            assert_eq!(
                problem_of(&json!([http[2]]), &routing, &BOTH).unwrap_err(),
                format!(
                    "VirtualService shop/reviews: spec.http[0].{field}: found a {field} in managed route \"primary\", expected route destinations"
                )
            );
        }
    }
}

#[test]
fn the_lane_secret_is_shown_to_nobody() {
    let routing = routing_of(json!({"laneSecret": "s3cret"}));
    let route = primary(json!({}));
    let error = problem_of(&json!([route]), &routing, &[Lane::Canary]).unwrap_err();
    assert!(
        error.ends_with(
            r#" of any of the same name:
# for <laneSecret> put what spec.strategy.canary.trafficRouting.plugins["serin/istio"].laneSecret of rollout shop/reviews says
# directly above route "primary"
- {name: serin-shop.reviews.canary, match: [{headers: {x-rollout-lane.shop.reviews: {exact: "canary.<laneSecret>"}}}], route: [{destination: {host: reviews, subset: stable}, weight: 0}, {destination: {host: reviews, subset: canary}, weight: 100}]}"#
        ),
        "{error}"
    );
    let mut lane = lines(&error)[0].clone();
    let header = |value: Value| json!([{"headers": {"X-Rollout-Lane.shop.reviews": value}}]);
    for (written, shown) in [
        (json!({"exact": "canary"}), "{exact: canary}"),
        (
            json!({"exact": "canary.0ld"}),
            r#"{exact: "canary.<another secret>"}"#,
        ),
        (
            json!({"prefix": "stable.s3cret"}),
            r#"{prefix: "stable.<laneSecret>"}"#,
        ),
        (json!({"exact": "s3cret"}), r#"{exact: "<no lane>"}"#),
        (
            json!({"regex": "can.*[.]s3cret"}),
            r#"{regex: "<no lane>"}"#,
        ),
        (
            json!({"exact": "canary.<laneSecret>"}),
            r#"{exact: "canary.<another secret>"}"#,
        ),
    ] {
        lane["match"] = header(written);
        let error = problem_of(&json!([lane, route]), &routing, &[Lane::Canary]).unwrap_err();
        let found =
            format!("found [{{headers: {{X-Rollout-Lane.shop.reviews: {shown}}}}}], expected");
        assert!(error.contains(&found), "{error}");
        assert!(
            !error.contains("s3cret") && !error.contains("0ld"),
            "{error}"
        );
    }
    lane["match"] =
        json!([{"headers": {"x-rollout-lane.shop.reviews": {"exact": "canary.s3cret"}}}]);
    assert_eq!(
        problem_of(&json!([lane, route]), &routing, &[Lane::Canary]),
        Ok(())
    );
    // One that has been taken away is none to show either.
    let error = problem_of(
        &json!([lane, route]),
        &routing_of(json!({})),
        &[Lane::Canary],
    )
    .unwrap_err();
    assert!(
        error.contains("{exact: \"canary.<another secret>\"}"),
        "{error}"
    );
}
