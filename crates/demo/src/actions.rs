//! What the buttons do: the writes of `kubectl argo rollouts` (argo-rollouts v1.10.1, `pkg/kubectl-argo-rollouts/cmd`), and
//! the breaking of things.

use std::sync::{Mutex, PoisonError};

use argo_rollouts::Rollout;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testbed::apiserver::{Action as Fault, FaultId, Store, Verb};
use testbed::embedded::Embedded;

use crate::shop;
use crate::story::Images;
use crate::users::USER_HEADER;

/// Something a button does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Promote,
    Abort,
    Pause,
    Resume,
    /// The next image.
    Release,
    KillPlugin,
    RefuseWrites,
    AcceptWrites,
}

/// Why a button did nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("nothing is being rolled out: start a release first")]
    NothingToDo,
    #[error("the Rollout is aborted: start a new release")]
    Aborted,
    #[error(
        "the plugin is not running at this moment; the controller starts it again at its next call"
    )]
    NoPlugin,
    #[error("the API server refused: {0}")]
    Api(String),
}

impl Action {
    /// By its word in the page's requests.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "promote" => Self::Promote,
            "abort" => Self::Abort,
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "release" => Self::Release,
            "kill-plugin" => Self::KillPlugin,
            "refuse-writes" => Self::RefuseWrites,
            "accept-writes" => Self::AcceptWrites,
            _ => return None,
        })
    }

    /// True if it takes the story out of the autopilot's hands.
    pub(crate) fn takes_over(self) -> bool {
        matches!(self, Self::Abort | Self::Release)
    }
}

/// The refusal of the plugin's writes, while it is in force.
#[derive(Debug, Default)]
pub(crate) struct Refusing(Mutex<Option<FaultId>>);

impl Refusing {
    /// Whether writes are refused now.
    pub(crate) fn is_on(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<FaultId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does it.
pub(crate) async fn act(
    action: Action,
    cluster: &Embedded,
    refusing: &Refusing,
) -> Result<(), Refusal> {
    let store = cluster.store();
    match action {
        Action::Promote => promote(store),
        Action::Abort => abort(store),
        Action::Pause => patch(store, &json!({"spec": {"paused": true}})),
        Action::Resume => patch(store, &json!({"spec": {"paused": null}})),
        Action::Release => {
            let release = shop::release(&image(store)) + 1;
            release_image(store, &shop::image(release))
        }
        Action::KillPlugin => {
            let (process, _) = cluster.plugin().await;
            let process = process
                .filter(|&process| lives(process))
                .and_then(|process| i32::try_from(process).ok())
                .and_then(Pid::from_raw)
                .ok_or(Refusal::NoPlugin)?;
            kill_process(process, Signal::KILL).map_err(|_| Refusal::NoPlugin)
        }
        Action::RefuseWrites => {
            let mut fault = refusing.lock();
            if fault.is_none() {
                let refuse = testbed::apiserver::Fault::new(Fault::Forbid).verb(Verb::Patch);
                *fault = Some(cluster.api().faults().add(refuse));
            }
            Ok(())
        }
        Action::AcceptWrites => {
            if let Some(fault) = refusing.lock().take() {
                cluster.api().faults().remove(fault);
            }
            Ok(())
        }
    }
}

/// Whether a child process runs; one that has ended stays until its parent asks for its status.
pub(crate) fn lives(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name comes before, in brackets, and may hold brackets itself.
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|rest| !rest.starts_with(['Z', 'X']))
}

/// Sets the image, as `kubectl argo rollouts set image` does.
pub(crate) fn release_image(store: &Store, image: &str) -> Result<(), Refusal> {
    let containers = with_image(store, image);
    patch(
        store,
        &json!({"spec": {"template": {"spec": {"containers": containers}}}}),
    )
}

/// The same, and from this release on users are told apart.
pub(crate) fn release_sticky(store: &Store, image: &str) -> Result<(), Refusal> {
    let containers = with_image(store, image);
    // By this salt 2 and 10 of the 20 others are the canary's at 10 and at 50 %; by the pod hash 2 and 6.
    let sticky = json!({"keys": [{"header": USER_HEADER}], "salt": "users"});
    let plugins = json!({"serin/istio": {"sticky": sticky}});
    patch(
        store,
        &json!({"spec": {
            "template": {"spec": {"containers": containers}},
            "strategy": {"canary": {"trafficRouting": {"plugins": plugins}}},
        }}),
    )
}

/// The Rollout's containers, the first with that image.
fn with_image(store: &Store, image: &str) -> Value {
    let path = "/spec/template/spec/containers";
    let live = store.get(&shop::object("rollouts")).unwrap_or_default();
    let mut containers = live.pointer(path).cloned().unwrap_or_default();
    if let Some(image_now) = containers.pointer_mut("/0/image") {
        *image_now = json!(image);
    }
    containers
}

/// Back to the stable version.
pub(crate) fn abort(store: &Store) -> Result<(), Refusal> {
    under_way(store)?;
    patch(store, &json!({"status": {"abort": true}}))
}

/// The image that the Rollout wants.
pub(crate) fn image(store: &Store) -> String {
    let rollout = store.get(&shop::object("rollouts")).unwrap_or_default();
    image_of(&rollout)
}

/// The image of an object with a pod template.
pub(crate) fn image_of(object: &Value) -> String {
    let image = object.pointer("/spec/template/spec/containers/0/image");
    image.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The images that the Rollout is about.
pub(crate) fn images(store: &Store, rollout: &Rollout) -> Images {
    let sets = store.list("replicasets", shop::NAMESPACE);
    let stable = sets.unwrap_or_default().into_iter().find(|set| {
        let hash = set.pointer("/metadata/labels/rollouts-pod-template-hash");
        hash.and_then(Value::as_str) == Some(&rollout.status.stable_rs)
    });
    Images {
        wanted: image(store),
        stable: stable.as_ref().map_or_else(String::new, image_of),
    }
}

/// The Rollout; an empty one if it is gone.
pub(crate) fn rollout(store: &Store) -> Rollout {
    store.get_as(&shop::object("rollouts")).unwrap_or_default()
}

/// On to the next step: a pause ends, another step is skipped (`promote.go`, `getPatches`).
fn promote(store: &Store) -> Result<(), Refusal> {
    let rollout = under_way(store)?;
    if rollout.spec.paused {
        patch(store, &json!({"spec": {"paused": false}}))?;
    }
    if !rollout.status.pause_conditions.is_empty() {
        return patch(store, &json!({"status": {"pauseConditions": null}}));
    }
    let steps = rollout.canary().map_or(0, |canary| canary.steps.len());
    let index = rollout.status.current_step_index.unwrap_or(0);
    if usize::try_from(index).is_ok_and(|index| index < steps) {
        return patch(
            store,
            &json!({"status": {"pauseConditions": null, "currentStepIndex": index + 1}}),
        );
    }
    Ok(())
}

/// The Rollout, if it moves from one version to another.
fn under_way(store: &Store) -> Result<Rollout, Refusal> {
    let rollout = rollout(store);
    let status = &rollout.status;
    if status.abort {
        return Err(Refusal::Aborted);
    }
    if status.current_pod_hash == status.stable_rs {
        return Err(Refusal::NothingToDo);
    }
    Ok(rollout)
}

fn patch(store: &Store, patch: &Value) -> Result<(), Refusal> {
    store
        .patch(&shop::object("rollouts"), patch)
        .map(drop)
        .map_err(|status| Refusal::Api(status.message))
}
