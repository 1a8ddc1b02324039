//! The scenarios of the checkout, and tables that are refused.

use serde_json::json;

use super::*;

/// A folder that goes with the test.
struct Folder(tempfile::TempDir);

impl Folder {
    /// A scenario of one stream with this rate and no objects.
    fn scenario(&self, rate: u32) -> Result<Scenario, Error> {
        let table = format!(
            "title = \"a\"\nstep = []\n[[stream]]\nname = \"users\"\nsidecar = \"a\"\ngateway = \"b\"\n\
             rate = {rate}\napp = \"web\"\n"
        );
        std::fs::create_dir_all(self.0.path().join("resources")).unwrap();
        std::fs::write(self.0.path().join("scenario.toml"), table).unwrap();
        Scenario::read(self.0.path())
    }
}

fn all() -> Vec<Scenario> {
    read_all(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e"),
        None,
        &[],
    )
    .unwrap()
}

#[test]
fn every_scenario_of_the_checkout_is_valid() {
    let scenarios = all();
    assert_eq!(scenarios.len(), 25);
    for scenario in &scenarios {
        for step in &scenario.table.step {
            if let Some(file) = &step.objects {
                assert!(
                    !api::read_yaml(&scenario.folder.join(file))
                        .unwrap()
                        .is_empty()
                );
            }
        }
    }
}

#[test]
fn the_built_in_gets_the_same_scenario_in_a_namespace_beside() {
    let scenarios = all().into_iter();
    let mut scenarios = scenarios.filter(|scenario| scenario.name() == "gitops-sync");
    let scenario = scenarios.next().unwrap().into_built_in();
    assert_eq!(scenario.name(), "gitops-sync-built-in");
    let host = "web.gitops-sync-built-in.example.com";
    assert_eq!(scenario.table.stream[0].gateway, host);
    assert!(
        scenario
            .table
            .stream
            .iter()
            .all(|stream| stream.users.is_none())
    );
    let shop = scenario.manifest("Rollout", "shop").unwrap();
    let block = json!({"istio": {
        "virtualService": {"name": "shop", "routes": ["primary"]},
        "destinationRule": {"name": "shop", "canarySubsetName": "canary", "stableSubsetName": "stable"},
    }});
    assert_eq!(*api::at(shop, ROUTING), block);
    let gateway = scenario.manifest("Gateway", "all").unwrap();
    assert_eq!(*api::at(gateway, "/spec/servers/0/hosts/0"), *host);
}

#[test]
fn a_rate_below_the_judged_one_is_refused() {
    let folder = Folder(tempfile::tempdir().unwrap());
    assert!(folder.scenario(200).is_ok());
    let refused = folder.scenario(199).unwrap_err().to_string();
    assert!(
        refused.ends_with(
            "the streams send 199 requests a second through the sidecar, expected at least 200"
        ),
        "{refused}"
    );
}

#[test]
fn a_folder_without_a_scenario_is_an_error() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let refused = read_all(folder.0.path(), None, &[]).unwrap_err();
    assert!(matches!(refused, Error::NoScenario { .. }), "{refused}");
}

#[test]
fn nothing_that_is_applied_before_the_rollouts_lets_a_plugin_write() {
    for scenario in all() {
        let (before, rollouts) = scenario.before_and_rollouts();
        let count = |objects: &[Value], kind: &str| {
            objects
                .iter()
                .filter(|object| object["kind"] == kind)
                .count()
        };
        assert_eq!(count(before, "Rollout"), 0);
        assert_eq!(
            count(before, "VirtualService"),
            scenario.named("VirtualService").len()
        );
        assert_eq!(count(rollouts, "Rollout"), rollouts.len());
        assert!(!rollouts.is_empty(), "{}", scenario.name);
    }
}
