//! What is read of a configuration, and what is left out and said.

use std::pin::pin;
use std::task::Poll;

use super::*;

/// What comes of a configuration, and in how many slices.
fn paced(json: &[u8], before: Option<Rc<PolicySet>>, pace: Pace) -> (Configured, usize) {
    let (json, node_id) = (json.to_vec(), SIDECAR.to_vec());
    let mut work = pin!(configure(json, node_id, before, false, pace));
    let mut slices = 1;
    loop {
        match traffic_policy::slice(work.as_mut()) {
            Poll::Ready(configured) => return (configured, slices),
            Poll::Pending => slices += 1,
        }
    }
}

fn configured(json: &[u8], before: Option<Rc<PolicySet>>) -> Configured {
    let (configured, slices) = paced(json, before, Pace::at_once());
    assert_eq!(slices, 1);
    configured
}

#[test]
fn a_node_id_says_what_kind_of_proxy_it_is() {
    let sidecar = Proxy::from_node_id(b"sidecar~10.1.2.3~pod.shop~shop.svc.cluster.local");
    assert_eq!(sidecar.domain, Some("shop.svc.cluster.local"));
    assert!(!sidecar.is_edge(Trust::Auto));
    assert!(sidecar.is_edge(Trust::Edge));
    let gateway =
        Proxy::from_node_id(b"router~10.1.2.3~gw.istio-system~istio-system.svc.cluster.local");
    assert_eq!(gateway.domain, None);
    assert!(gateway.is_edge(Trust::Auto));
    assert!(!gateway.is_edge(Trust::Mesh));
    assert!(!Proxy::from_node_id(b"waypoint~a~b~c").is_edge(Trust::Auto));
    for unknown in [&b"envoy"[..], b"", b"\xff"] {
        let proxy = Proxy::from_node_id(unknown);
        assert_eq!(proxy.domain, None);
        assert!(proxy.is_edge(Trust::Auto), "the safe side");
        assert!(!proxy.is_edge(Trust::Mesh));
    }
}

#[test]
fn a_proxy_that_is_none_of_istios_is_told_of() {
    let faults = |json: &[u8]| {
        let (json, node_id) = (json.to_vec(), b"envoy".to_vec());
        let work = pin!(configure(json, node_id, None, false, Pace::at_once()));
        match traffic_policy::slice(work) {
            Poll::Ready(configured) => configured.faults,
            Poll::Pending => panic!("at once"),
        }
    };
    assert_eq!(
        faults(b"{}"),
        [Fault::Field(
            "trust: auto: the proxy's node id is \"envoy\", expected one of Istio's, as sidecar~...; \
             taken for an edge"
                .to_owned()
        )]
    );
    assert_eq!(faults(br#"{"trust": "mesh"}"#), []);
}

const SIDECAR: &[u8] = b"sidecar~10.1.2.3~pod.shop~shop.svc.cluster.local";

/// Whether an edge, how many policies, and the faults, of a sidecar's configuration.
fn read(json: &str) -> (Option<bool>, Option<usize>, Vec<Fault>) {
    let configured = configured(json.as_bytes(), None);
    let policies = configured.policies.map(|policies| policies.len());
    (configured.edge, policies, configured.faults)
}

#[test]
fn a_bad_policy_is_left_out_and_the_others_stay() {
    let (_, policies, faults) = read(
        r#"{"rollouts": {
        "shop/a": {"hosts": ["a"], "rules": [{"name": "r", "lane": "canary", "match": [{"path": {"regex": "("}}]}]},
        "shop/b": {"hosts": ["b"]},
        "shop/c": {"host": ["c"]}}}"#,
    );
    assert_eq!(policies, Some(1));
    let [Fault::Policy(first), Fault::Policy(second)] = &faults[..] else {
        panic!("{faults:?}");
    };
    assert!(first.starts_with("rollout shop/a: rules[0].match[0].path.regex: "));
    assert!(second.starts_with("rollout shop/c: unknown field `host`"));
}

#[test]
fn a_bad_policy_leaves_the_last_good_one_of_its_rollout() {
    let good = configured(
        br#"{"rollouts": {"shop/a": {"hosts": ["a"]}, "shop/b": {"hosts": ["b"]}}}"#,
        None,
    );
    let before = Rc::new(good.policies.unwrap());
    let bad = br#"{"rollouts": {"shop/a": {"host": []}, "shop/c": {"host": []}}}"#;
    let after = configured(bad, Some(Rc::clone(&before)));
    assert_eq!(after.faults.len(), 2);
    let after = after.policies.unwrap();
    let rollouts: Vec<&str> = after.iter().map(|policy| policy.rollout()).collect();
    assert_eq!(rollouts, ["shop/a"]);
    assert!(Rc::ptr_eq(
        before.of("shop/a").unwrap(),
        after.of("shop/a").unwrap()
    ));
}

#[test]
fn a_bad_field_takes_nothing_else_with_it() {
    let one = r#""rollouts": {"shop/b": {"hosts": ["b"]}}"#;
    for (json, edge, policies, said) in [
        (
            format!(r#"{{"trust": "edge", "trsut": 1, {one}}}"#),
            true,
            Some(1),
            "unknown field `trsut`",
        ),
        (
            format!(r#"{{"trsut": 1, {one}}}"#),
            false,
            Some(1),
            "unknown field `trsut`",
        ),
        // What is not known to be the mesh is an edge.
        (
            format!(r#"{{"trust": "egde", {one}}}"#),
            true,
            Some(1),
            "trust: unknown variant `egde`",
        ),
        (
            format!(r#"{{"trust": null, {one}}}"#),
            true,
            Some(1),
            "trust: ",
        ),
        (
            r#"{"trust": "edge", "rollouts": []}"#.to_owned(),
            true,
            None,
            "rollouts: invalid type",
        ),
        (
            r#"{"rollouts": null}"#.to_owned(),
            false,
            None,
            "rollouts: invalid type",
        ),
    ] {
        let (read_edge, read_policies, faults) = read(&json);
        assert_eq!((read_edge, read_policies), (Some(edge), policies), "{json}");
        let [Fault::Field(fault)] = &faults[..] else {
            panic!("{json}: {faults:?}");
        };
        assert!(fault.starts_with(said), "{json}: {fault}");
    }
}

#[test]
fn what_is_no_json_object_is_nothing_at_all() {
    for json in ["{", "[]", r#"{"trust": "edge""#, "\u{0}"] {
        let (edge, policies, faults) = read(json);
        assert_eq!((edge, policies), (None, None), "{json}");
        assert!(matches!(faults[..], [Fault::Configuration(_)]), "{json}");
    }
    assert_eq!(read(""), (Some(false), Some(0), Vec::new()));
}

/// With what is wrong in all ways.
const ALL: &str = r#"{"trust": "edge", "odd": [{"a": 1}, "]"], "rollouts": {
    "shop/a": {"hosts": ["a"], "rules": [{"name": "r", "lane": "canary", "match": [{"path": {"regex": "a+"}}]}]},
    "shop/b": {"rules": [{"name": "r", "lane": "canary"}, {"name": "s", "lane": "carnay"}], "hosts": ["b"]},
    "shop/c": {"hosts": ["c"], "rules": {}}, "shop/d": [{}, {}], "shop/e": {"hosts": []}, "shop/f": {"hosts": ["f"], "hosts": []},
    "shop/g": {"host": ["c"]}}, "trust": "egde"}"#;

#[test]
fn slices_come_to_the_same() {
    let before = br#"{"rollouts": {"shop/b": {"hosts": ["b"]}}}"#;
    let before = Rc::new(configured(before, None).policies.unwrap());
    let (at_once, _) = paced(ALL.as_bytes(), Some(Rc::clone(&before)), Pace::at_once());
    assert_eq!(
        at_once.faults.iter().map(said).collect::<Vec<_>>(),
        [
            "unknown field `odd`",
            "rollout shop/b: unknown variant `carnay`, expected one of `canary`, `stable`, `mirror`, `stable-mirror` at line 1 column 74",
            "rollout shop/c: invalid type: map, expected a sequence at line 1 column 26",
            "rollout shop/d: invalid type: sequence, expected struct Policy at line 1 column 0",
            "rollout shop/e: hosts: the list is empty, expected at least one host",
            "rollout shop/f: duplicate field `hosts` at line 1 column 24",
            "rollout shop/g: unknown field `host`, expected one of `hosts`, `virtualServices`, `lanes`, `rules`, `sticky`, `entryHosts`, `secret` at line 1 column 7",
            "trust: unknown variant `egde`, expected one of `edge`, `mesh`, `auto` at line 1 column 6",
        ]
    );
    let policies = at_once.policies.as_ref().unwrap();
    let rollouts: Vec<&str> = policies.iter().map(|policy| policy.rollout()).collect();
    assert_eq!(rollouts, ["shop/a", "shop/b"]);
    for units in [0, 1, 7, 100, 1_000] {
        let pace = Pace::slices_of(units);
        let (slowly, slices) = paced(ALL.as_bytes(), Some(Rc::clone(&before)), pace);
        assert_eq!(format!("{slowly:?}"), format!("{at_once:?}"));
        assert!(slices > 2 || units > 500, "{slices}");
    }
}

fn said(fault: &Fault) -> &str {
    match fault {
        Fault::Configuration(why) | Fault::Field(why) | Fault::Policy(why) | Fault::Cookie(why) => {
            why
        }
    }
}

#[test]
fn what_ends_too_soon_is_nothing_at_all() {
    for end in 1..ALL.len() {
        let json = &ALL[..end];
        let mut reader = Reader::new(json);
        let start = reader.start();
        let pace = Pace::at_once();
        let mut skip = pin!(reader.skip(start, &pace));
        let Poll::Ready(Err(error)) = traffic_policy::slice(skip.as_mut()) else {
            panic!("{json}");
        };
        let why = error.at(json.as_bytes()).to_string();
        let (configured, _) = paced(json.as_bytes(), None, Pace::slices_of(50));
        assert_eq!(configured.faults, [Fault::Configuration(why)], "{json}");
        assert!(configured.policies.is_none() && configured.edge.is_none());
    }
}
