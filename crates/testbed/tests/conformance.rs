//! One table of requests, held against the embedded server and against a real one.
//!
//! Alone, `cargo test` runs it against the embedded server. With `SERIN_API_URL` and, where it needs
//! one, `SERIN_API_TOKEN` it runs against that server instead, which needs the `CustomResourceDefinitions`
//! of Istio and Argo Rollouts. Each case lives in a namespace of its own, which it deletes.
//!
//! The cases are in `conformance/*.toml`; the types below say what their fields mean.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is meant"
)]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::{Request, header};
use http_body_util::BodyExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::{Value, json};
use testbed::apiserver::ApiServer;

const TABLES: &[(&str, &str)] = &[
    ("apply", include_str!("conformance/apply.toml")),
    ("discovery", include_str!("conformance/discovery.toml")),
    ("lists", include_str!("conformance/lists.toml")),
    ("objects", include_str!("conformance/objects.toml")),
    ("patches", include_str!("conformance/patches.toml")),
    ("watches", include_str!("conformance/watches.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

/// Requests in order, in a new namespace.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What holds, in words with dashes; unique in its table.
    name: String,
    step: Vec<Step>,
}

/// One request and its answer. In paths and JSON, `${ns}` is the case's namespace and `${x}` what an
/// earlier step saved.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    method: String,
    path: String,
    /// Media type of the body; JSON if none is given.
    #[serde(rename = "type")]
    media_type: Option<String>,
    /// The body as it is sent.
    body: Option<String>,
    /// Instead: a list that holds one item many times.
    repeated: Option<Repeated>,
    /// HTTP status of the answer.
    status: u16,
    /// What must be in the answer, as JSON; see [`difference`].
    answer: Option<String>,
    /// Instead, for a watch: its events, all of them, but for bookmarks in between.
    events: Option<String>,
    /// Instead, for an answer that is no JSON: all of it.
    text: Option<String>,
    /// Names for values of the answer, given by JSON pointer.
    #[serde(default)]
    save: BTreeMap<String, String>,
}

/// A JSON list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeated {
    item: String,
    times: usize,
}

impl Step {
    fn body(&self) -> String {
        match (&self.body, &self.repeated) {
            (Some(body), None) => body.clone(),
            (None, Some(Repeated { item, times })) => {
                format!("[{}]", vec![&**item; *times].join(", "))
            }
            (None, None) => String::new(),
            (Some(_), Some(_)) => panic!("a step has either a body or a repeated item"),
        }
    }
}

#[tokio::test]
async fn answers_as_the_table_says() {
    let (client, embedded) = server().await;
    let mut cases = Vec::new();
    for (table, text) in TABLES {
        let read: Table = toml::from_str(text).unwrap();
        cases.extend(read.case.into_iter().map(|case| (table, case)));
    }
    // All at once: each is alone in its namespace, and watches take their time.
    let results = cases.iter().enumerate().map(|(at, (table, case))| {
        let client = &client;
        async move {
            let result = run(client, case, at).await;
            result.map_err(|found| format!("{table}/{}: {found}\n", case.name))
        }
    });
    let results = futures::future::join_all(results).await;
    let count = results.len();
    let failures: String = results.into_iter().filter_map(Result::err).collect();
    assert!(
        count > 0 && failures.is_empty(),
        "of {count} cases:\n{failures}"
    );
    if let Some(server) = embedded {
        server.shutdown().await;
    }
}

/// The server to ask, and the embedded one if it is that.
async fn server() -> (Client, Option<ApiServer>) {
    let (kubeconfig, embedded) = match std::env::var("SERIN_API_URL") {
        Ok(url) => (real_kubeconfig(&url), None),
        Err(_unset) => {
            let server = ApiServer::start().await.unwrap();
            (server.kubeconfig(), Some(server))
        }
    };
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.default_retry = false;
    (Client::try_from(config).unwrap(), embedded)
}

fn real_kubeconfig(url: &str) -> String {
    let token = std::env::var("SERIN_API_TOKEN").unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "real", "cluster": {"server": url, "insecure-skip-tls-verify": true}}],
        "users": [{"name": "real", "user": {"token": token}}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "real"}}],
        "current-context": "real",
    })
    .to_string()
}

async fn run(client: &Client, case: &Case, at: usize) -> Result<(), String> {
    let nanos = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let namespace = format!("conformance-{nanos:x}-{at}");
    let mut names = BTreeMap::from([("ns".to_owned(), namespace.clone())]);
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    let (status, _) = send(
        client,
        "POST",
        "/api/v1/namespaces",
        "application/json",
        body.to_string(),
    )
    .await;
    assert_eq!(status, 201, "{namespace}");
    let mut result = Ok(());
    for (index, step) in case.step.iter().enumerate() {
        result = take(client, step, &mut names).await.map_err(|found| {
            format!(
                "step {} ({} {}): {found}",
                index + 1,
                step.method,
                step.path
            )
        });
        if result.is_err() {
            break;
        }
    }
    let path = format!("/api/v1/namespaces/{namespace}");
    send(client, "DELETE", &path, "application/json", String::new()).await;
    result
}

async fn take(
    client: &Client,
    step: &Step,
    names: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let path = fill(&step.path, names);
    let body = fill(&step.body(), names);
    let media_type = step.media_type.as_deref().unwrap_or("application/json");
    let (status, text) = send(client, &step.method, &path, media_type, body).await;
    if status != step.status {
        return Err(format!("status {status}, expected {}: {text}", step.status));
    }
    if let Some(expected) = &step.text {
        return if text == *expected {
            Ok(())
        } else {
            Err(format!("found {text:?}, expected {expected:?}"))
        };
    }
    let (expected, found) = match (&step.answer, &step.events) {
        (Some(answer), None) => (
            answer,
            serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?,
        ),
        (None, Some(events)) => (events, events_of(&text)?),
        (None, None) => {
            return save(
                step,
                &serde_json::from_str(&text).unwrap_or_default(),
                names,
            );
        }
        (Some(_), Some(_)) => panic!("a step has either an answer or events"),
    };
    let filled = fill(expected, names);
    let expected: Value = serde_json::from_str(&filled).unwrap_or_else(|e| panic!("{e}: {filled}"));
    if let Some(difference) = difference(&expected, &found, "") {
        return Err(format!("{difference}\n    in {found}"));
    }
    save(step, &found, names)
}

fn save(step: &Step, found: &Value, names: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (name, pointer) in &step.save {
        let value = found
            .pointer(pointer)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("no text at {pointer} in {found}"))?;
        names.insert(name.clone(), value.to_owned());
    }
    Ok(())
}

async fn send(
    client: &Client,
    method: &str,
    path: &str,
    media_type: &str,
    body: String,
) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, media_type)
        .body(body.into_bytes().into())
        .unwrap();
    let answer = async {
        let (parts, body) = client.send(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (
            parts.status.as_u16(),
            String::from_utf8_lossy(&bytes).into_owned(),
        )
    };
    tokio::time::timeout(Duration::from_mins(1), answer)
        .await
        .unwrap_or_else(|_late| panic!("{method} {path}: no answer"))
}

/// The events of a watch but for bookmarks, which come when the server likes, save for the one that
/// ends what is there first.
fn events_of(text: &str) -> Result<Value, String> {
    let mut events = Vec::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).map_err(|e| format!("{e}: {line}"))?;
        let marks = event.pointer("/object/metadata/annotations/k8s.io~1initial-events-end");
        if event["type"] != "BOOKMARK" || marks.is_some() {
            events.push(event);
        }
    }
    Ok(Value::Array(events))
}

fn fill(text: &str, names: &BTreeMap<String, String>) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value)
    })
}

/// The first place where `found` is not as expected. Objects may hold more than expected, null
/// expects absence, lists are as long as expected. A text `*` expects any text, `!x` any but x, and
/// `~x` one that contains x.
fn difference(expected: &Value, found: &Value, path: &str) -> Option<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().find_map(|(key, value)| {
                let found = found.get(key).unwrap_or(&Value::Null);
                difference(value, found, &format!("{path}/{key}"))
            })
        }
        (Value::Array(expected), Value::Array(items)) if expected.len() == items.len() => expected
            .iter()
            .zip(items)
            .enumerate()
            .find_map(|(at, (expected, found))| {
                difference(expected, found, &format!("{path}/{at}"))
            }),
        (Value::String(pattern), Value::String(text)) => {
            let holds = match pattern.split_at_checked(1) {
                Some(("*", "")) => !text.is_empty(),
                Some(("!", other)) => text != other,
                Some(("~", part)) => text.contains(part),
                _ => text == pattern,
            };
            (!holds).then(|| format!("{path}: found {text:?}, expected {pattern:?}"))
        }
        _ if expected == found => None,
        _ => Some(format!("{path}: found {found}, expected {expected}")),
    }
}
