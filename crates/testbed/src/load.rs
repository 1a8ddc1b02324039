//! A steady stream of requests to one address, and what became of each.
//!
//! Requests are sent at fixed times whatever the answers do (an open loop), over a few connections that are kept alive:
//! HTTP/1.1, or HTTP/2 without TLS. Answers are those of [`echo`](crate::echo). What the samples mean is for the caller to judge.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::echo::{Answer, GRPC_STATUS};

/// What is sent, and how fast.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The proxy or server to connect to.
    pub target: SocketAddr,
    /// The request's authority.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Method.
    pub method: Method,
    /// Over HTTP/2, begun without asking (`h2c` with prior knowledge, RFC 9113 section 3.3).
    pub http2: bool,
    /// Headers beside `host`.
    pub headers: Vec<(String, String)>,
    /// Who sends them, one request each in turn; `None` where nobody tells them apart.
    pub users: Option<Users>,
    /// An application in front that has been called first; `None` where the target is called at once.
    pub front: Option<Front>,
    /// Requests per second, all connections together; at least 1.
    pub rate: u32,
    /// Connections; at least 1.
    pub connections: u32,
    /// A request that takes longer has failed.
    pub timeout: Duration,
}

/// Users of a stream, told apart by a header.
#[derive(Clone, Debug)]
pub struct Users {
    /// How many; at least 1.
    pub count: u32,
    /// The header's name.
    pub header: String,
    /// Its value; `{}` in it is the user's number.
    pub value: String,
    /// They keep the cookies that they are given, and bring them with all that they send later. Nobody looks at a cookie's
    /// attributes.
    pub keep_cookies: bool,
}

/// An application that is called with the stream's request, user and all, and then calls the stream's target, on behalf
/// of that request, with nothing of it but one header as the application has seen it, and the stream's own headers.
#[derive(Clone, Debug)]
pub struct Front {
    /// The proxy or server to connect to.
    pub target: SocketAddr,
    /// The request's authority there.
    pub authority: String,
    /// The header that it forwards.
    pub forwards: String,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The number of the user who sent it, from 0 on, if the stream has users.
    pub user: Option<u32>,
    /// When it was sent.
    pub sent: Instant,
    /// From then to the last byte of the answer, or to the failure.
    pub took: Duration,
    /// The values of `set-cookie` that came with the answer.
    pub cookies: Vec<String>,
    /// Who answered and what it was sent, or what went wrong.
    pub outcome: Result<Arc<Answer>, RequestError>,
}

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No connection to the target.
    #[error("cannot connect to {target}: {kind}")]
    Connect {
        /// Where to.
        target: SocketAddr,
        /// The system's word for it.
        kind: std::io::ErrorKind,
    },
    /// The connection broke before the answer was complete.
    #[error("connection broken: {detail}")]
    Broken {
        /// The HTTP library's words.
        detail: String,
    },
    /// No complete answer in time.
    #[error("no answer within {} ms", limit.as_millis())]
    Timeout {
        /// The stream's limit.
        limit: Duration,
    },
    /// An answer other than 200.
    #[error("status {status}, expected 200: {body}")]
    Status {
        /// What came.
        status: StatusCode,
        /// The first bytes of the body, which Envoy uses to say why.
        body: String,
    },
    /// 200, but not from an echo.
    #[error("the body is not an echo's answer: {body}")]
    NotEcho {
        /// The first bytes of the body.
        body: String,
    },
    /// An echo has answered by HTTP/2, and what it says behind the body is not there.
    #[error("the answer has no trailer grpc-status, expected 0")]
    NotEnded,
    /// The stream can't be made into a request.
    #[error("authority, path or a header of the stream is not valid HTTP")]
    Invalid,
}

/// Given every sample as soon as it is complete. It must not block.
pub type Sink = Arc<dyn Fn(Sample) + Send + Sync>;

/// A running stream of requests.
#[derive(Debug)]
pub struct Load {
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
}

impl Load {
    /// Begins to send.
    pub fn start(stream: Stream, sink: &Sink) -> Self {
        let (stop, stopped) = watch::channel(false);
        let connections = stream.connections.max(1);
        let every = Duration::from_secs(1) * connections / stream.rate.max(1);
        let stream = Arc::new(stream);
        let turns = Arc::new(AtomicU32::new(0));
        let jars = Arc::new(Jars::default());
        let mut workers = JoinSet::new();
        for worker in 0..connections {
            // Spread over the interval, so that the rate is steady and not in bursts.
            let offset = every * worker / connections;
            workers.spawn(work(
                Arc::clone(&stream),
                Arc::clone(&turns),
                Arc::clone(&jars),
                every,
                offset,
                Arc::clone(sink),
                stopped.clone(),
            ));
        }
        Self { stop, workers }
    }

    /// Sends no more, waits for the answers to what has been sent.
    pub async fn stop(mut self) {
        // No receiver means that every worker has ended already.
        let _ = self.stop.send(true);
        while self.workers.join_next().await.is_some() {}
    }
}

async fn work(
    stream: Arc<Stream>,
    turns: Arc<AtomicU32>,
    jars: Arc<Jars>,
    every: Duration,
    offset: Duration,
    sink: Sink,
    stopped: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + offset, every);
    // After a stall what was due is sent at once: the number of requests stays what was asked for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut connections = Connections::default();
    loop {
        ticks.tick().await;
        if *stopped.borrow() {
            return;
        }
        let user = stream
            .users
            .as_ref()
            .map(|users| turns.fetch_add(1, Ordering::Relaxed) % users.count.max(1));
        let sent = Instant::now();
        let kept = user.and_then(|user| jars.of(user));
        let mut cookies = Vec::new();
        let exchange = ask(&stream, user, kept, &mut connections, &mut cookies);
        let exchange = tokio::time::timeout(stream.timeout, exchange);
        let outcome = exchange.await.unwrap_or_else(|_| {
            Err(RequestError::Timeout {
                limit: stream.timeout,
            })
        });
        if outcome.is_err() {
            // What state they are in isn't known.
            connections = Connections::default();
        }
        if let (Some(user), Some(users)) = (user, &stream.users)
            && users.keep_cookies
        {
            jars.keep(user, &cookies);
        }
        sink(Sample {
            user,
            sent,
            took: sent.elapsed(),
            cookies,
            outcome,
        });
    }
}

/// The cookies that the users of a stream have kept, each as `name=value`.
#[derive(Debug, Default)]
struct Jars(Mutex<HashMap<u32, Vec<String>>>);

impl Jars {
    /// What a user's `cookie` header says; none without a cookie.
    fn of(&self, user: u32) -> Option<String> {
        let jars = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jars.get(&user).map(|cookies| cookies.join("; "))
    }

    /// Of one name the last that came counts.
    fn keep(&self, user: u32, set: &[String]) {
        if set.is_empty() {
            return;
        }
        let mut jars = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let jar = jars.entry(user).or_default();
        for cookie in set {
            let pair = cookie.split(';').next().unwrap_or_default().trim();
            let name = |pair: &str| pair.split('=').next().map(str::to_owned);
            jar.retain(|other| name(other) != name(pair));
            jar.push(pair.to_owned());
        }
    }
}

enum Connection {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Connection {
    /// False if its peer has closed it.
    async fn is_ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    async fn send(&mut self, request: Request<Empty<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }
}

/// One worker's.
#[derive(Default)]
struct Connections {
    front: Option<Connection>,
    own: Option<Connection>,
}

async fn ask(
    stream: &Stream,
    user: Option<u32>,
    kept: Option<String>,
    connections: &mut Connections,
    cookies: &mut Vec<String>,
) -> Result<Arc<Answer>, RequestError> {
    let kept = kept.map(|kept| (header::COOKIE.as_str().to_owned(), kept));
    let user = stream.users.as_ref().zip(user).map(|(users, user)| {
        let value = users.value.replace("{}", &user.to_string());
        (users.header.clone(), value)
    });
    let Some(front) = &stream.front else {
        let own: Vec<_> = user.into_iter().chain(kept).collect();
        let request = request(stream, &stream.authority, &own)?;
        let (target, connection) = (stream.target, &mut connections.own);
        return exchange(stream, target, request, connection, cookies).await;
    };
    let own: Vec<_> = user.into_iter().chain(kept).collect();
    let first = request(stream, &front.authority, &own)?;
    let connection = &mut connections.front;
    let seen = exchange(stream, front.target, first, connection, cookies).await?;
    let forwarded = seen.headers.get(&front.forwards);
    let forwarded = forwarded.map(|value| (front.forwards.clone(), value.clone()));
    let second = request(stream, &stream.authority, forwarded.as_slice())?;
    let (target, connection) = (stream.target, &mut connections.own);
    exchange(stream, target, second, connection, cookies).await
}

async fn exchange(
    stream: &Stream,
    target: SocketAddr,
    request: Request<Empty<Bytes>>,
    connection: &mut Option<Connection>,
    cookies: &mut Vec<String>,
) -> Result<Arc<Answer>, RequestError> {
    let broken = |error: hyper::Error| RequestError::Broken {
        detail: error.to_string(),
    };
    // A connection that its peer has closed since the last answer is no failure: a new one takes its place.
    let mut kept = connection.take();
    if let Some(sender) = &mut kept
        && !sender.is_ready().await
    {
        kept = None;
    }
    let mut sender = match kept {
        Some(sender) => sender,
        None => connect(target, stream.http2).await?,
    };
    let response = sender.send(request).await.map_err(broken)?;
    let status = response.status();
    let set = response.headers().get_all(header::SET_COOKIE).iter();
    cookies.extend(set.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let body = response.into_body().collect().await.map_err(broken)?;
    let ended = body
        .trailers()
        .and_then(|all| all.get(GRPC_STATUS))
        .cloned();
    let body = body.to_bytes();
    *connection = Some(sender);
    if status != StatusCode::OK {
        return Err(RequestError::Status {
            status,
            body: excerpt(&body),
        });
    }
    match serde_json::from_slice::<Answer>(&body) {
        // Between HTTP/2 and HTTP/2, proxies let trailers through.
        Ok(answer)
            if answer.http2 && stream.http2 && ended.as_ref().is_none_or(|ended| ended != "0") =>
        {
            Err(RequestError::NotEnded)
        }
        Ok(answer) => Ok(Arc::new(answer)),
        Err(_) => Err(RequestError::NotEcho {
            body: excerpt(&body),
        }),
    }
}

async fn connect(target: SocketAddr, http2: bool) -> Result<Connection, RequestError> {
    let broken = |error: hyper::Error| RequestError::Broken {
        detail: error.to_string(),
    };
    let refused = |error: std::io::Error| RequestError::Connect {
        target,
        kind: error.kind(),
    };
    let socket = TcpStream::connect(target).await.map_err(refused)?;
    socket.set_nodelay(true).map_err(refused)?;
    let socket = TokioIo::new(socket);
    // The error of a connection comes out of the request that was on it.
    if http2 {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), socket)
            .await
            .map_err(broken)?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        return Ok(Connection::Http2(sender));
    }
    let (sender, connection) = http1::handshake(socket).await.map_err(broken)?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(Connection::Http1(sender))
}

fn request(
    stream: &Stream,
    authority: &str,
    own: &[(String, String)],
) -> Result<Request<Empty<Bytes>>, RequestError> {
    let mut request = Request::builder().method(stream.method.clone());
    request = if stream.http2 {
        // The authority is in the URI there, and becomes `:authority`.
        request.uri(format!("http://{authority}{}", stream.path))
    } else {
        request.uri(&stream.path).header(header::HOST, authority)
    };
    for (name, value) in stream.headers.iter().chain(own) {
        request = request.header(name, value);
    }
    request
        .body(Empty::new())
        .map_err(|_| RequestError::Invalid)
}

/// The first bytes of a body, enough to say why.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().take(160).collect()
}

#[cfg(test)]
mod tests;
