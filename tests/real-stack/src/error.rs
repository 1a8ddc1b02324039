//! What can stop a run. A scenario that shows a wrong behaviour is no error but a verdict (see `judge.rs`).

use std::path::PathBuf;
use std::time::Duration;

/// What stopped a run or a scenario.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Ctrl-C.
    #[error("interrupted; everything that was started has ended with it")]
    Interrupted,
    /// A file of the run or of the checkout.
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {name}")]
    Start {
        name: String,
        #[source]
        source: std::io::Error,
    },
    /// A program that should run for the whole time has ended. Its last lines follow.
    #[error("{name} has ended ({status}); the end of {}:\n{tail}", log.display())]
    Ended {
        name: String,
        status: String,
        log: PathBuf,
        tail: String,
    },
    /// Something was waited for in vain.
    #[error("waited {} s for {what}; last seen: {seen}", limit.as_secs())]
    Waited {
        what: String,
        limit: Duration,
        seen: String,
    },
    /// A call of the Kubernetes API failed.
    #[error("cannot {verb} {object}")]
    Api {
        verb: &'static str,
        object: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// The cluster doesn't know a kind.
    #[error("the cluster has no resource for {kind} of {api_version}")]
    Kind { api_version: String, kind: String },
    /// A manifest is not YAML.
    #[error("{} is not valid YAML", path.display())]
    Yaml {
        path: PathBuf,
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// A scenario's table is not valid.
    #[error("{} is not a valid scenario", path.display())]
    Scenario {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A scenario's table names something that isn't there.
    #[error("{}: {field} names {value}; expected {expected}", path.display())]
    Reference {
        path: PathBuf,
        field: &'static str,
        value: String,
        expected: String,
    },
    /// A scenario's streams send too little.
    #[error("{}: the streams have {rate} requests a second in sum, expected at least {least}", path.display())]
    Rate {
        path: PathBuf,
        rate: u32,
        least: u32,
    },
    /// There is nothing to run.
    #[error("no folder of {} has a scenario.toml", folder.display())]
    NoScenario { folder: PathBuf },
    /// A process that should have ended with its parent.
    #[error("process {pid}, a child of {parent}, still runs {} s after its parent was killed", limit.as_secs())]
    Survived {
        pid: u32,
        parent: String,
        limit: Duration,
    },
    /// The program that was to be killed with its children had none.
    #[error("{parent} has no child process, expected the plugin")]
    Childless { parent: String },
    /// An object lacks what every object of its kind has.
    #[error("{object} has no {field}")]
    Lacks { object: String, field: &'static str },
    /// The system's random numbers are out of reach.
    #[error("cannot make a key pair")]
    Key,
    /// A command that sets up the namespace failed.
    #[error("`{command}` failed: {output}")]
    Network { command: String, output: String },
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

    /// The one thing to do next.
    pub(crate) fn next(&self) -> &'static str {
        match self {
            Self::Interrupted => "run the command again",
            Self::File { .. } => "check space and permissions there",
            Self::Start { .. } | Self::Ended { .. } => {
                "read the program's log under target/e2e/latest"
            }
            Self::Waited { .. }
            | Self::Api { .. }
            | Self::Lacks { .. }
            | Self::Survived { .. }
            | Self::Childless { .. } => {
                "read the logs under target/e2e/latest, argo-rollouts.log and istiod.log first"
            }
            Self::Kind { .. } => "check that the object's CRD is among those the stack applies",
            Self::Yaml { .. }
            | Self::Scenario { .. }
            | Self::Reference { .. }
            | Self::Rate { .. } => "mend the file",
            Self::NoScenario { .. } => "check that the folder holds the scenarios of tests/e2e",
            Self::Key => "check that the system has random numbers",
            Self::Network { .. } => "start it with `cargo xtask e2e`, which makes the namespaces",
        }
    }
}

/// The error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
