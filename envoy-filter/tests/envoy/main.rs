//! The module in a real Envoy. Envoy's own routes stand for a VirtualService and its lane routes, with
//! the metadata that istiod writes; each answers by itself and says which one it is.
//!
//! Run by `cargo xtask test`, which builds the module and fetches Envoy.

// Helpers of a test count as shipped code to clippy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod application;
mod bench;
mod configuration;
mod cookies;
mod differential;
mod hops;
mod lanes;
mod live;
mod metrics;
mod mirrors;
mod module;
mod protocols;
mod sticky;
mod tables;
mod trust;
