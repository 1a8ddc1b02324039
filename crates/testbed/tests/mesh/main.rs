//! The embedded mesh with real Envoys: an embedded API server's objects in, requests through. The filter's module and
//! Envoy are those that `cargo xtask test` names in the environment; without them the tests say so and do nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is meant"
)]

mod bench;
mod changes;
mod faults;
mod plugins;
mod routes;
mod twins;
