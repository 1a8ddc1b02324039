//! What a user has to know of a canary that goes on all the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::error::Fault;
use crate::core::filter::overlap::may_meet;
use crate::core::filter::pinned::unpinned;
use crate::core::filter::{is_serins, module};
use crate::core::managed_routes::shared_names;
use crate::core::plan::{Observed, present};
use crate::core::routing::Routing;
use crate::object::Object;

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
    for object in observed.filters.iter().flatten() {
        warnings.extend(unpinned(object).map(|fault| Warning {
            reason: "FilterNotPinned",
            message: fault.of(&object.id).to_string(),
        }));
    }
    warnings
}

/// Those of the Rollout's filter objects that put the filter into proxies where another one does too. `all`: the cluster's, of
/// which those that are not Serin's don't count.
pub(crate) fn filters_that_meet(own: &[Arc<Object>], all: &[Object]) -> Vec<Warning> {
    let url = |object: &Object| module(object)?.get("url").cloned();
    let is_same_module =
        |object: &Object| url(object).is_some() && own.iter().any(|own| url(own) == url(object));
    let is_own = |object: &Object| own.iter().any(|own| own.id == object.id);
    let others = all.iter().filter(|object| !is_own(object));
    let others: Vec<&Object> = others
        .filter(|object| is_serins(object) || is_same_module(object))
        .collect();
    let mut warnings = Vec::new();
    for (place, object) in own.iter().enumerate() {
        let behind = own.iter().skip(place + 1).map(|other| &**other);
        let behind = behind.chain(others.iter().copied());
        let meet: BTreeSet<String> = behind
            .filter(|other| may_meet(object, other))
            .map(|other| other.id.to_string())
            .collect();
        if meet.is_empty() {
            continue;
        }
        let meet: Vec<String> = meet.into_iter().collect();
        let fault = Fault::new(
            "spec.selector",
            format!("proxies that {} can select too", meet.join(", ")),
            "each proxy selected once: there the filter runs twice for a request, which costs twice, and a percentage without keys is drawn twice; delete one of the objects, or let selector, targetRefs or match exclude each other",
        );
        warnings.push(Warning {
            reason: "FilterRunsTwice",
            message: fault.of(&object.id).to_string(),
        });
    }
    warnings
}

#[cfg(test)]
mod tests;
