//! The page and what it talks to, on localhost.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response, sse};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures::stream::{self, Stream, StreamExt};
use http::{StatusCode, header};
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
    axum::serve(listener, router.with_state(demo)).await
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
