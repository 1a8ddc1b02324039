//! How the module gets into real proxies: by `oci://` and `https://`, by tag and by digest; and what becomes of requests
//! where the registry is down, at a proxy's start and in mid-canary.
//!
//! Not here: a pull secret. istiod gives it to proxies that have shown who they are by TLS, which these don't (1.29.1
//! `pilot/pkg/xds/ecds.go`); `cargo xtask e2e --long registry` has Istio's own fetcher use one.

mod seen;
mod sources;
mod user;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scenarios::{Copies, Via};
use testbed::probe;

use crate::error::Error;
use crate::flags::ModulesFlags;
use crate::modules::seen::{Counted, Lanes, Seen, look};
use crate::modules::sources::{REGISTRY, REPOSITORY, WEB};
use crate::modules::user::User;
use crate::program::Program;
use crate::run::{self, Whole};
use crate::stack::Stack;
use crate::{proxy, stack};

/// How long a proxy may take to be ready again, and a change to be everywhere.
const LIMIT: Duration = Duration::from_mins(1);
/// How long each state is looked at.
const LOOK: Duration = Duration::from_secs(3);

/// The images that are pushed.
#[derive(Debug, clap::Args)]
pub(crate) struct Images {
    /// The program that pushes.
    #[arg(long = "images")]
    pub(crate) program: PathBuf,
    /// The folder with the images.
    #[arg(long = "images-folder")]
    pub(crate) folder: PathBuf,
    /// The tag they get.
    #[arg(long = "images-tag")]
    pub(crate) tag: String,
}

/// The stack, and what changes in it.
struct Scene {
    stack: Stack,
    user: User,
    registry: Program,
    failures: Vec<String>,
}

/// Runs all of it; true if everything was as the documents say.
pub(crate) async fn run(flags: &ModulesFlags) -> Result<bool, Error> {
    let began = Instant::now();
    let copies = Arc::new(Copies::default());
    let Whole {
        stack,
        pods,
        folder,
    } = run::start(&flags.stack, began, &copies).await?;
    let registry = Program::start(sources::registry(&flags.registry, &folder)?, &folder)?;
    let web = sources::web(&flags.stack.module, &folder)?;
    reachable(REGISTRY).await?;
    let pin = sources::push(&flags.images).await?;
    let user = User::new(stack.admin(), &flags.app);
    let mut scene = Scene {
        stack,
        user,
        registry,
        failures: Vec::new(),
    };
    scene.user.begin().await?;
    scene.fetches(flags, &pin).await?;
    drop(web);
    scene.canary(&pin).await?;
    scene.registry_down(&pin).await?;
    scene.always(&pin).await?;
    pods.abort();
    for failure in &scene.failures {
        println!("FAILED: {failure}");
    }
    println!("modules: {:.0} s", began.elapsed().as_secs_f64());
    Ok(scene.failures.is_empty())
}

impl Scene {
    /// Each way to name the module, in a gateway that has fetched nothing yet.
    async fn fetches(&mut self, flags: &ModulesFlags, pin: &str) -> Result<(), Error> {
        let (tagged, digest) = pin.split_once('@').unwrap_or((pin, ""));
        let sum = digest.trim_start_matches("sha256:");
        let by_digest = format!("oci://{REGISTRY}/{REPOSITORY}@{digest}");
        let file = flags.stack.module.file_name().unwrap_or_default();
        let web = format!("https://{WEB}/{}", file.to_string_lossy());
        let module_sum = user::sum(&flags.stack.module)?;
        for (what, url, sha256) in [
            ("oci:// by tag", format!("oci://{tagged}"), ""),
            ("oci:// by digest", by_digest.clone(), ""),
            (
                "oci:// by tag, sha256 of the manifest",
                format!("oci://{tagged}"),
                sum,
            ),
            ("https://", web.clone(), ""),
            ("https:// with sha256", web, &module_sum),
        ] {
            self.user.module(&url, sha256, "").await?;
            self.stack.restart_proxy(Via::Gateway).await?;
            self.ready(Via::Gateway).await?;
            let fetched = self.count("remote_fetch_count", "success").await?;
            let seen = look(Via::Gateway, LOOK).await;
            self.judge(what, &seen, Lanes::There);
            if fetched == 0 {
                self.failures
                    .push(format!("{what}: the agent has fetched nothing"));
            }
        }
        // A sum that is the module's, not the manifest's: the agent refuses the image, and requests follow the weights.
        self.user
            .module(&format!("oci://{tagged}"), &module_sum, "")
            .await?;
        self.stack.restart_proxy(Via::Gateway).await?;
        self.ready(Via::Gateway).await?;
        let seen = look(Via::Gateway, LOOK).await;
        self.judge(
            "oci:// with the module's own sum in sha256",
            &seen,
            Lanes::Gone,
        );
        self.user.module(&by_digest, "", "").await
    }

    /// From the first step to the end, through proxies that have fetched the module by digest; and its metrics.
    async fn canary(&mut self, pin: &str) -> Result<(), Error> {
        let (_, digest) = pin.split_once('@').unwrap_or((pin, ""));
        let url = format!("oci://{REGISTRY}/{REPOSITORY}@{digest}");
        self.user.module(&url, "", "").await?;
        self.stack.restart_proxy(Via::Gateway).await?;
        self.ready(Via::Gateway).await?;
        let counted = Counted::start(Via::Gateway);
        self.user.promote(4).await?;
        self.user.abort().await?;
        self.user.retry().await?;
        self.user.finish().await?;
        let seen = counted.stop().await;
        println!(
            "a canary from start to end: {} requests, {} failed",
            seen.total, seen.failed
        );
        if seen.failed > 0 {
            self.failures
                .push(format!("{} requests failed in a canary", seen.failed));
        }
        let metrics = probe::get(proxy::metrics(Via::Gateway), "/stats/prometheus")
            .await
            .unwrap_or_default();
        for wanted in [
            r#"serin_requests_total{rollout="demo-mesh-and-gateway/web",lane="canary",rule="beta-users"}"#,
            r#"serin_policy_generation{rollout="demo-mesh-and-gateway/web"}"#,
        ] {
            match metrics.lines().find(|line| line.starts_with(wanted)) {
                Some(line) => println!("{line}"),
                None => self
                    .failures
                    .push(format!("{wanted} is not among the agent's metrics")),
            }
        }
        self.user.again().await
    }

    /// The registry is down: in mid-canary, with a pinned digest, and at a proxy's start.
    async fn registry_down(&mut self, pin: &str) -> Result<(), Error> {
        self.registry.kill().await?;
        let counted = Counted::start(Via::Gateway);
        let began = Instant::now();
        self.user.promote(4).await?;
        tokio::time::sleep(LOOK).await;
        let seen = counted.stop().await;
        self.judge(
            "by digest, a step while the registry is down",
            &seen,
            Lanes::There,
        );
        println!("    ({:.1} s with the step)", began.elapsed().as_secs_f64());
        self.stack.restart_proxy(Via::Gateway).await?;
        self.ready(Via::Gateway).await?;
        let seen = look(Via::Gateway, LOOK).await;
        self.judge(
            "by digest, a proxy that starts while the registry is down",
            &seen,
            Lanes::Gone,
        );
        self.registry.start_again()?;
        reachable(REGISTRY).await?;
        let seen = look(Via::Gateway, LOOK).await;
        let alone = if seen.is(Lanes::There) {
            "the lanes are back"
        } else {
            "the lanes are still gone"
        };
        println!("the registry is up again, nothing else: {alone}");
        // The next change of the object asks again.
        self.user.touch().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let seen = look(Via::Gateway, LOOK).await;
        self.judge(
            "the registry is up again, after a change of the object",
            &seen,
            Lanes::There,
        );
        self.user.again_from(pin).await
    }

    /// `imagePullPolicy: Always`: each step asks the registry, and lanes are gone where it doesn't answer.
    async fn always(&mut self, pin: &str) -> Result<(), Error> {
        let (tagged, _) = pin.split_once('@').unwrap_or((pin, ""));
        self.user
            .module(&format!("oci://{tagged}"), "", "Always")
            .await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let seen = look(Via::Gateway, LOOK).await;
        self.judge(
            "imagePullPolicy: Always, the registry is up",
            &seen,
            Lanes::There,
        );
        self.registry.kill().await?;
        self.user.touch().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let seen = look(Via::Gateway, LOOK).await;
        self.judge(
            "imagePullPolicy: Always, a step while the registry is down",
            &seen,
            Lanes::Gone,
        );
        Ok(())
    }

    /// Waits until a proxy has its listeners.
    async fn ready(&mut self, via: Via) -> Result<(), Error> {
        stack::until(
            "the proxy to be ready again",
            LIMIT,
            || self.stack.check(),
            async || {
                let answer = probe::get(proxy::metrics(via), "/healthz/ready").await;
                answer.map(drop).map_err(|error| error.to_string())
            },
        )
        .await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    /// How often the gateway's agent has counted this.
    async fn count(&self, name: &str, result: &str) -> Result<u64, Error> {
        let text = probe::get(proxy::metrics(Via::Gateway), "/stats/prometheus")
            .await
            .map_err(|error| Error::Waited {
                what: "the agent's metrics".to_owned(),
                limit: Duration::ZERO,
                seen: error.to_string(),
            })?;
        let (name, result) = (
            format!("istio_agent_wasm_{name}"),
            format!("result=\"{result}\""),
        );
        let lines = text
            .lines()
            .filter(|line| line.starts_with(&name) && line.contains(&result));
        Ok(lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum())
    }

    fn judge(&mut self, what: &str, seen: &Seen, expected: Lanes) {
        println!(
            "{what}: {} requests, {} failed, testers at the new version {}, others {}: {}",
            seen.total,
            seen.failed,
            seen.testers_new,
            seen.others_new,
            if seen.is(Lanes::There) {
                "the lanes are there"
            } else {
                "the lanes are gone"
            },
        );
        if seen.failed > 0 || !seen.is(expected) {
            self.failures
                .push(format!("{what}: expected {expected:?} and no failure"));
        }
    }
}

/// Waits until a registry answers, whatever it says.
async fn reachable(address: &str) -> Result<(), Error> {
    stack::until(
        "the registry",
        LIMIT,
        || Ok(()),
        async || {
            let connected = tokio::net::TcpStream::connect(address).await;
            connected.map(drop).map_err(|error| error.to_string())
        },
    )
    .await
}
