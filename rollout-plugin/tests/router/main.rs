//! The plugin's methods against an API server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in tests both are assertions"
)]

mod calls;
mod delegates;
mod races;
mod refusals;
mod world;
