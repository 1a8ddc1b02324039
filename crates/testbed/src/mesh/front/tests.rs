//! What becomes of a configuration that an Envoy takes, refuses, or doesn't speak about.

use serde_json::json;

use super::*;
use crate::mesh::fake::Fake;

fn clusters(list: &[(&str, u16)]) -> BTreeMap<String, Cluster> {
    list.iter()
        .map(|(name, port)| {
            let endpoints = match port {
                0 => Vec::new(),
                port => vec![SocketAddr::from(([127, 0, 0, 1], *port))],
            };
            ((*name).to_owned(), Cluster::of(endpoints))
        })
        .collect()
}

fn plugins(list: &[(&str, &str)]) -> Configuration {
    let plugin = |(name, config): &(&str, &str)| Plugin {
        name: (*name).to_owned(),
        config: json!(config),
    };
    Configuration {
        plugins: list.iter().map(plugin).collect(),
        ..Configuration::default()
    }
}

#[test]
fn clusters_stay_as_long_as_old_routes_name_them() {
    let old = clusters(&[("moved", 1), ("emptied", 2), ("gone", 3)]);
    let new = clusters(&[("moved", 4), ("emptied", 0), ("new", 5)]);
    let together = clusters(&[("moved", 4), ("emptied", 0), ("gone", 3), ("new", 5)]);
    assert_eq!(with_old(&new, &old), together);
}

#[tokio::test]
async fn two_plugins_that_are_refused_at_once_are_mended_one_by_one() {
    let envoy = Fake::start(Via::Sidecar).await;
    let mut front = envoy.front(Via::Sidecar);
    let error = front.apply(&plugins(&[("a", "bad"), ("b", "bad")])).await;
    assert!(
        matches!(&error, Err(ApplyError::Refused { part, .. }) if part.ends_with('a')),
        "{error:?}"
    );
    let error = front.apply(&plugins(&[("a", "good"), ("b", "bad")])).await;
    assert!(
        matches!(&error, Err(ApplyError::Refused { part, .. }) if part.ends_with('b')),
        "{error:?}"
    );
    front
        .apply(&plugins(&[("a", "good"), ("b", "good")]))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_listener_is_told_that_a_refused_plugin_is_gone() {
    let envoy = Fake::start(Via::Gateway).await;
    let mut front = envoy.front(Via::Gateway);
    front.apply(&Configuration::default()).await.unwrap();
    front.apply(&plugins(&[("a", "bad")])).await.unwrap_err();
    assert!(envoy.file(&Section::Listeners).contains("plugin-a.json"));
    front.apply(&Configuration::default()).await.unwrap();
    assert!(!envoy.file(&Section::Listeners).contains("plugin-a.json"));
}

#[tokio::test]
async fn a_refusal_takes_nothing_away() {
    let envoy = Fake::start(Via::Sidecar).await;
    let mut front = envoy.front(Via::Sidecar);
    let configuration = |host: &str, list| Configuration {
        clusters: clusters(list),
        hosts: vec![json!({"name": host})],
        plugins: Vec::new(),
    };
    let before = configuration("good", &[("left", 1), ("same", 2)]);
    front.apply(&before).await.unwrap();
    assert!(!front.has_old());
    let refused = configuration("bad", &[("same", 3), ("new", 4)]);
    front.apply(&refused).await.unwrap_err();
    assert!(!front.has_old(), "the refused routes may name none of them");
    assert_eq!(
        front.clusters,
        clusters(&[("left", 1), ("same", 3), ("new", 4)])
    );
    let mended = configuration("mended", &[("same", 3), ("new", 4)]);
    front.apply(&mended).await.unwrap();
    assert!(front.has_old());
    front.remove_old().await.unwrap();
    assert_eq!(front.clusters, mended.clusters);
    assert!(!envoy.file(&Section::Clusters).contains("left"));
}

#[tokio::test]
async fn one_question_without_an_answer_says_nothing() {
    let envoy = Fake::start(Via::Sidecar).await;
    let mut front = envoy.front(Via::Sidecar);
    envoy.leave_unanswered(2);
    front.apply(&Configuration::default()).await.unwrap();
    envoy.leave_unanswered(u32::MAX);
    let error = front.apply(&plugins(&[("a", "good")])).await;
    assert!(matches!(error, Err(ApplyError::Gone { .. })), "{error:?}");
    envoy.leave_unanswered(0);
    front.apply(&plugins(&[("a", "good")])).await.unwrap();
}
