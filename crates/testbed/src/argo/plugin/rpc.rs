//! Go's net/rpc with its gob codec, the client's side (Go `net/rpc/client.go`): any number of calls at once on a
//! stream, told apart by number, answered in any order.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use go_gob::{Decoder, DeserializeError, Encoded, Progress, split_message};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::encoding::{Arguments, Encoding, EncodingError};

/// Bytes asked of the stream at a time.
const READ_BYTES: usize = 16 << 10;

/// Why a call has no answer.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// Its arguments could not be written.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// The other side answered with an error of net/rpc.
    #[error("{0}")]
    Failed(Box<str>),
    /// The answer is of another type.
    #[error("the answer")]
    Reply(#[source] DeserializeError),
    /// The stream has ended.
    #[error("{0}")]
    Gone(Box<str>),
}

/// Takes the answer of one call.
type Answered = Box<dyn FnOnce(Result<Encoded<'_>, CallError>) + Send>;

/// Calls made on one stream, which is closed when this is dropped.
pub(super) struct Client {
    encoding: Mutex<Encoding>,
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    pending: Pending,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client that owns the stream.
    pub(super) fn over(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (read, write) = tokio::io::split(stream);
        let (outgoing, requests) = mpsc::unbounded_channel();
        let pending = Pending::default();
        let tasks = [
            tokio::spawn(receive(read, pending.clone())),
            tokio::spawn(send(write, requests, pending.clone())),
        ];
        Self {
            encoding: Mutex::default(),
            outgoing,
            pending,
            _tasks: tasks.map(AbortOnDropHandle::new),
        }
    }

    /// Calls `method`, say `Control.Ping`. Dropping the future gives up the answer, not the call.
    pub(super) async fn call<T>(&self, method: &str, arguments: Arguments) -> Result<T, CallError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let take: Answered = Box::new(move |found: Result<Encoded<'_>, CallError>| {
            let read = found.and_then(|found| found.deserialize().map_err(CallError::Reply));
            // The caller may have given up.
            let _ = answer.send(read);
        });
        {
            // Requests leave in the order in which they were encoded: a later one uses what an earlier one defines.
            let mut encoding = lock(&self.encoding);
            let (number, bytes) = encoding.request(method, arguments)?;
            self.pending.add(number, take)?;
            // An error means that sending has failed; then all that is pending is told so.
            let _ = self.outgoing.send(bytes);
        }
        answered
            .await
            .unwrap_or_else(|_| Err(CallError::Gone("the answer was lost".into())))
    }
}

/// Calls that have no answer yet.
#[derive(Clone, Default)]
struct Pending(Arc<Mutex<State>>);

enum State {
    Open(HashMap<u64, Answered>),
    /// Why there will be no answers.
    Closed(Box<str>),
}

impl Default for State {
    fn default() -> Self {
        Self::Open(HashMap::new())
    }
}

impl Pending {
    fn add(&self, number: u64, take: Answered) -> Result<(), CallError> {
        match &mut *lock(&self.0) {
            State::Open(calls) => {
                calls.insert(number, take);
                Ok(())
            }
            State::Closed(reason) => Err(CallError::Gone(reason.clone())),
        }
    }

    fn take(&self, number: u64) -> Option<Answered> {
        match &mut *lock(&self.0) {
            State::Open(calls) => calls.remove(&number),
            State::Closed(_) => None,
        }
    }

    /// Answers all calls, and those to come, with `reason`. The first reason stays.
    fn close(&self, reason: &str) {
        let mut state = lock(&self.0);
        let State::Open(calls) = &mut *state else {
            return;
        };
        let calls = std::mem::take(calls);
        *state = State::Closed(reason.into());
        drop(state);
        for take in calls.into_values() {
            take(Err(CallError::Gone(reason.into())));
        }
    }
}

/// A panic elsewhere leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Go's `rpc.Response`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Response {
    seq: u64,
    error: String,
}

/// Why a stream of answers ended.
#[derive(Debug, Error)]
enum StreamError {
    #[error("the connection was closed")]
    Closed,
    #[error("reading: {0}")]
    Read(#[from] std::io::Error),
    #[error("an answer: {0}")]
    Gob(#[from] go_gob::Error),
    #[error("an answer's header: {0}")]
    Header(#[from] DeserializeError),
}

async fn send<W: AsyncWrite + Unpin>(
    mut write: W,
    mut requests: mpsc::UnboundedReceiver<Vec<u8>>,
    pending: Pending,
) {
    while let Some(request) = requests.recv().await {
        let written = async {
            write.write_all(&request).await?;
            write.flush().await
        };
        if let Err(error) = written.await {
            pending.close(&format!("writing: {error}"));
            return;
        }
    }
}

async fn receive<R: AsyncRead + Unpin>(read: R, pending: Pending) {
    let mut values = Values::new(read);
    let error = loop {
        if let Err(error) = answer(&mut values, &pending).await {
            break error;
        }
    };
    pending.close(&error.to_string());
}

/// Takes one answer.
async fn answer<R: AsyncRead + Unpin>(
    values: &mut Values<R>,
    pending: &Pending,
) -> Result<(), StreamError> {
    let response: Response = values.next().await?.deserialize()?;
    let body = values.next().await?;
    let Some(take) = pending.take(response.seq) else {
        return Ok(());
    };
    // With an error the body is an empty struct.
    take(match response.error {
        error if error.is_empty() => Ok(body),
        error => Err(CallError::Failed(error.into())),
    });
    Ok(())
}

/// The gob values of a stream.
struct Values<R> {
    read: R,
    decoder: Decoder,
    bytes: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Values<R> {
    fn new(read: R) -> Self {
        Self {
            read,
            decoder: Decoder::default(),
            bytes: Vec::new(),
        }
    }

    /// The next value.
    async fn next(&mut self) -> Result<Encoded<'_>, StreamError> {
        loop {
            let Some((message, after)) = split_message(&self.bytes)? else {
                self.bytes.reserve(READ_BYTES);
                if self.read.read_buf(&mut self.bytes).await? == 0 {
                    return Err(StreamError::Closed);
                }
                continue;
            };
            let done = self.bytes.len() - after.len();
            let progress = self.decoder.push(message)?;
            self.bytes.drain(..done);
            if progress == Progress::Ready {
                return Ok(self.decoder.value()?);
            }
        }
    }
}
