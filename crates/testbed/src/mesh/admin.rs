//! Questions to an Envoy that don't block: its statistics, and whether its worker is there.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long one answer may take. Envoy answers within a millisecond; a busy machine takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How often an Envoy is asked before it counts as gone: one slow answer on a busy machine says nothing.
const TRIES: u32 = 3;
/// How long to wait between two tries.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Asks until there is an answer, a few times at most; the last error.
pub(super) async fn insist<T, F>(ask: impl Fn() -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    for _ in 1..TRIES {
        if let Ok(answer) = ask().await {
            return Ok(answer);
        }
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
    }
    ask().await
}

/// The body of the answer to `GET path`; any status but 200 is an error.
pub(super) async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    tokio::time::timeout(ANSWER_WITHIN, ask(address, path))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let socket = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(header::HOST, "admin")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    let connection = async {
        // Its error comes out of the exchange.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    let (status, body) = tokio::select! {
        answer = exchange => answer.map_err(|error: hyper::Error| io::Error::other(error))?,
        () = connection => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    if status != StatusCode::OK {
        return Err(io::Error::other(format!("status {status}")));
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Envoy's statistics, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats(String);

impl Stats {
    /// Reads those that say what configuration is taken.
    pub(super) async fn read(admin: SocketAddr) -> io::Result<Self> {
        let names = ["version_text", "update_rejected", "warming"].join("%7C");
        get(admin, &format!("/stats?filter={names}"))
            .await
            .map(Self)
    }

    /// The text of one of them.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.map(|text| text.trim_matches('"'))
    }

    /// The value of a counter or gauge; 0 if there is none of that name yet.
    pub(super) fn count(&self, name: &str) -> u64 {
        self.text(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }
}
