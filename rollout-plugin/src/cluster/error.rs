//! What the API server refuses, and what a user can do about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::ALL_NAMESPACES;
use crate::object::{Kind, ObjectId};

/// A read or a write that didn't happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// RBAC says no.
    #[error(
        "no permission to {verb} {}.{} in {}: grant it to the service account of the Argo Rollouts controller (manifests/rbac.yaml)",
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
    #[error("the API server doesn't serve {kind} of {}/{}: install the CRDs of Istio 1.22 or newer", kind.names().0, kind.names().1)]
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
    /// A write failed otherwise; the object is as it was.
    #[error("{object}: the change was not accepted")]
    Write {
        /// Which.
        object: ObjectId,
        /// Why.
        #[source]
        source: Cause,
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
    pub(crate) fn of_read(kind: Kind, namespace: &str, source: Arc<kube::Error>) -> Self {
        let namespace = namespace.to_owned();
        match status_code(&source) {
            Some(403) => Self::Forbidden {
                verb: "get, list and watch",
                kind,
                namespace,
                source: Cause(source),
            },
            Some(404) => Self::NotServed { kind },
            _ => Self::Read {
                kind,
                namespace,
                source: Cause(source),
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
                source: Cause(Arc::new(source)),
            },
            Some(404) => Self::Gone {
                object: object.clone(),
            },
            _ => Self::Write {
                object: object.clone(),
                source: Cause(Arc::new(source)),
            },
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
