//! A traffic router for the tests of the controller's side: it answers with an error that quotes what arrived, unless
//! the Rollout's name asks for something else.
//!
//! `quiet`: success. `wait`: success once a call for `go` has come. `VerifyWeight` answers by the desired weight's
//! remainder by 3, `InitPlugin` logs.

use std::fmt;
use std::process::ExitCode;

use argo_rollouts::go_plugin::{exit_code, hclog};
use argo_rollouts::{
    RemoveManagedRoutesArgs, SetHeaderArgs, SetMirrorArgs, SetWeightAndVerifyWeightArgs,
    TrafficRouter, UpdateHashArgs, Verified, serve,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Default)]
struct Router(Notify);

/// What was read.
#[derive(Debug)]
struct Read(Value);

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Read {}

impl Router {
    async fn answer(&self, name: &str, read: Value) -> Result<(), Read> {
        match name {
            "quiet" => Ok(()),
            "wait" => {
                self.0.notified().await;
                Ok(())
            }
            "go" => {
                self.0.notify_one();
                Ok(())
            }
            _ => Err(Read(read)),
        }
    }
}

impl TrafficRouter for Router {
    type Error = Read;

    async fn init_plugin(&self) -> Result<(), Read> {
        tracing::info!(pid = std::process::id(), "ready");
        Ok(())
    }

    async fn update_hash(&self, args: UpdateHashArgs) -> Result<(), Read> {
        let read = json!({
            "rollout": args.rollout, "canaryHash": args.canary_hash, "stableHash": args.stable_hash,
        });
        self.answer(&args.rollout.metadata.name, read).await
    }

    async fn set_weight(&self, args: SetWeightAndVerifyWeightArgs) -> Result<(), Read> {
        let read = json!({"rollout": args.rollout, "desiredWeight": args.desired_weight});
        self.answer(&args.rollout.metadata.name, read).await
    }

    async fn set_header_route(&self, args: SetHeaderArgs) -> Result<(), Read> {
        let read = json!({"rollout": args.rollout, "setHeaderRoute": args.set_header_route});
        self.answer(&args.rollout.metadata.name, read).await
    }

    async fn set_mirror_route(&self, args: SetMirrorArgs) -> Result<(), Read> {
        let read = json!({"rollout": args.rollout, "setMirrorRoute": args.set_mirror_route});
        self.answer(&args.rollout.metadata.name, read).await
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
        let read = json!({"rollout": args.rollout});
        self.answer(&args.rollout.metadata.name, read).await
    }

    fn kind(&self) -> String {
        "Router".to_owned()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(hclog::stderr())
        .init();
    exit_code(serve(Router::default()).await)
}
