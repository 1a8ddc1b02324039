//! What the demo's team has in Git: the service `reviews` in the namespace `shop`, and the filter in the mesh.

use std::path::Path;

use serde_json::{Value, json};
use testbed::apiserver::{ObjectRef, Store};

use crate::error::Error;

pub(crate) const NAMESPACE: &str = "shop";
pub(crate) const NAME: &str = "reviews";
/// The authorities of requests.
pub(crate) const MESH_HOST: &str = "reviews.shop";
pub(crate) const GATEWAY_HOST: &str = "shop.example.com";
/// The header that the filter sets.
pub(crate) const LANE_HEADER: &str = "x-rollout-lane.shop.reviews";
/// The share of requests that the mirror step copies, as in `resources/rollout.yaml`.
pub(crate) const MIRRORED: f64 = 30.0;

const MANIFESTS: [(&str, &str); 3] = [
    (
        "wasmplugin.yaml",
        include_str!("../../../manifests/base/wasmplugin.yaml"),
    ),
    ("istio.yaml", include_str!("../resources/istio.yaml")),
    ("rollout.yaml", include_str!("../resources/rollout.yaml")),
];

/// The image of a release, counted from 1.
pub(crate) fn image(release: u32) -> String {
    format!("{NAME}:{release}")
}

/// The release of an image.
pub(crate) fn release(image: &str) -> u32 {
    image
        .rsplit(':')
        .next()
        .and_then(|tag| tag.parse().ok())
        .unwrap_or(1)
}

/// One of the objects: the Rollout, the VirtualService, the DestinationRule.
pub(crate) fn object(resource: &str) -> ObjectRef {
    ObjectRef::new(resource, NAMESPACE, NAME)
}

/// The object that holds the policy.
pub(crate) fn wasm_plugin() -> ObjectRef {
    ObjectRef::new("wasmplugins", "istio-system", "serin")
}

/// Applies everything; pauses take `pause_seconds`, and the filter is the one in the file `module`.
pub(crate) fn apply(store: &Store, module: &Path, pause_seconds: u64) -> Result<(), Error> {
    for (name, text) in MANIFESTS {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).map_err(|source| Error::Manifest {
                name,
                source: Box::new(source),
            })?;
        for mut object in documents {
            if let Some(url) = object.pointer_mut("/spec/url") {
                *url = json!(format!("file://{}", module.display()));
            }
            let steps = object.pointer_mut("/spec/strategy/canary/steps");
            for step in steps.and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(pause) = step.get_mut("pause") {
                    *pause = json!({"duration": pause_seconds});
                }
            }
            let text = |path| object.pointer(path).and_then(Value::as_str);
            let named = [text("/kind"), text("/metadata/name")]
                .map(Option::unwrap_or_default)
                .join(" ");
            store.put(object).map_err(|status| Error::Refused {
                object: named,
                status: Box::new(status),
            })?;
        }
    }
    Ok(())
}
