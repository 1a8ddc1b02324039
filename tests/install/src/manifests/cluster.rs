//! Rendered objects on the API server.

use serde_json::{Value, json};

use crate::error::Error;
use crate::manifests::overlays::Rendered;
use crate::tool::{self, run};

/// As whom the plugin writes policies, so that they are nobody else's fields.
const PLUGIN: &str = "serin-plugin";

/// Namespaces that the overlays name.
pub(crate) fn prepare() -> Result<(), Error> {
    for name in ["istio-system", "argo-rollouts", "shop"] {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
                .to_string();
        run("kubectl", &["apply", "-f", "-"], Some(&namespace))?;
    }
    Ok(())
}

/// Applies an overlay of Serin's own objects, twice, client-side and server-side: a policy in the filter stays. Then deletes
/// them, and looks whether anything is left.
pub(crate) fn comes_and_goes(rendered: &Rendered) -> Result<(), Error> {
    for apply in [
        &["apply", "-f", "-"][..],
        &["apply", "--server-side", "--field-manager=serin", "-f", "-"],
    ] {
        run("kubectl", apply, Some(&rendered.text))?;
        let filter = filter(rendered)?;
        let policy = if filter[0].starts_with("WasmPlugin") {
            json!({"spec": {"pluginConfig": {"rollouts": {"shop/a": {"marker": 1}}}}})
        } else {
            json!({"spec": {"wasm": {"pluginConfig": {"rollouts": {"shop/a": {"marker": 1}}}}}})
        };
        let names: Vec<&str> = filter.iter().map(String::as_str).collect();
        let patch = policy.to_string();
        let mut words = vec![
            "patch",
            "--type=merge",
            "--field-manager",
            PLUGIN,
            "-p",
            &patch,
        ];
        words.extend(&names);
        run("kubectl", &words, None)?;
        let before = versions(rendered)?;
        run("kubectl", apply, Some(&rendered.text))?;
        let after = versions(rendered)?;
        if before != after {
            return Err(Error::Output {
                what: format!("overlay {}, applied again", rendered.name),
                fault: format!("found the versions {after}, expected {before}"),
            });
        }
        let mut words = vec!["get", "-o", "json"];
        words.extend(&names);
        let live = run("kubectl", &words, None)?;
        if !live.contains("marker") {
            return Err(Error::Output {
                what: format!("overlay {}, applied again", rendered.name),
                fault: "the policy is gone".to_owned(),
            });
        }
        run("kubectl", &["delete", "-f", "-"], Some(&rendered.text))?;
        let words = ["get", "--ignore-not-found", "-o", "name", "-f", "-"];
        let left = run("kubectl", &words, Some(&rendered.text))?;
        if !left.is_empty() {
            return Err(Error::Output {
                what: format!("overlay {}, deleted", rendered.name),
                fault: format!("found {left}"),
            });
        }
    }
    println!("overlay {}: applied, applied again, deleted", rendered.name);
    Ok(())
}

/// Kind and name, and the namespace's flag, of the object that carries the filter.
fn filter(rendered: &Rendered) -> Result<[String; 3], Error> {
    let found = rendered
        .objects
        .iter()
        .find(|object| object["apiVersion"] == "extensions.istio.io/v1alpha1");
    let Some(object) = found else {
        return Err(Error::Output {
            what: format!("overlay {}", rendered.name),
            fault: "expected a WasmPlugin or a TrafficExtension".to_owned(),
        });
    };
    let text = |pointer: &str| {
        let value = object.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    Ok([
        text("/kind") + "/" + &text("/metadata/name"),
        "-n".to_owned(),
        text("/metadata/namespace"),
    ])
}

/// The version of each object.
fn versions(rendered: &Rendered) -> Result<String, Error> {
    let columns = "custom-columns=KIND:.kind,NAME:.metadata.name,VERSION:.metadata.resourceVersion";
    let words = ["get", "-f", "-", "--no-headers", "-o", columns];
    run("kubectl", &words, Some(&rendered.text))
}

/// What Istio's own program says of the objects: no error, and no warning.
pub(crate) fn istioctl(rendered: &Rendered) -> Result<(), Error> {
    // It knows Istio's kinds and leaves out the others.
    tool::run("istioctl", &["validate", "-f", "-"], Some(&rendered.text))?;
    let words = [
        "analyze",
        "--use-kube=false",
        "--failure-threshold=Warning",
        "-",
    ];
    tool::run("istioctl", &words, Some(&rendered.text))?;
    println!("{}: istioctl validates and analyzes it", rendered.name);
    Ok(())
}
