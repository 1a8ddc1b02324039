//! What the API server refuses, and what a user can do about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argo_rollouts::go_plugin::Chain;
use kube::runtime::watcher;

use crate::cluster::ALL_NAMESPACES;
use crate::object::{Kind, ObjectId};

/// A read or a write that didn't happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// RBAC says no.
    #[error(
        "no permission to {verb} {}.{} in {}: grant it to the service account of the Argo Rollouts controller (manifests/base/rbac.yaml)",
        kind.names().3, group(*kind), place(namespace)
    )]
    Forbidden {
        /// The missing verbs.
        verb: &'static str,
        /// On what.
        kind: Kind,
        /// Where.
        namespace: String,
        /// The API server's answer.
        #[source]
        source: Cause,
    },
    /// The kind's CRD is not installed.
    #[error("the API server doesn't serve {kind} of {}/{}: install the CRDs of Istio {} or newer", kind.names().0, kind.names().1, kind.since_istio())]
    NotServed {
        /// Which.
        kind: Kind,
    },
    /// The API server doesn't answer.
    #[error("the API server has not listed {}.{} of {} within {} s", kind.names().3, group(*kind), place(namespace), after.as_secs())]
    Silent {
        /// Which.
        kind: Kind,
        /// Where.
        namespace: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// A list or watch failed otherwise.
    #[error("can't read {}.{} of {}", kind.names().3, group(*kind), place(namespace))]
    Read {
        /// Which.
        kind: Kind,
        /// Where.
        namespace: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A write was refused otherwise; the object is as it was.
    #[error("{object}: the change was not accepted")]
    Write {
        /// Which.
        object: ObjectId,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A write without an answer: the object is as it was, or as it should be.
    #[error("{object}: the API server has not told whether it took the change")]
    Unanswered {
        /// Which.
        object: ObjectId,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A write that was accepted has not brought about what it said.
    #[error(
        "{object}: the API server takes the change and stores something else: look for an admission webhook or policy that changes it"
    )]
    Altered {
        /// Which.
        object: ObjectId,
    },
    /// The object was there when it was read, and is gone.
    #[error("{object}: deleted while it was being changed")]
    Gone {
        /// Which.
        object: ObjectId,
    },
}

/// Why the client gave up. An answer of the API server is its message alone: kube's own wording adds the whole
/// `Status` as Rust prints it.
#[derive(Clone, Debug)]
pub struct Cause(Arc<kube::Error>);

impl From<kube::Error> for Cause {
    fn from(error: kube::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl Cause {
    pub(crate) fn status_code(&self) -> Option<u16> {
        status_code(&self.0)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            kube::Error::Api(status) => f.write_str(status.message.trim_end()),
            kube::Error::Service(source) => source.fmt(f),
            kube::Error::HyperError(source) => source.fmt(f),
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            kube::Error::Api(_) => None,
            // Its own words hold its source's, so the chain goes on one below.
            other => other.source().and_then(std::error::Error::source),
        }
    }
}

fn place(namespace: &str) -> String {
    if namespace == ALL_NAMESPACES {
        "all namespaces".to_owned()
    } else {
        format!("namespace {namespace}")
    }
}

fn group(kind: Kind) -> &'static str {
    match kind.names().0 {
        "" => "core",
        group => group,
    }
}

impl ClusterError {
    /// What a failed read of a namespace's objects means.
    pub(crate) fn of_read(kind: Kind, namespace: &str, source: Cause) -> Self {
        let namespace = namespace.to_owned();
        match source.status_code() {
            Some(403) => Self::Forbidden {
                verb: "get, list and watch",
                kind,
                namespace,
                source,
            },
            Some(404) => Self::NotServed { kind },
            _ => Self::Read {
                kind,
                namespace,
                source,
            },
        }
    }

    /// What a failed write of an object means.
    pub(crate) fn of_write(object: &ObjectId, source: kube::Error) -> Self {
        match status_code(&source) {
            Some(403) => Self::Forbidden {
                verb: "patch",
                kind: object.kind,
                namespace: object.namespace.clone(),
                source: source.into(),
            },
            Some(404) => Self::Gone {
                object: object.clone(),
            },
            None => Self::Unanswered {
                object: object.clone(),
                source: source.into(),
            },
            Some(_) => Self::Write {
                object: object.clone(),
                source: source.into(),
            },
        }
    }
}

/// What has interrupted a watch.
#[derive(Debug)]
pub(crate) enum Interruption {
    /// A list or watch could not be begun.
    NotBegun(Cause),
    /// The API server no longer has the history that the watch would go on from, or the connection broke. Both are
    /// usual; the watcher lists again.
    Usual(String),
}

impl From<watcher::Error> for Interruption {
    fn from(error: watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(cause) | watcher::Error::WatchStartFailed(cause) => {
                Self::NotBegun(cause.into())
            }
            watcher::Error::WatchError(status) => Self::Usual(status.message),
            watcher::Error::WatchFailed(cause) => {
                Self::Usual(Chain(&Cause::from(cause)).to_string())
            }
            other @ watcher::Error::NoResourceVersion => Self::Usual(other.to_string()),
        }
    }
}

/// The HTTP status of the API server's answer, where there was one.
pub(crate) fn status_code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
