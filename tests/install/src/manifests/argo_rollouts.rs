//! The overlays that add fields to Argo Rollouts' own objects: others' fields stay, a conflict changes nothing, and what was
//! added can be removed alone.

use serde_json::Value;

use super::word;
use crate::error::Error;
use crate::manifests::overlays::{Overlays, Rendered, render};
use crate::tool::{refused, run};

/// As the manifests say that they are applied.
const APPLY: [&str; 3] = ["apply", "--server-side", "--field-manager=serin"];
/// Another plugin's part of both objects, as somebody has put it there.
const OTHERS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: argo-rollouts-config, namespace: argo-rollouts}
data:
  metricProviderPlugins: |
    - {name: argoproj-labs/other, location: "file:///other"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: argo-rollouts, namespace: argo-rollouts}
spec:
  template:
    spec:
      initContainers: [{name: other, image: "registry.example.com/other:1"}]
      containers: [{name: argo-rollouts, volumeMounts: [{name: other, mountPath: /other}]}]
      volumes: [{name: other, emptyDir: {}}]
"#;
/// A list of traffic router plugins that is somebody else's.
const PLUGINS: &str = r#"{"data":{"trafficRouterPlugins":"- {name: argoproj-labs/other, location: \"file:///other\"}\n"}}"#;

/// Installs Argo Rollouts as its project says, and adds and removes Serin's part in each way.
pub(crate) fn check(overlays: &Overlays) -> Result<(), Error> {
    let argo_rollouts = overlays.plain_argo_rollouts()?;
    // CRDs are there already, and too long for the annotation that a client-side apply writes.
    let own: Vec<&str> = argo_rollouts
        .text
        .split("\n---\n")
        .filter(|text| !text.contains("kind: CustomResourceDefinition"))
        .collect();
    let own = Rendered::new("argo-rollouts", own.join("\n---\n"))?;
    run("kubectl", &["apply", "-f", "-"], Some(&own.text))?;
    let words = [&APPLY[..2], &["--field-manager=others", "-f", "-"]].concat();
    run("kubectl", &words, Some(OTHERS))?;
    let before = state()?;
    let without = word(&overlays.path("argo-rollouts"));
    for name in ["plugin-image", "plugin-url", "plugin-file"] {
        let overlay = word(&overlays.path(&format!("overlays/{name}")));
        run("kubectl", &[&APPLY[..], &["-k", &overlay]].concat(), None)?;
        let during = state()?;
        added(name, &before, &during)?;
        // A later upgrade of Argo Rollouts in the way that its project describes leaves Serin's part alone.
        run("kubectl", &["apply", "-f", "-"], Some(&own.text))?;
        same(
            name,
            "after Argo Rollouts was applied again",
            &during,
            &state()?,
        )?;
        run("kubectl", &[&APPLY[..], &["-k", &without]].concat(), None)?;
        same(name, "after it was removed", &before, &state()?)?;
        println!("overlay {name}: added to Argo Rollouts, and removed");
    }
    let words = [
        "-n",
        "argo-rollouts",
        "patch",
        "configmap",
        "argo-rollouts-config",
    ];
    let patch = ["--type=merge", "--field-manager=somebody", "-p", PLUGINS];
    run("kubectl", &[&words[..], &patch].concat(), None)?;
    let others = state()?;
    let overlay = word(&overlays.path("overlays/plugin-file"));
    let words = [&APPLY[..], &["-k", &overlay]].concat();
    let said = refused("kubectl", &words, None, "a conflict")?;
    for part in ["conflict with \"somebody\"", ".data.trafficRouterPlugins"] {
        if !said.contains(part) {
            return Err(Error::Output {
                what: format!("kubectl {}", words.join(" ")),
                fault: format!("found {said:?}, expected {part:?} in it"),
            });
        }
    }
    same("plugin-file", "after a conflict", &others, &state()?)?;
    println!("a list of plugins that is somebody else's stays, and says so");
    all_in_one(overlays)
}

/// The overlay with Argo Rollouts in it, applied over what is there.
fn all_in_one(overlays: &Overlays) -> Result<(), Error> {
    let rendered = render(&overlays.path("overlays/with-argo-rollouts"))?;
    let words = [&APPLY[..], &["--force-conflicts", "-f", "-"]].concat();
    run("kubectl", &words, Some(&rendered.text))?;
    println!("overlay with-argo-rollouts: applied");
    Ok(())
}

/// The parts of ConfigMap and Deployment that anybody has written.
fn state() -> Result<[Value; 2], Error> {
    let get = |kind: &str, name: &str| {
        let words = ["-n", "argo-rollouts", "get", kind, name, "-o", "json"];
        let text = run("kubectl", &words, None)?;
        serde_json::from_str::<Value>(&text).map_err(|fault| Error::Output {
            what: format!("kubectl {}", words.join(" ")),
            fault: fault.to_string(),
        })
    };
    let config = get("configmap", "argo-rollouts-config")?;
    let deployment = get("deployment", "argo-rollouts")?;
    let part = |object: &Value, name: &str| object.get(name).cloned().unwrap_or_default();
    Ok([part(&config, "data"), part(&deployment, "spec")])
}

/// An error if not all that was there is still there, or nothing was added.
fn added(name: &str, before: &[Value; 2], after: &[Value; 2]) -> Result<(), Error> {
    let lists = |state: &[Value; 2]| {
        let [config, deployment] = state;
        let mut found: Vec<String> = config
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        for path in ["initContainers", "volumes", "containers/0/volumeMounts"] {
            let list = deployment.pointer(&format!("/template/spec/{path}"));
            let items = list.and_then(Value::as_array).into_iter().flatten();
            found.extend(items.map(|item| format!("{path}: {item}")));
        }
        found
    };
    let (before, after) = (lists(before), lists(after));
    let lost: Vec<&String> = before.iter().filter(|one| !after.contains(one)).collect();
    if !lost.is_empty() || !after.iter().any(|one| one.contains("serin/istio")) {
        return Err(Error::Output {
            what: format!("overlay {name}"),
            fault: format!("found {after:#?}, expected all of {before:#?} and Serin's part"),
        });
    }
    Ok(())
}

fn same(name: &str, when: &str, expected: &[Value; 2], found: &[Value; 2]) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Output {
        what: format!("overlay {name}, {when}"),
        fault: format!("found {found:#?}, expected {expected:#?}"),
    })
}
