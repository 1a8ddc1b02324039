//! A program beside the API server alone: what needs objects and their schemas, and no proxies.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::flags::ApiServerFlags;
use crate::program::{Program, beside};
use crate::stack::api_server::ApiServer;
use crate::{network, run};

/// Starts the API server, then the program, with KUBECONFIG in its environment and the terminal's output; true if it
/// succeeds.
pub(crate) async fn run(flags: &ApiServerFlags) -> Result<bool, Error> {
    let began = Instant::now();
    let folder = run::log_folder(&flags.programs.logs)?;
    eprintln!("logs: {}", folder.display());
    network::up().await?;
    let mut server = ApiServer::start(&flags.programs, &folder).await?;
    eprintln!(
        "the API server is up ({:.1} s)",
        began.elapsed().as_secs_f64()
    );
    let environment = [("KUBECONFIG", server.admin.clone().into_os_string())];
    let status = tokio::select! {
        status = beside(&flags.command, &environment) => status?,
        Err(error) = watch(&mut server) => return Err(error),
    };
    Ok(status.success())
}

/// Ends only with an error: a program of the API server has ended.
async fn watch(server: &mut ApiServer) -> Result<Infallible, Error> {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.programs.iter_mut().try_for_each(Program::check)?;
    }
}
