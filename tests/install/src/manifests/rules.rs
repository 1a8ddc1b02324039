//! What every rendered object has to keep: what is loaded has a version and a digest and is not asked for again, and the
//! filter fails open and is known as Serin's.

use serde_json::Value;

use crate::manifests::overlays::Rendered;

/// The kinds that put the filter into proxies.
const FILTERS: [&str; 2] = ["WasmPlugin", "TrafficExtension"];
/// The label that says that they are Serin's.
const LABEL: &str = "/metadata/labels/app.kubernetes.io~1name";

/// The broken rules, as `overlay: object: field: what`.
pub(crate) fn broken(rendered: &Rendered) -> Vec<String> {
    let mut broken = Vec::new();
    for object in &rendered.objects {
        let kind = text(object, "/kind");
        let faults = if FILTERS.contains(&kind) {
            filter(object, kind)
        } else if kind == "Deployment" {
            containers(object)
        } else {
            Vec::new()
        };
        let name = text(object, "/metadata/name");
        broken.extend(
            faults
                .iter()
                .map(|fault| format!("{}: {kind} {name}: {fault}", rendered.name)),
        );
    }
    broken
}

fn filter(object: &Value, kind: &str) -> Vec<String> {
    let module = match kind {
        "WasmPlugin" => "/spec",
        _ => "/spec/wasm",
    };
    let at = |field: &str| text(object, &format!("{module}/{field}"));
    let mut faults = Vec::new();
    let mut expect = |field: &str, found: &str, expected: &str| {
        if found != expected {
            faults.push(format!("{field}: found {found:?}, expected {expected:?}"));
        }
    };
    expect("label app.kubernetes.io/name", text(object, LABEL), "serin");
    expect("failStrategy", at("failStrategy"), "FAIL_OPEN");
    expect("imagePullPolicy", at("imagePullPolicy"), "IfNotPresent");
    expect("match", text(object, "/spec/match/0/mode"), "CLIENT");
    match at("url").strip_prefix("oci://") {
        Some(image) => faults.extend(pinned("url", image)),
        None => faults.push(format!("url: found {:?}, expected oci://", at("url"))),
    }
    faults
}

fn containers(object: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for list in ["initContainers", "containers"] {
        let path = format!("/spec/template/spec/{list}");
        let containers = object.pointer(&path).and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let name = text(container, "/name");
            // A patch of a container that exists names no image.
            if let Some(image) = container["image"].as_str() {
                let field = format!("{list}[{name}]");
                if text(container, "/imagePullPolicy") != "IfNotPresent" {
                    faults.push(format!("{field}.imagePullPolicy: expected IfNotPresent"));
                }
                if name == "serin" {
                    faults.extend(pinned(&format!("{field}.image"), image));
                } else if image.ends_with(":latest") {
                    faults.push(format!("{field}.image: found {image}, expected a version"));
                }
            }
        }
    }
    faults
}

/// What is wrong with the name of an image that has to have a version and a digest.
fn pinned(field: &str, image: &str) -> Option<String> {
    let (named, digest) = image.split_once('@').unwrap_or((image, ""));
    let last = named.rsplit('/').next().unwrap_or_default();
    let version = last.split_once(':').map(|(_, version)| version);
    let is_digest = digest
        .strip_prefix("sha256:")
        .is_some_and(|sum| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_version = version.is_some_and(|version| !version.is_empty() && version != "latest");
    (!is_digest || !is_version)
        .then(|| format!("{field}: found {image}, expected a version and a digest"))
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        broken(&Rendered::new("one", text.to_owned()).unwrap())
    }

    const SUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_filter_that_is_pinned_and_fails_open_is_fine() {
        let text = format!(
            "kind: WasmPlugin\nmetadata: {{name: a, labels: {{app.kubernetes.io/name: serin}}}}\nspec: {{failStrategy: FAIL_OPEN, \
             imagePullPolicy: IfNotPresent, match: [{{mode: CLIENT}}], url: 'oci://r:5000/a/b:1@sha256:{SUM}'}}"
        );
        assert_eq!(faults(&text), Vec::<String>::new());
        let broken = faults(
            &text
                .replace(":1@", ":latest@")
                .replace("FAIL_OPEN", "FAIL_CLOSE"),
        );
        assert_eq!(broken.len(), 2, "{broken:?}");
        assert!(broken[0].contains("failStrategy: found \"FAIL_CLOSE\""));
    }

    #[test]
    fn an_image_needs_a_version_and_a_digest() {
        for (image, is_pinned) in [
            (format!("r.example.com:5000/a:1@sha256:{SUM}"), true),
            (format!("r.example.com:5000/a@sha256:{SUM}"), false),
            (format!("r.example.com/a:latest@sha256:{SUM}"), false),
            ("r.example.com/a:1".to_owned(), false),
            ("r.example.com/a:1@sha256:12".to_owned(), false),
        ] {
            assert_eq!(pinned("image", &image).is_none(), is_pinned, "{image}");
        }
    }

    #[test]
    fn an_init_container_that_pulls_always_is_named() {
        let text = format!(
            "kind: Deployment\nmetadata: {{name: a}}\nspec: {{template: {{spec: {{initContainers: [{{name: serin, \
             image: 'r/a:1@sha256:{SUM}', imagePullPolicy: Always}}]}}}}}}"
        );
        assert_eq!(
            faults(&text),
            ["one: Deployment a: initContainers[serin].imagePullPolicy: expected IfNotPresent"]
        );
    }
}
