//! A traffic router that gives back what it was called with, as the error's text: the other side of
//! `tests/argo-host`, which compares it with what it sent. `VerifyWeight` answers with the desired
//! weight's remainder by 3 where that is not negative.

use std::fmt;
use std::process::ExitCode;

use argo_rollouts::go_plugin::{exit_code, hclog};
use argo_rollouts::{
    RemoveManagedRoutesArgs, SetHeaderArgs, SetMirrorArgs, SetWeightAndVerifyWeightArgs,
    TrafficRouter, UpdateHashArgs, Verified, serve,
};
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

struct Echo;

/// What was read, for the host to compare.
#[derive(Debug)]
struct Read(Value);

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Read {}

/// A Rollout by this name makes every call succeed, for measuring.
const QUIET: &str = "quiet";

impl TrafficRouter for Echo {
    type Error = Read;

    async fn init_plugin(&self) -> Result<(), Read> {
        tracing::info!(pid = std::process::id(), "ready");
        Ok(())
    }

    async fn update_hash(&self, args: UpdateHashArgs) -> Result<(), Read> {
        Err(Read(json!({
            "rollout": args.rollout,
            "canaryHash": args.canary_hash,
            "stableHash": args.stable_hash,
            "additionalDestinations": args.additional_destinations,
        })))
    }

    async fn set_weight(&self, args: SetWeightAndVerifyWeightArgs) -> Result<(), Read> {
        if args.rollout.metadata.name == QUIET {
            return Ok(());
        }
        Err(Read(json!({
            "rollout": args.rollout,
            "desiredWeight": args.desired_weight,
            "additionalDestinations": args.additional_destinations,
        })))
    }

    async fn set_header_route(&self, args: SetHeaderArgs) -> Result<(), Read> {
        Err(Read(json!({
            "rollout": args.rollout,
            "setHeaderRoute": args.set_header_route,
        })))
    }

    async fn set_mirror_route(&self, args: SetMirrorArgs) -> Result<(), Read> {
        Err(Read(json!({
            "rollout": args.rollout,
            "setMirrorRoute": args.set_mirror_route,
        })))
    }

    async fn verify_weight(&self, args: SetWeightAndVerifyWeightArgs) -> Result<Verified, Read> {
        match args.desired_weight {
            weight if weight < 0 => Err(Read(json!({"desiredWeight": weight}))),
            weight if weight % 3 == 0 => Ok(Verified::NotVerified),
            weight if weight % 3 == 1 => Ok(Verified::Verified),
            _ => Ok(Verified::NotImplemented),
        }
    }

    async fn remove_managed_routes(&self, args: RemoveManagedRoutesArgs) -> Result<(), Read> {
        Err(Read(json!({"rollout": args.rollout})))
    }

    fn kind(&self) -> String {
        "Echo".to_owned()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(hclog::stderr())
        .init();
    exit_code(serve(Echo).await)
}
