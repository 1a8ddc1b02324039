//! Traffic policies: which lane a request takes. Pure: no I/O, no clock, no globals.
//!
//! Three stages: what is written ([`config`]) -> checked and compiled -> asked once per request.
//! The filter, the plugin, the command line and the playground share this crate, so that they can't
//! disagree.

pub mod config;
mod lane;

pub use lane::{LANE_HEADER_PREFIX, Lane, lane_header, lane_route_prefix};
