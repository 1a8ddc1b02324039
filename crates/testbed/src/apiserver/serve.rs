//! One HTTP request: parsed, troubled by faults, carried out, logged, answered.

use std::time::Instant;

use futures::stream;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Bytes, Incoming};
use serde_json::Value;

use super::discovery;
use super::faults::{Action, Call, Faults};
use super::log::{self, Log};
use super::query::Query;
use super::request::{Target, Verb};
use super::status::Status;
use super::store::Store;
use super::verbs;
use super::watch::{Dropped, Trouble, Watch};

/// Bodies above this are refused, as kube-apiserver does (`MaxRequestBodyBytes`).
const MAX_BODY: usize = 3 << 20;

/// The user in the words of [`Action::Forbid`].
const USER: &str = "system:serviceaccount:testbed:testbed";

pub(super) type Body = UnsyncBoxBody<Bytes, Dropped>;

/// What all connections share.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) store: Store,
    pub(super) faults: Faults,
    pub(super) log: Log,
}

/// What faults leave of a request.
#[derive(Default)]
struct Fate {
    refusal: Option<Status>,
    drop_answer: bool,
    trouble: Trouble,
}

impl Server {
    /// Answers one request. The error closes the connection.
    pub(super) async fn handle(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Dropped> {
        let (parts, incoming) = request.into_parts();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let target = self
            .store
            .read(|state| Target::parse(state.resources(), parts.uri.path()));
        let Some(target) = target else {
            return Ok(self.describe(&parts));
        };
        let body = Limited::new(incoming, MAX_BODY).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes);
        let verb = match target.verb(&parts.method, &query) {
            Ok(verb) => verb,
            Err(refused) => return Ok(refuse(&refused)),
        };
        let bytes = body.as_ref().map_or(&[][..], |bytes| bytes);
        let mut entry = entry_of(&parts, verb, Some(&target), bytes);

        let Some(fate) = self.meet_faults(verb, &target).await else {
            self.log.push(entry);
            return Err(Dropped);
        };
        let (drop_answer, refusal, trouble) = (fate.drop_answer, fate.refusal, fate.trouble);
        let answer = match (refusal, body) {
            (Some(refused), _) => Err(refused),
            (None, Err(_too_long)) => Err(Status::too_long(MAX_BODY)),
            (None, Ok(body)) if verb == Verb::Watch => {
                drop(body);
                self.watch(target, &query, trouble)
            }
            (None, Ok(body)) => verbs::run(
                &self.store,
                verb,
                &target,
                &query,
                &verbs::Sent {
                    content_type: &entry.content_type,
                    user_agent: &entry.user_agent,
                    body: &body,
                },
            )
            .map(|answer| json_response(answer.code, whole(answer.body.to_string()))),
        };
        if drop_answer {
            self.log.push(entry);
            return Err(Dropped);
        }
        let response = answer.unwrap_or_else(|refused| refuse(&refused));
        entry.status = Some(response.status().as_u16());
        self.log.push(entry);
        Ok(response)
    }

    /// None if the connection is to be dropped now.
    async fn meet_faults(&self, verb: Verb, target: &Target) -> Option<Fate> {
        let mut fate = Fate::default();
        let call = Call {
            verb,
            resource: target.resource.plural,
            namespace: &target.namespace,
            name: &target.name,
        };
        for action in self.faults.meet(&call) {
            match action {
                Action::Drop => return None,
                Action::DropAnswer => fate.drop_answer = true,
                Action::Delay(time) => tokio::time::sleep(time).await,
                Action::CutWatch { after } => fate.trouble.cut_after = Some(after),
                Action::LagWatch(time) => fate.trouble.lag = time,
                Action::Refuse(status) => {
                    fate.refusal.get_or_insert(status);
                }
                Action::Forbid => {
                    fate.refusal.get_or_insert_with(|| {
                        Status::forbidden(
                            &target.resource,
                            &verb.to_string(),
                            &target.namespace,
                            &target.name,
                            USER,
                        )
                    });
                }
            }
        }
        Some(fate)
    }

    fn watch(
        &self,
        target: Target,
        query: &Query,
        trouble: Trouble,
    ) -> Result<Response<Body>, Status> {
        let mut options = query.watch_options(&target.resource)?;
        options.selector = options.selector.named(&target.name);
        let watch = Watch::start(&self.store, target, options, self.faults.cuts(), trouble)?;
        let events = stream::unfold(watch, |mut watch| async move {
            let event = watch.next().await?;
            Some((event, watch))
        });
        Ok(json_response(
            StatusCode::OK,
            StreamBody::new(events).boxed_unsync(),
        ))
    }

    /// Paths that are no resource: discovery, health.
    fn describe(&self, parts: &Parts) -> Response<Body> {
        let path = parts.uri.path();
        let accept = header(&parts.headers, &ACCEPT);
        let response = if discovery::is_health(path) {
            plain(StatusCode::OK, "ok")
        } else if let Some((media_type, body)) = self
            .store
            .read(|state| discovery::answer(state.resources(), path, &accept))
        {
            respond(StatusCode::OK, media_type, whole(body.to_string()))
        } else if self
            .store
            .read(|state| discovery::is_built_in(state.resources(), path))
        {
            refuse(&Status::no_such_path())
        } else {
            plain(StatusCode::NOT_FOUND, "404 page not found\n")
        };
        let mut entry = entry_of(parts, Verb::Get, None, &[]);
        entry.status = Some(response.status().as_u16());
        self.log.push(entry);
        response
    }
}

fn entry_of(parts: &Parts, verb: Verb, target: Option<&Target>, body: &[u8]) -> log::Request {
    let text = |read: fn(&Target) -> &str| target.map(read).unwrap_or_default().to_owned();
    log::Request {
        at: Instant::now(),
        verb,
        group: text(|target| target.resource.group),
        resource: text(|target| target.resource.plural),
        namespace: text(|target| &target.namespace),
        name: text(|target| &target.name),
        subresource: text(|target| &target.subresource),
        path: parts.uri.to_string(),
        content_type: media_type(&parts.headers),
        body: serde_json::from_slice(body).unwrap_or(Value::Null),
        user_agent: header(&parts.headers, &USER_AGENT),
        status: None,
    }
}

fn header(headers: &HeaderMap, name: &http::HeaderName) -> String {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// The media type without parameters.
fn media_type(headers: &HeaderMap) -> String {
    let value = header(headers, &CONTENT_TYPE);
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn refuse(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json_response(code, whole(status.to_json().to_string()))
}

fn whole(text: String) -> Body {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn plain(code: StatusCode, text: &str) -> Response<Body> {
    respond(code, "text/plain; charset=utf-8", whole(text.to_owned()))
}

fn json_response(code: StatusCode, body: Body) -> Response<Body> {
    respond(code, "application/json", body)
}

fn respond(code: StatusCode, media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    response
}
