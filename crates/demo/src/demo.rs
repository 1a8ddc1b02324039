//! Everything that runs, and how it is told of: to the page, and to the terminal.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argo_rollouts::go_plugin::Chain;
use testbed::echo::{Observer, Seen};
use testbed::embedded::{Embedded, Observers, Programs};
use testbed::mesh::Via;
use testbed::workloads::Manners;
use tokio::sync::Mutex;

use crate::actions::Refusing;
use crate::autopilot::Autopilot;
use crate::board::Board;
use crate::error::Error;
use crate::events::Events;
use crate::flags::Flags;
use crate::traffic::Traffic;
use crate::users::USER_HEADER;
use crate::view::{Plugin, Rest, State, Viewer};
use crate::{actions, shop, terminal};

/// How often the page is told of requests, and of everything else.
const BATCHES: Duration = Duration::from_millis(100);
const STATES: Duration = Duration::from_millis(250);
/// How often the proxies are looked after.
const CHECKS: Duration = Duration::from_secs(1);
/// How long the first version may take to be there.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The running demo; dropping it ends everything.
pub(crate) struct Demo {
    pub(crate) traffic: Traffic,
    pub(crate) cluster: Embedded,
    pub(crate) board: Arc<Board>,
    pub(crate) events: Arc<Events>,
    pub(crate) autopilot: Autopilot,
    pub(crate) refusing: Refusing,
    /// Why nothing goes on, in a sentence.
    trouble: std::sync::Mutex<Option<String>>,
    viewer: Mutex<Viewer>,
    began: Instant,
}

impl Demo {
    /// Starts the cluster with the first release, waits until it is out, then lets the users in.
    pub(crate) async fn start(
        flags: &Flags,
        board: &Arc<Board>,
        folder: &Path,
        pause: u64,
    ) -> Result<Self, Error> {
        let began = Instant::now();
        let events = Arc::new(Events::new());
        let programs = Programs {
            envoy: flags.envoy.clone(),
            plugin: flags.plugin.clone(),
        };
        let observers = Observers {
            requests: copies(board),
            calls: {
                let events = Arc::clone(&events);
                Arc::new(move |call| events.called(call))
            },
            // Its errors come back from its calls.
            log: Arc::new(|_| {}),
        };
        let cluster = Embedded::start(&programs, folder, Manners::default(), observers).await?;
        shop::apply(cluster.store(), &flags.module, pause)?;
        let viewer = Viewer::new(cluster.store());
        cluster
            .ready(&shop::object("rollouts"), START_LIMIT)
            .await?;
        let targets = [Via::Sidecar, Via::Gateway].map(|via| cluster.target(via));
        Ok(Self {
            traffic: Traffic::start(targets, board),
            cluster,
            board: Arc::clone(board),
            events,
            autopilot: Autopilot::default(),
            refusing: Refusing::default(),
            trouble: std::sync::Mutex::default(),
            viewer: Mutex::new(viewer),
            began,
        })
    }

    /// Everything as it is now.
    pub(crate) async fn state(&self) -> State {
        let (process, starts) = self.cluster.plugin().await;
        let rest = Rest {
            plugin: Plugin {
                running: process.is_some_and(actions::lives),
                starts,
            },
            told: self.autopilot.is_on(),
            refusing: self.refusing.is_on(),
            headers: self.traffic.headers().await,
            trouble: self.trouble().clone(),
        };
        let mut viewer = self.viewer.lock().await;
        viewer.state(self.cluster.store(), &self.board, rest)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        // A holder that panicked left a whole sentence.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks after the proxies; ends only when dropped.
    pub(crate) async fn watch(&self) -> Infallible {
        loop {
            tokio::time::sleep(CHECKS).await;
            let failure = self.cluster.mesh().settled().await.err();
            let trouble = failure.map(|failure| Chain(&failure).to_string());
            // What an Envoy's log says is for the terminal.
            let sentence = trouble.as_deref().map(|trouble| {
                let sentence = trouble.lines().next().unwrap_or_default();
                let sentence = sentence.trim_end_matches("; its log ends with:");
                format!("{sentence}: what you see from here on is not how Serin behaves. Start the demo again.")
            });
            if let Some(trouble) = &trouble
                && *self.trouble() != sentence
            {
                terminal::trouble(trouble);
            }
            *self.trouble() = sentence;
        }
    }

    /// Tells the page and the terminal what happens; ends only when dropped.
    pub(crate) async fn tell(&self) -> Infallible {
        let mut last: Option<State> = None;
        let mut stated = Instant::now();
        let mut failures = terminal::Failures::default();
        let mut starts = 1;
        loop {
            tokio::time::sleep(BATCHES).await;
            let batch = self.board.take_batch();
            if !batch.is_empty() {
                self.events.send("requests", &batch);
            }
            failures.tell(&batch);
            self.events
                .flush(self.began, self.cluster.api().take_requests());
            if stated.elapsed() < STATES {
                continue;
            }
            stated = Instant::now();
            let state = self.state().await;
            if state.plugin.starts > starts {
                starts = state.plugin.starts;
                self.events
                    .started(self.began.elapsed().as_secs_f64(), starts);
            }
            if last.as_ref() == Some(&state) {
                continue;
            }
            if last.as_ref().is_none_or(|last| last.story != state.story) {
                terminal::chapter(&state.story, state.counts);
            }
            self.events.state(&state);
            last = Some(state);
        }
    }
}

/// Counts mirrored copies.
fn copies(board: &Arc<Board>) -> Observer {
    let board = Arc::clone(board);
    Arc::new(move |seen: Seen<'_>| {
        if !seen.copy {
            return;
        }
        let user = seen.headers.get(USER_HEADER);
        let user = user.and_then(|value| value.to_str().ok()?.parse().ok());
        if let Some(user) = user {
            board.copy(user, &seen.identity.image);
        }
    })
}
