//! Serves an empty cluster until it is interrupted, with the objects of the JSON files that it is
//! given, and prints a kubeconfig:
//!
//! ```text
//! cargo run -p testbed --example apiserver -- rollout.json > kubeconfig
//! KUBECONFIG=kubeconfig kubectl get rollouts
//! ```

use std::error::Error;

use testbed::apiserver::ApiServer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = ApiServer::start().await?;
    for file in std::env::args().skip(1) {
        let object = serde_json::from_slice(&std::fs::read(&file)?)?;
        server.store().put(object)?;
    }
    println!("{}", server.kubeconfig());
    std::future::pending().await
}
