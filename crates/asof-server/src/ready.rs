//! Whether requests can be answered: what a load balancer asks before it sends any.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use asof_model::{Explain, Kind};
use asof_store::StoreError;
use asof_store::request::Wanted;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::beside::told::Told;
use crate::openapi::Readiness;
use crate::serving::{Serving, Shape};
use crate::{http, json};

/// The most services whose plans are compiled to say whether the server is ready.
pub const READY_SERVICES_MAX: usize = 256;

/// `GET /ready`: 200 where definitions are there, the online store can be read and the services' plans compile; else 503 with the
/// reasons.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "operations",
    responses(
        (status = 200, description = "Requests can be answered", body = Readiness),
        (status = 503, description = "They can't, for these reasons", body = Readiness)
    )
)]
pub(crate) async fn ready(State(serving): State<Arc<Serving>>) -> Response {
    let reasons = reasons(&serving).await;
    let revision = serving.revision();
    match reasons.as_slice() {
        [] => http::respond(StatusCode::OK, json!({ "ready": true, "revision": revision }).to_string()),
        reasons => {
            let body = json!({ "ready": false, "revision": revision, "reasons": reasons });
            http::respond(StatusCode::SERVICE_UNAVAILABLE, body.to_string())
        }
    }
}

/// `GET /health`: 200 without a body where the online store can be read, else 503. A registry that is out of reach does no harm here.
#[utoipa::path(
    get,
    path = "/health",
    tag = "operations",
    responses(
        (status = 200, description = "The online store can be read"),
        (status = 503, description = "It can't: why", body = String, content_type = "application/json")
    )
)]
pub(crate) async fn health(State(serving): State<Arc<Serving>>) -> Response {
    match serving.check().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            http::log_failure(&error);
            http::respond(StatusCode::SERVICE_UNAVAILABLE, json::quoted(&error.to_string()))
        }
    }
}

/// What keeps the server from answering.
async fn reasons(serving: &Serving) -> Vec<Told> {
    if serving.stopping().load(Ordering::Relaxed) {
        return vec![Told::new(Kind::Unavailable, "the server is about to stop", None)];
    }
    if let Err(error) = serving.check().await {
        return Told::all(&error);
    }
    let mut reasons = Vec::new();
    for service in serving.services().into_iter().take(READY_SERVICES_MAX) {
        match serving.plan(Shape { wanted: Wanted::Service(service), full_names: true }).await {
            Ok(_) => {}
            // What a user has to do, such as a backfill or a move to a newer version, is no reason to send the
            // requests of everybody else elsewhere.
            Err(error) if error.kind() == Kind::Conflict => {}
            Err(error) => reasons.extend(Told::all(&error)),
        }
    }
    if serving.revision() == 0 {
        let project = serving.project().to_owned();
        reasons.extend(Told::all(&StoreError::NothingApplied { project }));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use asof_store::{Project, Store, SystemClock};

    use super::*;

    /// Goal: a server that is told to stop is not ready, whatever else there is to say.
    #[tokio::test]
    async fn stopping() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("asof.toml"), "").unwrap();
        let store = Store::new(Project::open(dir.path()).unwrap(), Arc::new(SystemClock), "a test");
        let serving = Serving::open(Arc::new(store)).await.unwrap();
        assert!(reasons(&serving).await[0].message.contains("nothing has been applied"));
        serving.stopping().store(true, Ordering::Relaxed);
        assert_eq!(reasons(&serving).await[0].message, "the server is about to stop");
    }
}
