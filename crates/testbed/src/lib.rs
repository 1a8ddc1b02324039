//! An embedded cluster for fast tests and the demo.

pub mod apiserver;
pub mod echo;
pub mod envoy;
pub mod load;
