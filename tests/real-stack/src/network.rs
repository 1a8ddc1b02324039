//! The run's network namespace: its loopback device, and the pods' addresses on it.

use std::net::Ipv4Addr;

use tokio::process::Command;

use crate::error::Error;

/// The pods' network. The whole of it is local, so a pod's address needs no set-up, and one without a pod refuses
/// connections. The API server refuses endpoints on loopback addresses, hence a network of its own.
const POD_NETWORK: &str = "10.244.0.0/16";

/// The address that the API server says is its own.
pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// Brings the namespace's network up.
pub(crate) async fn up() -> Result<(), Error> {
    ip(&["link", "set", "lo", "up"]).await?;
    ip(&["route", "add", "local", POD_NETWORK, "dev", "lo"]).await
}

/// The address of the pod with this number, from 1 on.
pub(crate) fn pod_address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 244, high.wrapping_add(1), low)
}

async fn ip(arguments: &[&str]) -> Result<(), Error> {
    let command = format!("ip {}", arguments.join(" "));
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .await
        .map_err(|source| Error::Start {
            name: command.clone(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Network {
        command,
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
