//! One connection of the host: yamux streams, of which the first three are control, stdout and
//! stderr, and all others belong to the broker (hashicorp/go-plugin v1.7.0 `rpc_server.go`,
//! `ServeConn`).

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_util::compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use yamux::{Config, Connection, Mode};

use crate::broker::Broker;
use crate::control::{Control, Dispenser, Plugins};
use crate::net_rpc::{self, Services};

/// Streams a host may have open: three of its own and one per dispensed plugin; some to spare.
const MAX_STREAMS: usize = 64;
/// Bytes that all streams together may have in flight towards us. yamux wants at least 256 KiB a
/// stream.
const RECEIVE_WINDOW: usize = MAX_STREAMS * (256 << 10);

/// A yamux stream as tokio sees it.
pub(crate) type Stream = tokio_util::compat::Compat<yamux::Stream>;

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) plugins: Arc<Plugins>,
    /// Calls that have not been answered yet.
    pub(crate) calls: TaskTracker,
    /// The host wants us to go.
    pub(crate) quit: CancellationToken,
    /// Connections should close.
    pub(crate) close: CancellationToken,
}

/// Serves one connection until the host or [`Context::close`] ends it.
pub(crate) async fn serve(socket: UnixStream, context: Context) {
    let (opened, mut streams) = mpsc::channel(MAX_STREAMS);
    let close = context.close.child_token();
    let drive = drive(socket, opened, close.clone());
    let serve = async {
        let Some(control) = next(&mut streams).await else {
            return;
        };
        // What plugins in Go print goes through these two. Ours log to the real stderr, which the
        // host reads too; it only wants the streams to stay open.
        let (stdout, stderr) = (next(&mut streams).await, next(&mut streams).await);
        let broker = Broker::default();
        let services = Services::default()
            .with("Control", Arc::new(Control(context.quit.clone())))
            .with(
                "Dispenser",
                Arc::new(Dispenser {
                    plugins: Arc::clone(&context.plugins),
                    broker: broker.clone(),
                }),
            );
        let calls = context.calls.clone();
        tokio::spawn(net_rpc::serve(control, services, calls, close.clone()));
        while let Some(stream) = next(&mut streams).await {
            let calls = context.calls.clone();
            tokio::spawn(broker.clone().connect(stream, calls, close.clone()));
        }
        drop((stdout, stderr));
    };
    tokio::join!(drive, serve);
}

/// The next stream that the host opens, acknowledged.
///
/// yamux 0.14 acknowledges a stream with the first bytes that it sends on it, and on some nothing is ever sent. A host
/// closes the whole connection 75 s after it has opened a stream that was not acknowledged (hashicorp/yamux v0.1.2
/// `Config.StreamOpenTimeout`, `setOpenTimeout`).
async fn next(streams: &mut mpsc::Receiver<Stream>) -> Option<Stream> {
    let mut stream = streams.recv().await?;
    // A frame without bytes carries it. Where that fails, so does the stream's first use.
    if let Err(error) = stream.write(&[]).await {
        tracing::debug!(%error, "a stream ended before it was acknowledged");
    }
    Some(stream)
}

/// Moves the connection's bytes and hands out the streams that the host opens.
async fn drive(socket: UnixStream, opened: mpsc::Sender<Stream>, close: CancellationToken) {
    let mut config = Config::default();
    config
        .set_max_num_streams(MAX_STREAMS)
        .set_max_connection_receive_window(Some(RECEIVE_WINDOW));
    let mut connection = Connection::new(socket.compat(), config, Mode::Server);
    loop {
        let inbound = poll_fn(|context| connection.poll_next_inbound(context));
        let stream = tokio::select! {
            stream = inbound => stream,
            () = close.cancelled() => break,
        };
        match stream {
            // yamux limits the streams to what the channel holds, so it is full only if the host
            // opens and abandons them faster than they are served.
            Some(Ok(stream)) => {
                if opened.try_send(stream.compat()).is_err() {
                    tracing::warn!("a stream was refused: too many at once");
                }
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "the host's connection ended");
                return;
            }
            None => return,
        }
    }
    // What was written goes out first. The host may be gone already, hence no error.
    let closed = poll_fn(|context| match connection.poll_close(context) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => Poll::Pending,
    });
    if let Err(error) = closed.await {
        tracing::debug!(%error, "closing the host's connection");
    }
}

#[cfg(test)]
mod tests;
