//! Argo Rollouts traffic-router plugins in Rust.
//!
//! Implement [`TrafficRouter`] and serve it. The trait follows Go's
//! `TrafficRouterPlugin` (argo-rollouts v1.10.1 `rollout/trafficrouting/plugin/rpc/rpc.go`), its
//! arguments are that file's `*Args`, and [`Rollout`] is the part of
//! `pkg/apis/rollouts/v1alpha1/types.go` that a traffic router reads. The same types read the
//! controller's calls (gob) and the Kubernetes API (JSON), so a plugin that also watches Rollouts
//! needs no second model.
//!
//! A whole plugin (the repository's `examples/minimal.rs` is the same):
//! ```no_run
#![doc = include_str!("../examples/minimal.rs")]
//! ```
//! The controller starts it from its ConfigMap, as any plugin:
//! ```yaml
//! trafficRouterPlugins: |-
//!   - name: "example/minimal"
//!     location: "file:///plugins/minimal"
//! ```

mod args;
mod router;
mod serve;
pub mod types;

pub use go_plugin;

pub use args::{
    RemoveManagedRoutesArgs, SetHeaderArgs, SetMirrorArgs, SetWeightAndVerifyWeightArgs,
    UpdateHashArgs,
};
pub use router::{TrafficRouter, Verified};
pub use serve::{HANDSHAKE, serve};
pub use types::*;
