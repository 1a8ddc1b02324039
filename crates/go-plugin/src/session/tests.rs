//! A connection, as a host would open and use it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::*;
use crate::gob::{Encoded, TypeId, Value};
use crate::net_rpc::tests::Client;
use crate::net_rpc::{CallFuture, Reply, ReplyType, Service};

/// Answers every call with its method.
struct Method;

impl Service for Method {
    fn call(&self, method: &str, _args: Encoded<'_>) -> CallFuture {
        let reply = Reply::new(&ReplyType::String, Value::string(method));
        Box::pin(async { Ok(reply) })
    }
}

/// The host's side: three streams of its own, and more for the broker.
struct Host {
    control: Client<Stream>,
    spare: Vec<Stream>,
    output: [Stream; 2],
    context: Context,
    served: tokio::task::JoinHandle<()>,
}

async fn connect() -> Host {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let context = Context {
        plugins: Arc::new(HashMap::from([(
            "it",
            Arc::new(Method) as Arc<dyn Service>,
        )])),
        calls: TaskTracker::new(),
        quit: CancellationToken::new(),
        close: CancellationToken::new(),
    };
    let served = tokio::spawn(serve(theirs, context.clone()));

    let mut connection = Connection::new(ours.compat(), Config::default(), Mode::Client);
    let mut streams = Vec::new();
    for _ in 0..6 {
        let stream = poll_fn(|context| connection.poll_new_outbound(context)).await;
        streams.push(stream.unwrap().compat());
    }
    tokio::spawn(async move {
        while let Some(Ok(_)) = poll_fn(|context| connection.poll_next_inbound(context)).await {}
    });
    // This side of yamux opens a stream with its first bytes (Go's at once), so control has to
    // speak first, and the other two have to say something.
    let mut streams = streams.into_iter();
    let mut next = || streams.next().unwrap();
    let (control, mut stdout, mut stderr) = (next(), next(), next());
    let mut control = Client::over(control);
    let nothing = Value::Bool(true);
    control.send("Control.Ping", 0, TypeId::BOOL, nothing).await;
    stdout.write_all(b"x").await.unwrap();
    stderr.write_all(b"x").await.unwrap();
    let (header, _) = control.answer::<serde::de::IgnoredAny>().await;
    assert_eq!((header.seq, header.error.as_str()), (0, ""));
    Host {
        control,
        spare: streams.collect(),
        output: [stdout, stderr],
        context,
        served,
    }
}

impl Host {
    async fn dispense(&mut self, name: &str) -> Result<u32, String> {
        let name = Value::string(name);
        let method = "Dispenser.Dispense";
        self.control.send(method, 1, TypeId::STRING, name).await;
        let (header, id) = self.control.answer::<u32>().await;
        if header.error.is_empty() {
            Ok(id.unwrap())
        } else {
            Err(header.error)
        }
    }
}

#[tokio::test]
async fn streams_on_which_nothing_is_sent_are_acknowledged() {
    let host = connect().await;
    let acknowledged = async {
        while host
            .output
            .iter()
            .any(|stream| stream.get_ref().is_pending_ack())
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let limit = Duration::from_secs(10);
    tokio::time::timeout(limit, acknowledged).await.unwrap();
}

#[tokio::test]
async fn a_dispensed_stream_is_acknowledged_and_served() {
    let mut host = connect().await;
    assert_eq!(
        host.dispense("other").await.unwrap_err(),
        "unknown plugin type: other"
    );
    // Twice, since a host may ask again.
    for _ in 0..2 {
        let id = host.dispense("it").await.unwrap();
        let mut stream = host.spare.pop().unwrap();
        stream.write_u32_le(id).await.unwrap();
        assert_eq!(stream.read_u32_le().await.unwrap(), id);
        let mut plugin = Client::over(stream);
        plugin
            .send("Plugin.Hello", 5, TypeId::INT, Value::Int(0))
            .await;
        let (header, method) = plugin.answer::<String>().await;
        assert_eq!((header.seq, method.as_deref()), (5, Some("Hello")));
    }
}

#[tokio::test]
async fn a_stream_under_an_unknown_number_is_closed() {
    let mut host = connect().await;
    let id = host.dispense("it").await.unwrap();
    let mut stream = host.spare.pop().unwrap();
    stream.write_u32_le(id + 1).await.unwrap();
    assert_eq!(stream.read_u8().await.ok(), None);
    // A number serves once.
    for acknowledged in [true, false] {
        let mut stream = host.spare.pop().unwrap();
        stream.write_u32_le(id).await.unwrap();
        assert_eq!(stream.read_u32_le().await.is_ok(), acknowledged);
    }
}

#[tokio::test]
async fn quit_is_answered_before_the_connection_closes() {
    let mut host = connect().await;
    let quit = Value::Bool(true);
    host.control
        .send("Control.Quit", 2, TypeId::BOOL, quit)
        .await;
    host.context.quit.cancelled().await;
    // What the server does then.
    host.context.calls.close();
    host.context.calls.wait().await;
    host.context.close.cancel();
    let (header, _) = host.control.answer::<serde::de::IgnoredAny>().await;
    assert_eq!((header.seq, header.error.as_str()), (2, ""));
    host.served.await.unwrap();
}
