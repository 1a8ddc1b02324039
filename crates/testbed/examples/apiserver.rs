//! Serves an empty cluster, with the objects of the JSON files that it is given; prints a kubeconfig
//! and serves until it is interrupted, or runs a program with that KUBECONFIG and ends with it:
//!
//! ```text
//! cargo run -p testbed --example apiserver -- rollout.json > kubeconfig
//! KUBECONFIG=kubeconfig kubectl get rollouts
//! cargo run -p testbed --example apiserver -- rollout.json -- kubectl get rollouts
//! ```

use std::error::Error;
use std::process::ExitCode;

use testbed::apiserver::ApiServer;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let server = ApiServer::start().await?;
    let mut words = std::env::args().skip(1);
    for file in words.by_ref().take_while(|word| word != "--") {
        let object = serde_json::from_slice(&std::fs::read(&file)?)?;
        server.store().put(object)?;
    }
    let Some(program) = words.next() else {
        println!("{}", server.kubeconfig());
        return std::future::pending().await;
    };
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig())?;
    let status = tokio::process::Command::new(program)
        .args(words)
        .env("KUBECONFIG", &kubeconfig)
        .kill_on_drop(true)
        .status()
        .await?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
