//! Keys that the headers don't have: the source's address and new cookies.

use super::*;

const HOST: &str = "reviews.shop.svc.cluster.local";

fn sticky(keys: &str, canary: u32) -> String {
    format!(
        r#"{{"rollouts": {{"shop/reviews": {{"hosts": ["{HOST}"],
        "virtualServices": {{"shop/reviews": ["primary"]}},
        "sticky": {{"keys": [{keys}], "salt": "s", "canary": {canary}}}}}}}}}"#
    )
}

fn bench(node: &str, keys: &str, canary: u32) -> Bench {
    let mut bench = Bench::new(node)
        .configure("p", &sticky(keys, canary))
        .on_route("primary", "reviews");
    bench
        .proxy
        .properties
        .insert("source.address".to_owned(), "10.1.2.3:5000".to_owned());
    bench
}

impl Bench {
    /// The cookies that the response sets.
    fn respond(&mut self) -> Vec<String> {
        self.proxy.response_headers.clear();
        self.filter.response(&mut self.proxy, CONTEXT);
        let lines = std::mem::take(&mut self.proxy.response_headers);
        lines
            .into_iter()
            .map(|(name, value)| {
                assert_eq!(name, "set-cookie");
                value
            })
            .collect()
    }
}

const SOURCE: &str = r#"{"header": "x-user"}, {"sourceAddress": true}"#;

#[test]
fn the_source_is_asked_for_at_an_edge_and_only_if_no_key_comes_before() {
    let mut edge = bench(GATEWAY, SOURCE, 100);
    let calls = edge.send(HOST, &[("x-user", "u")]);
    assert!(
        !calls.contains(&"get source.address".to_owned()),
        "{calls:?}"
    );
    assert_eq!(edge.lane(), Some("canary"));
    let calls = edge.send(HOST, &[]);
    assert_eq!(
        calls[..3],
        ["read headers", "get source.address", "read headers"]
    );
    assert_eq!(edge.lane(), Some("canary"));
    let mut inside = bench(SIDECAR, SOURCE, 100);
    assert_eq!(inside.send("reviews", &[]), ["read headers"]);
    assert_eq!(inside.lane(), None);
    let mut unknown = bench(GATEWAY, SOURCE, 100);
    unknown.proxy.properties.remove("source.address");
    unknown.send(HOST, &[]);
    assert_eq!(unknown.lane(), None, "the weights decide");
}

#[test]
fn one_address_has_one_lane_whatever_its_port() {
    let mut edge = bench(GATEWAY, SOURCE, 50);
    let mut canaries = 0;
    for client in 0..200 {
        let mut lanes = [1, 65_535].map(|port| {
            let address = format!("10.1.2.{client}:{port}");
            edge.proxy
                .properties
                .insert("source.address".to_owned(), address);
            edge.send(HOST, &[]);
            edge.lane().map(str::to_owned)
        });
        assert_eq!(lanes[0], lanes[1]);
        canaries += i32::from(lanes[0].take().as_deref() == Some("canary"));
    }
    assert!((60..140).contains(&canaries), "{canaries}");
}

const COOKIE: &str = r#"{"header": "x-user"}, {"cookie": "id", "issue": {"maxAge": 60}}"#;

#[test]
fn a_cookie_is_issued_to_a_request_without_a_key_and_decides_at_once() {
    let mut edge = bench(GATEWAY, COOKIE, 50);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let calls = edge.send(HOST, &[]);
        assert!(calls.contains(&"get random bytes".to_owned()));
        let lane = edge.lane().map(str::to_owned);
        let cookies = edge.respond();
        let [cookie] = &cookies[..] else {
            panic!("{cookies:?}");
        };
        let (pair, rest) = cookie.split_once("; ").unwrap();
        assert_eq!(rest, "Path=/; Max-Age=60; SameSite=Lax; HttpOnly");
        assert_eq!(pair.len(), "id=".len() + 32, "{pair}");
        // The next request has it, and gets the same answer.
        let calls = edge.send(HOST, &[("cookie", pair)]);
        assert!(!calls.contains(&"get random bytes".to_owned()));
        assert_eq!(edge.lane().map(str::to_owned), lane);
        assert_eq!(edge.respond(), [""; 0]);
        seen.insert(lane);
    }
    assert_eq!(seen.len(), 2, "ids differ, so both lanes are met");
}

#[test]
fn no_cookie_where_there_is_a_key_or_no_edge_or_another_route() {
    let mut keyed = bench(GATEWAY, COOKIE, 50);
    keyed.send(HOST, &[("x-user", "u")]);
    assert_eq!(keyed.respond(), [""; 0]);
    let mut inside = bench(SIDECAR, COOKIE, 50);
    inside.send("reviews", &[]);
    assert_eq!((inside.lane(), inside.proxy.drawn), (None, 0));
    assert_eq!(inside.respond(), [""; 0]);
    let mut elsewhere = bench(GATEWAY, COOKIE, 50).on_route("other", "reviews");
    elsewhere.send(HOST, &[]);
    assert_eq!(elsewhere.respond(), [""; 0]);
}

#[test]
fn a_share_that_leaves_a_request_out_issues_the_cookie_too() {
    // Otherwise a new key would be drawn for each request, until one is in.
    let json = format!(
        r#"{{"rollouts": {{"shop/reviews": {{"hosts": ["{HOST}"],
        "rules": [{{"name": "r", "lane": "canary", "percent": 1, "keys": [{{"cookie": "id", "issue": {{}}}}], "match": [{{}}]}}]}}}}}}"#
    );
    let mut bench = Bench::new(GATEWAY).configure("p", &json);
    bench.send(HOST, &[]);
    assert_eq!(bench.lane(), None);
    assert_eq!(bench.respond().len(), 1);
}

#[test]
fn a_cookie_for_https_is_secure() {
    let mut edge = bench(GATEWAY, COOKIE, 50);
    for (name, value, secure) in [
        ("x-forwarded-proto", "https", true),
        (":scheme", "https", true),
        ("x-forwarded-proto", "http", false),
    ] {
        edge.send(HOST, &[(name, value)]);
        let cookies = edge.respond();
        assert_eq!(cookies[0].contains("; Secure"), secure, "{name}: {value}");
    }
}

#[test]
fn two_policies_with_one_cookie_issue_it_once() {
    let other = sticky(COOKIE, 50).replace("shop/reviews", "shop/cart");
    let both = format!(
        "{}, {}",
        sticky(COOKIE, 50).strip_suffix("}}").unwrap(),
        other.strip_prefix(r#"{"rollouts": {"#).unwrap()
    );
    let mut edge = Bench::new(GATEWAY)
        .configure(
            "p",
            &both.replace(r#""virtualServices": {"shop/cart": ["primary"]},"#, ""),
        )
        .on_route("primary", "reviews");
    edge.send(HOST, &[]);
    assert_eq!(edge.proxy.log, [""; 0]);
    assert_eq!(edge.proxy.drawn, 1);
    assert_eq!(
        edge.lane(),
        edge.proxy.header("x-rollout-lane.shop.cart"),
        "by the same key"
    );
    assert_eq!(edge.respond().len(), 1);
}

#[test]
fn a_request_that_is_gone_leaves_no_cookie_behind() {
    let mut edge = bench(GATEWAY, COOKIE, 50);
    edge.send(HOST, &[]);
    assert_eq!(edge.filter.waiting.len(), 1);
    edge.filter.deleted(CONTEXT);
    assert_eq!(edge.filter.waiting.len(), 0);
}

#[test]
fn the_module_without_cookies_says_so_at_an_edge_and_goes_on() {
    let json = sticky(COOKIE, 100);
    for (node, said) in [(GATEWAY, 1), (SIDECAR, 0)] {
        let mut filter = Filter::<false>::new();
        let mut proxy = Script::default();
        proxy
            .properties
            .insert("xds.node.id".to_owned(), node.to_owned());
        proxy.configuration = json.as_bytes().to_vec();
        for root in [1, 2] {
            filter.configure(&mut proxy, root, json.len());
        }
        assert_eq!(
            proxy.counted,
            vec![Counter::CookieNotIssued; said],
            "{node}"
        );
        assert_eq!(proxy.log.len(), said, "{:?}", proxy.log);
        for (cookie, lane) in [("", None), ("id=1", Some("canary"))] {
            proxy.headers = [(":authority", HOST), ("cookie", cookie)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
            Bench::new(node)
                .on_route("primary", "reviews")
                .proxy
                .properties
                .iter()
                .for_each(|(name, value)| {
                    proxy.properties.insert(name.clone(), value.clone());
                });
            filter.request(&mut proxy, CONTEXT);
            assert_eq!(proxy.header(LANE), lane);
        }
    }
}
