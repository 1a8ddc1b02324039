//! An embedded cluster for fast tests and the demo.

pub mod apiserver;
pub mod argo;
pub mod echo;
pub mod embedded;
pub mod envoy;
pub mod load;
pub mod mesh;
pub mod probe;
pub mod workloads;
