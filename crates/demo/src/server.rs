//! The page and what it talks to, on localhost.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response, sse};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures::stream::{self, Stream, StreamExt};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;

use crate::actions::{self, Action};
use crate::demo::Demo;
use crate::events::Event;
use crate::shop;
use crate::traffic::Headers;
use crate::users;

/// The page's files: path, type, content.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../page/index.html")),
    ("/style.css", CSS, include_str!("../page/style.css")),
    ("/calls.js", SCRIPT, include_str!("../page/calls.js")),
    ("/colours.js", SCRIPT, include_str!("../page/colours.js")),
    ("/controls.js", SCRIPT, include_str!("../page/controls.js")),
    ("/diff.js", SCRIPT, include_str!("../page/diff.js")),
    ("/dots.js", SCRIPT, include_str!("../page/dots.js")),
    ("/events.js", SCRIPT, include_str!("../page/events.js")),
    ("/main.js", SCRIPT, include_str!("../page/main.js")),
    ("/rates.js", SCRIPT, include_str!("../page/rates.js")),
    ("/rollout.js", SCRIPT, include_str!("../page/rollout.js")),
    ("/routes.js", SCRIPT, include_str!("../page/routes.js")),
    ("/stage.js", SCRIPT, include_str!("../page/stage.js")),
    ("/users.js", SCRIPT, include_str!("../page/users.js")),
    ("/yaml.js", SCRIPT, include_str!("../page/yaml.js")),
];
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, demo: Arc<Demo>) -> std::io::Result<()> {
    let mut router = Router::new()
        .route("/events", get(events))
        .route("/do/{action}", post(act))
        .route("/do/headers", put(headers));
    for (path, kind, text) in FILES {
        let answer = (
            [
                (header::CONTENT_TYPE, *kind),
                (header::CACHE_CONTROL, "no-store"),
            ],
            *text,
        );
        router = router.route(path, get(async move || answer));
    }
    let port = listener.local_addr()?.port();
    let own = move |request: Request, next: Next| own_pages_only(port, request, next);
    let router = router.layer(middleware::from_fn(own));
    axum::serve(listener, router.with_state(demo)).await
}

/// Another site's page can send requests to localhost too, under its own name or a name of its own that leads here.
async fn own_pages_only(port: u16, request: Request, next: Next) -> Response {
    if !is_own(port, request.headers()) {
        let sentence = format!("only pages of http://127.0.0.1:{port} may ask");
        return refused(StatusCode::FORBIDDEN, sentence);
    }
    let mut response = next.run(request).await;
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Whether a request is for this server by its own name, and from a page of its own if from a page.
fn is_own(port: u16, headers: &HeaderMap) -> bool {
    let text = |name| {
        let value = headers.get(name);
        value.map(|value: &HeaderValue| value.to_str().unwrap_or_default())
    };
    let own = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{port}"));
    let is_own = |authority: &str| own.iter().any(|own| own == authority);
    text(header::HOST).is_some_and(is_own)
        && text(header::ORIGIN)
            .is_none_or(|origin| origin.strip_prefix("http://").is_some_and(is_own))
}

async fn events(
    State(demo): State<Arc<Demo>>,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let (missed, receiver) = demo.events.listen();
    let mut all = users::others();
    all.push(users::you());
    let hello = json!({
        "title": "Serin: a canary on a page",
        "users": all,
        "rollout": format!("{}/{}", shop::NAMESPACE, shop::NAME),
        "headers": demo.traffic.headers().await,
    });
    let hello = sse::Event::default().event("hello").data(hello.to_string());
    let live = stream::unfold(receiver, async |mut receiver| {
        loop {
            match receiver.recv().await {
                Ok(event) => return Some((event, receiver)),
                // The page was too slow; what it has missed doesn't come again, the next state is whole.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let told = stream::iter(missed)
        .chain(live)
        .map(|event: Event| sse::Event::default().event(event.name).data(&*event.data));
    let all = stream::iter([hello]).chain(told).map(Ok);
    Sse::new(all).keep_alive(KeepAlive::new().interval(Duration::from_secs(5)))
}

async fn act(State(demo): State<Arc<Demo>>, Path(word): Path<String>) -> Response {
    let Some(action) = Action::named(&word) else {
        return refused(
            StatusCode::NOT_FOUND,
            format!("there is no action {word:?}"),
        );
    };
    if action.takes_over() {
        demo.autopilot.take_over();
    }
    match actions::act(action, &demo.cluster, &demo.refusing).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refused(StatusCode::CONFLICT, refusal.to_string()),
    }
}

async fn headers(State(demo): State<Arc<Demo>>, Json(headers): Json<Headers>) -> Response {
    match demo.traffic.set_headers(headers).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(fault) => refused(StatusCode::UNPROCESSABLE_ENTITY, fault.to_string()),
    }
}

fn refused(status: StatusCode, sentence: String) -> Response {
    (status, Json(json!({"error": sentence}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_page_may_ask() {
        let cases = [
            ("127.0.0.1:7400", None, true),
            ("localhost:7400", Some("http://localhost:7400"), true),
            ("127.0.0.1:7400", Some("http://evil.example"), false),
            ("127.0.0.1:7400", Some("null"), false),
            ("evil.example:7400", None, false),
            ("127.0.0.1:7401", None, false),
        ];
        for (host, origin, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(is_own(7400, &headers), expected, "{host} {origin:?}");
        }
    }
}
