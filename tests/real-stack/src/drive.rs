//! Drives one scenario: applies its objects, keeps the load on from start to end, takes the steps, hands the records
//! to the judge.

mod act;
mod save;
mod wait;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use testbed::load::{self, Load};
use tokio::sync::Mutex;

use crate::api::{Cluster, Kind};
use crate::error::{Error, chain};
use crate::flags::Router;
use crate::judge::{Phase, Verdict, judge};
use crate::proxy::Via;
use crate::recorder::{Copies, Outcome, Records, STREAM_HEADER, VIA_HEADER};
use crate::scenario::{Scenario, Step, Stream, Until};
use crate::stack::Stack;

/// The plugin's name in a Rollout.
const PLUGIN: &str = "serin/istio";

/// How long the mesh may take to learn of a new namespace.
const WARM_LIMIT: Duration = Duration::from_mins(1);

/// From the moment the API has the step's objects to the moment every request has to follow: istiod waits 100 ms for
/// more changes before it pushes (`PILOT_DEBOUNCE_AFTER`) and starts again at each change, then pushes to both proxies.
const SETTLE: Duration = Duration::from_secs(1);

/// A request that takes longer has failed.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Connections per stream and way.
const CONNECTIONS: u32 = 4;

const DESTINATION_RULE: Kind = ("networking.istio.io/v1", "DestinationRule");

/// What every scenario shares.
pub(crate) struct Shared {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) stack: Mutex<Stack>,
    pub(crate) copies: Arc<Copies>,
    pub(crate) router: Router,
    pub(crate) folder: std::path::PathBuf,
}

/// How a scenario went.
pub(crate) struct Outturn {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    /// What happened when, for whoever looks into a failure.
    pub(crate) timeline: Vec<String>,
    pub(crate) took: Duration,
}

/// One scenario under way.
struct Drive<'a> {
    shared: &'a Shared,
    scenario: &'a Scenario,
    began: Instant,
    timeline: Vec<String>,
    /// The canary's image, by Rollout.
    canaries: BTreeMap<String, String>,
    phases: Vec<Phase>,
}

/// Runs a scenario to its end. What stops it half way is a problem of its verdict.
pub(crate) async fn drive(shared: &Shared, scenario: &Scenario) -> Outturn {
    let began = Instant::now();
    let mut drive = Drive {
        shared,
        scenario,
        began,
        timeline: Vec::new(),
        canaries: BTreeMap::new(),
        phases: Vec::new(),
    };
    let records = Arc::new(Records::default());
    let mut loads = Vec::new();
    let stopped = drive.go(&records, &mut loads).await;
    for load in loads {
        load.stop().await;
    }
    let copies = shared.copies.take(&scenario.name);
    let mut verdict = judge(
        &scenario.table.stream,
        &drive.phases,
        &records.take(),
        &copies,
    );
    match stopped {
        Ok(problems) => verdict.problems.extend(problems),
        Err(error) => verdict.problems.insert(0, chain(&error)),
    }
    drive.save(&shared.folder).await;
    Outturn {
        name: scenario.name.clone(),
        verdict,
        timeline: drive.timeline,
        took: began.elapsed(),
    }
}

impl Drive<'_> {
    async fn go(
        &mut self,
        records: &Arc<Records>,
        loads: &mut Vec<Load>,
    ) -> Result<Vec<String>, Error> {
        let (before, rollouts) = self.scenario.before_and_rollouts();
        self.apply_namespace().await?;
        self.apply(before).await?;
        // As the user wrote them: once there is a Rollout, the plugin may write to them.
        let written = self.virtual_services().await?;
        self.apply(rollouts).await?;
        self.say("objects applied");
        for rollout in self.scenario.rollouts() {
            let healthy = Until {
                rollout,
                paused_at: None,
                phase: Some("Healthy".to_owned()),
                pods: None,
            };
            self.until(&healthy).await?;
        }
        self.start_load(records, loads);
        self.warm_up(records).await?;
        for step in &self.scenario.table.step {
            self.step(step).await?;
        }
        self.restored(&written).await
    }

    fn say(&mut self, what: &str) {
        self.timeline.push(format!(
            "{:8.3} s  {what}",
            self.began.elapsed().as_secs_f64()
        ));
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
            if self.shared.router == Router::BuiltIn {
                use_built_in(&mut object);
            }
            self.shared.cluster.apply(&object, Some(name)).await?;
        }
        Ok(())
    }

    fn start_load(&mut self, records: &Arc<Records>, loads: &mut Vec<Load>) {
        for (index, stream) in self.scenario.table.stream.iter().enumerate() {
            for via in Via::ALL {
                let sink = records.sink(&self.scenario.name, index, stream, via);
                loads.push(Load::start(requests(stream, via), &sink));
            }
        }
    }

    /// Waits until every stream gets nothing but good answers both ways; what came before doesn't count.
    async fn warm_up(&mut self, records: &Records) -> Result<(), Error> {
        let began = Instant::now();
        let ways = self.scenario.table.stream.len() * Via::ALL.len();
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let seen = records.take();
            let bad = seen
                .iter()
                .find(|record| !matches!(record.outcome, Outcome::Image(_)));
            let mut answered: Vec<_> = seen
                .iter()
                .map(|record| (record.stream, record.via))
                .collect();
            answered.sort_unstable();
            answered.dedup();
            if bad.is_none() && answered.len() == ways {
                self.say("every stream is answered both ways");
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
        for until in &step.until {
            self.until(until).await?;
        }
        let stepped = if step.throughout {
            acted
        } else {
            Instant::now()
        };
        self.say("state reached");
        if let Some(file) = &step.objects {
            self.shown(file).await?;
            self.say("objects as expected");
        }
        let settled = if step.throughout {
            acted
        } else {
            tokio::time::sleep(SETTLE).await;
            Instant::now()
        };
        tokio::time::sleep(Duration::from_secs(step.seconds)).await;
        let streams = &self.scenario.table.stream;
        let canary = |stream: &Stream| self.canaries.get(stream.rollout.as_ref()?).cloned();
        self.phases.push(Phase {
            name: step.name.clone(),
            acted,
            stepped,
            settled,
            throughout: step.throughout,
            ended: Instant::now(),
            canaries: streams.iter().map(canary).collect(),
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
}

fn requests(stream: &Stream, via: Via) -> load::Stream {
    let mut headers: Vec<(String, String)> = vec![
        (STREAM_HEADER.to_owned(), stream.name.clone()),
        (VIA_HEADER.to_owned(), via.word().to_owned()),
    ];
    headers.extend(stream.headers.clone());
    load::Stream {
        target: via.target(),
        authority: stream.authority(via).to_owned(),
        path: stream.path.clone(),
        method: Method::from_bytes(stream.method.as_bytes()).unwrap_or_default(),
        headers,
        rate: stream.rate,
        connections: CONNECTIONS,
        timeout: REQUEST_LIMIT,
    }
}

/// Moves the plugin's block to Argo's own `istio:`, whose fields are the same.
fn use_built_in(object: &mut Value) {
    let routing = object.pointer_mut("/spec/strategy/canary/trafficRouting");
    if let Some(routing) = routing.and_then(Value::as_object_mut) {
        let plugin = routing
            .get_mut("plugins")
            .and_then(Value::as_object_mut)
            .and_then(|all| all.remove(PLUGIN));
        if let Some(plugin) = plugin {
            routing.remove("plugins");
            routing.insert("istio".to_owned(), plugin);
        }
    }
}
