#!/bin/sh
# json-patch (Rust) compares lists index by index: one entry inserted at the top of a list of 3,000 becomes thousands of
# operations, and no test of a short list shows it. The Kubernetes API server refuses a JSON patch of more than 10,000
# (k8s.io/apiserver `maxJSONPatchOperations`), so code that diffs objects that way works until a list has grown.
#
# Prints the version and the operations seen; fails if that has changed. Needs cargo and crates.io.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
json-patch = "=4.2.0"
serde_json = "=1.0.154"

[workspace]
TOML
cat >src/main.rs <<'RUST'
use serde_json::{json, Value};

fn main() {
    // Routes as users write them: some match by prefix, some exactly, and by headers of different names.
    let route = |number: usize| {
        let kind = ["prefix", "exact"][number % 2];
        json!({
            "name": format!("r{number}"),
            "match": [{"uri": {kind: format!("/{number}")}, "headers": {format!("x-{number}"): {"exact": "1"}}}],
            "route": [{"destination": {"host": "web"}}],
        })
    };
    for count in [1, 100, 3_000] {
        let before: Vec<Value> = (0..count).map(route).collect();
        let mut after = before.clone();
        after.insert(0, json!({"name": "new", "route": [{"destination": {"host": "web"}}]}));
        let (before, after) = (Value::from(before), Value::from(after));
        let patch = json_patch::diff(&before, &after);
        let mut patched = before;
        json_patch::patch(&mut patched, &patch).unwrap();
        assert_eq!(patched, after, "the patch is right, only large");
        println!(
            "one entry inserted above {count}: {} operations, {} bytes",
            patch.0.len(),
            serde_json::to_string(&patch).unwrap().len()
        );
    }
}
RUST
echo "json-patch 4.2.0, json_patch::diff"
found=$(cargo run --quiet)
echo "$found"
operations=$(echo "$found" | sed -n 's/^one entry inserted above 3000: \([0-9]*\) operations.*/\1/p')
if [ "${operations:-0}" -le 10000 ]; then
    echo "changed: one insertion above 3,000 entries is ${operations:-no} operations, expected more than 10,000" >&2
    exit 1
fi
