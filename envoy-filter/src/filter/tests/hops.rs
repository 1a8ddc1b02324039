//! Lanes that are carried along, secrets, and what is believed.

use super::*;

const LIST: &str = "x-rollout-lanes";
const ENTRY: &str = r#""entryHosts": ["shop.example.com"], "#;

/// So that there are stable ones too.
const STICKY: &str =
    r#""sticky": {"keys": [{"header": "x-user-id"}], "salt": "s", "canary": 50}, "#;

/// The policy of [`REVIEWS`] with more fields.
fn with(fields: &str) -> String {
    REVIEWS.replacen(r#""hosts""#, &format!(r#"{fields} "hosts""#), 1)
}

fn bench(node: &str, fields: &str) -> Bench {
    Bench::new(node)
        .configure("p", &with(fields))
        .on_route("primary", "reviews")
}

#[test]
fn at_an_entry_host_the_lane_is_decided_ahead_whatever_the_route() {
    let mut bench = bench(GATEWAY, ENTRY).on_route("front", "web");
    let calls = bench.send("shop.example.com", &[("x-beta", "1")]);
    assert_eq!(
        calls,
        [
            "read headers",
            "set x-rollout-lanes: shop.reviews=canary",
            "keep serin.own_lanes"
        ]
    );
    assert_eq!(bench.lane(), None);
    assert_eq!(bench.send("shop.example.com", &[]), ["read headers"]);
}

#[test]
fn in_the_mesh_an_entry_becomes_the_lane_header_on_a_managed_route() {
    let carried = [ENTRY, STICKY].concat();
    let mut there = bench(SIDECAR, &carried);
    let calls = there.send(
        "reviews",
        &[
            (LIST, "shop.cart=stable, shop.reviews=stable"),
            ("x-beta", "1"),
        ],
    );
    assert_eq!(there.lane(), Some("stable"), "the policy is not asked");
    assert_eq!(
        calls.last().map(String::as_str),
        Some("set x-rollout-lane.shop.reviews: stable")
    );
    assert_eq!(
        there.proxy.header(LIST),
        Some("shop.cart=stable, shop.reviews=stable")
    );
    let mut elsewhere = bench(SIDECAR, &carried).on_route("other", "reviews");
    elsewhere.send("reviews", &[(LIST, "shop.reviews=stable")]);
    assert_eq!(elsewhere.lane(), None);
    // Of a policy whose lanes aren't carried it says nothing, whatever else the request has.
    for headers in [&[][..], &[("x-beta", "2")]] {
        let mut alone = bench(SIDECAR, "");
        alone.send(
            "reviews",
            &[&[(LIST, "shop.reviews=stable")], headers].concat(),
        );
        assert_eq!(alone.lane(), None);
    }
    // On its way, at an entry host within the mesh.
    let mut between = bench(SIDECAR, &carried);
    let calls = between.send(
        "shop.example.com",
        &[(LIST, "shop.reviews=stable"), ("x-beta", "1")],
    );
    assert_eq!(calls, ["has x-beta", "read headers"]);
}

#[test]
fn a_decision_at_the_hosts_is_carried_where_the_policy_asks_for_it() {
    let mut carried = bench(SIDECAR, ENTRY);
    carried.send("reviews", &[(LIST, "shop.cart=stable"), ("x-beta", "1")]);
    assert_eq!(carried.lane(), Some("canary"));
    assert_eq!(
        carried.proxy.header(LIST),
        Some("shop.cart=stable,shop.reviews=canary")
    );
    let mut alone = bench(SIDECAR, "");
    alone.send("reviews", &[("x-beta", "1")]);
    assert_eq!(alone.proxy.header(LIST), None);
    let mut elsewhere = bench(SIDECAR, ENTRY).on_route("other", "reviews");
    elsewhere.send("reviews", &[("x-beta", "1")]);
    assert_eq!(
        elsewhere.proxy.header(LIST),
        None,
        "nothing was decided about"
    );
}

#[test]
fn a_host_that_is_an_entry_too_is_decided_about_once_and_carried_from_any_route() {
    let fields = r#""entryHosts": ["reviews.shop.svc.cluster.local"], "#;
    let mut managed = bench(SIDECAR, fields);
    managed.send("reviews", &[("x-beta", "1")]);
    assert_eq!(managed.lane(), Some("canary"));
    assert_eq!(managed.proxy.header(LIST), Some("shop.reviews=canary"));
    let mut other = bench(SIDECAR, fields).on_route("other", "reviews");
    other.send("reviews", &[("x-beta", "1")]);
    assert_eq!(other.lane(), None);
    assert_eq!(other.proxy.header(LIST), Some("shop.reviews=canary"));
}

#[test]
fn every_lane_from_outside_is_removed_at_an_edge() {
    for (json, host) in [
        (with(ENTRY), "shop.example.com"),
        (with(""), "unknown.example.com"),
        ("{}".to_owned(), "any"),
    ] {
        for lines in [
            &[(LIST, "shop.reviews=canary,shop.cart=canary")][..],
            &[(LIST, ""), (LIST, "shop.reviews=canary")],
            &[(LIST, ""), (LANE, "canary")],
            &[("x-rollout-lane.other.x", "canary"), (LIST, "a=b")],
        ] {
            let mut bench = Bench::new(GATEWAY).configure("p", &json);
            bench.send(host, lines);
            let left = bench
                .proxy
                .headers
                .iter()
                .filter(|(name, _)| name.starts_with("x-rollout"));
            assert_eq!(left.count(), 0, "{lines:?} at {host}");
        }
    }
    let mut decided = bench(GATEWAY, ENTRY);
    decided.send(
        "shop.example.com",
        &[(LIST, "shop.reviews=stable"), ("x-beta", "1")],
    );
    assert_eq!(decided.proxy.header(LIST), Some("shop.reviews=canary"));
}

#[test]
fn a_second_plugin_at_an_edge_adds_to_the_list_of_the_first() {
    let cart = with(ENTRY).replace(
        "shop/reviews\": {\n    \"entryHosts",
        "shop/cart\": {\n    \"entryHosts",
    );
    assert!(cart.contains("shop/cart"), "{cart}");
    let mut bench = Bench::new(GATEWAY)
        .configure("first", &with(ENTRY))
        .configure("second", &cart);
    for plugin in ["first", "second"] {
        bench
            .proxy
            .properties
            .insert("plugin_name".to_owned(), plugin.to_owned());
        if plugin == "first" {
            bench.send(
                "shop.example.com",
                &[("x-beta", "1"), (LIST, "shop.cart=stable")],
            );
        } else {
            bench.again();
        }
    }
    assert_eq!(
        bench.proxy.header(LIST),
        Some("shop.reviews=canary,shop.cart=canary")
    );
}

#[test]
fn with_a_secret_it_stands_behind_every_lane_and_nothing_else_is_believed() {
    let fields = format!(r#"{ENTRY} {STICKY} "secret": "s3cret","#);
    let mut bench = bench(SIDECAR, &fields);
    bench.send("reviews", &[("x-beta", "1")]);
    assert_eq!(bench.lane(), Some("canary.s3cret"));
    assert_eq!(bench.proxy.header(LIST), Some("shop.reviews=canary.s3cret"));
    bench.send("reviews", &[(LANE, "stable.s3cret"), ("x-beta", "1")]);
    assert_eq!(bench.lane(), Some("stable.s3cret"));
    bench.send(
        "reviews",
        &[(LIST, "shop.reviews=stable.s3cret"), ("x-beta", "1")],
    );
    assert_eq!(bench.lane(), Some("stable.s3cret"));
    for wrong in ["stable", "stable.s3cre", "stable.other", "", "s3cret"] {
        let entry = format!("shop.reviews={wrong},shop.cart=x");
        // The policy is asked, and its answer stands in place of both.
        bench.send("reviews", &[(LANE, wrong), (LIST, &entry), ("x-beta", "1")]);
        assert_eq!(bench.lane(), Some("canary.s3cret"), "{wrong}");
        assert_eq!(
            bench.proxy.header(LIST),
            Some("shop.cart=x,shop.reviews=canary.s3cret")
        );
        // It has none: both go.
        bench.send("reviews", &[(LANE, wrong), (LIST, &entry)]);
        assert_eq!(bench.lane(), None, "{wrong}");
        assert_eq!(bench.proxy.header(LIST), Some("shop.cart=x"));
        bench.send("reviews", &[(LIST, &format!("shop.reviews={wrong}"))]);
        assert_eq!(bench.proxy.header(LIST), None, "{wrong}");
    }
    // Of two there is none that is right.
    bench.send(
        "reviews",
        &[(LANE, "stable.s3cret"), (LANE, "canary.s3cret")],
    );
    assert_eq!(bench.lane(), None);
}

#[test]
fn a_share_that_is_drawn_at_the_entry_is_drawn_once() {
    let share = with(ENTRY).replace(
        r#""lane": "canary","#,
        r#""lane": "canary", "percent": 50,"#,
    );
    let mut entry = Bench::new(GATEWAY).configure("p", &share);
    let mut carried = [0; 2];
    for _ in 0..200 {
        entry.send("shop.example.com", &[("x-beta", "1")]);
        let list = entry.proxy.header(LIST).map(str::to_owned).unwrap();
        let at = ["shop.reviews=weights", "shop.reviews=canary"]
            .iter()
            .position(|one| *one == list);
        carried[at.unwrap()] += 1;
        // Further in nobody draws again.
        let mut there = Bench::new(SIDECAR)
            .configure("p", &share)
            .on_route("primary", "reviews");
        there.send("reviews", &[(LIST, &list), ("x-beta", "1")]);
        assert_eq!(there.lane(), (at == Some(1)).then_some("canary"));
        assert_eq!(there.proxy.header(LIST), Some(&*list));
    }
    assert!(carried.iter().all(|count| *count > 50), "{carried:?}");
    // Who is not asked about has nothing carried.
    entry.send("shop.example.com", &[]);
    assert_eq!(entry.proxy.header(LIST), None);
}

#[test]
fn an_entry_is_no_longer_believed_where_the_policy_leads_nobody_there() {
    let mut bench = bench(SIDECAR, &[ENTRY, &STICKY.replace("50", "0")].concat());
    let mirror = [
        (LIST, "shop.reviews=mirror,shop.cart=x"),
        ("x-user-id", "1"),
    ];
    bench.send("reviews", &mirror);
    assert_eq!(bench.lane(), Some("stable"), "the policy is asked");
    assert_eq!(
        bench.proxy.header(LIST),
        Some("shop.cart=x,shop.reviews=stable")
    );
    // The rule of all who have the header leads to the canary.
    bench.send(
        "reviews",
        &[(LIST, "shop.reviews=canary"), ("x-user-id", "1")],
    );
    assert_eq!(bench.lane(), Some("canary"));
}

#[test]
fn without_a_secret_a_word_that_is_no_lane_is_not_believed() {
    let mut bench = bench(SIDECAR, "");
    bench.send("reviews", &[(LANE, "unknown"), ("x-beta", "1")]);
    assert_eq!(bench.lane(), Some("canary"));
    bench.send("reviews", &[(LANE, "unknown"), ("x-beta", "2")]);
    assert_eq!(bench.lane(), None);
}

#[test]
fn a_lane_that_came_with_the_request_is_counted_as_carried() {
    let mut bench = bench(SIDECAR, ENTRY);
    bench.send("reviews", &[(LIST, "shop.reviews=canary")]);
    bench.send("shop.example.com", &[("x-beta", "1")]);
    bench.tick_of(1);
    let counted: Vec<(&str, u32)> = bench
        .proxy
        .metrics
        .iter()
        .filter(|(_, name, _)| name.ends_with("serin_requests_total"))
        .map(|(_, name, value)| (name.as_str(), *value))
        .collect();
    let name = "rollout=.=shop/reviews;.;lane=.=canary;.;rule=.=(carried);.;serin_requests_total";
    assert_eq!(
        counted,
        [(name, 1)],
        "what is decided ahead is counted where it arrives"
    );
}
