//! A pod of the Argo controller's Deployment, run for real: its init containers, then the controller in its container, each
//! with the arguments and volumes that the pod's spec names. Such pods exist where the stack has no controller of its own.
//!
//! Its status is what a kubelet reports, so that `kubectl rollout status` and `kubectl wait` work: an image that isn't known is
//! not pulled, and a container that ends is started again after a while.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::error::Error;
use crate::image::{self, Mount};
use crate::network;
use crate::program::{Plan, Program};
use crate::stack::ARGO_NAMESPACE;

/// The label that the Deployment's pods have.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", "argo-rollouts");
/// How long a container that has ended waits for its next start; a kubelet begins with ten seconds.
const BACK_OFF: Duration = Duration::from_secs(2);
/// How often a container is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// The first pod's port for health checks, and the next one's for metrics: all pods have one network here.
const PORT: u16 = 18080;

/// What such pods are made of.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    /// The controller's program.
    pub(crate) controller: PathBuf,
    /// The plugin's program: all that is in its image.
    pub(crate) plugin: PathBuf,
    /// The service account's volume.
    pub(crate) account: PathBuf,
    /// Where logs and the containers' root folders are.
    pub(crate) folder: PathBuf,
}

/// True if it is a pod of the controller's Deployment.
pub(crate) fn is_one(pod: &Pod) -> bool {
    pod.namespace().as_deref() == Some(ARGO_NAMESPACE)
        && pod
            .labels()
            .get(LABEL.0)
            .is_some_and(|value| value == LABEL.1)
}

/// One pod's life, from its binding to its end; `number` tells it from all others.
pub(crate) struct ControllerPod {
    pub(crate) images: Images,
    pub(crate) pods: Api<Pod>,
    pub(crate) pod: Pod,
    pub(crate) address: String,
    pub(crate) number: u16,
}

/// What becomes of a container.
enum State {
    Waiting(&'static str),
    Running,
    Ended(i32),
    BackOff(i32),
}

impl ControllerPod {
    /// Runs until the pod's end is asked for.
    pub(crate) async fn live(&self, ended: &mut watch::Receiver<bool>) -> Result<(), Error> {
        tokio::select! {
            outcome = self.run() => outcome,
            // An error means that the watch has ended, and with it the run.
            _ = ended.wait_for(|end| *end) => Ok(()),
        }
    }

    /// Ends only with an error.
    async fn run(&self) -> Result<(), Error> {
        let spec = self.pod.spec.clone().unwrap_or_default();
        let inits = spec.init_containers.unwrap_or_default();
        let volumes = spec.volumes.unwrap_or_default();
        let mut done = Vec::new();
        for init in &inits {
            let mut restarts = 0;
            loop {
                let plan = self.plan(init, &volumes, restarts)?;
                let Some(plan) = plan else {
                    done.push((init, State::Waiting("ImagePullBackOff"), restarts));
                    self.report(&done, None).await?;
                    return std::future::pending().await;
                };
                let code = self.end_of(plan).await?;
                if code == 0 {
                    done.push((init, State::Ended(0), restarts));
                    break;
                }
                done.push((init, State::BackOff(code), restarts));
                self.report(&done, None).await?;
                done.pop();
                tokio::time::sleep(BACK_OFF).await;
                restarts += 1;
            }
        }
        let Some(main) = spec.containers.first() else {
            return std::future::pending().await;
        };
        let mut restarts = 0;
        loop {
            let Some(plan) = self.plan(main, &volumes, restarts)? else {
                let waiting = State::Waiting("ImagePullBackOff");
                self.report(&done, Some((main, waiting, restarts))).await?;
                return std::future::pending().await;
            };
            self.report(&done, Some((main, State::Running, restarts)))
                .await?;
            let code = self.end_of(plan).await?;
            let waiting = State::BackOff(code);
            self.report(&done, Some((main, waiting, restarts))).await?;
            tokio::time::sleep(BACK_OFF).await;
            restarts += 1;
        }
    }

    /// How the container is started; `None` where its image isn't known.
    fn plan(
        &self,
        container: &Container,
        volumes: &[Volume],
        restarts: u32,
    ) -> Result<Option<Plan>, Error> {
        let image = container.image.as_deref().unwrap_or_default();
        let mut arguments = container.args.clone().unwrap_or_default();
        let program = match repository(image).rsplit('/').next() {
            Some("serin-plugin") => self.images.plugin.clone(),
            Some("argo-rollouts") => {
                let health = PORT + 2 * self.number;
                arguments.push(format!("--healthzPort={health}"));
                arguments.push(format!("--metricsPort={}", health + 1));
                self.images.controller.clone()
            }
            _ => return Ok(None),
        };
        let own = self.images.folder.join("pods").join(self.pod.name_any());
        let mut mounts = vec![Mount {
            from: self.images.account.clone(),
            to: image::ACCOUNT.to_owned(),
            read_only: true,
        }];
        for mount in container.volume_mounts.iter().flatten() {
            let is_empty_dir = volumes
                .iter()
                .any(|volume| volume.name == mount.name && volume.empty_dir.is_some());
            if !is_empty_dir {
                continue;
            }
            let from = own.join("volumes").join(&mount.name);
            image::volume(&from)?;
            mounts.push(Mount {
                from,
                to: mount.mount_path.trim_start_matches('/').to_owned(),
                read_only: mount.read_only == Some(true),
            });
        }
        let root = own.join(format!("{}-{restarts}", container.name));
        let name = format!("{}-{}", self.pod.name_any(), container.name);
        image::container(
            &name,
            &self.images.folder,
            &root,
            &program,
            &mounts,
            &arguments,
        )
        .map(Some)
    }

    /// Starts it and waits for its end.
    async fn end_of(&self, plan: Plan) -> Result<i32, Error> {
        let mut program = Program::start(plan, &self.images.folder)?;
        loop {
            if let Some(status) = program.ended_with() {
                return Ok(status.code().unwrap_or(137));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn report(
        &self,
        inits: &[(&Container, State, u32)],
        main: Option<(&Container, State, u32)>,
    ) -> Result<(), Error> {
        let is_ready = matches!(main, Some((_, State::Running, _)));
        let is_initialized = main.is_some();
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let condition = |kind: &str, is_true: bool| {
            let status = if is_true { "True" } else { "False" };
            json!({"type": kind, "status": status, "lastTransitionTime": now})
        };
        let status = json!({"status": {
            "phase": if is_initialized { "Running" } else { "Pending" },
            "hostIP": network::NODE,
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": now,
            "conditions": [
                condition("PodScheduled", true),
                condition("Initialized", is_initialized),
                condition("ContainersReady", is_ready),
                condition("Ready", is_ready),
            ],
            "initContainerStatuses": inits.iter().map(|one| container_status(one, &now)).collect::<Vec<_>>(),
            "containerStatuses": main.iter().map(|one| container_status(one, &now)).collect::<Vec<_>>(),
        }});
        let patch = Patch::Merge(status);
        match self
            .pods
            .patch_status(&self.pod.name_any(), &PatchParams::default(), &patch)
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(Error::api("report a pod's status")(error)),
            Ok(_) => Ok(()),
        }
    }
}

fn container_status((container, state, restarts): &(&Container, State, u32), now: &str) -> Value {
    let ended = |code: &i32| {
        let reason = if *code == 0 { "Completed" } else { "Error" };
        json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now}})
    };
    let (state, last, is_ready) = match state {
        State::Waiting(reason) => (json!({"waiting": {"reason": reason}}), json!({}), false),
        State::Running => (json!({"running": {"startedAt": now}}), json!({}), true),
        State::Ended(code) => (ended(code), json!({}), true),
        State::BackOff(code) => (
            json!({"waiting": {"reason": "CrashLoopBackOff"}}),
            ended(code),
            false,
        ),
    };
    json!({
        "name": container.name,
        "image": container.image,
        "imageID": container.image,
        "ready": is_ready,
        "started": is_ready,
        "restartCount": restarts,
        "state": state,
        "lastState": last,
    })
}

/// An image's name without version and digest.
fn repository(image: &str) -> &str {
    let named = image.split('@').next().unwrap_or_default();
    match named.rsplit_once(':') {
        Some((repository, version)) if !version.contains('/') => repository,
        _ => named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_named_without_version_and_digest() {
        for image in ["r:5000/a/b", "r:5000/a/b:1", "r:5000/a/b:1@sha256:00"] {
            assert_eq!(repository(image), "r:5000/a/b", "{image}");
        }
    }

    #[test]
    fn a_container_that_has_ended_backs_off_with_its_code() {
        let container = Container::default();
        let status = container_status(&(&container, State::BackOff(1), 3), "now");
        assert_eq!(status["state"]["waiting"]["reason"], "CrashLoopBackOff");
        assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
        assert_eq!(status["restartCount"], 3);
        assert_eq!(status["ready"], false);
    }
}
