//! What users apply: the templates with their kustomization, and the dashboard's ConfigMap.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::Failure;

/// The repository's folder `manifests`.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests")
}

/// A file that this check has for itself.
pub(crate) fn resource(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("resources")
        .join(name)
}

/// Applies the templates as docs/analysis.md says.
pub(crate) async fn apply_templates() -> Result<(), Failure> {
    let folder = folder().join("analysis");
    let arguments = ["apply", "--server-side", "-k"];
    print!("{}", kubectl(&arguments, &folder).await?);
    Ok(())
}

/// The ConfigMap has Grafana's label, and the dashboard byte for byte.
pub(crate) async fn check_dashboard() -> Result<(), Failure> {
    let folder = folder().join("monitoring");
    let rendered = kubectl(&["kustomize"], &folder).await?;
    let working = tempfile::tempdir()?;
    let file = working.path().join("monitoring.yaml");
    std::fs::write(&file, rendered)?;
    let objects = scenarios::read_yaml(&file)?;
    let map = objects.iter().find(|object| kind(object) == "ConfigMap");
    let map = map.ok_or("manifests/monitoring has no ConfigMap")?;
    let label = map.pointer("/metadata/labels/grafana_dashboard");
    if label.and_then(Value::as_str) != Some("1") {
        return Err(format!("ConfigMap: found label grafana_dashboard {label:?}").into());
    }
    let dashboard = std::fs::read_to_string(folder.join("dashboard.json"))?;
    if map.pointer("/data/serin.json").and_then(Value::as_str) != Some(&dashboard) {
        return Err("ConfigMap: data[\"serin.json\"] is not dashboard.json".into());
    }
    if !objects
        .iter()
        .any(|object| kind(object) == "PrometheusRule")
    {
        return Err("manifests/monitoring has no PrometheusRule".into());
    }
    println!("the dashboard's ConfigMap has the file, byte for byte, and Grafana's label");
    Ok(())
}

fn kind(object: &Value) -> &str {
    object
        .pointer("/kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

async fn kubectl(arguments: &[&str], folder: &Path) -> Result<String, Failure> {
    let output = Command::new("kubectl")
        .args(arguments)
        .arg(folder)
        .output()
        .await
        .map_err(|error| format!("kubectl: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("kubectl {}: {said}", arguments.join(" ")).into())
}
