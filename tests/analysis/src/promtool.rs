//! What Prometheus reads, written from the manifests, and what `promtool` says of it: the alerts in the states that they are for,
//! and the templates' queries on series whose answer is known.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::{Failure, Surroundings, manifests};

const QUERIES_TEST: &str = "queries_test.yaml";
const RULES_TEST: &str = "rules_test.yaml";

/// Writes the files into the run's folder, and has `promtool` check and run them.
pub(crate) async fn check(here: &Surroundings) -> Result<(), Failure> {
    let folder = here.folder.as_path();
    let rules = manifests::folder().join("monitoring/prometheus-rules.yaml");
    let rules = one(&rules)?;
    let rules = rules.pointer("/spec").ok_or("no spec in PrometheusRule")?;
    write(folder, "rules.yaml", rules)?;
    let test = one(&manifests::resource(RULES_TEST))?;
    every_alert_is_shown(rules, &test)?;
    write(folder, RULES_TEST, &test)?;
    let mut test = one(&manifests::resource(QUERIES_TEST))?;
    put_in(&mut test, &queries()?)?;
    write(folder, QUERIES_TEST, &test)?;

    let configuration = std::fs::read_to_string(manifests::resource("prometheus.yaml"))?
        .replace("KUBECONFIG", &here.kubeconfig)
        .replace("SIDECAR", &here.sidecar_metrics.to_string())
        .replace("GATEWAY", &here.gateway_metrics.to_string())
        .replace("CONTROLLER", &here.controller_metrics.to_string());
    std::fs::write(folder.join("prometheus.yaml"), configuration)?;
    promtool(folder, &["check", "rules", "rules.yaml"]).await?;
    promtool(folder, &["check", "config", "prometheus.yaml"]).await?;
    promtool(folder, &["test", "rules", RULES_TEST, QUERIES_TEST]).await
}

/// The object of a file with one.
fn one(path: &Path) -> Result<Value, Failure> {
    let object = scenarios::read_yaml(path)?.into_iter().next();
    object.ok_or_else(|| format!("{} is empty", path.display()).into())
}

/// JSON is YAML.
fn write(folder: &Path, name: &str, content: &Value) -> Result<(), Failure> {
    Ok(std::fs::write(folder.join(name), content.to_string())?)
}

/// An error that names an alert which no case of the test sees firing.
fn every_alert_is_shown(rules: &Value, test: &Value) -> Result<(), Failure> {
    let mut missing = texts(rules, "alert");
    let cases = test.pointer("/tests").and_then(Value::as_array);
    for case in cases.into_iter().flatten() {
        let alerts = case.pointer("/alert_rule_test").and_then(Value::as_array);
        for alert in alerts.into_iter().flatten() {
            let expected = alert.pointer("/exp_alerts").and_then(Value::as_array);
            if expected.is_some_and(|expected| !expected.is_empty()) {
                let name = alert.pointer("/alertname").and_then(Value::as_str);
                missing.retain(|missing| Some(missing.as_str()) != name);
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("{RULES_TEST}: no case in which {missing:?} fire").into())
}

/// The texts of all fields of this name, however deep.
pub(crate) fn texts(value: &Value, name: &str) -> Vec<String> {
    let inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Object(fields) => Box::new(fields.values()),
        Value::Array(items) => Box::new(items.iter()),
        _ => return Vec::new(),
    };
    let own = value.get(name).and_then(Value::as_str).map(str::to_owned);
    let inner = inner.flat_map(|value| texts(value, name));
    own.into_iter().chain(inner).collect()
}

/// The templates' queries to Prometheus, by metric, with the arguments' defaults and those of the test.
fn queries() -> Result<BTreeMap<String, String>, Failure> {
    let given = [
        ("namespace", "shop"),
        ("rollout", "reviews"),
        ("version", "v2"),
    ];
    let mut queries = BTreeMap::new();
    for file in ["success-rate", "latency", "lanes"] {
        let path = manifests::folder().join(format!("analysis/{file}.yaml"));
        let template = one(&path)?;
        let list = |pointer| template.pointer(pointer).and_then(Value::as_array);
        let text = |value: &Value, name| {
            value
                .pointer(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        for metric in list("/spec/metrics").into_iter().flatten() {
            let mut query = text(metric, "/provider/prometheus/query").unwrap_or_default();
            for argument in list("/spec/args").into_iter().flatten() {
                let name = text(argument, "/name").unwrap_or_default();
                let given = given.iter().find(|(given, _)| *given == name);
                let given = given.map(|(_, value)| (*value).to_owned());
                let value = given.or_else(|| text(argument, "/value"));
                let value = value.ok_or_else(|| format!("{file}: {name} has no value"))?;
                query = query.replace(&format!("{{{{args.{name}}}}}"), &value);
            }
            queries.insert(text(metric, "/name").unwrap_or_default(), query);
        }
    }
    Ok(queries)
}

/// Puts the queries in the place of the metrics' names.
fn put_in(value: &mut Value, queries: &BTreeMap<String, String>) -> Result<(), Failure> {
    match value {
        Value::Object(fields) => {
            if let Some(metric) = fields.remove("metric") {
                let query = metric.as_str().and_then(|metric| queries.get(metric));
                let query = query.ok_or_else(|| format!("no template has the metric {metric}"))?;
                fields.insert("expr".to_owned(), query.as_str().into());
            }
            fields
                .values_mut()
                .try_for_each(|value| put_in(value, queries))
        }
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|value| put_in(value, queries)),
        _ => Ok(()),
    }
}

async fn promtool(folder: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let line = format!("promtool {}", arguments.join(" "));
    println!("{line}");
    let mut command = Command::new("promtool");
    let status = command.current_dir(folder).args(arguments).status().await;
    match status.map_err(|error| format!("{line}: {error}"))? {
        status if status.success() => Ok(()),
        status => Err(format!("{line}: {status}").into()),
    }
}
