//! What is wrong with an object or a call, told so that the sentence stands alone in an event.

use std::fmt;

use crate::core::routing::RolloutKey;
use crate::object::ObjectId;

/// Why a call can't be carried out. Nothing has been written when one of these comes from the core.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A field of the Rollout or of the call itself.
    #[error("rollout {rollout}: {fault}")]
    Rollout {
        /// Whose.
        rollout: RolloutKey,
        /// Which field, and what is wrong with it.
        fault: Fault,
    },
    /// A field of the plugin's configuration that can't be read.
    #[error("rollout {rollout}: {field}")]
    Unreadable {
        /// Whose.
        rollout: RolloutKey,
        /// Which field.
        field: String,
        /// What was found there, and what is expected.
        #[source]
        source: serde_json::Error,
    },
    /// A field of the Rollout that no policy could be made of.
    #[error("rollout {rollout}: {field}")]
    Field {
        /// Whose.
        rollout: RolloutKey,
        /// Which field.
        field: String,
        /// What the filter would say of it.
        #[source]
        source: traffic_policy::Fault,
    },
    /// A field of an object that the Rollout names.
    #[error("{object}: {fault}")]
    Object {
        /// Which object.
        object: ObjectId,
        /// Which field, and what is wrong with it.
        fault: Fault,
    },
    /// A lane route that the user has declared to keep is missing, or not as it must be.
    #[error(
        "{object}: {fault}; lanes are declared, so these lines have to be under its spec.http, in place of any of the same name:{lines}"
    )]
    Lanes {
        /// The VirtualService.
        object: ObjectId,
        /// The first one, and what is wrong with it.
        fault: Fault,
        /// What to write for each, as YAML, a line each.
        lines: String,
    },
    /// An object that the Rollout names is not there.
    #[error("{object}: not found; create it or correct {field} of rollout {rollout}")]
    Missing {
        /// Which object.
        object: ObjectId,
        /// The field that names it.
        field: String,
        /// Whose field.
        rollout: RolloutKey,
    },
    /// A version that traffic would be sent to has no pods that could answer.
    #[error(
        "{object}: subset {subset:?} has no available pods of pod hash {hash:?} behind it: no traffic of rollout {rollout} goes there until it has"
    )]
    NoPods {
        /// The DestinationRule.
        object: ObjectId,
        /// The subset's name.
        subset: String,
        /// The hash that it should be at.
        hash: String,
        /// Whose traffic.
        rollout: RolloutKey,
    },
    /// A version would get more traffic while it lacks pods.
    #[error(
        "rollout {rollout}: pods of the version {hash:?}: found {available} of {wanted} available, expected all, or what spec.strategy.canary.replicaProgressThreshold asks for, before more traffic goes there"
    )]
    FewPods {
        /// Whose version.
        rollout: RolloutKey,
        /// Its pod hash.
        hash: String,
        /// Its available pods.
        available: i64,
        /// The pods that it wants.
        wanted: i64,
    },
    /// The policy doesn't compile, so no proxy would take it.
    #[error("rollout {rollout}: its steps and the plugin's configuration make no valid policy")]
    Policy {
        /// Whose.
        rollout: RolloutKey,
        /// What the filter would say.
        #[source]
        source: traffic_policy::PolicyError,
    },
    /// The policy has no JSON form.
    #[error("rollout {rollout}: its policy can't be written as JSON")]
    Unwritable {
        /// Whose.
        rollout: RolloutKey,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// One field with something wrong in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The path, as `kubectl explain` writes it, with indexes.
    pub field: String,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: String,
}

impl Fault {
    /// A fault of that field.
    pub fn new(
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// The same as an error of `object`.
    pub fn of(self, object: &ObjectId) -> CoreError {
        CoreError::Object {
            object: object.clone(),
            fault: self,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: found {}, expected {}",
            self.field, self.found, self.expected
        )
    }
}
