//! What the controller asks of a traffic router, and what it hears (argo-rollouts v1.10.1
//! `rollout/trafficrouting/plugin/rpc/rpc.go`, `TrafficRouterPluginRPC`).

use serde_json::{Value, json};

use super::convert::{self, ConvertError};
use super::encoding::Arguments;
use super::table;

/// A call of the plugin. A `rollout` is the object as the API server has it; experiments, whose destinations some calls
/// carry in Go, there are none.
#[derive(Clone, Debug)]
pub enum Call {
    /// Once after the start, before all others.
    InitPlugin,
    /// The router's type, for the log.
    Type,
    /// Tells the pods' hashes.
    UpdateHash {
        /// The Rollout.
        rollout: Value,
        /// Pod-template hash of the canary; empty when there is none.
        canary_hash: String,
        /// Pod-template hash of the stable ReplicaSet; empty when there is none.
        stable_hash: String,
    },
    /// Gives the canary its share.
    SetWeight {
        /// The Rollout.
        rollout: Value,
        /// The canary's share of `maxTrafficWeight` (100 unless set).
        desired_weight: i32,
    },
    /// Asks whether the weights are live.
    VerifyWeight {
        /// The Rollout.
        rollout: Value,
        /// The canary's share of `maxTrafficWeight` (100 unless set).
        desired_weight: i32,
    },
    /// Adds, changes or (without match entries) removes a header route.
    SetHeaderRoute {
        /// The Rollout.
        rollout: Value,
        /// What stands under `setHeaderRoute` in the step.
        set_header_route: Value,
    },
    /// Adds, changes or (without match entries) removes a mirror route.
    SetMirrorRoute {
        /// The Rollout.
        rollout: Value,
        /// What stands under `setMirrorRoute` in the step.
        set_mirror_route: Value,
    },
    /// Removes all routes of the Rollout's `managedRoutes`.
    RemoveManagedRoutes {
        /// The Rollout.
        rollout: Value,
    },
}

/// What a call led to, if it was not refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done, or nothing was to do.
    Done,
    /// Whether the weights are live; `None` from a router that can't tell (Go's `NotImplemented`).
    Verified(Option<bool>),
    /// The answer to [`Call::Type`].
    Text(String),
}

impl Call {
    /// Go's name of the method.
    pub fn method(&self) -> &'static str {
        match self {
            Self::InitPlugin => "InitPlugin",
            Self::Type => "Type",
            Self::UpdateHash { .. } => "UpdateHash",
            Self::SetWeight { .. } => "SetWeight",
            Self::VerifyWeight { .. } => "VerifyWeight",
            Self::SetHeaderRoute { .. } => "SetHeaderRoute",
            Self::SetMirrorRoute { .. } => "SetMirrorRoute",
            Self::RemoveManagedRoutes { .. } => "RemoveManagedRoutes",
        }
    }

    /// The arguments as Go sends them.
    pub(super) fn arguments(&self) -> Result<Arguments, ConvertError> {
        let (table, fields) = match self {
            Self::InitPlugin | Self::Type => return Ok(Arguments::Nil),
            Self::UpdateHash {
                rollout,
                canary_hash,
                stable_hash,
            } => (
                &table::UPDATE_HASH_ARGS,
                json!({"Rollout": rollout, "CanaryHash": canary_hash, "StableHash": stable_hash}),
            ),
            Self::SetWeight {
                rollout,
                desired_weight,
            }
            | Self::VerifyWeight {
                rollout,
                desired_weight,
            } => (
                &table::SET_WEIGHT_AND_VERIFY_WEIGHT_ARGS,
                json!({"Rollout": rollout, "DesiredWeight": desired_weight}),
            ),
            Self::SetHeaderRoute {
                rollout,
                set_header_route,
            } => (
                &table::SET_HEADER_ARGS,
                json!({"Rollout": rollout, "SetHeaderRoute": set_header_route}),
            ),
            Self::SetMirrorRoute {
                rollout,
                set_mirror_route,
            } => (
                &table::SET_MIRROR_ARGS,
                json!({"Rollout": rollout, "SetMirrorRoute": set_mirror_route}),
            ),
            Self::RemoveManagedRoutes { rollout } => (
                &table::REMOVE_MANAGED_ROUTES_ARGS,
                json!({"Rollout": rollout}),
            ),
        };
        Ok(Arguments::Held(table, convert::structure(table, &fields)?))
    }
}
