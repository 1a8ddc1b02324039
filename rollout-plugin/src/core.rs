//! The pure core: what the objects must be, as a function of what was observed and of the call. No I/O.

pub(crate) mod ahead;
pub(crate) mod blue_green;
pub(crate) mod capacity;
pub(crate) mod declared;
pub(crate) mod delegate;
pub mod destination_rule;
pub(crate) mod diff;
pub(crate) mod edge;
pub mod error;
pub mod filter;
pub(crate) mod flow;
pub mod history;
pub(crate) mod host;
pub(crate) mod lane_route;
pub(crate) mod managed_routes;
pub mod plan;
pub mod policy;
pub(crate) mod reach;
pub mod routing;
pub mod rules;
pub mod virtual_service;
pub(crate) mod warnings;
pub mod weights;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod properties;
