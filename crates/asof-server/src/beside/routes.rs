//! The server's end: a route for each verb, on the socket alone.

use std::sync::Arc;

use asof_model::{Explain, Kind};
use asof_store::Progress;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::value::to_raw_value;
use tokio::sync::Semaphore;

use super::told::Told;
use super::verb::{GetRow, GetStatus, Settle, Verb};
use super::{Event, FOLLOW, HELLO, Hello, PROTOCOL, PROTOCOL_HEADER, tape};
use crate::serving::Serving;
use crate::{http, metrics};
use asof_store::forget::ForgetRequest;
use asof_store::materialize::MaterializeRequest;
use asof_store::push::PushRequest;
use asof_store::verify::VerifyRequest;

/// Commands that a server works for at a time. Further ones are refused and may be run again.
pub(crate) const COMMANDS_MAX: usize = 16;

/// What the routes share.
struct Beside {
    serving: Arc<Serving>,
    free: Arc<Semaphore>,
}

/// The routes. Work that goes on stops between its steps once the server is told to stop.
pub(crate) fn routes(serving: Arc<Serving>) -> Router {
    let beside = Beside { serving, free: Arc::new(Semaphore::new(COMMANDS_MAX)) };
    Router::new()
        .route(&path::<MaterializeRequest>(), post(run::<MaterializeRequest>))
        .route(&path::<VerifyRequest>(), post(run::<VerifyRequest>))
        .route(&path::<ForgetRequest>(), post(run::<ForgetRequest>))
        .route(&path::<PushRequest>(), post(run::<PushRequest>))
        .route(&path::<Settle>(), post(run::<Settle>))
        .route(&path::<GetRow>(), post(run::<GetRow>))
        .route(&path::<GetStatus>(), post(run::<GetStatus>))
        .route(FOLLOW, post(follow))
        .route(HELLO, get(hello))
        .with_state(Arc::new(beside))
}

/// The route of a verb.
pub(super) fn path<V: Verb>() -> String {
    format!("/{}", V::NAME)
}

async fn hello() -> Response {
    let hello = Hello { protocol: PROTOCOL.to_owned(), process: std::process::id() };
    http::respond(StatusCode::OK, serde_json::to_string(&hello).unwrap_or_default())
}

/// Takes up the registry's current revision before the answer.
async fn follow(State(beside): State<Arc<Beside>>) -> Response {
    match beside.serving.catch_up().await {
        Ok(()) => http::respond(StatusCode::OK, "{}"),
        Err(error) => refused(Told::all(&error)),
    }
}

async fn run<V: Verb>(State(beside): State<Arc<Beside>>, request: Request) -> Response {
    let spoken = request.headers().get(PROTOCOL_HEADER).and_then(|value| value.to_str().ok());
    if spoken != Some(PROTOCOL) {
        let message =
            format!("the server speaks `{PROTOCOL}`, the command `{}`", spoken.unwrap_or("nothing"));
        return refused(vec![Told::new(Kind::Conflict, message, None)]);
    }
    let verb = match http::body(request).await.map(|body| serde_json::from_slice::<V>(&body)) {
        Ok(Ok(verb)) => verb,
        Ok(Err(error)) => return refused(vec![Told::new(Kind::Invalid, error.to_string(), None)]),
        Err(error) => return refused(vec![Told::new(Kind::Invalid, error.to_string(), None)]),
    };
    let Ok(held) = beside.free.clone().try_acquire_owned() else {
        let message = format!("the server works for {COMMANDS_MAX} commands already");
        let hint = "run the command again when one of them has ended";
        return refused(vec![Told::new(Kind::Unavailable, message, Some(hint))]);
    };
    let (recorder, lines) = tape::tape(beside.serving.stopping().clone());
    let serving = beside.serving.clone();
    serving.clone().workers().spawn(async move {
        let _held = held;
        let name = V::NAME;
        tracing::info!(command = name, "working for a command");
        let outcome = verb.run(serving.store(), &recorder).await;
        metrics::command(name, outcome.is_ok());
        if V::LOADS {
            serving.look().await;
        }
        let event = match outcome {
            Ok(report) => match to_raw_value(&report) {
                Ok(report) => Event::Done(report),
                Err(error) => Event::Failed(vec![Told::new(Kind::Corrupt, error.to_string(), None)]),
            },
            Err(error) => {
                let wanted = recorder.wanted();
                tracing::info!(command = name, %error, hint = error.hint(), wanted, "a command failed");
                Event::Failed(Told::all(&error))
            }
        };
        recorder.end(event);
        tracing::info!(command = name, "done with a command");
    });
    http::respond(StatusCode::OK, Body::from_stream(lines))
}

fn refused(told: Vec<Told>) -> Response {
    let status = told.first().map_or(StatusCode::INTERNAL_SERVER_ERROR, |told| http::status(told.kind));
    http::respond(status, serde_json::to_string(&told).unwrap_or_default())
}
