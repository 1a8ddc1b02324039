//! What a user has to know of a canary that goes on all the same.

use crate::core::managed_routes::shared_names;
use crate::core::plan::{Observed, present};
use crate::core::routing::Routing;

/// One thing to know, as an event on the Rollout says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// The event's reason.
    pub(crate) reason: &'static str,
    /// The object, the field, what was found there, and what is expected.
    pub(crate) message: String,
}

/// All that the objects give cause for. They are looked at by a canary's calls, so the first one says it.
pub(crate) fn warnings(routing: &Routing, observed: &Observed) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (reference, object) in present(routing, observed) {
        let faults = shared_names(object, reference, routing).into_iter();
        warnings.extend(faults.map(|fault| Warning {
            reason: "DuplicateRouteName",
            message: fault.of(&object.id).to_string(),
        }));
    }
    warnings
}
