//! Whatever the state and the call: traffic is added to no version that lacks pods.

use proptest::prelude::*;

use super::*;

/// What of the traffic meets that version's pods, by weight.
fn share(observed: &Observed, version: &str) -> u64 {
    let rule = observed.destination_rule.as_ref().unwrap();
    let route = observed.virtual_services[0].as_ref().unwrap().spec["http"][0].clone();
    let all = route["route"].as_array().unwrap().iter();
    all.filter(|one| {
        let subset = one["destination"]["subset"].as_str().unwrap();
        destination_rule::hash_of(rule, subset) == Some(version)
    })
    .map(|one| one["weight"].as_u64().unwrap_or(0))
    .sum()
}

/// Pods of a version: available and wanted ones.
fn some_pods() -> impl Strategy<Value = (i64, i64)> {
    (0..=4_i64, prop_oneof![Just(0_i64), Just(2), Just(4)])
        .prop_map(|(available, wanted)| (if wanted == 0 { 0 } else { available }, wanted))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the controller asks for in one reconcile: a version that lacks pods has no more traffic afterwards than it
    /// had, or than the status says it had. Where it has, nobody else had any pods.
    #[test]
    fn no_reconcile_adds_traffic_to_a_version_that_lacks_pods(
        sets in [some_pods(), some_pods(), some_pods()],
        at in (prop::sample::select(vec!["c2", "c0", "s1"]), prop::sample::select(vec!["s1", "c2"])),
        status in (prop::sample::select(vec!["c2", "c0", "s1"]), prop::sample::select(vec!["s1", "c2"])),
        known in (0..=100_i32, prop::sample::select(vec!["c2", "c0"])),
        live in 0..=100_u64,
        weight in 0..=100_i32,
        abort in prop::bool::weighted(0.2),
    ) {
        let ((canary, stable), (current, stable_rs)) = (at, status);
        // No call brings the stable subset to the canary.
        let stable = if stable == current { stable_rs } else { stable };
        let rollout = wanting(json!({"spec": {"replicas": 4}, "status": {
            "currentPodHash": current, "stableRS": stable_rs, "abort": abort,
            "canary": {"weights": {
                "canary": {"weight": known.0, "podTemplateHash": known.1},
                "stable": {"weight": 100 - known.0, "podTemplateHash": stable},
            }},
        }}));
        let mut observed = at_twenty();
        let named = [("s1", sets[0]), ("c2", sets[1]), ("c0", sets[2])];
        pods(&mut observed, &named.map(|(hash, (available, wanted))| (hash, available, wanted)));
        observed.destination_rule = Some(Arc::new(destination_rule(canary, stable)));
        let service = Arc::make_mut(observed.virtual_services[0].as_mut().unwrap());
        service.spec["http"][0]["route"][0]["weight"] = json!(100 - live);
        service.spec["http"][0]["route"][1]["weight"] = json!(live);
        let before = observed.clone();

        let is_back = abort || current == stable_rs;
        let weight = if is_back { 0 } else { weight };
        let result = reconcile(&rollout, &mut observed, (current, stable_rs), weight);
        prop_assert!(!abort || result.is_ok(), "{result:?}");
        let has_pods = |hash| Versions::of(&before.replica_sets).has_pods(hash);
        for (version, (available, wanted)) in named {
            // The stable version takes what the canary gives up.
            let waits = available > 0 && available < wanted && version != stable_rs;
            let had = share(&before, version);
            // A subset that comes back to it has the weight that is live.
            let was_said = if known.1 == version && known.0 > 0 {
                live.max(u64::from(known.0.unsigned_abs()))
            } else {
                0
            };
            let nobody_else =
                !has_pods(stable_rs) && (version == stable || !has_pods(canary));
            prop_assert!(
                !waits || nobody_else || share(&observed, version) <= had.max(was_said),
                "{version}: {had} before, now {}", shares(&observed)
            );
        }
        // What a promotion has given to another version.
        let (available, wanted) = if stable_rs == "c2" { sets[1] } else { sets[0] };
        let promoted = !abort && stable != stable_rs && has_pods(stable) && available > 0 && available < wanted;
        prop_assert!(!promoted || result.is_err(), "{}", shares(&observed));
    }
}
