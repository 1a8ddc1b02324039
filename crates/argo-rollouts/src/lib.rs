//! Argo Rollouts traffic-router plugins in Rust.
//!
//! Implement [`TrafficRouter`] and serve it. The trait follows Go's
//! `TrafficRouterPlugin` (argo-rollouts v1.10.1 `rollout/trafficrouting/plugin/rpc/rpc.go`), its
//! arguments are that file's `*Args`, and [`Rollout`] is the part of
//! `pkg/apis/rollouts/v1alpha1/types.go` that a traffic router reads. The same types read the
//! controller's calls (gob) and the Kubernetes API (JSON), so a plugin that also watches Rollouts
//! needs no second model.

mod args;
mod router;
pub mod types;

pub use args::{
    RemoveManagedRoutesArgs, SetHeaderArgs, SetMirrorArgs, SetWeightAndVerifyWeightArgs,
    UpdateHashArgs,
};
pub use router::{TrafficRouter, Verified};
pub use types::*;
