//! Drives one scenario: applies its objects, keeps the load on from start to end, takes the steps, hands the records
//! to the judge.

mod act;
mod drift;
mod edit;
mod end;
mod filter;
mod save;
mod sync;
mod wait;
mod weights;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use go_plugin::Chain;
use http::Method;
use serde_json::{Value, json};
use testbed::load::{self, Load};

use self::edit::Edit;
use self::end::POLICIES;
pub use self::filter::Filter;
pub(crate) use self::sync::Synced;
use crate::api::{Cluster, Kind};
use crate::error::Error;
use crate::judge::{Phase, Verdict, Versions, judge};
use crate::recorder::{Copies, Outcome, Records, STREAM_HEADER, VIA_HEADER};
use crate::scenario::{Issued, LANES_HEADER, Module, Scenario, Step, Stream, Until};
use testbed::mesh::Via;

/// How long the mesh may take to learn of a new namespace.
const WARM_LIMIT: Duration = Duration::from_mins(1);

/// A request that takes longer has failed.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Connections per stream and way.
const CONNECTIONS: u32 = 4;

const DESTINATION_RULE: Kind = ("networking.istio.io/v1", "DestinationRule");

/// What scenarios run on, beside the Kubernetes API.
pub trait Stack: Sync {
    /// Where a client sends requests that go this way.
    fn target(&self, via: Via) -> SocketAddr;

    /// Changes an object of a scenario before it is applied.
    fn adapt(&self, _object: &mut Value) {}

    /// Where the proxies find a module of the filter's; none where they have none.
    fn module(&self, _module: Module) -> Option<String> {
        None
    }

    /// The kind of the object that puts the filter into the proxies.
    fn filter(&self) -> Filter {
        Filter::default()
    }

    /// Waits until the proxies have what is in the API now; false where that can't be told.
    fn settled(&self) -> impl Future<Output = Result<bool, Error>> + Send {
        std::future::ready(Ok(false))
    }

    /// Ends the controller without warning, and starts it again after `pause`.
    fn kill_controller(&self, pause: Duration) -> impl Future<Output = Result<(), Error>> + Send;

    /// Gives the controller's service account a new token, and withdraws the one before.
    fn rotate_token(&self) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Err(Error::NoTokens))
    }

    /// Upgrades Istio's control plane to the next version, and waits until it is ready.
    fn upgrade_istio(&self) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Err(Error::NoNextIstio))
    }
}

/// How fast a stack is, and how long it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The part of each stream's rate that is sent.
    pub rate: f64,
    /// Requests per second that each way has to carry at least, from the first step to the last; 0 where a busy machine
    /// is no failure.
    pub minimum_rate: u32,
    /// The part of each step's seconds that requests are looked at.
    pub seconds: f64,
    /// From the moment the API has a step's objects to the moment that shares have to follow.
    pub settle: Duration,
    /// A request in the wrong lane so long after its step is wrong; until then it is late.
    pub late: Duration,
    /// How many times the milliseconds that a step allows may pass, since the machine is slow.
    pub patience: u32,
}

/// What every scenario shares.
pub struct Shared<S> {
    /// The Kubernetes API.
    pub cluster: Arc<Cluster>,
    /// Everything else.
    pub stack: S,
    /// What the stack's pods tell of copies.
    pub copies: Arc<Copies>,
    /// How fast it all is.
    pub pace: Pace,
    /// Takes each scenario's timeline and objects.
    pub folder: PathBuf,
}

/// How a scenario went.
#[derive(Debug)]
pub struct Outturn {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    /// The objects of each sync.
    pub(crate) syncs: Vec<Synced>,
    /// What happened when, for whoever looks into a failure.
    pub(crate) timeline: Vec<String>,
    pub(crate) took: Duration,
}

/// One scenario under way.
struct Drive<'a, S> {
    shared: &'a Shared<S>,
    scenario: &'a Scenario,
    began: Instant,
    timeline: Vec<String>,
    /// The canary's image, by Rollout.
    canaries: BTreeMap<String, String>,
    phases: Vec<Phase>,
    /// What has been done to VirtualServices by hand, so that it has to be there in the end.
    edits: Vec<Edit>,
    /// How often objects were taken back to their manifests.
    drifts: u32,
    /// The objects of each sync so far.
    syncs: Vec<Synced>,
    /// Rollouts that were deleted.
    deleted: BTreeSet<String>,
    /// The versions that answered each stream when they were last asked for.
    versions: Vec<Option<Versions>>,
    /// What was wrong and stopped nothing.
    problems: Vec<String>,
}

/// Runs a scenario to its end. What stops it half way is a problem of its verdict.
pub(crate) async fn drive<S: Stack>(shared: &Shared<S>, scenario: &Scenario) -> Outturn {
    let began = Instant::now();
    let mut drive = Drive {
        shared,
        scenario,
        began,
        timeline: Vec::new(),
        canaries: BTreeMap::new(),
        phases: Vec::new(),
        edits: Vec::new(),
        drifts: 0,
        syncs: Vec::new(),
        deleted: BTreeSet::new(),
        versions: Vec::new(),
        problems: Vec::new(),
    };
    let records = Arc::new(Records::default());
    let mut loads = Vec::new();
    let stopped = drive.go(&records, &mut loads).await;
    for load in loads {
        load.stop().await;
    }
    if scenario.table.module != Module::Plain
        && let Err(error) = drive.give(Module::Plain).await
    {
        drive.problems.push(Chain(&error).to_string());
    }
    let copies = shared.copies.take(&scenario.name);
    let mut verdict = judge(
        &scenario.table.stream,
        &shared.pace,
        &drive.phases,
        &records.take(),
        &copies,
    );
    match stopped {
        Ok(problems) => verdict.problems.extend(problems),
        Err(error) => verdict.problems.insert(0, Chain(&error).to_string()),
    }
    verdict.problems.append(&mut drive.problems);
    drive.save(&shared.folder).await;
    Outturn {
        name: scenario.name.clone(),
        verdict,
        syncs: drive.syncs,
        timeline: drive.timeline,
        took: began.elapsed(),
    }
}

impl<S: Stack> Drive<'_, S> {
    async fn go(
        &mut self,
        records: &Arc<Records>,
        loads: &mut Vec<Load>,
    ) -> Result<Vec<String>, Error> {
        let (before, rollouts) = self.scenario.before_and_rollouts();
        if self.scenario.table.module != Module::Plain {
            self.give(self.scenario.table.module).await?;
        }
        self.apply_namespace().await?;
        self.apply(before).await?;
        // As the user wrote them: once there is a Rollout, the plugin may write to them.
        let written = self.written().await?;
        self.apply(rollouts).await?;
        self.say("objects applied");
        for rollout in self.scenario.rollouts() {
            let healthy = Until {
                rollout,
                phase: Some("Healthy".to_owned()),
                ..Until::default()
            };
            self.until(&healthy).await?;
        }
        self.start_load(records, loads);
        self.warm_up(records).await?;
        for step in &self.scenario.table.step {
            self.step(step).await?;
        }
        self.restored(written).await
    }

    fn say(&mut self, what: &str) {
        self.timeline.push(format!(
            "{:8.3} s  {what}",
            self.began.elapsed().as_secs_f64()
        ));
    }

    /// Has the proxies load a module. They have it before any policy that comes later: one object holds both.
    async fn give(&mut self, module: Module) -> Result<(), Error> {
        if let Some(url) = self.shared.stack.module(module) {
            let (namespace, name) = POLICIES;
            let filter = self.shared.stack.filter();
            let patch = filter.patch(&json!({"url": url}));
            let cluster = &self.shared.cluster;
            cluster
                .merge(filter.kind(), namespace, name, &patch, false)
                .await?;
            self.say(&format!("the proxies' module is {url}"));
        }
        Ok(())
    }

    async fn apply_namespace(&self) -> Result<(), Error> {
        let name = self.scenario.name.as_str();
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.shared.cluster.apply(&namespace, None).await
    }

    async fn apply(&self, objects: &[Value]) -> Result<(), Error> {
        let name = self.scenario.name.as_str();
        for object in objects {
            let mut object = object.clone();
            self.shared.stack.adapt(&mut object);
            self.shared.cluster.apply(&object, Some(name)).await?;
        }
        Ok(())
    }

    fn start_load(&mut self, records: &Arc<Records>, loads: &mut Vec<Load>) {
        for (index, stream) in self.scenario.table.stream.iter().enumerate() {
            for &via in stream.ways() {
                let sink = records.sink(&self.scenario.name, index, stream, via);
                loads.push(Load::start(self.requests(stream, via), &sink));
            }
        }
    }

    /// Waits until every stream gets nothing but good answers on its ways; what came before doesn't count.
    async fn warm_up(&mut self, records: &Records) -> Result<(), Error> {
        let began = Instant::now();
        let streams = &self.scenario.table.stream;
        let ways = streams
            .iter()
            .map(|stream| stream.ways().len())
            .sum::<usize>();
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let seen = records.take();
            let bad = seen
                .iter()
                .find(|record| !matches!(record.outcome, Outcome::Pod(_)));
            let mut answered: Vec<_> = seen
                .iter()
                .map(|record| (record.stream, record.via))
                .collect();
            answered.sort_unstable();
            answered.dedup();
            if bad.is_none() && answered.len() == ways {
                self.say("every stream is answered");
                return Ok(());
            }
            if began.elapsed() > WARM_LIMIT {
                return Err(Error::Waited {
                    what: "answers to every stream".to_owned(),
                    limit: WARM_LIMIT,
                    seen: format!("{bad:?}, {} of {ways} ways answered", answered.len()),
                });
            }
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), Error> {
        let acted = Instant::now();
        self.say(&format!("step \"{}\"", step.name));
        for action in &step.actions {
            self.act(action).await?;
        }
        let done = Instant::now();
        for until in &step.until {
            self.until(until).await?;
        }
        let stepped = if step.throughout {
            acted
        } else {
            Instant::now()
        };
        self.say("state reached");
        self.shown(step).await?;
        self.say("objects as expected");
        let took = done.elapsed();
        let patience = self.shared.pace.patience;
        let allowed = |millis: Option<u64>| {
            let allowed = millis.map(Duration::from_millis);
            allowed.map(|allowed| allowed * patience)
        };
        if let Some(within) = allowed(step.within)
            && took > within
        {
            self.problems.push(format!(
                "step \"{}\": the objects were as expected after {} ms, allowed are {}",
                step.name,
                took.as_millis(),
                within.as_millis()
            ));
        }
        let known = self.shared.stack.settled().await?.then(Instant::now);
        let settled = if step.throughout {
            acted
        } else {
            tokio::time::sleep(self.shared.pace.settle).await;
            Instant::now()
        };
        let versions = self.versions().await?;
        let seconds = Duration::from_secs(step.seconds);
        tokio::time::sleep(seconds.mul_f64(self.shared.pace.seconds)).await;
        let streams = &self.scenario.table.stream;
        let canary = |stream: &Stream| self.canaries.get(stream.rollout.as_ref()?).cloned();
        self.phases.push(Phase {
            name: step.name.clone(),
            acted,
            stepped,
            known,
            settled,
            throughout: step.throughout,
            ended: Instant::now(),
            canaries: streams.iter().map(canary).collect(),
            versions,
            strays_within: allowed(step.strays_within),
            late: step.late.map(Duration::from_secs),
            fails_within: allowed(step.fails_within),
            expect: step
                .expect
                .iter()
                .filter_map(|expect| {
                    let index = streams
                        .iter()
                        .position(|stream| stream.name == expect.stream)?;
                    Some((index, expect.clone()))
                })
                .collect(),
        });
        Ok(())
    }

    fn requests(&self, stream: &Stream, via: Via) -> load::Stream {
        let mut headers: Vec<(String, String)> = vec![
            (STREAM_HEADER.to_owned(), stream.name.clone()),
            (VIA_HEADER.to_owned(), via.word().to_owned()),
        ];
        headers.extend(stream.headers.clone());
        load::Stream {
            target: self.shared.stack.target(via),
            authority: stream.authority(via).to_owned(),
            path: stream.path.clone(),
            method: Method::from_bytes(stream.method.as_bytes()).unwrap_or_default(),
            headers,
            http2: stream.http2,
            users: stream.users.as_ref().map(|users| load::Users {
                count: users.count,
                header: users.header.clone(),
                value: users.value.clone(),
                keep_cookies: matches!(&stream.cookies, Some(cookies) if cookies.issued == Issued::Once),
            }),
            front: stream.front.as_ref().map(|authority| load::Front {
                target: self.shared.stack.target(Via::Gateway),
                authority: authority.clone(),
                forwards: LANES_HEADER.to_owned(),
            }),
            rate: self.shared.pace.rate_of(stream.rate),
            connections: CONNECTIONS,
            timeout: REQUEST_LIMIT,
        }
    }
}

impl Outturn {
    /// The scenario's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Pace {
    /// Requests per second that are sent of `rate`; at least 1.
    pub(crate) fn rate_of(&self, rate: u32) -> u32 {
        let scaled = (f64::from(rate) * self.rate).round().max(1.0);
        // In range: it is at least 1, and a rate that a scenario can name times a small factor.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        {
            scaled as u32
        }
    }
}
