//! The move of a block between the traffic routers, and fixtures that have no table.

use super::*;

const FIXTURE: &str = "kind: Rollout\nmetadata: {name: web}\nspec: {strategy: {canary: {trafficRouting: \
                       {istio: {virtualService: {name: web}}}, steps: [{pause: {duration: 5s}}]}}}\n";
const TABLE: &str = "title = \"a\"\nstep = []\n[[stream]]\nname = \"users\"\nsidecar = \"a\"\ngateway = \"b\"\n\
                     rate = 200\napp = \"web\"\nonly = \"sidecar\"\n[[adapt]]\nkind = \"Rollout\"\n\
                     at = \"/spec/strategy/canary/steps\"\nfield = \"0\"\nvalue = { pause = {} }\n";

/// Argo's folders with these fixtures, and these tables.
fn read_with(fixtures: &[(&str, &str)], tables: &[&str]) -> Result<Vec<Scenario>, Error> {
    let place = tempfile::tempdir().unwrap();
    let ours = place.path().join("tables");
    for folder in FOLDERS {
        std::fs::create_dir_all(place.path().join(folder)).unwrap();
    }
    std::fs::create_dir_all(&ours).unwrap();
    for (name, content) in fixtures {
        std::fs::write(place.path().join("istio").join(name), content).unwrap();
    }
    for name in tables {
        std::fs::write(ours.join(name), TABLE).unwrap();
    }
    read(&ours, place.path())
}

#[test]
fn a_fixture_is_moved_and_adapted() {
    let scenarios = read_with(
        &[("a.yaml", FIXTURE), ("job.yaml", "kind: Job\n")],
        &["a.toml"],
    )
    .unwrap();
    assert_eq!(scenarios.len(), 1);
    let canary = &scenarios[0].objects[0]["spec"]["strategy"]["canary"];
    assert_eq!(
        *canary,
        json!({
            "trafficRouting": {"plugins": {"serin/istio": {"virtualService": {"name": "web"}}}},
            "steps": [{"pause": {}}],
        })
    );
}

#[test]
fn a_block_comes_back_as_it_was() {
    let written =
        json!({"spec": {"strategy": {"canary": {"trafficRouting": {"istio": {"a": 1}}}}}});
    let mut moved = written.clone();
    to_plugin(&mut moved);
    assert_ne!(moved, written);
    to_built_in(&mut moved);
    assert_eq!(moved, written);
}

#[test]
fn fixtures_and_tables_belong_together() {
    let unknown = read_with(&[("a.yaml", FIXTURE), ("new.yaml", FIXTURE)], &["a.toml"]);
    let text = unknown.unwrap_err().to_string();
    assert!(
        text.contains("names new; expected one that has a table"),
        "{text}"
    );
    let gone = read_with(&[], &["a.toml"]).unwrap_err().to_string();
    assert!(gone.contains("names a; expected a fixture"), "{gone}");
}
