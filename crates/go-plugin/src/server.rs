//! The plugin's life: handshake, socket, connections, end. Go's `plugin.Serve`.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chain::Chain;
use crate::control::Plugins;
use crate::handshake::{Handshake, HandshakeError};
use crate::net_rpc::Service;
use crate::parent::Parent;
use crate::session::{self, Context};
use crate::socket::{Socket, SocketError};

/// How long unanswered calls may take once the host wants us to go. The host kills after 2 s
/// (hashicorp/go-plugin v1.7.0 `client.go`, `Kill`).
const CALLS_GRACE: Duration = Duration::from_secs(1);
/// How long connections may take to send what was written.
const CLOSE_GRACE: Duration = Duration::from_millis(500);
/// Pause after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A plugin process: what it serves, to which hosts.
pub struct Server {
    handshake: Handshake,
    plugins: Plugins,
}

/// Why a plugin did not serve, or stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The host's offer can't be taken, or there is no host.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// There is no socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The line could not be written to stdout.
    #[error("telling the host where to connect")]
    Stdout(#[source] io::Error),
    /// Signals can't be handled.
    #[error("listening for signals")]
    Signals(#[source] io::Error),
}

impl Server {
    /// A server that serves nothing yet.
    pub fn new(handshake: Handshake) -> Self {
        Self {
            handshake,
            plugins: Plugins::new(),
        }
    }

    /// Serves `service` under `name`, which hosts dispense it by.
    #[must_use]
    pub fn plugin(mut self, name: &'static str, service: Arc<dyn Service>) -> Self {
        self.plugins.insert(name, service);
        self
    }

    /// Serves until the host says quit, the host is gone, or SIGTERM. SIGINT is left to the host:
    /// a terminal sends it to both. Stdout belongs to the host until this returns. The socket is
    /// gone afterwards.
    pub async fn serve(self) -> Result<(), ServeError> {
        let accepted = self.handshake.accept()?;
        let parent = Parent::now();
        let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
        let socket = Socket::listen(accepted.socket_dir)?;
        announce(&self.handshake.line(socket.path())).map_err(ServeError::Stdout)?;
        tracing::debug!(socket = %socket.path().display(), "serving");

        let context = Context {
            plugins: Arc::new(self.plugins),
            calls: TaskTracker::new(),
            quit: CancellationToken::new(),
            close: CancellationToken::new(),
        };
        let connections = TaskTracker::new();
        let ignore_interrupts = async {
            while interrupt.recv().await.is_some() {
                tracing::debug!("interrupted; the host decides");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = accept(&socket, &connections, &context) => {}
            () = ignore_interrupts => {}
            () = context.quit.cancelled() => tracing::debug!("the host said quit"),
            () = parent.gone() => tracing::info!("the host is gone"),
            _ = terminate.recv() => tracing::info!("terminated"),
        }
        end(&connections, &context).await;
        Ok(())
    }
}

/// The process's exit code: 1 for an error, which is written to stderr with all its causes.
pub fn exit_code(result: Result<(), ServeError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(io::stderr(), "{}", Chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn announce(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}

/// Serves connections. Never ends.
async fn accept(socket: &Socket, connections: &TaskTracker, context: &Context) {
    loop {
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(session::serve(stream, context.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Lets calls be answered, the answer to `Quit` among them, then closes the connections.
async fn end(connections: &TaskTracker, context: &Context) {
    context.calls.close();
    connections.close();
    let answered = tokio::time::timeout(CALLS_GRACE, context.calls.wait()).await;
    context.close.cancel();
    let closed = tokio::time::timeout(CLOSE_GRACE, connections.wait()).await;
    if answered.is_err() || closed.is_err() {
        tracing::warn!("calls were cut short");
    }
}
