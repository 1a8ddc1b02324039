//! The application behind every test: it answers each request with who it is and what it was sent, by HTTP/1.1 or, as a
//! server of gRPC does, by HTTP/2 without TLS.
//!
//! Neighbours: [`load`](crate::load) sends the requests and reads the answers; who starts an echo (a stand-in for
//! kubelet, or a test) gives it its identity. Mirrored copies are told apart as Envoy marks them: their authority ends
//! in `-shadow` (Envoy `source/common/router/shadow_writer_impl.cc`, `ShadowWriterImpl::getClusterName` and
//! `shadowAppendedHost`).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HeaderName;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::GracefulShutdown;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What Envoy appends to the authority of a mirrored copy.
const SHADOW: &str = "-shadow";

/// Where an echo answers as Argo's demo application does, which the tutorials use.
const COLOR: &str = "/color";

/// How a call of gRPC has ended; 0 is well.
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How long requests in flight may take once an echo has been told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Who answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The pod's name.
    pub pod: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The application (label `app`): tells one service's pods from another's.
    pub app: String,
    /// The first container's image: tells versions apart.
    pub image: String,
    /// Argo's label `rollouts-pod-template-hash`, where the pod belongs to a Rollout.
    pub hash: Option<String>,
}

/// One answer, as JSON in the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Who answered.
    #[serde(flatten)]
    pub identity: Identity,
    /// Path and query of the request as the application saw them.
    pub path: String,
    /// True if the request came by HTTP/2.
    #[serde(default)]
    pub http2: bool,
    /// Request headers by lower-case name; several values are joined by a comma, bytes that are no text are replaced.
    pub headers: BTreeMap<String, String>,
}

/// A request that an echo has seen, for whoever counts.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The echo that saw it.
    pub identity: &'a Identity,
    /// The authority without Envoy's mark.
    pub authority: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// True for a mirrored copy, whose answer nobody reads.
    pub copy: bool,
}

/// Told of every request before it is answered. It runs on the request's path: it must be quick and must not block.
pub type Observer = Arc<dyn Fn(Seen<'_>) + Send + Sync>;

/// Told of every answer: its status, and how long it took from the request's last byte. It runs on the request's path, too.
pub type Answered = Arc<dyn Fn(StatusCode, Duration) + Send + Sync>;

/// How an echo answers.
#[derive(Clone, Default)]
pub struct Conduct {
    /// Of each hundred requests so many are answered with status 500, spread evenly. The body is that of any other answer.
    pub fails: u32,
    /// Who counts the answers.
    pub answered: Option<Answered>,
}

/// What all connections of an echo share.
struct Application {
    identity: Identity,
    conduct: Conduct,
    observer: Observer,
    /// How many requests there were.
    requests: AtomicU32,
}

impl Application {
    /// The next answer's status.
    fn status(&self) -> StatusCode {
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        let fails = self.conduct.fails.min(100);
        // The share of failures goes on to the next whole number at this request.
        if before % 100 * fails % 100 + fails >= 100 {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::OK
        }
    }
}

/// A running echo. Dropping it cuts what is in flight; [`Echo::stop`] doesn't.
#[derive(Debug)]
pub struct Echo {
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
}

impl Echo {
    /// Listens on every address (port 0 takes a free one) and answers as `identity`.
    ///
    /// Fails if an address can't be bound; then nothing listens.
    pub async fn start(
        identity: Identity,
        listen: &[SocketAddr],
        observer: Observer,
    ) -> io::Result<Self> {
        Self::start_with(identity, Conduct::default(), listen, observer).await
    }

    /// The same, and answers as `conduct` says.
    pub async fn start_with(
        identity: Identity,
        conduct: Conduct,
        listen: &[SocketAddr],
        observer: Observer,
    ) -> io::Result<Self> {
        let mut listeners = Vec::with_capacity(listen.len());
        let mut addresses = Vec::with_capacity(listen.len());
        for address in listen {
            let listener = TcpListener::bind(address).await?;
            addresses.push(listener.local_addr()?);
            listeners.push(listener);
        }
        let (stop, stopped) = watch::channel(false);
        let application = Arc::new(Application {
            identity,
            conduct,
            observer,
            requests: AtomicU32::new(0),
        });
        let mut servers = JoinSet::new();
        for listener in listeners {
            servers.spawn(serve(listener, Arc::clone(&application), stopped.clone()));
        }
        Ok(Self {
            addresses,
            stop,
            servers,
        })
    }

    /// Where it listens, in the order asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no new connections, answers what is in flight (for at most five seconds), closes idle connections.
    pub async fn stop(mut self) {
        // No receiver means that every server has ended already.
        let _ = self.stop.send(true);
        while self.servers.join_next().await.is_some() {}
    }
}

async fn serve(
    listener: TcpListener,
    application: Arc<Application>,
    mut stopped: watch::Receiver<bool>,
) {
    let connections = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, or a peer that left the queue: give others time, then go on.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Small answers: waiting to fill a segment would only add delay. Without it they still arrive.
        let _ = stream.set_nodelay(true);
        let application = Arc::clone(&application);
        let service = move |request| answer(Arc::clone(&application), request);
        let (watcher, mut stopped) = (connections.watcher(), stopped.clone());
        tasks.spawn(async move {
            let http2 = tokio::select! {
                // A request that has come is answered.
                biased;
                http2 = begins_http2(&stream) => http2,
                _ = stopped.wait_for(|stop| *stop) => return,
            };
            let stream = TokioIo::new(stream);
            // A connection's error is its client's to report.
            if http2 {
                let service = service_fn(move |request| {
                    let answer = service(request);
                    async { answer.await.map(with_trailers) }
                });
                let connection =
                    http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service);
                let mut connection = pin!(connection);
                tokio::select! {
                    _ = connection.as_mut() => return,
                    _ = stopped.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            } else {
                let connection =
                    http1::Builder::new().serve_connection(stream, service_fn(service));
                let _ = watcher.watch(connection).await;
            }
        });
        while tasks.try_join_next().is_some() {}
    }
    drop(listener);
    // On time-out the tasks are dropped and with them their connections.
    let drained = async {
        connections.shutdown().await;
        while tasks.join_next().await.is_some() {}
    };
    let _ = tokio::time::timeout(DRAIN, drained).await;
}

/// Whether a connection's first bytes are those of HTTP/2 without TLS (RFC 9113 section 3.4), which no method begins with.
async fn begins_http2(stream: &TcpStream) -> bool {
    let mut first = [0; 3];
    // Whoever sends fewer bytes at first is no proxy.
    matches!(stream.peek(&mut first).await, Ok(3)) && first == *b"PRI"
}

/// What HTTP/2 carries behind the body: for a call of gRPC, that it went well.
fn with_trailers<B: Body>(
    response: Response<B>,
) -> Response<impl Body<Data = B::Data, Error = B::Error>> {
    let ended = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    response.map(|body| body.with_trailers(std::future::ready(Some(Ok(ended)))))
}

async fn answer(
    application: Arc<Application>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // The body is read so that the connection can be used again; a client that stops in the middle closes it anyway.
    let _ = body.collect().await;
    let began = Instant::now();
    let authority = head
        .headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| head.uri.authority().map(Authority::as_str))
        .unwrap_or_default();
    let (authority, copy) = split_shadow(authority);
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    (application.observer)(Seen {
        identity: &application.identity,
        authority,
        path,
        headers: &head.headers,
        copy,
    });
    let json = if head.uri.path() == COLOR {
        serde_json::to_vec(color(&application.identity.image))
    } else {
        serde_json::to_vec(&Answer {
            identity: application.identity.clone(),
            path: path.to_owned(),
            http2: head.version == Version::HTTP_2,
            headers: join(&head.headers),
        })
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = application.status();
    match json {
        Ok(json) => {
            *response.body_mut() = Full::from(json);
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    if let Some(answered) = &application.conduct.answered {
        answered(response.status(), began.elapsed());
    }
    Ok(response)
}

/// What `argoproj/rollouts-demo` answers at [`COLOR`]: the tag of its image.
fn color(image: &str) -> &str {
    image.rsplit_once(':').map_or(image, |(_, tag)| tag)
}

/// The authority without Envoy's mark, and whether it had one. The mark comes before a port.
fn split_shadow(authority: &str) -> (&str, bool) {
    let host = authority
        .split_once(':')
        .map_or(authority, |(host, _)| host);
    match host.strip_suffix(SHADOW) {
        Some(host) => (host, true),
        None => (authority, false),
    }
}

fn join(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str().to_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_known_by_its_authority() {
        let cases = [
            ("web.shop", ("web.shop", false)),
            ("web.shop-shadow", ("web.shop", true)),
            ("web.shop-shadow:80", ("web.shop", true)),
            ("web.shop:80", ("web.shop:80", false)),
            ("-shadow.shop", ("-shadow.shop", false)),
        ];
        for (authority, expected) in cases {
            assert_eq!(split_shadow(authority), expected, "{authority}");
        }
    }

    #[test]
    fn so_many_of_a_hundred_requests_fail_evenly() {
        for fails in [0, 1, 30, 50, 100, 150] {
            let application = Application {
                identity: Identity::default(),
                conduct: Conduct {
                    fails,
                    answered: None,
                },
                observer: Arc::new(|_| {}),
                requests: AtomicU32::new(0),
            };
            let failed = |requests: u32| {
                (0..requests)
                    .filter(|_| application.status() == StatusCode::INTERNAL_SERVER_ERROR)
                    .count()
            };
            let expected = usize::try_from(fails.min(100)).unwrap();
            assert_eq!(failed(20), expected / 5, "{fails}");
            assert_eq!(failed(180), 2 * expected - expected / 5, "{fails}");
        }
    }

    #[test]
    fn repeated_headers_are_joined_in_order() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        assert_eq!(
            join(&headers),
            BTreeMap::from([("x-a".to_owned(), "1,2".to_owned())])
        );
    }
}
