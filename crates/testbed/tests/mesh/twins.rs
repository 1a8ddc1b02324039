//! Lane routes beside their managed routes in a real Envoy: whatever a request meets, it meets the same with the lane
//! header and without. The routes are those that istiod has made (`rollout-plugin/tests/data/twins`), at 100 %.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use testbed::echo::{Answer, Echo, Identity};
use testbed::envoy::{Connection, Envoy};

use crate::bench::given;

const HOSTS: &str = include_str!("../../../../rollout-plugin/tests/data/twins/hosts.json");
/// The tables of a sidecar and of a gateway.
const LISTENERS: [&str; 2] = ["80", "http.80"];
const LANE_HEADER: &str = "x-rollout-lane.shop.reviews";

/// What some request has to look like for each match in the routes, and what their changes act on.
const REQUESTS: [(&str, &[&str]); 15] = [
    ("GET /", &[]),
    ("PUT /", &["x-user: a"]),
    ("GET /api/a?b=c", &["x-user: a", "cookie: user=b"]),
    ("GET /exact", &[]),
    ("GET /v1/a", &[]),
    (
        "GET /b",
        &["x-exact: 1", "x-prefix: ab", "x-regex: aa", "x-present: a"],
    ),
    (
        "GET /b",
        &[
            "x-exact: 1",
            "x-prefix: ab",
            "x-regex: aa",
            "x-present: a",
            "x-bot: 1",
        ],
    ),
    ("GET /b?q=1", &[]),
    ("GET /b?r=aa", &[]),
    ("GET /both", &[]),
    ("GET /labels", &[]),
    ("GET /from", &[]),
    ("GET /behind", &[]),
    ("GET /api/a", &["origin: https://a.example.com"]),
    (
        "OPTIONS /api/a",
        &[
            "origin: https://a.example.com",
            "access-control-request-method: GET",
        ],
    ),
];

/// All that the matches don't look at and changes of headers do.
const CHANGED: [&str; 3] = ["x-v: client", "x-r: client", "x-n: client"];

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_meets_what_its_managed_route_does() {
    let Some(program) = given("SERIN_ENVOY") else {
        return;
    };
    let mut tables: Value = serde_json::from_str(HOSTS).unwrap();
    for name in LISTENERS {
        let hosts = tables[name].as_array_mut().unwrap();
        hosts.retain(|host| !lanes(host).is_empty());
        hosts.iter_mut().for_each(without_chance);
    }
    let mut echoes = BTreeMap::new();
    for cluster in clusters(&tables) {
        let identity = Identity {
            app: cluster.clone(),
            ..Identity::default()
        };
        let any = ["127.0.0.1:0".parse().unwrap()];
        let echo = Echo::start(identity, &any, Arc::new(|_| {})).await.unwrap();
        echoes.insert(cluster, echo);
    }
    let clusters: Vec<Value> = echoes
        .iter()
        .map(|(name, echo)| cluster(name, echo))
        .collect();
    let listeners = LISTENERS.map(|name| listener(name, &tables[name]));
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = json!({"static_resources": {"listeners": listeners, "clusters": clusters}});
    let (path, kept) = (folder.path().to_path_buf(), tables.clone());
    let compared = tokio::task::spawn_blocking(move || {
        let envoy =
            Envoy::start(&program, &path, bootstrap, 1).unwrap_or_else(|error| panic!("{error}"));
        LISTENERS
            .map(|name| compare(&envoy, name, &kept[name]))
            .concat()
    });
    let answered = compared.await.unwrap();
    // Each has taken some request.
    assert!(answered.len() > 60, "{}", answered.len());
    let unmet: Vec<&String> = answered
        .iter()
        .filter(|(_, met, _)| *met == 0)
        .map(|(domain, ..)| domain)
        .collect();
    assert!(unmet.is_empty(), "{unmet:?}");
    let overridden: usize = answered.iter().map(|(.., overridden)| overridden).sum();
    assert!(overridden > 0, "no route changes what its destinations set");
}

/// The hosts, how many requests their managed routes have taken, and how many answers in a lane had the route's headers in
/// place of the destination's.
fn compare(envoy: &Envoy, listener: &str, hosts: &Value) -> Vec<(String, usize, usize)> {
    let mut connection = Connection::open(envoy.listener(listener).unwrap()).unwrap();
    let mut answered = Vec::new();
    for host in hosts.as_array().unwrap() {
        let domain = host["domains"][0].as_str().unwrap();
        let lanes = lanes(host);
        let overrides = overrides_destination(host);
        let (mut met, mut overridden) = (0, 0);
        for (start, lines) in REQUESTS {
            let authority = format!("host: {domain}");
            let mut all = vec![authority.as_str()];
            all.extend(CHANGED.iter().chain(lines));
            let expected = seen(&mut connection, start, &all);
            met += usize::from(expected.0 != 404);
            for lane in &lanes {
                let header = format!("{LANE_HEADER}: {lane}");
                let with_lane: Vec<&str> = all.iter().copied().chain([&*header]).collect();
                let found = seen(&mut connection, start, &with_lane);
                assert_eq!(found, expected, "{domain} {lane}: {start} {lines:?}");
                if let (true, Some(answer)) = (overrides, found.2) {
                    let header = |name: &str| answer.headers.get(name).map(String::as_str);
                    assert_eq!(
                        (header("x-v"), header("x-r")),
                        (Some("route"), None),
                        "{domain}"
                    );
                    overridden += 1;
                }
            }
        }
        answered.push((domain.to_owned(), met, overridden));
    }
    answered
}

/// True where the route takes off the header `x-r` that its destinations set, and sets `x-v` otherwise.
fn overrides_destination(host: &Value) -> bool {
    let routes = host["routes"].as_array().unwrap().iter();
    let names = |list: &Value| list.to_string();
    let mut both = routes.filter(|route| {
        let destination = &route["route"]["weighted_clusters"]["clusters"][0];
        let sets = |headers: &Value| {
            names(&headers["request_headers_to_add"]).contains("OVERWRITE_IF_EXISTS_OR_ADD")
        };
        names(&route["request_headers_to_remove"]).contains("\"x-r\"")
            && sets(route)
            && sets(destination)
            && names(&destination["request_headers_to_add"]).contains("\"x-r\"")
    });
    both.next().is_some()
}

/// Status, headers and body of an answer, without what differs from one request to the next.
fn seen(
    connection: &mut Connection,
    start: &str,
    lines: &[&str],
) -> (u16, Vec<(String, String)>, Option<Answer>) {
    let mut reply = connection.send(start, lines).unwrap();
    let of_one_answer = ["date", "x-envoy-upstream-service-time", "content-length"];
    reply
        .headers
        .retain(|(name, _)| !of_one_answer.contains(&name.as_str()));
    let mut answer: Option<Answer> = serde_json::from_str(&reply.body).ok();
    if let Some(answer) = &mut answer {
        for own in ["x-request-id", LANE_HEADER] {
            answer.headers.remove(own);
        }
    }
    (reply.status, reply.headers, answer)
}

/// The lanes that routes of that host match.
fn lanes(host: &Value) -> BTreeSet<String> {
    let routes = host["routes"].as_array().unwrap().iter();
    let headers = routes.filter_map(|route| route.pointer("/match/headers")?.as_array());
    let of_lanes = headers
        .flatten()
        .filter(|header| header["name"] == LANE_HEADER);
    of_lanes
        .map(|header| header["string_match"]["exact"].as_str().unwrap().to_owned())
        .collect()
}

/// Which of several clusters a request gets to is chance's to say; the first one stays.
fn without_chance(host: &mut Value) {
    for route in host["routes"].as_array_mut().unwrap() {
        if let Some(clusters) = route.pointer_mut("/route/weighted_clusters/clusters") {
            clusters.as_array_mut().unwrap().truncate(1);
        }
    }
}

/// The names of all clusters in these routes.
fn clusters(value: &Value) -> BTreeSet<String> {
    match value {
        Value::String(text) if text.starts_with("outbound|") => BTreeSet::from([text.clone()]),
        Value::Array(items) => items.iter().flat_map(clusters).collect(),
        Value::Object(fields) => fields.values().flat_map(clusters).collect(),
        _ => BTreeSet::new(),
    }
}

fn cluster(name: &str, echo: &Echo) -> Value {
    let at = echo.addresses()[0];
    let address =
        json!({"socket_address": {"address": at.ip().to_string(), "port_value": at.port()}});
    json!({
        "name": name,
        "lb_policy": "RING_HASH",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    })
}

fn listener(name: &str, hosts: &Value) -> Value {
    let kind = "type.googleapis.com/envoy.extensions.filters";
    let filter = |name: &str, path: &str| json!({"name": name, "typed_config": {"@type": format!("{kind}.http.{path}")}});
    json!({
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{
            "name": "http",
            "typed_config": {
                "@type": format!("{kind}.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": name,
                "route_config": {"virtual_hosts": hosts},
                "http_filters": [
                    filter("envoy.filters.http.fault", "fault.v3.HTTPFault"),
                    filter("envoy.filters.http.cors", "cors.v3.Cors"),
                    filter("envoy.filters.http.router", "router.v3.Router"),
                ],
            },
        }]}],
    })
}
