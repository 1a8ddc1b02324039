//! `scenario.toml`: what is done and what must be seen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use testbed::mesh::Via;

/// `scenario.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Table {
    /// What is shown, in one line.
    pub(crate) title: String,
    /// True if it disturbs others and so runs alone.
    #[serde(default)]
    pub(crate) alone: bool,
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
    /// Headers.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Requests per second on each of its ways.
    pub(crate) rate: u32,
    /// The one way that they take; absent for both.
    pub(crate) only: Option<Way>,
    /// The application (label `app`) that has to answer.
    pub(crate) app: String,
    /// The Rollout whose versions answer; absent where no Rollout is involved.
    pub(crate) rollout: Option<String>,
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

/// What is done to a Rollout, or to its controller.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    tag = "do"
)]
pub(crate) enum Action {
    /// A new version: the first container's image.
    SetImage {
        /// The Rollout.
        rollout: String,
        /// The image; requests that its pods answer count as the canary's.
        image: String,
    },
    /// On to the next step, as `kubectl argo rollouts promote` does.
    Promote {
        /// The Rollout.
        rollout: String,
    },
    /// To the end of all steps, as `kubectl argo rollouts promote --full` does.
    PromoteFull {
        /// The Rollout.
        rollout: String,
    },
    /// The aborted version again, as `kubectl argo rollouts retry rollout` does.
    Retry {
        /// The Rollout.
        rollout: String,
    },
    /// Another number of pods.
    Scale {
        /// The Rollout.
        rollout: String,
        /// How many.
        replicas: u32,
    },
    /// Deletes every pod of the version that is being rolled out.
    DeleteCanaryPods {
        /// The Rollout.
        rollout: String,
    },
    /// Moves the Rollout's traffic configuration, unchanged, from one traffic router to the other.
    Move {
        /// The Rollout.
        rollout: String,
        /// Who moves the traffic from now on.
        to: RouterName,
    },
    /// Sets fields of a route, as `kubectl edit` does.
    EditRoute {
        /// The VirtualService.
        virtual_service: String,
        /// The HTTP route's name.
        route: String,
        /// The fields.
        set: serde_json::Map<String, Value>,
    },
    /// Puts a route above another one, as `kubectl edit` does.
    AddRoute {
        /// The VirtualService.
        virtual_service: String,
        /// The HTTP route that it goes directly above, as far as users wrote them.
        above: String,
        /// The route.
        add: Value,
    },
    /// Back to the stable version, as `kubectl argo rollouts abort` does.
    Abort {
        /// The Rollout.
        rollout: String,
    },
    /// The controller is killed without warning and started again after a pause.
    KillController {
        /// Between its end and its start.
        pause_seconds: u64,
    },
}

/// The word for a traffic router in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RouterName {
    /// `trafficRouting.istio`.
    BuiltIn,
    /// `trafficRouting.plugins`.
    Plugin,
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
    /// So many pods are left, the terminating ones included: the old version has gone.
    pub(crate) pods: Option<usize>,
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
