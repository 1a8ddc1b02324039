//! What can stop a scenario. One that shows a wrong behaviour is no error but a verdict (see `judge.rs`).

use std::path::PathBuf;
use std::time::Duration;

/// What stopped a scenario, or kept it from being read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the run or of the checkout.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: std::io::Error,
    },
    /// Something was waited for in vain.
    #[error("waited {} s for {what}; last seen: {seen}", limit.as_secs())]
    Waited {
        /// What.
        what: String,
        /// For how long.
        limit: Duration,
        /// What was there instead.
        seen: String,
    },
    /// A call of the Kubernetes API failed.
    #[error("cannot {verb} {object}")]
    Api {
        /// What was being done.
        verb: &'static str,
        /// To which object.
        object: String,
        /// The client's word.
        #[source]
        source: Box<kube::Error>,
    },
    /// The cluster doesn't know a kind.
    #[error("the cluster has no resource for {kind} of {api_version}")]
    Kind {
        /// Its group and version.
        api_version: String,
        /// Its name.
        kind: String,
    },
    /// A manifest is not YAML.
    #[error("{} is not valid YAML", path.display())]
    Yaml {
        /// Which file.
        path: PathBuf,
        /// Where, and what was expected.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// A scenario's table is not valid.
    #[error("{} is not a valid scenario", path.display())]
    Scenario {
        /// Which file.
        path: PathBuf,
        /// Where, and what was expected.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A scenario's table, or a fixture, names something that isn't there.
    #[error("{}: {field} names {value}; expected {expected}", path.display())]
    Reference {
        /// Which file.
        path: PathBuf,
        /// Which field.
        field: &'static str,
        /// What it says.
        value: String,
        /// What it could say.
        expected: String,
    },
    /// A scenario's streams send too little.
    #[error("{}: the streams send {rate} requests a second through the {via}, expected at least {least}", path.display())]
    Rate {
        /// Which file.
        path: PathBuf,
        /// Which way.
        via: &'static str,
        /// Of all streams that take it, together.
        rate: u32,
        /// What is judged.
        least: u32,
    },
    /// There is nothing to run.
    #[error("no folder of {} has a scenario.toml", folder.display())]
    NoScenario {
        /// Where scenarios were looked for.
        folder: PathBuf,
    },
    /// An object lacks what every object of its kind has.
    #[error("{object} has no {field}")]
    Lacks {
        /// The object.
        object: String,
        /// What is missing.
        field: &'static str,
    },
    /// A step rotates a token where there is none.
    #[error("the cluster asks nobody for a token, so none can be rotated")]
    NoTokens,
    /// A step upgrades Istio where no other version is.
    #[error("the stack has one version of Istio alone, so there is none to upgrade to")]
    NoNextIstio,
    /// The stack could not do what a step asks of it.
    #[error(transparent)]
    Stack(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// For `map_err`: names what was being done to which file.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    /// True if an object had been written since it was read.
    pub(crate) fn is_conflict(&self) -> bool {
        let Self::Api { source, .. } = self else {
            return false;
        };
        matches!(&**source, kube::Error::Api(status) if status.code == 409)
    }

    /// The one thing to do next.
    pub fn next(&self) -> &'static str {
        match self {
            Self::File { .. } => "check space and permissions there",
            Self::Waited { .. } | Self::Api { .. } | Self::Lacks { .. } | Self::Stack(_) => {
                "read the programs' logs, the controller's first"
            }
            Self::Kind { .. } => "check that the object's CRD is among those the cluster has",
            Self::NoNextIstio => {
                "run the check of `cargo xtask e2e --long` that brings both versions"
            }
            Self::Yaml { .. }
            | Self::Scenario { .. }
            | Self::Reference { .. }
            | Self::NoTokens
            | Self::Rate { .. } => "mend the file",
            Self::NoScenario { .. } => "check that the folder holds the scenarios of tests/e2e",
        }
    }
}
