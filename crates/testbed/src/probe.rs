//! One plain HTTP request that doesn't block: is somebody there, and what does it say.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long the answer may take. It is there within a millisecond; a busy machine takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The body of the answer to `GET path`; any status but 200 is an error, which has the body too.
pub async fn get(address: SocketAddr, path: &str) -> io::Result<String> {
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
        .header(header::HOST, address.to_string())
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
    let body = String::from_utf8_lossy(&body).into_owned();
    if status == StatusCode::OK {
        Ok(body)
    } else {
        Err(io::Error::other(format!("status {status}: {body}")))
    }
}
