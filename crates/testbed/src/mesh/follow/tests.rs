//! When the Envoys get what, and what is remembered of it.

use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::apiserver::ApiServer;
use crate::mesh::Via;
use crate::mesh::fake::Fake;

#[test]
fn changes_are_gathered_until_it_is_quiet_or_it_has_been_long_enough() {
    let first = Instant::now();
    let at = |millis| first + Duration::from_millis(millis);
    for (last, expected) in [(0, 100), (30, 130), (9_890, 9_990), (9_999, 10_000)] {
        assert_eq!(Debounce::ISTIOD.until(first, at(last)), at(expected));
    }
}

#[test]
fn there_is_an_end_to_what_is_remembered() {
    let mut state = State::default();
    for number in 0..2 * REMEMBERED {
        state.remember(format!("problem {}", number / 2));
    }
    assert_eq!(state.problems.len(), REMEMBERED);
    state.remember("one too many".to_owned());
    assert_eq!(state.problems.len(), REMEMBERED);
}

#[test]
fn a_refusal_is_remembered_once_and_not_tried_again() {
    let refused = |time: &str| {
        Err(ApplyError::Refused {
            via: Via::Gateway,
            part: "routes".to_owned(),
            log: format!("[{time}][1][warning][config] [source/a.cc:92] update rejected: [a] b\n"),
        })
    };
    let mut state = State::default();
    assert!(!state.note([Ok(()), refused("12:00")]));
    assert!(!state.note([Ok(()), refused("12:01")]));
    assert!(state.failure.is_some());
    let gone = ApplyError::Gone {
        via: Via::Sidecar,
        log: String::new(),
    };
    assert!(state.note([Err(gone), refused("12:02")]));
    assert!(!state.note([Ok(()), Ok(())]));
    assert!(state.failure.is_none());
    let problems: Vec<_> = state.problems.into_iter().collect();
    assert_eq!(
        problems,
        [
            "the gateway refuses its routes: update rejected: [a] b",
            "the sidecar is gone"
        ]
    );
}

#[tokio::test]
async fn an_envoy_that_was_gone_gets_what_it_missed_without_another_change() {
    let server = ApiServer::start().await.unwrap();
    let (sidecar, gateway) = (
        Fake::start(Via::Sidecar).await,
        Fake::start(Via::Gateway).await,
    );
    gateway.leave_unanswered(u32::MAX);
    let fronts = [sidecar.front(Via::Sidecar), gateway.front(Via::Gateway)];
    let (sender, mut state) = watch::channel(State::default());
    let store = server.store();
    let following = follow(
        store.clone(),
        store.subscribe(),
        fronts,
        Debounce::QUICK,
        sender,
    );
    let _following = AbortOnDropHandle::new(tokio::spawn(following));
    state
        .wait_for(|state| state.failure.is_some())
        .await
        .unwrap();
    gateway.leave_unanswered(0);
    state
        .wait_for(|state| state.failure.is_none())
        .await
        .unwrap();
    assert!(
        !gateway
            .file(&crate::mesh::files::Section::Routes)
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_not_translated_keeps_nothing_waiting() {
    let server = ApiServer::start().await.unwrap();
    let (sidecar, gateway) = (
        Fake::start(Via::Sidecar).await,
        Fake::start(Via::Gateway).await,
    );
    let fronts = [sidecar.front(Via::Sidecar), gateway.front(Via::Gateway)];
    let (sender, mut state) = watch::channel(State::default());
    let store = server.store();
    let debounce = Debounce {
        quiet: Duration::from_millis(300),
        // Nobody waits for that.
        at_most: Duration::from_hours(1),
    };
    let following = follow(store.clone(), store.subscribe(), fronts, debounce, sender);
    let _following = AbortOnDropHandle::new(tokio::spawn(following));
    let object = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a", "namespace": "b"}});
    store.put(object("Service")).unwrap();
    let revision = store.revision();
    let settled = state.wait_for(|state| state.revision >= revision);
    let others = async {
        for number in 0.. {
            let mut other = object("ConfigMap");
            other["data"] = json!({"number": number.to_string()});
            store.put(other).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = settled => {}
        () = others => {}
        () = tokio::time::sleep(Duration::from_mins(1)) => panic!("the Service is held up"),
    }
}
