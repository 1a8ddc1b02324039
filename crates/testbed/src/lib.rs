//! An embedded cluster for fast tests and the demo.

pub mod echo;
pub mod load;
