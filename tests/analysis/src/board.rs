//! The queries of the dashboard and of the alerts, on the Prometheus of the run, in the middle of a canary.

use std::time::Duration;

use serde_json::Value;

use crate::canary::Played;
use crate::prometheus::Prometheus;
use crate::promtool::texts;
use crate::{Failure, manifests};

/// What a rate needs: a few scrapes.
const INTERVAL: &str = "30s";

/// Prints each query with the number of series that it returns; an error if one of the dashboard returns none, if a rule
/// can't be evaluated, or if an alert fires though all is well.
pub(crate) async fn check(prometheus: &Prometheus, canary: &Played) -> Result<(), Failure> {
    let path = manifests::folder().join("monitoring/dashboard.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let mut empty = Vec::new();
    let panels = dashboard.get("panels").map(|panels| texts(panels, "expr"));
    let queries: Vec<String> = panels
        .into_iter()
        .flatten()
        .chain(
            texts(&dashboard, "definition")
                .iter()
                .filter_map(|query| variable(query)),
        )
        .map(|query| fill(&query, canary))
        .collect();
    println!("\nseries of each query of the dashboard:");
    for query in &queries {
        let series = prometheus.query(query).await?;
        println!("{:5}  {query}", series.len());
        if series.is_empty() || series.iter().all(is_nan) {
            empty.push(query.clone());
        }
        if query.contains('$') {
            return Err(format!("{query}: a variable of Grafana is left in it").into());
        }
    }
    if queries.is_empty() || !empty.is_empty() {
        return Err(format!("{} queries return no number: {empty:#?}", empty.len()).into());
    }
    rules(prometheus).await
}

/// What a variable's `label_values(series, label)` lists, as a query.
fn variable(query: &str) -> Option<String> {
    let (series, label) = query
        .strip_prefix("label_values(")?
        .strip_suffix(')')?
        .rsplit_once(", ")?;
    Some(format!("count by ({label}) ({series})"))
}

/// The query with the values of Grafana's variables.
fn fill(query: &str, canary: &Played) -> String {
    query
        .replace("$__rate_interval", INTERVAL)
        .replace("$namespace", canary.namespace)
        .replace("$rollout", canary.rollout)
        .replace("$stable", &canary.hashes.stable)
        .replace("$canary", &canary.hashes.canary)
}

fn is_nan(series: &Value) -> bool {
    series.pointer("/value/1").and_then(Value::as_str) == Some("NaN")
}

async fn rules(prometheus: &Prometheus) -> Result<(), Failure> {
    // The first evaluation comes within an interval.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rules = prometheus.rules().await?;
    if rules.is_empty() {
        return Err("prometheus has loaded no rule".into());
    }
    println!("\nalerts, each with its state, and the series of what it looks at:");
    for rule in rules {
        let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
        println!("{:8}  {}", text("state"), text("name"));
        if text("health") != "ok" {
            return Err(format!("{}: {}", text("name"), text("lastError")).into());
        }
        for metric in metrics(text("query")) {
            let series = prometheus.query(&metric).await?;
            println!("{:8}      {metric}", series.len());
            if series.is_empty() && !ABSENT.contains(&metric.as_str()) {
                return Err(format!("{}: {metric} has no series", text("name")).into());
            }
        }
        if text("state") == "firing" {
            return Err(format!("{} fires, and all is well", text("name")).into());
        }
    }
    Ok(())
}

/// What this run has no series of, so that only `promtool test rules` has: what the proxies of callers count in a mesh, by a filter
/// that Envoy as its own project builds it lacks; and an error that no call of the plugin need have had.
const ABSENT: [&str; 2] = [
    "istio_requests_total{reporter=\"source\"}",
    "rollout_events_total{reason=\"TrafficRoutingError\"}",
];

/// The selectors in a query: names of metrics, each with what stands in braces behind it.
fn metrics(query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(at) = ["serin_", "istio_", "rollout_"]
        .iter()
        .filter_map(|name| rest.find(name))
        .min()
    {
        let from = rest.get(at..).unwrap_or_default();
        let name = from
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(from.len());
        let braces = from.get(name..).filter(|rest| rest.starts_with('{'));
        let end = braces
            .and_then(|rest| rest.find('}'))
            .map_or(name, |end| name + end + 1);
        found.extend(from.get(..end).map(str::to_owned));
        rest = from.get(end..).unwrap_or_default();
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_and_variables_are_found() {
        assert_eq!(
            metrics(
                "max by (x) (serin_a) > 0 unless on (x) sum(increase(serin_b{lane=~\"c|d\"}[30m])) > 0 or serin_a"
            ),
            ["serin_a", "serin_b{lane=~\"c|d\"}"]
        );
        assert_eq!(
            variable("label_values(up{a=\"b\",c=\"d\"}, job)").as_deref(),
            Some("count by (job) (up{a=\"b\",c=\"d\"})")
        );
    }
}
