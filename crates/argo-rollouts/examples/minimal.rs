//! The smallest traffic router: it says what it would do.

use argo_rollouts::{RemoveManagedRoutesArgs, SetHeaderArgs, SetMirrorArgs};
use argo_rollouts::{SetWeightAndVerifyWeightArgs, TrafficRouter, UpdateHashArgs, Verified};

struct Router;

#[derive(Debug, thiserror::Error)]
#[error("rollout {0}: this router has weights only")]
struct WeightsOnly(String);

impl TrafficRouter for Router {
    type Error = WeightsOnly;

    async fn init_plugin(&self) -> Result<(), WeightsOnly> {
        Ok(())
    }
    async fn update_hash(&self, _: UpdateHashArgs) -> Result<(), WeightsOnly> {
        Ok(())
    }
    async fn set_weight(&self, args: SetWeightAndVerifyWeightArgs) -> Result<(), WeightsOnly> {
        tracing::info!(rollout = args.rollout.metadata.name, args.desired_weight);
        Ok(())
    }
    async fn set_header_route(&self, args: SetHeaderArgs) -> Result<(), WeightsOnly> {
        Err(WeightsOnly(args.rollout.metadata.name))
    }
    async fn set_mirror_route(&self, args: SetMirrorArgs) -> Result<(), WeightsOnly> {
        Err(WeightsOnly(args.rollout.metadata.name))
    }
    async fn verify_weight(
        &self,
        _: SetWeightAndVerifyWeightArgs,
    ) -> Result<Verified, WeightsOnly> {
        Ok(Verified::NotImplemented)
    }
    async fn remove_managed_routes(&self, _: RemoveManagedRoutesArgs) -> Result<(), WeightsOnly> {
        Ok(())
    }
    fn kind(&self) -> String {
        "Minimal".into()
    }
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    argo_rollouts::go_plugin::exit_code(argo_rollouts::serve(Router).await)
}
