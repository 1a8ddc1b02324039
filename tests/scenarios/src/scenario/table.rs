//! `scenario.toml`: what is done and what must be seen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::action::Action;
use crate::error::Error;
use testbed::mesh::Via;

/// The header that applications forward.
pub(crate) const LANES_HEADER: &str = "x-rollout-lanes";

/// `scenario.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Table {
    /// What is shown, in one line.
    pub(crate) title: String,
    /// True if it disturbs others and so runs alone.
    #[serde(default)]
    pub(crate) alone: bool,
    /// The filter's module in the proxies meanwhile, where it isn't the plain one. It is everybody's, so the scenario has to
    /// be `alone`.
    #[serde(default)]
    pub(crate) module: Module,
    /// Why the embedded cluster can't run it, where it can't.
    pub(crate) real_only: Option<String>,
    /// True if the manifests' weights aren't those of the end, so that they are no part of what has to be restored.
    #[serde(default)]
    pub(crate) shape_only: bool,
    /// What a manifest that was written for another cluster needs here.
    #[serde(default)]
    pub(crate) adapt: Vec<Adapt>,
    /// Requests that are sent from start to end.
    pub(crate) stream: Vec<Stream>,
    /// What is done, in order. The first may do nothing: it looks at the beginning.
    pub(crate) step: Vec<Step>,
}

/// The filter's modules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Module {
    /// `serin-filter.wasm`.
    #[default]
    Plain,
    /// `serin-filter-cookies.wasm`.
    Cookies,
}

/// One field of an object, set before the object is applied.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Adapt {
    /// The object's kind; it is the only one of its kind.
    pub(crate) kind: String,
    /// The object that the field is in, as a JSON pointer.
    pub(crate) at: String,
    /// The field, which may be missing, or a list's index, which may not.
    pub(crate) field: String,
    /// Its value.
    pub(crate) value: Value,
}

/// Requests of one kind, sent at a steady rate through the sidecar and through the gateway, or one of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Stream {
    /// Its name in expectations and reports.
    pub(crate) name: String,
    /// The authority inside the mesh.
    pub(crate) sidecar: String,
    /// The authority at the gateway.
    pub(crate) gateway: String,
    /// Path and query.
    #[serde(default = "root")]
    pub(crate) path: String,
    /// Method.
    #[serde(default = "get")]
    pub(crate) method: String,
    /// True for HTTP/2.
    #[serde(default)]
    pub(crate) http2: bool,
    /// True if the pods have to be asked by HTTP/2 too.
    #[serde(default)]
    pub(crate) http2_to_pods: bool,
    /// Headers.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// The authority at the gateway of an application in front, which is called first and forwards [`LANES_HEADER`] on
    /// its own way to this one, through the sidecar. The user is then told apart at the gateway alone.
    pub(crate) front: Option<String>,
    /// Who sends them, in turn: each is to come to a version once, and to find it on both ways.
    pub(crate) users: Option<Users>,
    /// A cookie that is issued on the way, or never; it takes users, who are told apart by their numbers.
    pub(crate) cookies: Option<Cookies>,
    /// Requests per second on each of its ways.
    pub(crate) rate: u32,
    /// The one way that they take; absent for both.
    pub(crate) only: Option<Way>,
    /// The application (label `app`) that has to answer.
    pub(crate) app: String,
    /// The Rollout whose versions answer; absent where no Rollout is involved.
    pub(crate) rollout: Option<String>,
}

/// Users of a stream, told apart by a header.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Users {
    /// How many.
    pub(crate) count: u32,
    /// The header's name.
    pub(crate) header: String,
    /// Its value; `{}` in it is the user's number.
    pub(crate) value: String,
}

impl Users {
    /// What the header of one of them says.
    pub(crate) fn value_of(&self, user: u32) -> String {
        self.value.replace("{}", &user.to_string())
    }
}

/// What becomes of a cookie.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Cookies {
    /// Its name.
    pub(crate) name: String,
    /// How often each user is given it, from the first step to the last.
    pub(crate) issued: Issued,
}

/// How often a cookie is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Issued {
    /// One time, since users keep it and bring it with all that they send later.
    Once,
    /// At no time.
    Never,
}

/// The word for a way in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// [`Via::Sidecar`].
    Sidecar,
    /// [`Via::Gateway`].
    Gateway,
}

/// One step: what is done, what is waited for, what must be seen from then on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Step {
    /// Its name in reports.
    pub(crate) name: String,
    /// Done at once, one after the other.
    #[serde(default)]
    pub(crate) actions: Vec<Action>,
    /// Waited for, all of it.
    #[serde(default)]
    pub(crate) until: Vec<Until>,
    /// Weights, in the order of destinations, of every route that splits. Waited for after `until`; the Rollout's
    /// `status.canary.weights` has the same ones.
    pub(crate) weights: Option<Vec<i64>>,
    /// A file of objects; each must be contained in the one that is live. Waited for after `until`.
    pub(crate) objects: Option<PathBuf>,
    /// Rollouts of which no lane route and no policy must be left. Waited for after `until`.
    #[serde(default)]
    pub(crate) clean: Vec<String>,
    /// Events that were told of Rollouts. Waited for after `until`.
    #[serde(default)]
    pub(crate) events: Vec<Told>,
    /// Milliseconds from the last action's end to the moment by which all that is waited for after `until` must be there.
    pub(crate) within: Option<u64>,
    /// The expectations hold from the moment before the actions on: the state stays what it was.
    #[serde(default)]
    pub(crate) throughout: bool,
    /// Requests may leave the lane that is theirs before and after the step, for so many milliseconds from the first of
    /// them to the last.
    pub(crate) strays_within: Option<u64>,
    /// Seconds after the step from which a request in the wrong lane is wrong, where it isn't the stack's usual time.
    pub(crate) late: Option<u64>,
    /// Requests may fail, for so many milliseconds from the first of them to the last: what they are for has died.
    pub(crate) fails_within: Option<u64>,
    /// What each stream must see.
    #[serde(default)]
    pub(crate) expect: Vec<Expect>,
    /// Seconds of requests that are looked at.
    #[serde(default = "observed")]
    pub(crate) seconds: u64,
}

/// A state of a Rollout.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Until {
    /// The Rollout.
    pub(crate) rollout: String,
    /// It pauses at the step with this index.
    pub(crate) paused_at: Option<i64>,
    /// Its phase (`Healthy`, `Degraded`…), with its latest change seen by the controller.
    pub(crate) phase: Option<String>,
    /// It is at the step with this index, paused or not.
    pub(crate) step: Option<i64>,
    /// So many pods of the version that is being rolled out are ready.
    pub(crate) canary_pods: Option<usize>,
    /// So many pods of the stable version are ready.
    pub(crate) stable_pods: Option<usize>,
    /// Weights, in the order of destinations, of every route that the Rollout names and that splits; its
    /// `status.canary.weights` says the same.
    pub(crate) weights: Option<Vec<i64>>,
    /// So many pods are left, the terminating ones included: the old version has gone.
    pub(crate) pods: Option<usize>,
    /// Entries of a rule of its policy.
    pub(crate) matches: Option<Matches>,
}

/// How many entries a rule has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Matches {
    /// The rule, by the managed route's name.
    pub(crate) rule: String,
    /// So many: the step's own and the configuration's.
    pub(crate) count: usize,
}

/// Events with one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Told {
    /// The Rollout that they are about.
    pub(crate) rollout: String,
    /// The reason.
    pub(crate) reason: String,
    /// How many there are, since the scenario's beginning.
    pub(crate) count: u64,
}

/// What a stream must see.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Expect {
    /// The stream's name.
    pub(crate) stream: String,
    /// Percent of its requests that the canary answers; 0 and 100 mean every one.
    pub(crate) canary: f64,
    /// Percent of its requests of which the canary gets a copy.
    #[serde(default)]
    pub(crate) copies: f64,
    /// Percent of its requests that pods of an experiment answer; they don't count as the canary's, whose image they may
    /// have.
    #[serde(default)]
    pub(crate) experiment: f64,
}

fn root() -> String {
    "/".to_owned()
}

fn get() -> String {
    "GET".to_owned()
}

fn observed() -> u64 {
    5
}

impl Stream {
    /// The ways that its requests take.
    pub(crate) fn ways(&self) -> &'static [Via] {
        if self.front.is_some() {
            return &[Via::Sidecar];
        }
        match self.only {
            None => &Via::ALL,
            Some(Way::Sidecar) => &[Via::Sidecar],
            Some(Way::Gateway) => &[Via::Gateway],
        }
    }

    /// The authority on one of the two ways.
    pub(crate) fn authority(&self, via: Via) -> &str {
        match via {
            Via::Sidecar => &self.sidecar,
            Via::Gateway => &self.gateway,
        }
    }
}

/// Reads a table; its names are not checked.
pub(super) fn read(path: &Path) -> Result<Table, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
    toml::from_str(&text).map_err(|source| Error::Scenario {
        path: path.to_path_buf(),
        source: Box::new(source),
    })
}
