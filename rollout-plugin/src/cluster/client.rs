//! A client of one API server: the stack that kube builds for a configuration, on connections that don't wait for
//! acknowledgements, and on few of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::retry::RetryLayer;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::trace::TraceLayer;
use tracing::debug_span;

use crate::cluster::token::{FileToken, authenticated};

/// How many requests are under way at once, watches aside. Each has a connection, which stays open for a while: were
/// all to be sent at once, a hundred Rollouts in motion would mean a hundred connections.
const AT_ONCE: usize = 8;

/// How long a request waits for others to end. Then it is sent all the same, so that a few which are never answered
/// hold up nobody for good.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is read of a connection at a time at most; hyper's own limit is 400 KiB, which a long list leaves allocated.
/// An answer's head has to fit in.
const READ_BUFFER: usize = 64 * 1024;

/// The client for `config`.
///
/// `Client::try_from` leaves Nagle's algorithm on (<https://github.com/kube-rs/kube/issues/2056>): a new connection's
/// handshake then waits for a delayed acknowledgement. A token's file is read by [`FileToken`]. Otherwise this is the same
/// stack.
///
/// # Errors
/// What kube finds wrong in the configuration.
pub(super) fn client(mut config: Config) -> Result<Client, kube::Error> {
    let agent = HeaderValue::from_static(concat!("serin/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    if config.proxy_url.is_some() {
        // kube has the proxies' protocols, or says which of its features is missing.
        return Client::try_from(config);
    }
    let token = FileToken::take(&mut config)?;
    let mut tcp = HttpConnector::new();
    // TLS is above it.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let connections: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            // Without a timer nothing idle is ever closed.
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(AT_ONCE)
            .http1_max_buf_size(READ_BUFFER)
            .build(connector);
    let retry = config
        .default_retry
        .then(|| RetryLayer::new(RetryPolicy::server_retry()));
    let stack = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(retry)
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .layer(
            TraceLayer::new_for_http().make_span_with(|request: &Request<Body>| {
                debug_span!("request", method = %request.method(), uri = %request.uri())
            }),
        )
        .service(authenticated(
            bounded(connections, AT_ONCE, PATIENCE),
            token,
        ));
    Ok(Client::new(stack, config.default_namespace))
}

/// Lets `at_once` requests through, and the next one when one's answer has been read to its end, or after `patience`.
/// Watches don't count: they never end.
fn bounded<S, B>(
    connections: S,
    at_once: usize,
    patience: Duration,
) -> impl Service<
    Request<Body>,
    Response = Response<BoxBody<Bytes, B::Error>>,
    Error = BoxError,
    Future: Send,
> + Clone
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + Sync + 'static,
{
    let places = Arc::new(Semaphore::new(at_once));
    service_fn(move |request: Request<Body>| {
        let (connections, places) = (connections.clone(), Arc::clone(&places));
        async move {
            let place = if is_watch(request.uri()) {
                None
            } else {
                let place = timeout(patience, places.acquire_owned()).await;
                place.ok().and_then(Result::ok)
            };
            let answer = connections.oneshot(request).await.map_err(Into::into)?;
            Ok(answer.map(|body| {
                let held = move |frame| {
                    let _held = &place;
                    frame
                };
                BoxBody::new(body.map_frame(held))
            }))
        }
    })
}

/// True if the answer is a stream of events.
fn is_watch(uri: &Uri) -> bool {
    let mut parameters = uri.query().unwrap_or_default().split('&');
    parameters.any(|parameter| parameter == "watch=true")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use http_body_util::Full;
    use tokio::time::sleep;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn request(path: &'static str) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static(path);
        request
    }

    /// How many of 20 requests for `path` are under way at once, at most.
    async fn most(path: &'static str, at_once: usize) -> usize {
        let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let counted = Arc::clone(&counts);
        let server = service_fn(move |_: Request<Body>| {
            let counts = Arc::clone(&counted);
            async move {
                let now = counts.0.fetch_add(1, Ordering::SeqCst) + 1;
                counts.1.fetch_max(now, Ordering::SeqCst);
                sleep(Duration::from_millis(5)).await;
                counts.0.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"x"))))
            }
        });
        let bounded = bounded(server, at_once, LONG);
        join_all((0..20).map(|_| async {
            let answer = bounded.clone().oneshot(request(path)).await.unwrap();
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "x");
        }))
        .await;
        counts.1.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn no_more_requests_than_that_are_under_way() {
        assert_eq!(most("/apis/x", 3).await, 3);
    }

    #[tokio::test]
    async fn watches_do_not_count() {
        assert_eq!(most("/apis/x?limit=5&watch=true", 3).await, 20);
    }

    #[tokio::test]
    async fn an_answer_counts_until_it_is_read() {
        let server = service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"x"))))
        });
        let bounded = bounded(server, 1, LONG);
        let first = bounded.clone().oneshot(request("/a")).await.unwrap();
        let mut second = Box::pin(bounded.clone().oneshot(request("/b")));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn one_that_is_never_answered_holds_up_nobody_for_good() {
        let server = service_fn(|request: Request<Body>| async move {
            if request.uri().path() == "/never" {
                return pending().await;
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let bounded = bounded(server, 1, Duration::from_millis(10));
        let mut never = Box::pin(bounded.clone().oneshot(request("/never")));
        assert!(futures::poll!(&mut never).is_pending());
        assert!(bounded.oneshot(request("/b")).await.is_ok());
    }
}
