//! One canary under load, from the first version to the end that its analysis makes.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use scenarios::{Cluster, Via};
use serde_json::{Value, json};
use testbed::load::{Load, Sample, Sink, Stream, Users};

use crate::judge::{self, Hashes, Verdict};
use crate::story::Story;
use crate::{Failure, Surroundings, manifests};

const ROLLOUT: (&str, &str) = ("argoproj.io/v1alpha1", "Rollout");
const ANALYSIS_RUN: (&str, &str) = ("argoproj.io/v1alpha1", "AnalysisRun");
const VIRTUAL_SERVICE: (&str, &str) = ("networking.istio.io/v1", "VirtualService");
/// The name of everything in a story's namespace.
pub(crate) const WEB: &str = "web";
/// Requests a second on each of the two ways.
const RATE: u32 = 50;
const USERS: u32 = 100;
/// Of each hundred requests to a bad canary so many fail.
const FAILS: u32 = 50;
/// The limit on every wait: far above what any of them takes.
const LIMIT: Duration = Duration::from_mins(3);

/// A canary that is to be played.
pub(crate) struct Canary {
    story: Story,
    here: Arc<Surroundings>,
    cluster: Arc<Cluster>,
}

/// A canary whose story has ended. Its load may go on.
pub(crate) struct Played {
    pub(crate) story: Story,
    pub(crate) namespace: &'static str,
    pub(crate) rollout: &'static str,
    pub(crate) hashes: Hashes,
    pub(crate) report: String,
    loads: Vec<Load>,
}

impl Played {
    /// Ends the load.
    pub(crate) async fn stop(self) {
        for load in self.loads {
            load.stop().await;
        }
    }
}

/// What was sent on one way and what became of it.
type Samples = Arc<Mutex<Vec<Sample>>>;

impl Canary {
    pub(crate) fn new(story: Story, here: Arc<Surroundings>, cluster: Arc<Cluster>) -> Self {
        Self {
            story,
            here,
            cluster,
        }
    }

    /// Plays and judges it.
    pub(crate) async fn play(self) -> Result<Played, Failure> {
        let namespace = self.story.namespace();
        let told = |error: Failure| -> Failure {
            format!("{namespace}: {}", go_plugin::Chain(&*error)).into()
        };
        self.played().await.map_err(told)
    }

    async fn played(self) -> Result<Played, Failure> {
        let namespace = self.story.namespace();
        self.apply("web:1", None).await?;
        self.until("the first version", |status| {
            status.pointer("/phase").and_then(Value::as_str) == Some("Healthy")
        })
        .await?;
        self.until_reachable().await?;
        let (loads, samples) = self.load();
        tokio::time::sleep(Duration::from_secs(4)).await;

        let fails = self.story.is_bad().then_some(FAILS);
        let updated = Instant::now();
        self.apply("web:2", fails).await?;
        let status = self
            .until("the end of the analysis", |status| {
                self.story.has_ended(status)
            })
            .await?;
        let ended = Instant::now();
        let runs = self.runs().await?;
        if self.story.is_bad() {
            self.until_stable().await?;
        }
        let back = Instant::now();
        tokio::time::sleep(Duration::from_secs(4)).await;

        let text = |pointer| {
            status
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let hashes = Hashes {
            stable: text("/stableRS").unwrap_or_default(),
            canary: text("/currentPodHash").unwrap_or_default(),
        };
        let seen: Vec<Vec<Sample>> = samples.iter().map(copy).collect();
        let Verdict {
            report,
            first_failure,
        } = judge::judge(&seen, &hashes, self.story.is_bad(), back)?;
        let mut report = format!(
            "{namespace}: {} {:.1} s after the update{runs}\n{report}",
            self.story.phase(),
            (ended - updated).as_secs_f64(),
        );
        // Writing to a String can't fail.
        if let Some(first) = first_failure {
            let _ = write!(
                report,
                "\n  from the first failed request to the abort {:.1} s, to the weights of the stable version {:.1} s",
                (ended - first).as_secs_f64(),
                (back - first).as_secs_f64(),
            );
        }
        let mut played = Played {
            story: self.story,
            namespace,
            rollout: WEB,
            hashes,
            report,
            loads,
        };
        if self.story != Story::Good {
            for load in std::mem::take(&mut played.loads) {
                load.stop().await;
            }
        }
        Ok(played)
    }

    /// Applies the objects, as a user does for each release.
    async fn apply(&self, image: &str, fails: Option<u32>) -> Result<(), Failure> {
        let namespace = self.story.namespace();
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        self.cluster.apply(&object, None).await?;
        let (background, steps) = self.story.strategy();
        for object in scenarios::read_yaml(&manifests::resource("web.yaml"))? {
            let text = object.to_string().replace("NAMESPACE", namespace);
            let mut object: Value = serde_json::from_str(&text)?;
            if let Some(canary) = object
                .pointer_mut("/spec/strategy/canary")
                .and_then(Value::as_object_mut)
            {
                canary.insert("steps".to_owned(), steps.clone());
                if !background.is_null() {
                    canary.insert("analysis".to_owned(), background.clone());
                }
            }
            if let Some(own) = object.pointer_mut("/spec/template/spec/containers/0/image") {
                *own = json!(image);
            }
            let annotations = object.pointer_mut("/spec/template/metadata/annotations");
            if let Some((fails, annotations)) =
                fails.zip(annotations.and_then(Value::as_object_mut))
            {
                // `tests/real-stack/src/kubelet.rs` reads it.
                annotations.insert("serin.test/fails".to_owned(), json!(fails.to_string()));
            }
            self.cluster.apply(&object, Some(namespace)).await?;
        }
        Ok(())
    }

    /// Sends requests of the same users on both ways.
    fn load(&self) -> (Vec<Load>, Vec<Samples>) {
        let namespace = self.story.namespace();
        let ways = Via::ALL.map(|via| match via {
            Via::Sidecar => (self.here.sidecar, format!("{WEB}.{namespace}")),
            Via::Gateway => (self.here.gateway, format!("{namespace}.example.com")),
        });
        ways.into_iter()
            .map(|(target, authority)| {
                let samples = Samples::default();
                let kept = Arc::clone(&samples);
                let sink: Sink = Arc::new(move |sample| {
                    kept.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(sample);
                });
                let stream = Stream {
                    target,
                    authority,
                    path: "/".to_owned(),
                    method: Method::GET,
                    http2: false,
                    headers: Vec::new(),
                    users: Some(Users {
                        count: USERS,
                        header: "x-user".to_owned(),
                        value: "user-{}".to_owned(),
                        keep_cookies: false,
                    }),
                    front: None,
                    rate: RATE,
                    connections: 4,
                    timeout: Duration::from_secs(5),
                };
                (Load::start(stream, &sink), samples)
            })
            .unzip()
    }

    /// Returns once both proxies have the routes: the last request on each way was answered.
    async fn until_reachable(&self) -> Result<(), Failure> {
        let began = Instant::now();
        let (loads, samples) = self.load();
        let answered = |samples: &Samples| {
            copy(samples)
                .last()
                .is_some_and(|last| last.outcome.is_ok())
        };
        while !samples.iter().all(answered) {
            if began.elapsed() > LIMIT {
                let last = samples.iter().filter_map(|samples| copy(samples).pop());
                let last: Vec<_> = last
                    .map(|sample| sample.outcome.map(|answer| answer.path.clone()))
                    .collect();
                return Err(format!("requests are not answered: {last:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        for load in loads {
            load.stop().await;
        }
        Ok(())
    }

    /// The Rollout's status, once it is as asked for.
    async fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let began = Instant::now();
        loop {
            let rollout = self
                .cluster
                .get(ROLLOUT, self.story.namespace(), WEB)
                .await?;
            let status = rollout.pointer("/status").cloned().unwrap_or_default();
            if is_so(&status) {
                return Ok(status);
            }
            if began.elapsed() > LIMIT {
                let runs = self.runs().await.unwrap_or_default();
                return Err(format!("waited for {what}; the status is {status}{runs}").into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns once the managed route has all of its weight at the stable version.
    async fn until_stable(&self) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let found = self
                .cluster
                .get(VIRTUAL_SERVICE, self.story.namespace(), WEB)
                .await?;
            let routes = found.pointer("/spec/http").and_then(Value::as_array);
            let primary = routes
                .into_iter()
                .flatten()
                .find(|route| route.pointer("/name") == Some(&json!("primary")));
            let weight = primary.and_then(|route| route.pointer("/route/0/weight"));
            if weight == Some(&json!(100)) {
                return Ok(());
            }
            if began.elapsed() > LIMIT {
                return Err(
                    format!("the stable version has weight {weight:?} after the abort").into(),
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A line for each metric of the analysis run, whose phase has to be the story's.
    async fn runs(&self) -> Result<String, Failure> {
        let mut lines = String::new();
        let mut phases = Vec::new();
        for run in self
            .cluster
            .list(ANALYSIS_RUN, Some(self.story.namespace()))
            .await?
        {
            let text = |value: &Value, pointer: &str| {
                value
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            phases.push(text(&run, "/status/phase"));
            let results = run
                .pointer("/status/metricResults")
                .and_then(Value::as_array);
            for result in results.into_iter().flatten() {
                let measured = result.pointer("/measurements").and_then(Value::as_array);
                let measured: Vec<String> = measured
                    .into_iter()
                    .flatten()
                    .map(|one| {
                        format!(
                            "{} {}{}",
                            text(one, "/phase"),
                            text(one, "/value"),
                            text(one, "/message")
                        )
                    })
                    .collect();
                let _ = write!(
                    lines,
                    "\n  {}: {}",
                    text(result, "/name"),
                    measured.join(", ")
                );
            }
        }
        if phases == [self.story.phase()] {
            return Ok(lines);
        }
        Err(format!(
            "found analysis runs in phases {phases:?}, expected one that is {}{lines}",
            self.story.phase()
        )
        .into())
    }
}

fn copy(samples: &Samples) -> Vec<Sample> {
    samples
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}
