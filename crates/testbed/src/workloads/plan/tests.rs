//! Which pods are made and which go.

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:00:10Z".parse().unwrap()
}

fn set(replicas: i64) -> Value {
    json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "set", "generation": 1},
        "spec": {
            "replicas": replicas,
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a"}]}},
        },
        "status": {},
    })
}

fn pod(name: &str, ready_since: Option<&str>) -> Value {
    let owner = json!([{"kind": "ReplicaSet", "uid": "set", "controller": true}]);
    let conditions = ready_since.map(
        |since| json!([{"type": "Ready", "status": "True", "lastTransitionTime": format!("2026-01-01T00:00:{since}Z")}]),
    );
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": name, "ownerReferences": owner},
        "status": {"phase": "Running", "conditions": conditions},
    })
}

fn decide(set: Value, pods: Vec<Value>) -> Plan {
    let cluster = Cluster {
        sets: vec![set],
        pods,
        ..Cluster::default()
    };
    plan(&cluster, now())
}

fn deleted(plan: &Plan) -> Vec<&str> {
    let names = plan.writes.iter().filter_map(|write| match write {
        Write::Delete { at, .. } => Some(at.name.as_str()),
        _ => None,
    });
    names.collect()
}

fn status(plan: &Plan) -> &Value {
    plan.writes
        .iter()
        .find_map(|write| match write {
            Write::Merge(_, patch) => Some(&patch["status"]),
            _ => None,
        })
        .unwrap()
}

#[test]
fn missing_pods_are_made_from_the_template() {
    let plan = decide(set(3), vec![pod("a", None)]);
    let made: Vec<_> = plan
        .writes
        .iter()
        .filter_map(|write| match write {
            Write::Create(pod) => Some(pod),
            _ => None,
        })
        .collect();
    assert_eq!(made.len(), 2);
    let metadata = &made[0]["metadata"];
    assert_eq!(metadata["generateName"], "web-1-");
    assert_eq!(metadata["labels"], json!({"app": "web"}));
    assert_eq!(metadata["ownerReferences"][0]["uid"], "set");
    assert_eq!(made[0]["spec"], json!({"containers": [{"name": "a"}]}));
    assert_eq!(status(&plan)["replicas"], 1);
    assert_eq!(status(&plan)["readyReplicas"], Value::Null);
    assert_eq!(status(&plan)["observedGeneration"], 1);
}

#[test]
fn pods_that_are_not_ready_go_first() {
    let pods = vec![
        pod("a", None),
        pod("b", Some("00")),
        pod("c", None),
        pod("d", Some("00")),
    ];
    assert_eq!(deleted(&decide(set(3), pods.clone())), ["c"]);
    assert_eq!(deleted(&decide(set(1), pods.clone())), ["d", "a", "c"]);
    assert_eq!(deleted(&decide(set(0), pods)).len(), 4);
}

fn failed(name: &str, since: Option<&str>) -> Value {
    let mut failed = pod(name, since);
    failed["status"]["phase"] = json!("Failed");
    if since.is_some() {
        failed["status"]["conditions"][0]["status"] = json!("False");
    }
    failed
}

fn made(plan: &Plan) -> usize {
    let writes = plan.writes.iter();
    writes
        .filter(|write| matches!(write, Write::Create(_)))
        .count()
}

#[test]
fn a_failed_pod_goes_and_is_replaced_after_a_while() {
    let plan = decide(set(1), vec![failed("a", Some("03"))]);
    assert_eq!((made(&plan), deleted(&plan)), (0, vec![]));
    assert_eq!(plan.again_after, Some(Duration::from_secs(3)));
    let plan = decide(set(1), vec![failed("a", Some("00"))]);
    assert_eq!((made(&plan), deleted(&plan)), (1, vec!["a"]));
    // Who knows since when.
    let plan = decide(set(1), vec![failed("a", None)]);
    assert_eq!((made(&plan), deleted(&plan)), (1, vec!["a"]));
}

#[test]
fn a_failed_pod_keeps_no_place_that_is_taken() {
    let pods = vec![failed("a", Some("09")), failed("b", Some("09"))];
    let with = |more: &[Value]| [pods.clone(), more.to_vec()].concat();
    let plan = decide(set(3), with(&[]));
    assert_eq!((made(&plan), deleted(&plan)), (1, vec![]));
    let plan = decide(set(2), with(&[pod("c", Some("00"))]));
    assert_eq!((made(&plan), deleted(&plan)), (0, vec!["b"]));
    let plan = decide(set(0), with(&[]));
    assert_eq!((made(&plan), deleted(&plan)), (0, vec!["a", "b"]));
}

#[test]
fn a_pod_is_available_once_it_has_been_ready_long_enough() {
    let mut slow = set(2);
    slow["spec"]["minReadySeconds"] = json!(5);
    let plan = decide(slow, vec![pod("a", Some("03")), pod("b", Some("08"))]);
    assert_eq!(status(&plan)["readyReplicas"], 2);
    assert_eq!(status(&plan)["availableReplicas"], 1);
    assert_eq!(plan.again_after, Some(Duration::from_secs(3)));
}

#[test]
fn nothing_is_written_twice() {
    let mut done = set(1);
    done["status"] = json!({
        "replicas": 1, "fullyLabeledReplicas": 1, "readyReplicas": 1, "availableReplicas": 1, "observedGeneration": 1,
    });
    let plan = decide(done, vec![pod("a", Some("00"))]);
    assert_eq!(plan.writes, []);
    assert_eq!(plan.again_after, None);
}

#[test]
fn what_has_lost_its_owner_goes() {
    let mut orphan = set(0);
    orphan["metadata"]["ownerReferences"] =
        json!([{"kind": "Rollout", "uid": "gone", "controller": true}]);
    orphan["status"] = json!({"replicas": 0, "observedGeneration": 1});
    let mut stray = pod("stray", None);
    stray["metadata"]["ownerReferences"][0]["uid"] = json!("other");
    let mut foreign = pod("foreign", None);
    foreign["metadata"]["ownerReferences"] =
        json!([{"kind": "Job", "uid": "job", "controller": true}]);
    assert_eq!(
        deleted(&decide(orphan, vec![stray, foreign])),
        ["web-1", "stray"]
    );
}

#[test]
fn an_owner_that_orphans_goes_once_nothing_names_it() {
    let rollout = json!({"metadata": {
        "name": "web", "namespace": "shop", "uid": "r", "deletionTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": ["mine", "orphan"],
    }});
    let mut set = set(0);
    set["metadata"]["ownerReferences"] =
        json!([{"kind": "Rollout", "uid": "r", "controller": true}]);
    set["status"] = json!({"replicas": 0, "observedGeneration": 1});
    let mut cluster = Cluster {
        rollouts: vec![rollout],
        sets: vec![set],
        ..Cluster::default()
    };
    let [Write::Merge(to, patch)] = &plan(&cluster, now()).writes[..] else {
        panic!("one write");
    };
    assert_eq!(to.name, "web-1");
    assert_eq!(*patch, json!({"metadata": {"ownerReferences": []}}));
    cluster.sets[0]["metadata"]["ownerReferences"] = json!([]);
    let [Write::Merge(to, patch)] = &plan(&cluster, now()).writes[..] else {
        panic!("one write");
    };
    assert_eq!(to.name, "web");
    assert_eq!(*patch, json!({"metadata": {"finalizers": ["mine"]}}));
}

fn deployment() -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "dep", "generation": 2},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}},
        },
    })
}

#[test]
fn a_deployment_gets_one_set_and_drops_the_old_once_the_new_is_available() {
    let mut cluster = Cluster {
        deployments: vec![deployment()],
        ..Cluster::default()
    };
    let made = plan(&cluster, now());
    let [Write::Create(set)] = made.writes.as_slice() else {
        panic!("{made:?}");
    };
    let hash = set["metadata"]["labels"][POD_TEMPLATE_HASH]
        .as_str()
        .unwrap();
    assert_eq!(set["metadata"]["name"], format!("web-{hash}"));
    assert_eq!(
        set["spec"]["selector"]["matchLabels"],
        set["spec"]["template"]["metadata"]["labels"]
    );
    assert_eq!(set["spec"]["replicas"], 2);

    let mut new = set.clone();
    new["metadata"]["uid"] = json!("new");
    new["status"] = json!({"availableReplicas": 1, "replicas": 2});
    let mut old = set.clone();
    old["metadata"]["name"] = json!("web-old");
    old["metadata"]["uid"] = json!("old");
    old["metadata"]["labels"][POD_TEMPLATE_HASH] = json!("old");
    old["status"] = json!({"availableReplicas": 2, "replicas": 2});
    cluster.sets = vec![old, new];
    assert_eq!(deleted(&plan(&cluster, now())), Vec::<&str>::new());
    cluster.sets[1]["status"]["availableReplicas"] = json!(2);
    assert_eq!(deleted(&plan(&cluster, now())), ["web-old"]);
}
