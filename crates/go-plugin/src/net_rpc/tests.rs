//! A stream of calls, as Go's client would write it.

use serde::de::DeserializeOwned;
use tokio::io::{AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};

use super::*;
use crate::gob::{Encoder, TypeId, Types, Value, split_message};

/// `Echo` gives the text back, `Fail` fails with it, `Wait` waits for `Go`.
#[derive(Default)]
struct Echo(Arc<tokio::sync::Notify>);

#[derive(Debug, Error)]
#[error("outer")]
struct Outer(#[source] Inner);

#[derive(Debug, Error)]
#[error("{0}")]
struct Inner(String);

impl Service for Echo {
    fn call(&self, method: &str, args: gob::Encoded<'_>) -> CallFuture {
        let text: String = match args.deserialize() {
            Ok(text) => text,
            Err(error) => return Box::pin(async { Err(CallError::Arguments(error)) }),
        };
        let (method, notify) = (method.to_owned(), Arc::clone(&self.0));
        Box::pin(async move {
            match method.as_str() {
                "Fail" => return Err(CallError::Failed(Box::new(Outer(Inner(text))))),
                "Panic" => panic!("{text}"),
                "Wrong" => return Ok(Reply::new(&ReplyType::Uint, Value::string(text))),
                "Wait" => notify.notified().await,
                "Go" => notify.notify_one(),
                _ => {}
            }
            Ok(Reply::new(&ReplyType::String, Value::string(text)))
        })
    }
}

/// Go's `rpc.Client`, one call at a time.
pub(crate) struct Client<S> {
    types: Types,
    request: TypeId,
    encoder: Encoder,
    values: Values<ReadHalf<S>>,
    write: WriteHalf<S>,
}

/// Go's `rpc.Response` without its body.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Response {
    pub(crate) service_method: String,
    pub(crate) seq: u64,
    pub(crate) error: String,
}

/// A client of [`Echo`], and what is cancelled when its connection should end.
fn start() -> (Client<DuplexStream>, CancellationToken) {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let services = Services::default().with("Plugin", Arc::new(Echo::default()));
    let connection = CancellationToken::new();
    let calls = TaskTracker::new();
    tokio::spawn(serve(theirs, services, calls, connection.clone()));
    (Client::over(ours), connection)
}

impl<S: AsyncRead + AsyncWrite> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        let mut types = Types::default();
        let fields = [("ServiceMethod", TypeId::STRING), ("Seq", TypeId::UINT)];
        let request = types.structure("Request", &fields).unwrap();
        let (read, write) = tokio::io::split(stream);
        Self {
            types,
            request,
            encoder: Encoder::default(),
            values: Values::new(read),
            write,
        }
    }

    pub(crate) async fn send(&mut self, method: &str, seq: u64, id: TypeId, args: Value) {
        let header = Value::Struct(vec![(0, Value::string(method)), (1, Value::Uint(seq))]);
        let mut out = self
            .encoder
            .encode(&self.types, self.request, &header)
            .unwrap();
        self.encoder
            .encode_onto(&mut out, &self.types, id, &args)
            .unwrap();
        self.write.write_all(&out).await.unwrap();
    }

    async fn call(&mut self, method: &str, seq: u64, text: &str) {
        let text = Value::string(text);
        self.send(method, seq, TypeId::STRING, text).await;
    }

    /// The next answer: its header, and its body if that reads as `T`.
    pub(crate) async fn answer<T: DeserializeOwned>(&mut self) -> (Response, Option<T>) {
        assert!(self.values.next().await.unwrap());
        let header = self.values.decoder.value().unwrap().deserialize().unwrap();
        assert!(self.values.next().await.unwrap());
        let body = self.values.decoder.value().unwrap();
        (header, body.deserialize().ok())
    }

    /// The next answer to a call of [`Echo`].
    async fn echo(&mut self) -> (Response, Option<String>) {
        self.answer().await
    }
}

#[tokio::test]
async fn a_call_is_answered_with_its_number_and_method() {
    let (mut client, _connection) = start();
    for seq in 0..3 {
        client.call("Plugin.Echo", seq, "hello").await;
        let (header, body) = client.echo().await;
        assert_eq!(header.service_method, "Plugin.Echo");
        assert_eq!((header.seq, header.error.as_str()), (seq, ""));
        assert_eq!(body.as_deref(), Some("hello"));
    }
}

#[tokio::test]
async fn an_error_concerns_its_call_only() {
    let (mut client, _connection) = start();
    for (seq, method, error) in [
        (1, "Plugin.Fail", "outer: x"),
        (2, "Plugin.Panic", "the call panicked"),
        (
            3,
            "Plugin.Wrong",
            "the reply: a value that is not of its type 3",
        ),
        (4, "Other.Echo", "rpc: can't find method Other.Echo"),
        (5, "nodot", "rpc: can't find method nodot"),
    ] {
        client.call(method, seq, "x").await;
        let (header, _) = client.echo().await;
        assert_eq!((header.seq, header.error.as_str()), (seq, error));
        client.call("Plugin.Echo", 9, "fine").await;
        let (header, body) = client.echo().await;
        assert_eq!(header.error, "");
        assert_eq!(body.as_deref(), Some("fine"));
    }
    client
        .send("Plugin.Echo", 6, TypeId::INT, Value::Int(7))
        .await;
    let (header, _) = client.echo().await;
    assert!(header.error.starts_with("arguments: "), "{}", header.error);
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_the_next() {
    let (mut client, _connection) = start();
    client.call("Plugin.Wait", 1, "slow").await;
    client.call("Plugin.Go", 2, "fast").await;
    assert_eq!(client.echo().await.0.seq, 2);
    assert_eq!(client.echo().await.0.seq, 1);
}

#[tokio::test]
async fn more_calls_than_run_at_once_are_all_answered() {
    let (mut client, _connection) = start();
    let calls = u64::try_from(MAX_CALLS).unwrap() * 3;
    for seq in 0..calls {
        client.call("Plugin.Echo", seq, "x").await;
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..calls {
        seen.insert(client.echo().await.0.seq);
    }
    assert_eq!(seen.len() as u64, calls);
}

#[tokio::test]
async fn a_stream_cut_short_ends_and_garbage_ends_it_too() {
    let mut bytes = Encoder::default()
        .encode(&Types::default(), TypeId::STRING, &Value::string("x"))
        .unwrap();
    assert!(split_message(&bytes).unwrap().is_some());
    bytes.pop();
    assert!(matches!(
        Values::new(&bytes[..]).next().await,
        Err(StreamError::CutShort)
    ));
    assert!(!Values::new(&[][..]).next().await.unwrap());
    assert!(matches!(
        Values::new(&[0x80, 1][..]).next().await,
        Err(StreamError::Gob(_))
    ));
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_on_ends_the_connection() {
    let (mut client, connection) = start();
    client.write.write_all(&[0x80, 1]).await.unwrap();
    connection.cancelled().await;

    let (mut client, connection) = start();
    client.call("Plugin.Echo", 1, "x").await;
    client.echo().await;
    client.write.shutdown().await.unwrap();
    assert!(!client.values.next().await.unwrap());
    assert!(!connection.is_cancelled());
}
