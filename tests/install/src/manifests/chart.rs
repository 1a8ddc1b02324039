//! The chart: linted, rendered with values of each kind, installed, upgraded in the middle of a canary, and removed.

use std::path::Path;

use serde_json::Value;

use super::word;
use crate::error::Error;
use crate::manifests::cluster;
use crate::manifests::overlays::Rendered;
use crate::manifests::rules;
use crate::tool::{refused, run};

/// A digest as a user sets it.
const DIGEST: &str =
    "filter.image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Values that somebody may set, and a part of the error.
const REFUSED: [(&str, &str); 5] = [
    ("filter.image.tag=latest", "/filter/image/tag"),
    ("filter.image.digest=sha256:12", "/filter/image/digest"),
    ("filter.kind=EnvoyFilter", "/filter/kind"),
    ("filter.imagePullPolicy=Always", "imagePullPolicy"),
    ("filters.create=false", "filters"),
];

/// Everything that is asked of the chart.
pub(crate) fn check(checkout: &Path, traffic_extensions: bool) -> Result<(), Error> {
    let chart = word(&checkout.join("charts/serin"));
    run("helm", &["lint", "--strict", &chart], None)?;
    for (value, part) in REFUSED {
        let said = refused(
            "helm",
            &["template", "serin", &chart, "--set", value],
            None,
            "an error",
        )?;
        if !said.contains(part) {
            return Err(Error::Output {
                what: format!("helm template --set {value}"),
                fault: format!("found {said:?}, expected {part:?} in it"),
            });
        }
    }
    let mut sets = vec![
        vec![DIGEST],
        vec![
            DIGEST,
            "filter.selector.istio=ingressgateway",
            "filter.revision=1-29",
        ],
        vec![
            DIGEST,
            "filter.namespace=shop",
            "argoRollouts.serviceAccount=rollouts",
        ],
    ];
    if traffic_extensions {
        sets.push(vec![DIGEST, "filter.kind=TrafficExtension"]);
    }
    for set in sets {
        let values = set.join(",");
        let words = ["template", "serin", &chart, "--set", &values];
        let name = format!("chart with {}", set.last().unwrap_or(&""));
        let rendered = Rendered::new(&name, run("helm", &words, None)?)?;
        let broken = rules::broken(&rendered);
        if !broken.is_empty() {
            return Err(Error::Broken(broken));
        }
        cluster::istioctl(&rendered)?;
        cluster::comes_and_goes(&rendered)?;
    }
    life(&chart)
}

/// An upgrade keeps the policies that the plugin has written.
fn life(chart: &str) -> Result<(), Error> {
    run(
        "helm",
        &[
            "install",
            "serin",
            chart,
            "-n",
            "argo-rollouts",
            "--set",
            DIGEST,
        ],
        None,
    )?;
    let policy = r#"{"spec":{"pluginConfig":{"rollouts":{"shop/a":{"marker":1}}}}}"#;
    let filter = ["-n", "istio-system", "wasmplugin/serin"];
    let words = [
        &[
            "patch",
            "--type=merge",
            "--field-manager=serin-plugin",
            "-p",
            policy,
        ][..],
        &filter,
    ];
    run("kubectl", &words.concat(), None)?;
    let values = format!("{DIGEST},filter.image.tag=0.1.1");
    run(
        "helm",
        &[
            "upgrade",
            "serin",
            chart,
            "-n",
            "argo-rollouts",
            "--set",
            &values,
        ],
        None,
    )?;
    let live = run(
        "kubectl",
        &[&["get", "-o", "json"][..], &filter].concat(),
        None,
    )?;
    let live: Value = serde_json::from_str(&live).unwrap_or_default();
    let url = live
        .pointer("/spec/url")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let marker = live.pointer("/spec/pluginConfig/rollouts/shop~1a/marker");
    if marker.is_none() || !url.contains(":0.1.1@") {
        return Err(Error::Output {
            what: "helm upgrade".to_owned(),
            fault: format!("found {live:#}, expected the policy and version 0.1.1"),
        });
    }
    run("helm", &["uninstall", "serin", "-n", "argo-rollouts"], None)?;
    println!("chart: installed, upgraded with its policies, removed");
    Ok(())
}
