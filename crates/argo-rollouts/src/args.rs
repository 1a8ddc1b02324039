//! The arguments of each call: the `*Args` structs of argo-rollouts v1.10.1
//! `rollout/trafficrouting/plugin/rpc/rpc.go`.
//!
//! A call without arguments (Go's nil interface) reads as the default value: an empty Rollout.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::types::{Rollout, SetHeaderRoute, SetMirrorRoute, WeightDestination};

/// Arguments of `update_hash`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateHashArgs {
    /// The Rollout as the controller sees it now.
    pub rollout: Rollout,
    /// Pod-template hash of the canary ReplicaSet; empty when there is none.
    pub canary_hash: String,
    /// Pod-template hash of the stable ReplicaSet; empty when there is none.
    pub stable_hash: String,
    /// Experiments' services that get weight of their own.
    pub additional_destinations: Vec<WeightDestination>,
}

/// Arguments of `set_weight` and `verify_weight`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SetWeightAndVerifyWeightArgs {
    /// The Rollout as the controller sees it now.
    pub rollout: Rollout,
    /// The canary's share of `max_traffic_weight`.
    pub desired_weight: i32,
    /// Experiments' services that get weight of their own.
    pub additional_destinations: Vec<WeightDestination>,
}

/// Arguments of `set_header_route`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SetHeaderArgs {
    /// The Rollout as the controller sees it now.
    pub rollout: Rollout,
    /// The step's header route.
    pub set_header_route: SetHeaderRoute,
}

/// Arguments of `set_mirror_route`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SetMirrorArgs {
    /// The Rollout as the controller sees it now.
    pub rollout: Rollout,
    /// The step's mirror route.
    pub set_mirror_route: SetMirrorRoute,
}

/// Arguments of `remove_managed_routes`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RemoveManagedRoutesArgs {
    /// The Rollout as the controller sees it now.
    pub rollout: Rollout,
}

/// What all arguments have in common.
pub(crate) trait Arguments: Default + DeserializeOwned {
    /// The name that Go registers the type by.
    const NAME: &'static str;

    /// The Rollout.
    fn rollout_mut(&mut self) -> &mut Rollout;
}

macro_rules! arguments {
    ($($name:ident),*) => {$(
        impl Arguments for $name {
            const NAME: &'static str = stringify!($name);

            fn rollout_mut(&mut self) -> &mut Rollout {
                &mut self.rollout
            }
        }
    )*};
}

arguments!(
    UpdateHashArgs,
    SetWeightAndVerifyWeightArgs,
    SetHeaderArgs,
    SetMirrorArgs,
    RemoveManagedRoutesArgs
);
