//! Go's net/rpc with its gob codec, the server's side (Go `net/rpc/server.go`).
//!
//! On a stream, each direction is one gob stream: a header, then a body. Calls are read one after
//! the other, run at the same time, and answered in the order in which they end.

mod answer;
mod service;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chain::Chain;
use crate::gob;
use answer::Answers;
pub use service::{CallError, CallFuture, Reply, ReplyType, Service};

/// Calls that may run at once on one stream; more are not read until one ends.
const MAX_CALLS: usize = 256;
/// Bytes asked of the stream at a time.
const READ_BYTES: usize = 16 << 10;

/// Services by the name before the dot.
#[derive(Default)]
pub(crate) struct Services(HashMap<&'static str, Arc<dyn Service>>);

impl Services {
    pub(crate) fn with(mut self, name: &'static str, service: Arc<dyn Service>) -> Self {
        self.0.insert(name, service);
        self
    }

    /// Starts the call `service_method`, say `Plugin.SetWeight`.
    fn call(&self, service_method: &str, args: gob::Encoded<'_>) -> CallFuture {
        let found = service_method
            .rsplit_once('.')
            .and_then(|(service, method)| Some((self.0.get(service)?, method)));
        if let Some((service, method)) = found {
            return service.call(method, args);
        }
        let error = CallError::UnknownMethod {
            method: service_method.into(),
        };
        Box::pin(async { Err(error) })
    }
}

/// Go's `rpc.Request`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    service_method: String,
    seq: u64,
}

/// Why a stream can't be read on.
#[derive(Debug, Error)]
enum StreamError {
    #[error("reading")]
    Read(#[from] io::Error),
    #[error("a call")]
    Gob(#[from] gob::Error),
    #[error("a call's header")]
    Header(#[from] gob::DeserializeError),
    #[error("the stream ended inside a call")]
    CutShort,
}

/// Serves calls until the host closes the stream. `calls` counts those that are not answered.
///
/// A stream that can't be read on cancels `connection`: a host such as Argo's controller keeps one
/// stream for all calls and pings another, so it would never notice that the first is dead.
pub(crate) async fn serve<S>(
    stream: S,
    services: Services,
    calls: TaskTracker,
    connection: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (read, write) = tokio::io::split(stream);
    let answers = Arc::new(Mutex::new(Answers::new(write)));
    if let Err(error) = serve_calls(read, &services, &answers, &calls).await {
        if !connection.is_cancelled() {
            tracing::error!("closing the connection: {}", Chain(&error));
        }
        connection.cancel();
    }
}

async fn serve_calls<R, W>(
    read: R,
    services: &Services,
    answers: &Arc<Mutex<Answers<W>>>,
    calls: &TaskTracker,
) -> Result<(), StreamError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(MAX_CALLS));
    let mut values = Values::new(read);
    while values.next().await? {
        let request: Request = values.decoder.value()?.deserialize()?;
        if !values.next().await? {
            return Err(StreamError::CutShort);
        }
        let call = services.call(&request.service_method, values.decoder.value()?);
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return Ok(());
        };
        let answers = Arc::clone(answers);
        calls.spawn(async move {
            // A task of its own, so that a panic in it is answered like any other failure.
            let result = match tokio::spawn(call).await {
                Ok(result) => result,
                Err(_) => Err(CallError::Panicked),
            };
            if let Err(error) = &result {
                tracing::warn!("{}: {}", request.service_method, Chain(error));
            }
            let sent = answers.lock().await.send(&request, result).await;
            if let Err(error) = sent {
                tracing::debug!("answering {}: {}", request.service_method, Chain(&error));
            }
            drop(slot);
        });
    }
    Ok(())
}

/// The gob values of a stream.
struct Values<R> {
    read: R,
    decoder: gob::Decoder,
    bytes: Vec<u8>,
    /// Bytes at the front that were decoded.
    done: usize,
}

impl<R: AsyncRead + Unpin> Values<R> {
    fn new(read: R) -> Self {
        Self {
            read,
            decoder: gob::Decoder::default(),
            bytes: Vec::new(),
            done: 0,
        }
    }

    /// Reads until the decoder has a value. False at the end of the stream.
    async fn next(&mut self) -> Result<bool, StreamError> {
        loop {
            let rest = self.bytes.get(self.done..).unwrap_or_default();
            if let Some((message, after)) = gob::split_message(rest)? {
                self.done = self.bytes.len() - after.len();
                if self.decoder.push(message)? == gob::Progress::Ready {
                    return Ok(true);
                }
                continue;
            }
            self.bytes.drain(..self.done);
            self.done = 0;
            if self.bytes.is_empty() {
                // One large call should not hold its memory forever.
                self.bytes.shrink_to(READ_BYTES);
            }
            self.bytes.reserve(READ_BYTES);
            if self.read.read_buf(&mut self.bytes).await? == 0 {
                if self.bytes.is_empty() && !self.decoder.is_within_value() {
                    return Ok(false);
                }
                return Err(StreamError::CutShort);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
