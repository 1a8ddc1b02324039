//! The plugin's methods against an API server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in tests they are assertions"
)]

mod blue_green;
mod calls;
mod cost;
mod delegates;
mod drift;
mod filters;
mod hosts;
mod large;
mod leaders;
mod lifecycle;
mod outages;
mod pods;
mod races;
mod refusals;
mod steps;
mod sticky;
mod verify;
mod way_back;
mod world;
