//! Whether proxies keep the module that they have while a canary runs.
//!
//! Each step of a canary edits the filter object, and Istio's agent then gets its module anew (Istio 1.29.1
//! `pkg/wasm/cache.go`, `getEntry` and `shouldIgnoreResourceVersion`): from its cache by the digest where there is one, else
//! by the URL, but for `imagePullPolicy: Always` and for an image with the tag `latest`, whose registry it asks again after
//! every edit. Where that fails it replaces the filter (`pkg/wasm/convert.go`, `createHTTPDefaultFilter`).

use serde_json::Value;

use crate::config::FilterKind;
use crate::core::error::Fault;
use crate::core::filter::module;
use crate::object::Object;

/// What keeps the module of a filter object from being pinned; `None` where it is, or where it is a file.
pub(crate) fn unpinned(object: &Object) -> Option<Fault> {
    let kind = FilterKind::of(object.id.kind)?;
    let module = module(object)?;
    let text = |name: &str| module.get(name).and_then(Value::as_str).unwrap_or_default();
    let url = text("url");
    // Without a scheme it is an image (Istio 1.29.1 `pilot/pkg/model/extensions.go`, `buildWasmConfig`).
    let (scheme, place) = url.split_once("://").unwrap_or(("oci", url));
    let has_digest = !text("sha256").is_empty() || place.contains('@');
    if scheme == "file" || url.is_empty() || has_digest {
        return None;
    }
    let is_image = scheme == "oci";
    let tag = place
        .rsplit_once('/')
        .map_or(place, |(_, image)| image)
        .split_once(':')
        .map(|(_, tag)| tag);
    let is_latest = is_image && tag == Some("latest");
    let policy = text("imagePullPolicy");
    let outcome = if text("failStrategy") == "FAIL_OPEN" {
        "lets every request pass without a lane"
    } else {
        "refuses every request"
    };
    let asks_again = format!(
        "a digest, in {} or behind an @ in {}: each step of a canary edits this object, each proxy then asks the registry again, and where that does not answer, the proxy replaces the filter by one that {outcome}",
        kind.field("sha256"),
        kind.field("url")
    );
    match (policy, is_latest, tag) {
        ("Always", ..) => Some(Fault::new(
            kind.field("imagePullPolicy"),
            "Always",
            asks_again,
        )),
        ("" | "UNSPECIFIED_POLICY", true, _) => Some(Fault::new(
            kind.field("url"),
            format!("{url:?} without an imagePullPolicy"),
            asks_again,
        )),
        (_, true, _) | (_, _, None) if is_image => Some(Fault::new(
            kind.field("url"),
            format!("{url:?}"),
            "the tag of a version, or a digest: a proxy that starts takes what the registry has by then, and may decide otherwise than the others",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::fixtures::{traffic_extension, wasm_plugin};

    const AGAIN: &str = "each proxy then asks the registry again";
    const OTHER: &str = "a proxy that starts takes what the registry has by then";

    #[test]
    fn what_makes_proxies_ask_the_registry_again_is_named() {
        let digest = "0".repeat(64);
        for (spec, expected) in [
            (json!({"url": "oci://r.example/serin:1.0.0"}), None),
            (json!({"url": "r.example/serin:1.0.0"}), None),
            (json!({"url": "file:///serin.wasm"}), None),
            (
                json!({"url": "file:///serin.wasm", "imagePullPolicy": "Always"}),
                None,
            ),
            (json!({"url": "https://r.example/serin.wasm"}), None),
            (
                json!({"url": "oci://r.example/serin:latest"}),
                Some(("url", AGAIN)),
            ),
            (
                json!({"url": "r.example:5000/serin:latest"}),
                Some(("url", AGAIN)),
            ),
            (
                json!({"url": "oci://r.example/serin:1.0.0", "imagePullPolicy": "Always"}),
                Some(("imagePullPolicy", AGAIN)),
            ),
            (
                json!({"url": "https://r.example/serin.wasm", "imagePullPolicy": "Always"}),
                Some(("imagePullPolicy", AGAIN)),
            ),
            (
                json!({"url": "oci://r.example/serin:latest", "imagePullPolicy": "IfNotPresent"}),
                Some(("url", OTHER)),
            ),
            (
                json!({"url": "oci://r.example/serin"}),
                Some(("url", OTHER)),
            ),
            (
                json!({"url": "oci://r.example:5000/serin"}),
                Some(("url", OTHER)),
            ),
            (json!({"url": "oci://r.example/latest:1"}), None),
            // The digest is looked up before anything else.
            (
                json!({"url": "oci://r.example/serin:latest", "sha256": digest}),
                None,
            ),
            (
                json!({"url": format!("oci://r.example/serin@sha256:{digest}"), "imagePullPolicy": "Always"}),
                None,
            ),
        ] {
            for (object, at) in [
                (
                    Object {
                        spec: spec.clone(),
                        ..wasm_plugin()
                    },
                    "spec",
                ),
                (
                    Object {
                        spec: json!({"wasm": spec}),
                        ..traffic_extension()
                    },
                    "spec.wasm",
                ),
            ] {
                let found = unpinned(&object);
                let named = found.as_ref().map(|fault| fault.field.clone());
                let wanted = expected.map(|(field, _)| format!("{at}.{field}"));
                assert_eq!(named, wanted, "{spec}");
                if let (Some(fault), Some((_, reason))) = (found, expected) {
                    assert!(fault.expected.contains(reason), "{spec}: {fault}");
                }
            }
        }
    }

    #[test]
    fn what_happens_to_requests_is_said() {
        for (strategy, outcome) in [
            (json!("FAIL_OPEN"), "lets every request pass without a lane"),
            (json!("FAIL_CLOSE"), "refuses every request"),
            (json!(null), "refuses every request"),
        ] {
            let spec = json!({"url": "oci://r.example/serin:latest", "failStrategy": strategy});
            let fault = unpinned(&Object {
                spec,
                ..wasm_plugin()
            })
            .unwrap();
            assert!(fault.expected.ends_with(outcome), "{fault}");
        }
    }
}
