//! The Argo Rollouts traffic-router plugin `serin/istio`.
//!
//! [`core`] decides what the objects must be, without I/O; [`cluster`] reads and writes them; [`router`] is what the
//! controller calls.

pub mod cluster;
pub mod config;
pub mod core;
pub mod object;
pub mod router;
