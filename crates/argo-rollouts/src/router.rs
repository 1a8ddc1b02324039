//! The trait a plugin implements, in the order of Go's interface.

use std::error::Error;
use std::future::Future;

use crate::args::{
    RemoveManagedRoutesArgs, SetHeaderArgs, SetMirrorArgs, SetWeightAndVerifyWeightArgs,
    UpdateHashArgs,
};

/// A traffic router: what the Argo Rollouts controller asks of a plugin.
///
/// Follows `TrafficRouterPlugin` of argo-rollouts v1.10.1
/// (`rollout/trafficrouting/plugin/rpc/rpc.go`). The controller may repeat any call at every
/// reconcile, changed or not, so each should be idempotent and cheap when nothing is to do. Calls
/// can run at the same time, for several Rollouts.
///
/// An error reaches the controller as one line, the whole chain of sources joined with `": "`.
/// The controller puts its own words in front; the line should name the object and what to do.
pub trait TrafficRouter: Send + Sync + 'static {
    /// What goes wrong in this plugin.
    type Error: Error + Send + Sync + 'static;

    /// Called once after the start, before any other call. An error makes the controller refuse
    /// the plugin and try again at the next reconcile, without starting it anew.
    fn init_plugin(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Tells the pod hashes of canary, stable and additional destinations, before `set_weight`.
    fn update_hash(
        &self,
        args: UpdateHashArgs,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Gives the canary its share: `desired_weight` of `max_traffic_weight` (100 unless set).
    fn set_weight(
        &self,
        args: SetWeightAndVerifyWeightArgs,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Adds, changes or (with no match entries) removes one header route. Comes only while the
    /// step is the current one.
    fn set_header_route(
        &self,
        args: SetHeaderArgs,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Adds, changes or (with no match entries) removes one mirror route. Comes only while the
    /// step is the current one.
    fn set_mirror_route(
        &self,
        args: SetMirrorArgs,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Whether the weights are live. [`Verified::NotVerified`] holds setWeight steps back; an
    /// error counts as not verified but does not stop the reconcile.
    fn verify_weight(
        &self,
        args: SetWeightAndVerifyWeightArgs,
    ) -> impl Future<Output = Result<Verified, Self::Error>> + Send;

    /// Removes every route of the Rollout's `managedRoutes`. Comes again and again, also when
    /// there is nothing to remove.
    fn remove_managed_routes(
        &self,
        args: RemoveManagedRoutesArgs,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The router's type as the controller logs it. Go's `Type`.
    fn kind(&self) -> String;
}

/// The answer of `verify_weight`. Go's `RpcVerified` (`utils/plugin/types/types.go`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verified {
    /// The weights are not live yet: the step waits.
    #[default]
    NotVerified,
    /// The weights were read back and are as asked.
    Verified,
    /// This router can't tell; the controller goes on as if they were.
    NotImplemented,
}
