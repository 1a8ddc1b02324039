//! A program beside the whole stack: control plane, Argo controller with the plugin, both proxies.
//!
//! It finds in its environment: `KUBECONFIG`, of an administrator; `SERIN_SIDECAR` and `SERIN_GATEWAY`, where requests go,
//! as `host:port`; `SERIN_SIDECAR_ADMIN` and `SERIN_GATEWAY_ADMIN`, the admin interfaces of those Envoys;
//! `SERIN_SIDECAR_METRICS` and `SERIN_GATEWAY_METRICS`, whose `/stats/prometheus` is what Prometheus scrapes;
//! `SERIN_CONTROLLER_METRICS`, the same of the Argo controller at `/metrics`; `SERIN_LOGS`, the run's folder with a log of each
//! program.

use std::convert::Infallible;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scenarios::{Copies, Via};

use crate::error::Error;
use crate::flags::WithStackFlags;
use crate::program::beside;
use crate::proxy;
use crate::run::{self, Whole};
use crate::stack::{self, Stack};

/// Starts the stack, then the program; true if it succeeds.
pub(crate) async fn run(flags: &WithStackFlags) -> Result<bool, Error> {
    let copies = Arc::new(Copies::default());
    let Whole {
        mut stack,
        pods,
        folder,
    } = run::start(&flags.stack, Instant::now(), &copies).await?;
    let address = |address: std::net::SocketAddr| OsString::from(address.to_string());
    let environment = [
        ("KUBECONFIG", stack.admin().to_owned()),
        ("SERIN_SIDECAR", address(proxy::target(Via::Sidecar))),
        ("SERIN_GATEWAY", address(proxy::target(Via::Gateway))),
        ("SERIN_SIDECAR_ADMIN", address(proxy::admin(Via::Sidecar))),
        ("SERIN_GATEWAY_ADMIN", address(proxy::admin(Via::Gateway))),
        (
            "SERIN_SIDECAR_METRICS",
            address(proxy::metrics(Via::Sidecar)),
        ),
        (
            "SERIN_GATEWAY_METRICS",
            address(proxy::metrics(Via::Gateway)),
        ),
        (
            "SERIN_CONTROLLER_METRICS",
            address(stack::CONTROLLER_METRICS),
        ),
        ("SERIN_LOGS", folder.clone().into_os_string()),
    ];
    let status = tokio::select! {
        status = beside(&flags.command, &environment) => status?,
        Err(error) = watch(&mut stack) => return Err(error),
    };
    if !status.success() {
        for via in Via::ALL {
            proxy::dump(via, &folder).await;
        }
    }
    pods.abort();
    Ok(status.success())
}

/// Ends only with an error: a program of the stack has ended.
async fn watch(stack: &mut Stack) -> Result<Infallible, Error> {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stack.check()?;
    }
}
