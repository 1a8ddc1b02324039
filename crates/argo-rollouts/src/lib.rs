//! Argo Rollouts traffic-router plugins in Rust.
