//! One connection to the plugin: yamux streams, of which the first three are control, stdout and stderr
//! (hashicorp/go-plugin v1.7.0 `rpc_client.go`, `NewRPCClient`).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures::AsyncWrite;
use tokio::net::UnixStream;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use tokio_util::task::AbortOnDropHandle;
use yamux::{Config, Connection, ConnectionError, Mode};

/// A stream, as tokio reads and writes it.
pub(super) type Stream = Compat<yamux::Stream>;

/// The connection, closed when dropped.
#[derive(Debug)]
pub(super) struct Session {
    _drive: AbortOnDropHandle<()>,
    /// What Go plugins print comes through stdout and stderr streams; the controller drops it.
    _output: [AbortOnDropHandle<()>; 2],
}

/// The streams that calls are made on.
pub(super) struct Streams {
    /// For `Control` and `Dispenser`.
    pub(super) control: Stream,
    /// For what is dispensed: the plugin learns of it with the first bytes.
    pub(super) dispensed: Stream,
}

impl Session {
    /// Opens the streams.
    pub(super) async fn open(socket: UnixStream) -> Result<(Self, Streams), ConnectionError> {
        let mut connection = Connection::new(socket.compat(), Config::default(), Mode::Client);
        let control = announce(&mut connection).await?;
        let stdout = announce(&mut connection).await?;
        let stderr = announce(&mut connection).await?;
        let dispensed = poll_fn(|context| connection.poll_new_outbound(context)).await?;
        let session = Self {
            _drive: AbortOnDropHandle::new(tokio::spawn(drive(connection))),
            _output: [stdout, stderr]
                .map(|stream| AbortOnDropHandle::new(tokio::spawn(drop_all_of(stream)))),
        };
        let streams = Streams {
            control: control.compat(),
            dispensed: dispensed.compat(),
        };
        Ok((session, streams))
    }
}

type Mux = Connection<Compat<UnixStream>>;

/// Opens a stream and has the plugin learn of it, as Go's yamux does at once and this one does with the first bytes:
/// with none.
async fn announce(connection: &mut Mux) -> Result<yamux::Stream, ConnectionError> {
    let mut stream = poll_fn(|context| connection.poll_new_outbound(context)).await?;
    poll_fn(|context| Pin::new(&mut stream).poll_write(context, &[])).await?;
    // Streams have queues of their own. Polled once, the connection has taken this one's first frame, so that the
    // plugin sees the streams in our order.
    poll_fn(|context| match connection.poll_next_inbound(context) {
        Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error)),
        Poll::Ready(None) => Poll::Ready(Err(ConnectionError::Closed)),
        Poll::Ready(Some(Ok(_))) | Poll::Pending => Poll::Ready(Ok(())),
    })
    .await?;
    Ok(stream)
}

/// Moves the connection's bytes until it ends. A stream that the plugin opens is dropped: nothing was announced to it.
async fn drive(mut connection: Mux) {
    while let Some(Ok(_)) = poll_fn(|context| connection.poll_next_inbound(context)).await {}
}

async fn drop_all_of(stream: yamux::Stream) {
    // However it ends, nobody reads it.
    let _ = tokio::io::copy(&mut stream.compat(), &mut tokio::io::sink()).await;
}
