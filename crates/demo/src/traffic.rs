//! The users' requests: a steady stream each, from start to end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use testbed::load::{Load, Sample, Sink, Stream};
use testbed::mesh::Via;
use tokio::sync::Mutex;

use crate::board::Board;
use crate::shop::{GATEWAY_HOST, MESH_HOST};
use crate::users::{self, BETA, USER_HEADER, User};

/// Requests per second and user.
pub(crate) const RATE: u32 = 10;
/// A request that takes longer has failed.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// What a page may set: enough for every rule, and less than Envoy refuses.
const MAX_HEADERS: usize = 8;
const MAX_HEADER_BYTES: usize = 256;

/// Names and values, in the page's order.
pub(crate) type Headers = Vec<(String, String)>;

/// The running streams.
#[derive(Debug)]
pub(crate) struct Traffic {
    board: Arc<Board>,
    targets: [SocketAddr; 2],
    you: User,
    own: Mutex<Own>,
    _others: Vec<Load>,
}

/// What "you" send.
#[derive(Debug)]
struct Own {
    headers: Headers,
    load: Option<Load>,
}

/// A header that can't be sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderFault {
    #[error("{found} headers; at most {MAX_HEADERS} can be set")]
    TooMany { found: usize },
    #[error("{name:?} is no header name (at most {MAX_HEADER_BYTES} letters, digits and dashes)")]
    Name { name: String },
    #[error(
        "the value of {name} is not one that a header can have (printable, at most {MAX_HEADER_BYTES} bytes)"
    )]
    Value { name: String },
    #[error("{name} belongs to the demo: choose another header")]
    Reserved { name: String },
}

impl Traffic {
    /// Begins to send; `targets` are those of sidecar and gateway.
    pub(crate) fn start(targets: [SocketAddr; 2], board: &Arc<Board>) -> Self {
        let start = |user: &User, headers: &Headers| {
            Load::start(stream(user, targets, headers), &sink(user, board))
        };
        let others = users::others().into_iter().map(|user| {
            let headers = if user.beta { beta() } else { Headers::new() };
            start(&user, &headers)
        });
        let others = others.collect();
        let you = users::you();
        let own = start(&you, &Headers::new());
        Self {
            board: Arc::clone(board),
            targets,
            you,
            own: Mutex::new(Own {
                headers: Headers::new(),
                load: Some(own),
            }),
            _others: others,
        }
    }

    /// The headers of "your" requests.
    pub(crate) async fn headers(&self) -> Headers {
        self.own.lock().await.headers.clone()
    }

    /// Sets them; on a fault they stay what they were.
    pub(crate) async fn set_headers(&self, headers: Headers) -> Result<(), HeaderFault> {
        check(&headers)?;
        let mut own = self.own.lock().await;
        if let Some(load) = own.load.take() {
            load.stop().await;
        }
        let stream = stream(&self.you, self.targets, &headers);
        own.load = Some(Load::start(stream, &sink(&self.you, &self.board)));
        own.headers = headers;
        Ok(())
    }
}

fn beta() -> Headers {
    vec![(BETA.0.to_owned(), BETA.1.to_owned())]
}

fn check(headers: &Headers) -> Result<(), HeaderFault> {
    if headers.len() > MAX_HEADERS {
        return Err(HeaderFault::TooMany {
            found: headers.len(),
        });
    }
    for (name, value) in headers {
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
        let parsed = parsed.filter(|_| name.len() <= MAX_HEADER_BYTES);
        let parsed = parsed.ok_or_else(|| HeaderFault::Name {
            name: name.chars().take(MAX_HEADER_BYTES).collect(),
        })?;
        let reserved = [
            USER_HEADER,
            "host",
            "connection",
            "content-length",
            "transfer-encoding",
            "upgrade",
            "te",
            "trailer",
            "keep-alive",
            "proxy-connection",
        ];
        if reserved.contains(&parsed.as_str()) {
            return Err(HeaderFault::Reserved { name: name.clone() });
        }
        if value.len() > MAX_HEADER_BYTES || HeaderValue::from_str(value).is_err() {
            return Err(HeaderFault::Value { name: name.clone() });
        }
    }
    Ok(())
}

fn stream(user: &User, [sidecar, gateway]: [SocketAddr; 2], headers: &Headers) -> Stream {
    let (target, authority) = match user.via {
        Via::Sidecar => (sidecar, MESH_HOST),
        Via::Gateway => (gateway, GATEWAY_HOST),
    };
    let mut all = vec![(USER_HEADER.to_owned(), user.id.to_string())];
    all.extend(headers.iter().cloned());
    Stream {
        target,
        authority: authority.to_owned(),
        path: "/reviews/7".to_owned(),
        method: Method::GET,
        headers: all,
        http2: false,
        users: None,
        front: None,
        rate: RATE,
        connections: 1,
        timeout: REQUEST_LIMIT,
    }
}

fn sink(user: &User, board: &Arc<Board>) -> Sink {
    let (board, id, via) = (Arc::clone(board), user.id, user.via);
    Arc::new(move |sample: Sample| board.sample(id, via, &sample))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_cannot_be_sent_are_named() {
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let cases = [
            (one("x-beta", "1"), None),
            (
                one("x beta", "1"),
                Some("\"x beta\" is no header name (at most 256 letters, digits and dashes)"),
            ),
            (
                one("x-beta", "a\nb"),
                Some(
                    "the value of x-beta is not one that a header can have (printable, at most 256 bytes)",
                ),
            ),
            (
                one("Host", "a"),
                Some("Host belongs to the demo: choose another header"),
            ),
            (
                vec![("a".to_owned(), String::new()); 9],
                Some("9 headers; at most 8 can be set"),
            ),
        ];
        for (headers, fault) in cases {
            let found = check(&headers).err().map(|fault| fault.to_string());
            assert_eq!(found.as_deref(), fault);
        }
    }
}
