//! The token of a service account, out of a file that is renewed while the plugin runs, as a kubelet does.
//!
//! kube 5.0 reads such a file again after 50 s, and not when its token is refused (`client::auth::TokenFile`), as client-go
//! does. The controller has read it at another moment: where a token is withdrawn soon after there is a new one, calls of a
//! controller that has the new one failed for up to 50 s more, an abort too.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use kube::Config;
use kube::client::{AuthError, Body};
use tower::{BoxError, Service, ServiceExt, service_fn};

/// How long a token is used before the file is read again: a minute less a leeway, as in client-go
/// (v0.34 `transport.NewCachedFileTokenSource`).
const FRESH_FOR: Duration = Duration::from_secs(50);

/// A file with a token, and what was last read of it.
#[derive(Debug)]
pub(super) struct FileToken {
    path: PathBuf,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    /// The header's value, with the token in it.
    header: HeaderValue,
    read: Instant,
}

impl FileToken {
    /// Takes the token's file out of `config`, if that is how it authenticates; kube then adds no token of its own.
    ///
    /// A file goes before a token that is written beside it, as in client-go (v0.34 `transport.NewBearerAuthWithRefreshRoundTripper`).
    ///
    /// # Errors
    /// A file that can't be read, or without a token.
    pub(super) fn take(config: &mut Config) -> Result<Option<Arc<Self>>, kube::Error> {
        let auth = &mut config.auth_info;
        if auth.username.is_some() || auth.auth_provider.is_some() {
            return Ok(None);
        }
        let Some(path) = auth.token_file.take() else {
            return Ok(None);
        };
        auth.token = None;
        Self::open(PathBuf::from(path)).map(|token| Some(Arc::new(token)))
    }

    fn open(path: PathBuf) -> Result<Self, kube::Error> {
        match read(&path) {
            Ok(header) => Ok(Self {
                path,
                last: Mutex::new(Last {
                    header,
                    read: Instant::now(),
                }),
            }),
            Err(error) => Err(kube::Error::Auth(AuthError::ReadTokenFile(error, path))),
        }
    }

    /// The header for a request that is sent now.
    fn at(&self, now: Instant) -> HeaderValue {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(last.read) >= FRESH_FOR {
            self.renew(&mut last, now);
        }
        last.header.clone()
    }

    /// The header for another try after `refused` was sent; none if there is no other.
    fn instead_of(&self, refused: &HeaderValue, now: Instant) -> Option<HeaderValue> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Another request may have read it meanwhile.
        if last.header == *refused {
            self.renew(&mut last, now);
        }
        (last.header != *refused).then(|| last.header.clone())
    }

    /// The last token is kept where there is no other: some remove the file once it has been read
    /// (<https://github.com/kubernetes/kubernetes/issues/68164>).
    fn renew(&self, last: &mut Last, now: Instant) {
        if let Ok(header) = read(&self.path) {
            last.header = header;
        }
        last.read = now;
    }
}

/// The file's token, without the white space around it.
fn read(path: &Path) -> Result<HeaderValue, Error> {
    let text = fs::read_to_string(path)?;
    let token = text.trim();
    let invalid = |what: &str| Error::new(ErrorKind::InvalidData, what);
    if token.is_empty() {
        return Err(invalid("found no token"));
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| invalid("found characters that no token has"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Adds the token to each request. One that is refused is sent again with a new token, where the file has one.
pub(super) fn authenticated<S, B>(
    service: S,
    token: Option<Arc<FileToken>>,
) -> impl Service<Request<Body>, Response = Response<B>, Error = BoxError, Future: Send> + Clone
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Send,
{
    service_fn(move |mut request: Request<Body>| {
        let (service, token) = (service.clone(), token.clone());
        async move {
            let Some(token) = token else {
                return service.oneshot(request).await;
            };
            let header = token.at(Instant::now());
            let again = copy(&request);
            request.headers_mut().insert(AUTHORIZATION, header.clone());
            let answer = service.clone().oneshot(request).await?;
            if answer.status() != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            let (Some(mut again), Some(header)) =
                (again, token.instead_of(&header, Instant::now()))
            else {
                return Ok(answer);
            };
            drop(answer);
            again.headers_mut().insert(AUTHORIZATION, header);
            service.oneshot(again).await
        }
    })
}

/// The same request; none where its body is a stream.
fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let body = request.body().try_clone()?;
    let mut copy = Request::new(body);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    Some(copy)
}

#[cfg(test)]
mod tests;
