//! Runs the demo: without a page to the story's end, with one until it is interrupted.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::board::Board;
use crate::demo::Demo;
use crate::error::Error;
use crate::flags::Flags;
use crate::{headless, server, terminal};

/// The page's port, where it is free.
const PORT: u16 = 7400;
/// How a WebAssembly module begins.
const WASM: &[u8] = b"\0asm";
/// How long a pause step takes, for people and without them.
const PAUSE_SECONDS: u64 = 10;
const PAUSE_SECONDS_HEADLESS: u64 = 6;

/// Runs the demo, with a fresh `board` and an empty `folder`, to its end: without a page, to the story's; else until it is interrupted.
pub(crate) async fn run(flags: &Flags, board: &Arc<Board>, folder: &Path) -> Result<bool, Error> {
    for (flag, path) in [
        ("--envoy", &flags.envoy),
        ("--plugin", &flags.plugin),
        ("--module", &flags.module),
    ] {
        if !path.is_file() {
            return Err(Error::NoFile {
                flag,
                path: path.clone(),
            });
        }
    }
    if !std::fs::read(&flags.module).is_ok_and(|module| module.starts_with(WASM)) {
        return Err(Error::NoModule {
            path: flags.module.clone(),
        });
    }
    // Before anything is started: no port, no demo.
    let listener = if flags.headless {
        None
    } else {
        Some(listen(flags.port).await?)
    };
    let pause = if flags.headless {
        PAUSE_SECONDS_HEADLESS
    } else {
        PAUSE_SECONDS
    };
    terminal::note(
        "==> starting the cluster: API server, controller with serin, two Envoys with the filter",
    );
    let demo = terminal::patiently("the cluster", Demo::start(flags, board, folder, pause));
    let demo = Arc::new(demo.await?);
    let store = demo.cluster.store();
    let rest = Duration::from_secs(pause);
    let Some(listener) = listener else {
        return tokio::select! {
            outcome = headless::run(&demo) => outcome,
            never = demo.autopilot.fly(store, rest) => match never {},
        };
    };
    let port = listener.local_addr().map_or(0, |address| address.port());
    terminal::note(&format!(
        "==> the page: http://127.0.0.1:{port}/  (Ctrl-C ends the demo)"
    ));
    let served = tokio::select! {
        served = server::serve(listener, Arc::clone(&demo)) => served,
        never = demo.autopilot.fly(store, rest) => match never {},
        never = demo.tell() => match never {},
        never = demo.watch() => match never {},
    };
    served
        .map(|()| true)
        .map_err(|source| Error::Port { port, source })
}

/// The port that was asked for, or the usual one, or any.
async fn listen(port: Option<u16>) -> Result<TcpListener, Error> {
    let wanted = port.unwrap_or(PORT);
    let bind = async |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    match bind(wanted).await {
        Ok(listener) => Ok(listener),
        Err(_) if port.is_none() => {
            let listener = bind(0)
                .await
                .map_err(|source| Error::Port { port: 0, source })?;
            terminal::note(&format!(
                "    port {PORT} is taken (by another demo?): the page gets another one"
            ));
            Ok(listener)
        }
        Err(source) => Err(Error::Port {
            port: wanted,
            source,
        }),
    }
}
