//! An HTTP/2 client that blocks: one request after the other on one connection.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{SendRequest, handshake};
use h2::ext::Protocol;
use http::{HeaderValue, Method, Uri, header::HeaderName};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::Answer;
use super::requests::Request;

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct Http2 {
    runtime: Runtime,
    address: SocketAddr,
    sender: Option<SendRequest<Bytes>>,
}

impl Http2 {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            address,
            sender: None,
        }
    }

    /// `None` if `request` can't be written in HTTP/2.
    pub(crate) fn ask(&mut self, request: &Request) -> Option<Answer> {
        let request = written(request)?;
        let answer = self.runtime.block_on(async {
            let asked = timeout(ANSWER_WITHIN, ask(self.address, &mut self.sender, request));
            asked.await.expect("an answer in time")
        });
        if let Ok(answer) = answer {
            return answer.map(Some);
        }
        self.sender = None;
        Some(None)
    }
}

async fn ask(
    address: SocketAddr,
    sender: &mut Option<SendRequest<Bytes>>,
    request: http::Request<()>,
) -> Result<Option<(u16, String)>, h2::Error> {
    // One that Envoy has ended meanwhile is not ready.
    let before = match sender.take() {
        Some(before) => before.ready().await.ok(),
        None => None,
    };
    let mut ready = match before {
        Some(before) => before,
        None => connect(address).await?,
    };
    let sent = ready.send_request(request, true);
    *sender = Some(ready);
    // Refused by the client itself.
    let Ok((response, _)) = sent else {
        return Ok(None);
    };
    let response = response.await?;
    let status = response.status().as_u16();
    let answer = response.headers().get("x-answer");
    let answer = answer
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    let mut body = response.into_body();
    while let Some(chunk) = body.data().await {
        let length = chunk?.len();
        body.flow_control().release_capacity(length)?;
    }
    Ok(Some((status, answer)))
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>, h2::Error> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (ready, connection) = handshake(stream).await?;
    tokio::spawn(connection);
    let ready = ready.ready().await?;
    // Its settings say whether it takes an extended CONNECT.
    while !ready.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
    }
    Ok(ready)
}

fn written(request: &Request) -> Option<http::Request<()>> {
    let method = Method::from_bytes(request.method.as_bytes()).ok()?;
    let mut uri = Uri::builder().authority(request.authority.as_str());
    if method != Method::CONNECT {
        uri = uri.scheme("http").path_and_query(request.target.as_str());
    }
    let mut written = http::Request::new(());
    *written.uri_mut() = uri.build().ok()?;
    *written.method_mut() = method;
    if let Some(to) = request.upgrade {
        *written.method_mut() = Method::CONNECT;
        written.extensions_mut().insert(Protocol::from_static(to));
    }
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.to_lowercase().as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        written.headers_mut().append(name, value);
    }
    Some(written)
}
