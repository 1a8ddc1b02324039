//! What a user does to the cluster, by kubectl: the application, its canary, and the filter's module.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::error::Error;

/// The tag of the new version.
pub(super) const NEW: &str = "yellow";
const NAMESPACE: &str = "demo-mesh-and-gateway";

/// A user with kubectl.
pub(super) struct User {
    kubeconfig: OsString,
    app: PathBuf,
}

impl User {
    pub(super) fn new(kubeconfig: &OsStr, app: &Path) -> Self {
        Self {
            kubeconfig: kubeconfig.to_owned(),
            app: app.to_owned(),
        }
    }

    /// The application, and a canary in the step of its header route.
    pub(super) async fn begin(&self) -> Result<(), Error> {
        let app = self.app.display().to_string();
        self.run(&format!("kubectl apply -f '{app}'")).await?;
        self.healthy().await?;
        self.again().await
    }

    /// The canary, in the step of its header route.
    pub(super) async fn again(&self) -> Result<(), Error> {
        self.image("blue").await?;
        self.run(&format!(
            "kubectl argo rollouts promote web -n {NAMESPACE} --full"
        ))
        .await?;
        self.healthy().await?;
        self.image(NEW).await?;
        self.step(2).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    }

    /// The same, with the module pinned again.
    pub(super) async fn again_from(&self, pin: &str) -> Result<(), Error> {
        let (tagged, _) = pin.split_once('@').unwrap_or((pin, ""));
        self.module(&format!("oci://{tagged}"), "", "").await?;
        self.run(&format!(
            "kubectl argo rollouts promote web -n {NAMESPACE} --full"
        ))
        .await?;
        self.healthy().await?;
        self.again().await
    }

    pub(super) async fn promote(&self, step: u32) -> Result<(), Error> {
        self.run(&format!("kubectl argo rollouts promote web -n {NAMESPACE}"))
            .await?;
        self.step(step).await
    }

    pub(super) async fn abort(&self) -> Result<(), Error> {
        self.run(&format!("kubectl argo rollouts abort web -n {NAMESPACE}"))
            .await?;
        self.run(&format!(
            "kubectl wait rollout/web -n {NAMESPACE} --timeout 90s --for=jsonpath='{{.status.phase}}'=Degraded"
        ))
        .await
    }

    pub(super) async fn retry(&self) -> Result<(), Error> {
        self.run(&format!(
            "kubectl argo rollouts retry rollout web -n {NAMESPACE}"
        ))
        .await?;
        self.step(2).await
    }

    pub(super) async fn finish(&self) -> Result<(), Error> {
        self.run(&format!(
            "kubectl argo rollouts promote web -n {NAMESPACE} --full"
        ))
        .await?;
        self.healthy().await
    }

    /// Where the filter object gets its module from.
    pub(super) async fn module(&self, url: &str, sha256: &str, policy: &str) -> Result<(), Error> {
        let text = |value: &str| match value {
            "" => "null".to_owned(),
            value => format!("\"{value}\""),
        };
        let patch = format!(
            r#"{{"spec": {{"url": "{url}", "sha256": {}, "imagePullPolicy": {}}}}}"#,
            text(sha256),
            text(policy),
        );
        self.run(&format!(
            "kubectl patch wasmplugin serin -n istio-system --type merge -p '{patch}'"
        ))
        .await
    }

    /// A change of the filter object such as each step makes.
    pub(super) async fn touch(&self) -> Result<(), Error> {
        self.run(
            "kubectl patch wasmplugin serin -n istio-system --type merge -p \
             \"{\\\"spec\\\": {\\\"pluginConfig\\\": {\\\"touched\\\": \\\"$(date +%s%N)\\\"}}}\"",
        )
        .await
    }

    async fn image(&self, tag: &str) -> Result<(), Error> {
        self.run(&format!(
            "kubectl argo rollouts set image web web=argoproj/rollouts-demo:{tag} -n {NAMESPACE}"
        ))
        .await
    }

    async fn step(&self, step: u32) -> Result<(), Error> {
        self.run(&format!(
            "kubectl wait rollout/web -n {NAMESPACE} --timeout 90s --for=jsonpath='{{.status.currentStepIndex}}'={step}"
        ))
        .await
    }

    async fn healthy(&self) -> Result<(), Error> {
        self.run(&format!(
            "kubectl argo rollouts status web -n {NAMESPACE} --timeout 90s"
        ))
        .await
    }

    async fn run(&self, script: &str) -> Result<(), Error> {
        let output = Command::new("bash")
            .args(["-c", script])
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .await
            .map_err(|source| Error::Start {
                name: script.to_owned(),
                source,
            })?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Waited {
            what: script.to_owned(),
            limit: Duration::ZERO,
            seen: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// A file's SHA-256 sum, as `sha256sum` prints it.
pub(super) fn sum(path: &Path) -> Result<String, Error> {
    let content = std::fs::read(path).map_err(Error::file("read", path))?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &content);
    let mut text = String::new();
    for byte in digest.as_ref() {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}
