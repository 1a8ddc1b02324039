//! What can stop a run. A scenario that shows a wrong behaviour is no error but a verdict.

use std::path::PathBuf;
use std::time::Duration;

/// What stopped a run.
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
    /// The API server is out of reach.
    #[error("cannot connect to the API server")]
    Connect {
        #[source]
        source: Box<kube::Error>,
    },
    /// A call of the API server failed.
    #[error("cannot {action}")]
    Api {
        action: &'static str,
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server's certificate has no CA behind it.
    #[error("{} holds no certificate", path.display())]
    Certificate { path: PathBuf },
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
    /// The controller is a pod's, and not the harness's.
    #[error("there is no controller to kill, expected one that the harness has started")]
    NoController,
    /// A scenario, or the cluster's API.
    #[error(transparent)]
    Scenario(#[from] scenarios::Error),
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

    /// For `map_err`: names what the API server was asked for.
    pub(crate) fn api(action: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api {
            action,
            source: Box::new(source),
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
            | Self::Connect { .. }
            | Self::Api { .. }
            | Self::Certificate { .. }
            | Self::Survived { .. }
            | Self::Childless { .. }
            | Self::NoController => {
                "read the logs under target/e2e/latest, argo-rollouts.log and istiod.log first"
            }
            Self::Scenario(error) => error.next(),
            Self::Key => "check that the system has random numbers",
            Self::Network { .. } => "start it with `cargo xtask e2e`, which makes the namespaces",
        }
    }
}
