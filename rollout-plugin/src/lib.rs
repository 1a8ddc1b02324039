//! The Argo Rollouts traffic-router plugin `serin/istio`.
//!
//! [`core`] decides what the objects must be, without I/O; [`cluster`] reads and writes them; [`router`] is what the
//! controller calls, and [`reconciler`] what watches between its calls.

mod backoff;
pub mod cluster;
pub mod config;
pub mod core;
mod entries;
mod entry;
mod keeper;
mod leftover;
pub mod object;
mod observe;
pub mod reconciler;
pub mod router;
mod settle;
mod standing;
mod warn;
mod way_back;
